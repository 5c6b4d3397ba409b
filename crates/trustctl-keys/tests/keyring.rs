//! The real keyrings of Linux: a Secret Service on a session bus of its own, and the kernel's.
#![cfg(all(feature = "keyring", target_os = "linux"))]
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use trustctl_core::public_key::KeyKind;
use trustctl_keys::error::KeyError;
use trustctl_keys::keyring::SystemKeyring;
use trustctl_keys::passphrase::{NoPrompt, Passphrases, SecretStore};
use trustctl_keys::private_key::PrivateKey;
use trustctl_keys::store::{Place, Places, Store};

/// This test binary again, running one of the ignored tests below, inside whatever `wrap` starts.
fn inside(program: &str, arguments: &[&str], test: &str) -> Option<Output> {
    if Command::new(program).arg("--version").output().is_err() {
        eprintln!("SKIPPED {program}: it is not here");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o700)).unwrap();
    let output = Command::new("timeout")
        .arg("60")
        .arg(program)
        .args(arguments)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env("HOME", folder.path())
        .env("XDG_RUNTIME_DIR", folder.path())
        .env("XDG_DATA_HOME", folder.path().join("data"))
        .env_remove("DBUS_SESSION_BUS_ADDRESS")
        .output()
        .unwrap();
    Some(output)
}

fn passed(output: &Output) {
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn without_a_session_bus_the_answer_comes_at_once() {
    let Some(output) = inside("env", &[], "no_bus") else { return };
    passed(&output);
}

#[test]
#[ignore = "run by without_a_session_bus_the_answer_comes_at_once"]
fn no_bus() {
    let start = Instant::now();
    let keyring = SystemKeyring::new();
    for _ in 0..3 {
        match keyring.load("anything") {
            Err(KeyError::KeyringUnavailable { why }) => assert!(why.contains("no keyring service answers"), "{why}"),
            _ => panic!("a keyring without a bus"),
        }
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn the_secret_service_keeps_keys_and_passphrases() {
    let unlock = "printf pw | gnome-keyring-daemon --unlock --components=secrets --daemonize >/dev/null && exec \"$@\"";
    if Command::new("gnome-keyring-daemon").arg("--version").output().is_err() {
        return eprintln!("SKIPPED gnome-keyring: it is not here");
    }
    let Some(output) = inside("dbus-run-session", &["--", "sh", "-c", unlock, "sh"], "with_secret_service") else { return };
    passed(&output);
}

#[test]
#[ignore = "run by the_secret_service_keeps_keys_and_passphrases"]
fn with_secret_service() {
    let keyring = SystemKeyring::new();
    keeps(&keyring);
    let places = Places { store: Store::at("/nonexistent"), trust: Vec::new(), keyring: Some(&keyring) };
    let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    let stored = places.add_to_keyring("ci", &key, None).unwrap();
    assert!(matches!(places.add_to_keyring("ci", &key, None), Err(KeyError::Exists { .. })));
    assert_eq!(places.list().unwrap().keys.as_slice(), std::slice::from_ref(&stored));
    let nothing = |_: &str| None;
    let passphrases = Passphrases { named: None, environment: &nothing, keyring: Some(&keyring), prompt: &NoPrompt };
    // Another connection, as another process would have, finds it by its fingerprint.
    let other = SystemKeyring::new();
    let elsewhere = Places { store: Store::at("/nonexistent"), trust: Vec::new(), keyring: Some(&other) };
    let found = elsewhere.find(&key.fingerprint()).unwrap();
    assert_eq!((found.place, found.name.as_str()), (Place::Keyring, "ci"));
    assert_eq!(elsewhere.open(&found, &passphrases).unwrap().fingerprint(), key.fingerprint());
    places.delete(&stored).unwrap();
    assert!(matches!(elsewhere.find("keyring:ci"), Err(KeyError::NotFound { .. })));
}

#[test]
fn a_locked_secret_service_does_not_hang() {
    let locked = "gnome-keyring-daemon --start --components=secrets >/dev/null && exec \"$@\"";
    if Command::new("gnome-keyring-daemon").arg("--version").output().is_err() {
        return eprintln!("SKIPPED gnome-keyring: it is not here");
    }
    let Some(output) = inside("dbus-run-session", &["--", "sh", "-c", locked, "sh"], "with_locked_service") else { return };
    passed(&output);
}

#[test]
#[ignore = "run by a_locked_secret_service_does_not_hang"]
fn with_locked_service() {
    let start = Instant::now();
    let stored = SystemKeyring::new().store("passphrase:x", b"secret word");
    assert!(matches!(stored, Err(KeyError::KeyringUnavailable { .. })));
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn the_kernel_keeps_passphrases_for_a_session() {
    let Some(output) = inside("keyctl", &["session", "-"], "with_kernel_session") else { return };
    passed(&output);
}

#[test]
#[ignore = "run by the_kernel_keeps_passphrases_for_a_session"]
fn with_kernel_session() {
    keeps(&SystemKeyring::kernel_session());
}

fn keeps(keyring: &SystemKeyring) {
    let name = "passphrase:0123456789abcdef";
    assert!(keyring.load(name).unwrap().is_none());
    assert!(!keyring.delete(name).unwrap());
    keyring.store(name, b"secret word").unwrap();
    keyring.store(name, b"another word").unwrap();
    assert_eq!(keyring.load(name).unwrap().unwrap().as_slice(), b"another word");
    assert!(keyring.load("passphrase:other").unwrap().is_none());
    assert!(keyring.delete(name).unwrap());
    // The kernel takes a moment to forget.
    let gone = (0..50).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        matches!(keyring.load(name), Ok(None))
    });
    assert!(gone);
}
