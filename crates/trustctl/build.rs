//! Has the linker pack the program's relative relocations (`DT_RELR`): there are 20,000 of them, each start reads them all, and packed they
//! take 5 KB instead of 470 KB.
//!
//! Loaders since glibc 2.36 understand that, so it is done where the program is built for the machine that builds it and that machine has
//! one. Programs for other machines are linked statically; see `integrations/static-build.sh`.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let is_own = variable("HOST") == variable("TARGET");
    if is_own && variable("CARGO_CFG_TARGET_OS") == "linux" && variable("CARGO_CFG_TARGET_ENV") == "gnu" && packs() {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// Whether this machine's loader understands packed relocations.
fn packs() -> bool {
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output().map(|output| output.stdout).unwrap_or_default();
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    let numbers = said.strip_prefix("glibc ").and_then(|version| version.split_once('.'));
    let parsed = numbers.and_then(|(major, minor)| Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?)));
    parsed.is_some_and(|version| version >= (2, 36))
}
