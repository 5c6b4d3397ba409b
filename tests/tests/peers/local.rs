//! Peers that need no registry: secret stores, key files, figures.

use std::fs;

use trustctl_tests::peers::Peer;

use crate::{accepts, home, ran, ran_in, refuses};

#[test]
fn secret_service_keeps_a_secret_and_refuses_an_unknown_one() {
    let (session, keyring, tool) = (need!(DbusRunSession), need!(GnomeKeyring), need!(SecretTool));
    let home = home();
    let runtime = home.path().join("run");
    fs::create_dir(&runtime).unwrap();
    fs::set_permissions(&runtime, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let (keyring, tool) = (keyring.path().display(), tool.path().display());
    let script = format!(
        "printf throw-away | {keyring} --unlock --components=secrets --daemonize >/dev/null 2>&1 || exit 9
         printf kept | {tool} store --label=x name x || exit 8
         {tool} lookup name x || exit 7
         {tool} lookup name y && exit 6
         exit 0"
    );
    let mut command = session.command(home.path());
    command.env("XDG_RUNTIME_DIR", &runtime).env("XDG_DATA_HOME", home.path().join("data"));
    command.args(["--", "sh", "-c", &script]);
    assert_eq!(accepts(ran(command)).stdout, "kept");
}

#[test]
fn kernel_keyring_keeps_a_secret_and_refuses_an_unknown_one() {
    let keyctl = need!(Keyctl);
    let home = home();
    let script = "id=$(printf kept | keyctl padd user trustctl-tests @s) && keyctl pipe $id && ! keyctl search @s user trustctl-nothing 2>/dev/null";
    let mut command = keyctl.command(home.path());
    command.args(["session", "-", "sh", "-c", script]);
    assert_eq!(accepts(ran(command)).stdout, "kept");
}

#[test]
fn openssl_reads_an_encrypted_key_and_refuses_a_wrong_passphrase() {
    let openssl = need!(Openssl);
    let home = home();
    let make =
        ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-aes256", "-pass", "pass:right", "-out", "k"];
    accepts(ran_in(home.path(), &openssl, &make));
    accepts(ran_in(home.path(), &openssl, &["pkey", "-in", "k", "-passin", "pass:right", "-noout"]));
    refuses(&ran_in(home.path(), &openssl, &["pkey", "-in", "k", "-passin", "pass:wrong", "-noout"]), "Could not");
}

#[test]
fn hyperfine_measures_a_program_and_refuses_one_that_fails() {
    let hyperfine = need!(Hyperfine);
    let home = home();
    let options = ["--runs", "2", "--warmup", "0", "-N", "--export-json", "figures.json"];
    accepts(ran_in(home.path(), &hyperfine, &[&options[..], &["true"]].concat()));
    assert!(fs::read_to_string(home.path().join("figures.json")).unwrap().contains("\"mean\""));
    refuses(&ran_in(home.path(), &hyperfine, &[&options[..], &["false"]].concat()), "non-zero exit code");
}
