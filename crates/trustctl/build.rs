//! Lays the program out so that a start reads and maps little of it.
//!
//! - Relative relocations are packed (`DT_RELR`): there are 20,000 of them, each start reads them all, and packed they take 5 KB instead of
//!   470 KB. Loaders since glibc 2.36 understand that, so it is done where the program is built for the machine that builds it and that
//!   machine has one. Programs for other machines are linked statically; see `integrations/static-build.sh`.
//! - What runs in `verify` lies side by side (`verify.ld`), in release builds by the linker that Rust brings along: what other linkers
//!   make of the script is not known.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is_own = variable("HOST") == variable("TARGET");
    if is_own && variable("CARGO_CFG_TARGET_OS") == "linux" && variable("CARGO_CFG_TARGET_ENV") == "gnu" && packs() {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
    println!("cargo::rerun-if-changed=verify.ld");
    if variable("PROFILE") == "release" && links_with_lld() {
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{}/verify.ld", variable("CARGO_MANIFEST_DIR"));
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

/// Whether this machine's loader understands packed relocations.
fn packs() -> bool {
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output().map(|output| output.stdout).unwrap_or_default();
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    let numbers = said.strip_prefix("glibc ").and_then(|version| version.split_once('.'));
    let parsed = numbers.and_then(|(major, minor)| Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?)));
    parsed.is_some_and(|version| version >= (2, 36))
}

/// Whether nobody asked for another linker than the one that Rust takes on this platform since 1.90, the oldest that builds this program.
fn links_with_lld() -> bool {
    let flags = variable("CARGO_ENCODED_RUSTFLAGS");
    let usual = variable("RUSTC_LINKER").is_empty() && !flags.contains("link") && !flags.contains("fuse-ld");
    usual && variable("TARGET") == "x86_64-unknown-linux-gnu"
}
