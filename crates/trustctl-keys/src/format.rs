//! Key files: reading all the formats users have, writing those that other programs read.
//!
//! | format | label | encryption | read | written |
//! |---|---|---|---|---|
//! | Cosign | `ENCRYPTED SIGSTORE PRIVATE KEY`, `ENCRYPTED COSIGN PRIVATE KEY` | scrypt, secretbox | yes | the first |
//! | Notary since 0.6 | `ENCRYPTED PRIVATE KEY`, `PRIVATE KEY`, with `role:` and `gun:` | PBES2 | yes | yes |
//! | Notary before, OpenSSL | `EC`, `RSA`, `ED25519 PRIVATE KEY` | `DEK-Info: AES-…-CBC` | yes | no |
//! | PKCS#8 | `PRIVATE KEY`, `ENCRYPTED PRIVATE KEY` | PBES2: PBKDF2 or scrypt, AES-CBC | yes | yes |
//! | SEC1, PKCS#1 | `EC PRIVATE KEY`, `RSA PRIVATE KEY` | none | yes | yes |
//!
//! A file's own cost parameters are limited before anything is computed, so that no file can keep its reader busy.

pub(crate) mod cosign;
pub(crate) mod der_bytes;
pub(crate) mod pem_text;
pub(crate) mod pkcs8;
pub(crate) mod traditional;

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use trustctl_core::public_key::PublicKey;
use trustctl_core::signer::Signer as _;
use zeroize::Zeroizing;

use crate::error::KeyError;
use crate::notary_id::canonical_id;
use crate::private_key::PrivateKey;
use crate::secret::Passphrase;
use pem_text::{Block, MAX_FILE};

/// The format of a key file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Cosign's own, always encrypted, perhaps with the empty passphrase.
    Cosign,
    /// `ED25519 PRIVATE KEY`, which only Notary before 0.6 knew.
    NotaryEd25519,
    /// PKCS#1, RSA only.
    Pkcs1,
    /// PKCS#8; Notary's keys are of this format and have a role.
    Pkcs8,
    /// SEC1, elliptic curves only.
    Sec1,
}

impl Format {
    /// The name for people, such as `pkcs8`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cosign => "cosign",
            Self::NotaryEd25519 => "notary-ed25519",
            Self::Pkcs1 => "pkcs1",
            Self::Pkcs8 => "pkcs8",
            Self::Sec1 => "sec1",
        }
    }
}

/// What a Notary key file says about its key, in the clear. Not proven by anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotaryLabels {
    role: Option<String>,
    gun: Option<String>,
}

impl NotaryLabels {
    /// Labels for writing. The GUN is kept for `targets`, `snapshot` and `timestamp` only: Notary leaves it out for root and delegation keys.
    /// A delegation's role is the bare name, such as `alice` for `targets/alice`, as Docker writes it.
    ///
    /// # Errors
    /// [`KeyError::BadName`] when the role has other characters than `a-z0-9-_/`, or the GUN blanks or control characters.
    pub fn new(role: &str, gun: Option<&str>) -> Result<Self, KeyError> {
        let role_fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_/".contains(c);
        if role.is_empty() || role.len() > 255 || !role.chars().all(role_fits) {
            return Err(KeyError::BadName { what: "role", name: role.to_owned() });
        }
        if let Some(gun) =
            gun.filter(|gun| gun.is_empty() || gun.len() > 1024 || gun.chars().any(|c| c.is_control() || c.is_whitespace()))
        {
            return Err(KeyError::BadName { what: "gun", name: gun.to_owned() });
        }
        let with_gun = matches!(role, "targets" | "snapshot" | "timestamp");
        Ok(Self { role: Some(role.to_owned()), gun: gun.filter(|_| with_gun).map(str::to_owned) })
    }

    /// `root`, `targets`, `snapshot`, or the bare name of a delegation.
    #[must_use]
    pub fn role(&self) -> Option<&str> {
        self.role.as_deref()
    }

    /// The repository the key is for; none for root and delegation keys.
    #[must_use]
    pub fn gun(&self) -> Option<&str> {
        self.gun.as_deref()
    }

    /// These labels, completed by what the place of the file says: Notary 0.1 to 0.3 kept role and GUN in its path.
    #[must_use]
    pub(crate) fn or(self, role: Option<String>, gun: Option<String>) -> Self {
        Self { role: self.role.or(role), gun: self.gun.or(gun) }
    }
}

/// One private key in a file, read but not opened.
pub struct SealedKey {
    format: Format,
    dek_info: Option<String>,
    encrypted: bool,
    labels: NotaryLabels,
    exported_path: Option<String>,
    contents: Zeroizing<Vec<u8>>,
}

impl SealedKey {
    /// Every private key of a text, in order: one in most files, many in what `notary key export` writes. Other PEM blocks, such as certificates and
    /// `EC PARAMETERS`, are passed over.
    ///
    /// # Errors
    /// [`KeyError::PublicOnly`] when there is a public key alone, [`KeyError::Unreadable`] when there is none, or the text or a header is malformed; [`KeyError::Costly`] when it is longer than 1 MiB.
    pub fn parse_all(text: &[u8]) -> Result<Vec<Self>, KeyError> {
        let mut keys = Vec::new();
        for block in Block::parse_all(text)? {
            keys.extend(Self::from_block(block)?);
        }
        if keys.is_empty() && text.windows(PUBLIC.len()).any(|window| window == PUBLIC) {
            return Err(KeyError::PublicOnly);
        }
        if keys.is_empty() {
            return Err(KeyError::unreadable("there is no private key in it"));
        }
        Ok(keys)
    }

    /// The only private key of a text.
    ///
    /// # Errors
    /// As [`SealedKey::parse_all`], and [`KeyError::Unreadable`] when there are several.
    pub fn parse(text: &[u8]) -> Result<Self, KeyError> {
        let mut keys = Self::parse_all(text)?;
        match (keys.pop(), keys.is_empty()) {
            (Some(key), true) => Ok(key),
            _ => Err(KeyError::unreadable("there are several private keys in it")),
        }
    }

    /// The only private key of a file.
    ///
    /// # Errors
    /// As [`SealedKey::parse`]; [`KeyError::NoFile`] and [`KeyError::File`] when the file cannot be read.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        Self::parse(&read_file(path)?)
    }

    fn from_block(block: Block) -> Result<Option<Self>, KeyError> {
        let (format, always) = match block.label.as_str() {
            cosign::LABEL | cosign::OLD_LABEL => (Format::Cosign, true),
            "ENCRYPTED PRIVATE KEY" => (Format::Pkcs8, true),
            "PRIVATE KEY" => (Format::Pkcs8, false),
            "EC PRIVATE KEY" => (Format::Sec1, false),
            "RSA PRIVATE KEY" => (Format::Pkcs1, false),
            "ED25519 PRIVATE KEY" => (Format::NotaryEd25519, false),
            other if other.ends_with("PRIVATE KEY") => {
                return Err(KeyError::Unsupported {
                    what: "this kind of PEM private key",
                    purpose: "here; convert it to PKCS#8",
                });
            }
            _ => return Ok(None),
        };
        let dek_info = block.header("DEK-Info").map(str::to_owned);
        let marked = block.header("Proc-Type").is_some_and(|value| value.replace(' ', "") == "4,ENCRYPTED");
        let traditional = !matches!(format, Format::Cosign | Format::Pkcs8);
        if dek_info.is_some() != marked || (dek_info.is_some() && !traditional) {
            return Err(KeyError::unreadable("the Proc-Type and DEK-Info headers do not fit together"));
        }
        let label = |name| block.header(name).filter(|value| !value.is_empty()).map(str::to_owned);
        Ok(Some(Self {
            format,
            encrypted: always || dek_info.is_some(),
            dek_info,
            labels: NotaryLabels { role: label("role"), gun: label("gun") },
            exported_path: label("path"),
            contents: block.contents,
        }))
    }

    /// The format.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether a passphrase is needed. A Cosign key always needs one, which may be the empty one.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// What the file says about a Notary key.
    #[must_use]
    pub fn labels(&self) -> &NotaryLabels {
        &self.labels
    }

    /// The same key, its labels completed by what the place of its file says.
    pub(crate) fn in_place(mut self, role: Option<String>, gun: Option<String>) -> Self {
        self.labels = self.labels.or(role, gun);
        self
    }

    /// The name under which `notary key export` found the key, mostly its canonical id.
    #[must_use]
    pub fn exported_path(&self) -> Option<&str> {
        self.exported_path.as_deref()
    }

    /// The private key. Takes up to two seconds for the most costly file that is accepted.
    ///
    /// # Errors
    /// [`KeyError::PassphraseNeeded`] without a passphrase for an encrypted key; [`KeyError::WrongPassphrase`]; [`KeyError::Costly`] when opening would
    /// take too long; [`KeyError::Unreadable`] and [`KeyError::Unsupported`] by what is inside.
    pub fn open(&self, passphrase: Option<&Passphrase>) -> Result<PrivateKey, KeyError> {
        if !self.encrypted {
            return self.parse_plain(&self.contents);
        }
        let needed = || KeyError::PassphraseNeeded { key: "the key".to_owned(), variables: Vec::new() };
        let passphrase = passphrase.ok_or_else(needed)?;
        let plain = match (self.format, &self.dek_info) {
            (Format::Cosign, _) => cosign::decrypt(&self.contents, passphrase)?,
            (_, Some(dek_info)) => traditional::decrypt(dek_info, &self.contents, passphrase)?,
            (_, None) => pkcs8::decrypt(&self.contents, passphrase)?,
        };
        // secretbox proves the passphrase; behind CBC, one wrong passphrase in 256 yields something with valid padding.
        self.parse_plain(&plain).map_err(|error| match error {
            KeyError::Unreadable { .. } if self.format != Format::Cosign => {
                KeyError::WrongPassphrase { key: "the key".to_owned() }
            }
            other => other,
        })
    }

    fn parse_plain(&self, plain: &[u8]) -> Result<PrivateKey, KeyError> {
        match self.format {
            Format::Cosign | Format::Pkcs8 => pkcs8::parse(plain),
            Format::Sec1 => pkcs8::parse_ec(plain, None),
            Format::Pkcs1 => PrivateKey::from_pkcs1(plain),
            Format::NotaryEd25519 => pkcs8::parse_notary_ed25519(plain),
        }
    }
}

/// The format to write a key in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Export {
    /// Cosign's encrypted format; needs a passphrase, which may be the empty one.
    Cosign,
    /// A Notary key for taking elsewhere, as `notary key export` writes it: [`Export::NotaryInPlace`] with the key's id in a `path:` header. Without
    /// that header `notary key import` refuses an encrypted key, and `docker trust key load` says that it imported it and does not (28.2.2).
    Notary(NotaryLabels),
    /// What `notary` 0.6 and later and `docker` keep in their trust directories, byte for byte but for the random parts. Without a passphrase, or
    /// with the empty one, the key is not encrypted, as with them. Their encryption is weak by today's measure: 2,048 rounds of PBKDF2 with SHA-1.
    NotaryInPlace(NotaryLabels),
    /// PKCS#8; with a passphrase encrypted by PBKDF2-HMAC-SHA256 (600,000 rounds) and AES-256-CBC, which OpenSSL reads.
    Pkcs8,
    /// SEC1 for elliptic curves, PKCS#1 for RSA; never encrypted.
    Traditional,
}

impl PrivateKey {
    /// The key as the text of a file. This, and a keyring, are the only ways out for a private key.
    ///
    /// # Errors
    /// [`KeyError::PassphraseNeeded`] for Cosign's format without one; [`KeyError::Unsupported`] when the format cannot hold the key, or not encrypted.
    pub fn export(&self, format: &Export, passphrase: Option<&Passphrase>) -> Result<Zeroizing<String>, KeyError> {
        match (format, passphrase) {
            (Export::Cosign, None) => Err(KeyError::PassphraseNeeded {
                key: "a Cosign key file".to_owned(),
                variables: vec!["COSIGN_PASSWORD".to_owned()],
            }),
            (Export::Cosign, Some(passphrase)) => {
                let json = cosign::encrypt(&pkcs8::encode(self, pkcs8::Layout::Standard), passphrase)?;
                Ok(pem_text::encode(cosign::LABEL, &[], &json))
            }
            (Export::Notary(labels), passphrase) => {
                let id = canonical_id(self.public_key());
                self.export_notary(labels, Some(&id), passphrase)
            }
            (Export::NotaryInPlace(labels), passphrase) => self.export_notary(labels, None, passphrase),
            (Export::Pkcs8, passphrase) => {
                seal_pkcs8(&pkcs8::encode(self, pkcs8::Layout::Standard), &[], passphrase, pkcs8::Strength::Standard)
            }
            (Export::Traditional, None) => {
                let (label, der) = traditional::encode(self)?;
                Ok(pem_text::encode(label, &[], &der))
            }
            (Export::Traditional, Some(_)) => {
                Err(KeyError::Unsupported { what: "a passphrase", purpose: "in SEC1 and PKCS#1 files; use PKCS#8" })
            }
        }
    }
}

impl PrivateKey {
    fn export_notary(
        &self,
        labels: &NotaryLabels,
        path: Option<&str>,
        passphrase: Option<&Passphrase>,
    ) -> Result<Zeroizing<String>, KeyError> {
        // Sorted, as Go writes them.
        let headers = [("gun", labels.gun()), ("path", path), ("role", labels.role())];
        let headers: Vec<(&str, &str)> = headers.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let info = pkcs8::encode(self, pkcs8::Layout::Notary);
        seal_pkcs8(&info, &headers, passphrase.filter(|passphrase| !passphrase.is_empty()), pkcs8::Strength::Notary)
    }
}

fn seal_pkcs8(
    info: &[u8],
    headers: &[(&str, &str)],
    passphrase: Option<&Passphrase>,
    strength: pkcs8::Strength,
) -> Result<Zeroizing<String>, KeyError> {
    match passphrase {
        None => Ok(pem_text::encode("PRIVATE KEY", headers, info)),
        Some(passphrase) => Ok(pem_text::encode("ENCRYPTED PRIVATE KEY", headers, &pkcs8::encrypt(info, passphrase, strength)?)),
    }
}

/// What stands in the first line of a public key.
const PUBLIC: &[u8] = b"-----BEGIN PUBLIC KEY-----";

/// A public key file: one `PUBLIC KEY` block; headers, which Docker adds, are ignored.
///
/// # Errors
/// [`KeyError::Unreadable`] when it is not one; [`KeyError::NoFile`] and [`KeyError::File`] when the file cannot be read.
pub fn read_public_key(path: &Path) -> Result<PublicKey, KeyError> {
    PublicKey::from_pem(&read_file(path)?)
        .map_err(|_| KeyError::unreadable("not one PEM block labelled PUBLIC KEY with a supported key"))
}

/// The bytes of a file of at most 1 MiB that are overwritten when dropped.
pub(crate) fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let file = File::open(path).map_err(KeyError::file(path, "read"))?;
    let length = file.metadata().map_err(KeyError::file(path, "read"))?.len();
    let most = u64::try_from(MAX_FILE).unwrap_or(u64::MAX);
    pkcs8::limit("size", length, most)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or(0).saturating_add(1)));
    // Files such as /dev/zero state no length.
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(KeyError::file(path, "read"))?;
    pkcs8::limit("size", u64::try_from(bytes.len()).unwrap_or(u64::MAX), most)?;
    Ok(bytes)
}
