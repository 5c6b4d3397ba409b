//! Key files: what is written is read, by us and by OpenSSL; hostile files are refused at once.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use trustctl_core::public_key::{Hash, KeyKind, SignatureScheme};
use trustctl_core::reason::Code;
use trustctl_core::signer::Signer;
use trustctl_keys::error::KeyError;
use trustctl_keys::format::{Export, Format, NotaryLabels, SealedKey};
use trustctl_keys::notary_id::canonical_id;
use trustctl_keys::private_key::PrivateKey;
use trustctl_keys::secret::Passphrase;

const KINDS: [KeyKind; 4] = [KeyKind::EcdsaP256, KeyKind::EcdsaP384, KeyKind::EcdsaP521, KeyKind::Ed25519];

fn word(text: &str) -> Passphrase {
    Passphrase::new(text).unwrap()
}

fn code(result: Result<impl Sized, KeyError>) -> Code {
    match result {
        Ok(_) => panic!("expected an error"),
        Err(error) => error.code(),
    }
}

fn notary(role: &str, gun: Option<&str>) -> Export {
    Export::Notary(NotaryLabels::new(role, gun).unwrap())
}

fn in_place(role: &str, gun: Option<&str>) -> Export {
    Export::NotaryInPlace(NotaryLabels::new(role, gun).unwrap())
}

#[test]
fn every_format_gives_back_the_key() {
    for kind in KINDS {
        let key = PrivateKey::generate(kind).unwrap();
        let passphrase = word("correct horse");
        let targets = notary("targets", Some("localhost:5000/demo/app"));
        let mut cases = vec![
            (Export::Cosign, Some(&passphrase), Format::Cosign),
            (Export::Pkcs8, Some(&passphrase), Format::Pkcs8),
            (Export::Pkcs8, None, Format::Pkcs8),
            (targets.clone(), Some(&passphrase), Format::Pkcs8),
            (targets, None, Format::Pkcs8),
        ];
        if kind == KeyKind::Ed25519 {
            assert_eq!(code(key.export(&Export::Traditional, None)), Code::KeyUnsupported);
        } else {
            cases.push((Export::Traditional, None, Format::Sec1));
        }
        for (export, passphrase, format) in cases {
            let text = key.export(&export, passphrase).unwrap();
            let sealed = SealedKey::parse(text.as_bytes()).unwrap();
            assert_eq!((sealed.format(), sealed.is_encrypted()), (format, passphrase.is_some()), "{export:?}");
            assert_eq!(sealed.open(passphrase).unwrap().fingerprint(), key.fingerprint(), "{kind:?} {export:?}");
            if passphrase.is_some() {
                assert_eq!(code(sealed.open(Some(&word("wrong horse")))), Code::WrongPassphrase, "{kind:?} {export:?}");
                assert_eq!(code(sealed.open(None)), Code::PassphraseNeeded);
            }
        }
    }
}

#[test]
fn labels_and_layout_of_a_notary_file_are_notarys() {
    let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    let text = key.export(&in_place("targets", Some("localhost:5000/demo/app")), Some(&word("12345678"))).unwrap();
    let start = "-----BEGIN ENCRYPTED PRIVATE KEY-----\ngun: localhost:5000/demo/app\nrole: targets\n\nMIHuMEkGCSqGSIb3DQEFDTA8MBsGCSqGSIb3DQEFDDAOBA";
    assert!(text.starts_with(start), "{}", &text[..start.len()]);
    // 2048 rounds, no prf, AES-256-CBC: the bytes of notary 0.7 but for salt, IV and data.
    let block = pem::parse(text.as_bytes()).unwrap();
    let der: String = block.contents().iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(der.starts_with("3081ee304906092a864886f70d01050d303c301b06092a864886f70d01050c300e0408"), "{der}");
    assert_eq!(&der[86..124], "02020800301d060960864801650304012a0410");
    assert_eq!(block.contents().len(), 241);

    // Plain: version 1 though no public key follows, as convertTUFKeyToPKCS8 writes it.
    let text = key.export(&in_place("root", Some("dropped/for/root")), None).unwrap();
    assert!(text.starts_with("-----BEGIN PRIVATE KEY-----\nrole: root\n\n"), "{}", &text[..60]);
    assert_eq!(&pem::parse(text.as_bytes()).unwrap().contents()[..6], &[0x30, 0x81, 0x93, 0x02, 0x01, 0x01]);
    let sealed = SealedKey::parse(text.as_bytes()).unwrap();
    assert_eq!((sealed.labels().role(), sealed.labels().gun(), sealed.exported_path()), (Some("root"), None, None));

    // For taking elsewhere, with the id: as notary key export writes it.
    let text = key.export(&notary("targets", Some("a/b")), Some(&word("12345678"))).unwrap();
    let id = canonical_id(key.public_key());
    let start = format!("-----BEGIN ENCRYPTED PRIVATE KEY-----\ngun: a/b\npath: {id}\nrole: targets\n\n");
    assert!(text.starts_with(&start), "{}", &text[..start.len()]);
    assert_eq!(SealedKey::parse(text.as_bytes()).unwrap().exported_path(), Some(id.as_str()));
}

#[test]
fn names_that_would_break_a_header_are_refused() {
    for (role, gun) in
        [("", None), ("a\nb", None), ("Root", None), ("targets", Some("a\nrole: root")), ("targets", Some("")), ("a b", None)]
    {
        assert_eq!(code(NotaryLabels::new(role, gun)), Code::KeyBadName, "{role:?} {gun:?}");
    }
}

#[test]
fn the_empty_passphrase_works_for_cosign_and_means_none_for_notary() {
    let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    let sealed = SealedKey::parse(key.export(&Export::Cosign, Some(&Passphrase::empty())).unwrap().as_bytes()).unwrap();
    assert!(sealed.is_encrypted());
    assert_eq!(sealed.open(Some(&Passphrase::empty())).unwrap().fingerprint(), key.fingerprint());
    assert_eq!(code(key.export(&Export::Cosign, None)), Code::PassphraseNeeded);
    let sealed = SealedKey::parse(key.export(&notary("root", None), Some(&Passphrase::empty())).unwrap().as_bytes()).unwrap();
    assert!(!sealed.is_encrypted());
}

#[test]
fn a_cosign_file_with_another_cost_is_refused_without_computing() {
    let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    let text = key.export(&Export::Cosign, Some(&word("pw"))).unwrap();
    let json = String::from_utf8(pem::parse(text.as_bytes()).unwrap().into_contents()).unwrap();
    assert!(json.starts_with(r#"{"kdf":{"name":"scrypt","params":{"N":65536,"r":8,"p":1},"salt":""#), "{json}");
    let with = |from: &str, to: &str| {
        assert!(json.contains(from));
        let block = pem::Pem::new("ENCRYPTED COSIGN PRIVATE KEY", json.replace(from, to));
        let start = Instant::now();
        let result = SealedKey::parse(pem::encode(&block).as_bytes()).unwrap().open(Some(&word("pw")));
        (result, start.elapsed())
    };
    assert!(with("65536", "65536").0.is_ok(), "the older label is read too");
    for (from, to) in [
        ("65536", "1073741824"),
        ("65536", "16384"),
        ("65536", "0"),
        ("65536", "18446744073709551615"),
        ("\"r\":8", "\"r\":9"),
        ("\"r\":8", "\"r\":4294967304"),
        ("\"p\":1", "\"p\":64"),
    ] {
        let (result, took) = with(from, to);
        assert!(matches!(result, Err(KeyError::Costly { .. })), "{to}");
        assert!(took < Duration::from_secs(2), "{to} took {took:?}");
    }
    for (from, to) in [
        ("\"p\":1", "\"p\":1,\"p\":1"),
        ("\"scrypt\"", "\"none\""),
        ("\"salt\":\"", "\"salt\":\"AA=="),
        ("\"N\":65536", "\"N\":-1"),
    ] {
        let (result, _) = with(from, to);
        assert!(matches!(result, Err(KeyError::Unreadable { .. } | KeyError::Unsupported { .. })), "{to}");
    }
    assert!(matches!(with("65536", "32768").0, Err(KeyError::WrongPassphrase { .. })), "N is part of the derivation");
}

/// An encrypted PKCS#8 file with the given key derivation in DER, hexadecimal.
fn pbes2(kdf: &str) -> String {
    let der = |tag: &str, content: &str| {
        let length = content.len() / 2;
        let length = if length < 128 { format!("{length:02x}") } else { format!("81{length:02x}") };
        format!("{tag}{length}{content}")
    };
    let aes = der("30", &format!("06096086480165030401 2a{}", der("04", &"00".repeat(16))).replace(' ', ""));
    let scheme = der("30", &format!("06092a864886f70d01050d{}", der("30", &format!("{kdf}{aes}"))));
    let all = der("30", &format!("{scheme}{}", der("04", &"00".repeat(48))));
    let bytes: Vec<u8> = (0..all.len() / 2).map(|n| u8::from_str_radix(&all[2 * n..2 * n + 2], 16).unwrap()).collect();
    pem::encode(&pem::Pem::new("ENCRYPTED PRIVATE KEY", bytes))
}

#[test]
fn hostile_key_derivations_are_refused_without_computing() {
    let salt = "04080000000000000000";
    let pbkdf2 = |rounds: &str| format!("301f06092a864886f70d01050c3012{salt}{rounds}3000");
    let cases = [
        // PBKDF2 with 2^31-1 rounds; with none.
        (pbes2(&format!("301d06092a864886f70d01050c3010{salt}02047fffffff")), true),
        (pbes2(&format!("301a06092a864886f70d01050c300d{salt}020100")), false),
        // scrypt: N = 2^30, r = 8, p = 1; N = 2^14, r = 8, p = 65535; N = 3.
        (pbes2(&format!("302306092b06010401da47040b3016{salt}020440000000020108020101")), true),
        (pbes2(&format!("302306092b06010401da47040b3016{salt}02024000020108020300ffff")), true),
        (pbes2(&format!("302006092b06010401da47040b3013{salt}020103020108020101")), false),
        (pbes2(&pbkdf2("020101")), false),
    ];
    for (text, costly) in cases {
        let start = Instant::now();
        let result = SealedKey::parse(text.as_bytes()).unwrap().open(Some(&word("x")));
        assert!(start.elapsed() < Duration::from_secs(2));
        match result {
            Err(KeyError::Costly { .. }) => assert!(costly, "{text}"),
            Err(KeyError::Unreadable { .. }) => assert!(!costly, "{text}"),
            Err(other) => panic!("{other} for {text}"),
            Ok(_) => panic!("opened {text}"),
        }
    }
}

#[test]
fn files_that_are_no_single_key_are_refused() {
    let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    let plain = key.export(&Export::Pkcs8, None).unwrap();
    let two = format!("{}{}", plain.as_str(), plain.as_str());
    assert_eq!(SealedKey::parse_all(two.as_bytes()).unwrap().len(), 2);
    for text in [
        "",
        "not a key",
        two.as_str(),
        &plain[..plain.len() - 30],
        &key.public_key().to_pem(),
        &plain.replace("-----BEGIN PRIVATE KEY-----\n", "-----BEGIN PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\n"),
        &plain.replace("-----BEGIN PRIVATE KEY-----\n", "-----BEGIN PRIVATE KEY-----\nDEK-Info: AES-256-CBC,00\n\n"),
        "-----BEGIN EC PRIVATE KEY-----\nDEK-Info: AES-256-CBC,00000000000000000000000000000000\n\nAAAA\n-----END EC PRIVATE KEY-----\n",
    ] {
        assert_eq!(code(SealedKey::parse(text.as_bytes())), Code::KeyUnreadable, "{text}");
    }
    let openssh = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n";
    assert_eq!(code(SealedKey::parse(openssh.as_bytes())), Code::KeyUnsupported);
    // What openssl ecparam -genkey writes has a block of parameters before the key.
    let sec1 = key.export(&Export::Traditional, None).unwrap();
    let with_parameters =
        format!("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n{}", sec1.as_str());
    assert!(SealedKey::parse(with_parameters.as_bytes()).unwrap().open(None).is_ok());
}

#[test]
fn reading_a_file_ends_however_long_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let large = folder.path().join("large.key");
    fs::File::create(&large).unwrap().set_len(1 << 40).unwrap();
    assert!(matches!(SealedKey::read(&large), Err(KeyError::Costly { .. })));
    if cfg!(target_os = "linux") {
        assert!(matches!(SealedKey::read("/dev/zero".as_ref()), Err(KeyError::Costly { .. })));
    }
    assert_eq!(code(SealedKey::read(&folder.path().join("none.key"))), Code::KeyNotFound);
    assert_eq!(code(SealedKey::read(folder.path())), Code::KeyFileAccess);
}

/// Runs openssl on a file; `None`, after saying so, when it is not here.
fn openssl(arguments: &[&str], input: &str) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("in");
    fs::write(&file, input).unwrap();
    let output = match Command::new("openssl").args(arguments).arg("-in").arg(&file).output() {
        Ok(output) => output,
        Err(error) => {
            eprintln!("SKIPPED openssl: {error}");
            return None;
        }
    };
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn openssl_reads_what_we_write_and_we_read_what_it_writes() {
    for kind in KINDS {
        let key = PrivateKey::generate(kind).unwrap();
        let mut texts =
            vec![key.export(&Export::Pkcs8, None).unwrap(), key.export(&Export::Pkcs8, Some(&word("long enough"))).unwrap()];
        texts.extend(key.export(&Export::Traditional, None).ok());
        for text in texts {
            let Some(public) = openssl(&["pkey", "-pubout", "-passin", "pass:long enough"], &text) else { return };
            assert_eq!(public, key.public_key().to_pem());
        }
        let plain = key.export(&Export::Pkcs8, None).unwrap();
        for arguments in [
            ["pkcs8", "-topk8", "-passout", "pass:long enough", "-v2", "aes-256-cbc"].as_slice(),
            &["pkcs8", "-topk8", "-passout", "pass:long enough", "-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA512"],
            &["pkcs8", "-topk8", "-passout", "pass:long enough", "-v2", "aes-192-cbc", "-v2prf", "hmacWithSHA1", "-iter", "3000"],
            &[
                "pkcs8",
                "-topk8",
                "-passout",
                "pass:long enough",
                "-scrypt",
                "-scrypt_N",
                "16384",
                "-scrypt_r",
                "8",
                "-scrypt_p",
                "1",
            ],
        ] {
            let text = openssl(arguments, &plain).unwrap();
            let sealed = SealedKey::parse(text.as_bytes()).unwrap();
            assert_eq!(sealed.open(Some(&word("long enough"))).unwrap().fingerprint(), key.fingerprint(), "{arguments:?}");
            assert_eq!(code(sealed.open(Some(&word("wrong")))), Code::WrongPassphrase);
        }
        if kind != KeyKind::Ed25519 {
            for cipher in ["-aes128", "-aes192", "-aes256"] {
                let text = openssl(&["ec", cipher, "-passout", "pass:long enough"], &plain).unwrap();
                assert!(text.contains("DEK-Info"));
                let sealed = SealedKey::parse(text.as_bytes()).unwrap();
                assert_eq!(sealed.open(Some(&word("long enough"))).unwrap().fingerprint(), key.fingerprint());
                assert_eq!(code(sealed.open(Some(&word("wrong")))), Code::WrongPassphrase);
            }
        }
    }
}

#[test]
fn rsa_keys_are_read_sign_and_are_written() {
    let output = match Command::new("openssl").args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]).output()
    {
        Ok(output) => output,
        Err(error) => return eprintln!("SKIPPED openssl: {error}"),
    };
    let key = SealedKey::parse(&output.stdout).unwrap().open(None).unwrap();
    assert_eq!(key.kind(), KeyKind::Rsa);
    for hash in [Hash::Sha256, Hash::Sha384, Hash::Sha512] {
        for scheme in [SignatureScheme::RsaPss(hash), SignatureScheme::RsaPkcs1(hash)] {
            let signature = key.sign(scheme, b"message").unwrap();
            key.public_key().verify(scheme, b"message", &signature).unwrap();
        }
    }
    assert!(key.sign(SignatureScheme::EcdsaDer(Hash::Sha256), b"message").is_err());
    for export in [Export::Pkcs8, Export::Traditional, notary("root", None)] {
        let text = key.export(&export, None).unwrap();
        assert_eq!(SealedKey::parse(text.as_bytes()).unwrap().open(None).unwrap().fingerprint(), key.fingerprint());
        if !matches!(export, Export::Notary(_)) {
            assert_eq!(openssl(&["pkey", "-pubout"], &text).unwrap(), key.public_key().to_pem());
        }
    }
    let short =
        Command::new("openssl").args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"]).output().unwrap();
    assert_eq!(code(SealedKey::parse(&short.stdout).unwrap().open(None)), Code::KeyUnreadable);
}

proptest! {
    #[test]
    fn no_text_makes_reading_panic(text in "(-----BEGIN (ENCRYPTED |EC |RSA |ED25519 |ENCRYPTED COSIGN )?PRIVATE KEY-----\r?\n)?([a-zA-Z-]{1,9}: ?[ -~]{0,40}\n){0,3}\n?([A-Za-z0-9+/]{64}\n){0,4}[A-Za-z0-9+/]{0,60}={0,2}\n(-----END (ENCRYPTED |EC |RSA |ED25519 |ENCRYPTED COSIGN )?PRIVATE KEY-----\n)?") {
        if let Ok(keys) = SealedKey::parse_all(text.as_bytes()) {
            for key in keys {
                let _ = key.open(Some(&word("x")));
            }
        }
    }

    #[test]
    fn no_bytes_make_reading_panic(label in 0..5_usize, bytes in proptest::collection::vec(any::<u8>(), 0..300), dek in any::<bool>()) {
        let label = ["PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY", "ED25519 PRIVATE KEY"][label];
        let mut block = pem::Pem::new(label, bytes);
        if dek && !label.contains("D PRIVATE") && label != "PRIVATE KEY" {
            block.headers_mut().add("Proc-Type", "4,ENCRYPTED").unwrap();
            block.headers_mut().add("DEK-Info", "AES-256-CBC,00112233445566778899aabbccddeeff").unwrap();
        }
        if let Ok(key) = SealedKey::parse(pem::encode(&block).as_bytes()) {
            prop_assert!(key.open(Some(&word("x"))).is_err());
        }
    }

    #[test]
    fn flipping_a_bit_never_panics_and_never_yields_another_key(position in 0..140_usize, bit in 0..8_u8) {
        let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
        let mut der = pem::parse(key.export(&Export::Pkcs8, None).unwrap().as_bytes()).unwrap().into_contents();
        let position = position % der.len();
        der[position] ^= 1 << bit;
        let text = pem::encode(&pem::Pem::new("PRIVATE KEY", der));
        if let Ok(opened) = SealedKey::parse(text.as_bytes()).unwrap().open(None) {
            prop_assert_eq!(opened.fingerprint(), key.fingerprint());
        }
    }
}
