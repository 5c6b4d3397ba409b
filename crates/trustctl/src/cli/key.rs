//! Flags of `key`.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

/// What to do with keys
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key pair and store it encrypted
    #[command(after_help = "Examples:\n  trustctl key generate release\n  trustctl key generate alice --format notary")]
    Generate {
        /// The key's name; for a DCT signer, the signer's name
        name: String,
        /// The algorithm
        #[arg(long, value_enum, default_value_t = KeyKindArg::EcdsaP256, value_name = "KIND")]
        kind: KeyKindArg,
        /// The file format
        #[arg(long, value_enum, default_value_t = KeyFormat::Cosign, value_name = "FORMAT")]
        format: KeyFormat,
        /// Write NAME.key and NAME.pub into this folder instead of the key store
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
        /// Store in the operating system's keyring instead of a file
        #[arg(long, conflicts_with = "to")]
        keyring: bool,
        /// Where the passphrase is: a file, env:NAME or keyring:NAME
        #[arg(long, value_name = "SOURCE")]
        passphrase: Option<String>,
    },
    /// List stored keys and those of the trust directory
    #[command(after_help = "Example:\n  trustctl key list")]
    List {
        /// Look into this trust directory instead of ~/.docker/trust
        #[arg(long, value_name = "DIR")]
        trust_dir: Option<PathBuf>,
    },
    /// Show the public half of a key
    #[command(after_help = "Example:\n  trustctl key show release")]
    Show {
        /// A name, fingerprint, Notary key id or role, or file
        key: String,
        /// Where the passphrase is: a file, env:NAME or keyring:NAME
        #[arg(long, value_name = "SOURCE")]
        passphrase: Option<String>,
    },
    /// Bring a key of another program into the key store
    #[command(after_help = "Example:\n  trustctl key import release cosign.key")]
    Import {
        /// The name to store it under
        name: String,
        /// The file: Cosign, Notary, PKCS#8, SEC1 or PKCS#1
        file: PathBuf,
        /// The format to store it in
        #[arg(long, value_enum, default_value_t = KeyFormat::Cosign, value_name = "FORMAT")]
        format: KeyFormat,
        /// Where the file's passphrase is: a file, env:NAME or keyring:NAME
        #[arg(long, value_name = "SOURCE")]
        passphrase: Option<String>,
        /// Where the new passphrase is; the file's when nothing is said
        #[arg(long, value_name = "SOURCE")]
        new_passphrase: Option<String>,
    },
    /// Write a key to a file for another program
    #[command(after_help = "Example:\n  trustctl key export release --format notary --to alice.key")]
    Export {
        /// A name, fingerprint, Notary key id or role, or file
        key: String,
        /// The format to write
        #[arg(long, value_enum, default_value_t = KeyFormat::Cosign, value_name = "FORMAT")]
        format: KeyFormat,
        /// The file to write, which must not exist, or - for standard output; --public alone goes there too
        #[arg(long, value_name = "FILE", required_unless_present = "public")]
        to: Option<PathBuf>,
        /// The Notary role to note in the file, such as root, targets or a signer's name
        #[arg(long, value_name = "ROLE")]
        role: Option<String>,
        /// Write the public half only
        #[arg(long)]
        public: bool,
        /// Where the key's passphrase is: a file, env:NAME or keyring:NAME
        #[arg(long, value_name = "SOURCE")]
        passphrase: Option<String>,
        /// Where the new file's passphrase is; the key's when nothing is said
        #[arg(long, value_name = "SOURCE")]
        new_passphrase: Option<String>,
    },
    /// Delete a stored key
    #[command(after_help = "Example:\n  trustctl key delete release")]
    Delete {
        /// A name, fingerprint, Notary key id or role
        key: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// Key algorithms
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KeyKindArg {
    /// ECDSA on P-256; every other program can use it
    EcdsaP256,
    /// ECDSA on P-384
    EcdsaP384,
    /// Ed25519
    Ed25519,
}

/// Private key file formats
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KeyFormat {
    /// Cosign's encrypted key
    Cosign,
    /// Notary's and Docker's encrypted key
    Notary,
    /// PKCS#8, encrypted when there is a passphrase
    Pkcs8,
}
