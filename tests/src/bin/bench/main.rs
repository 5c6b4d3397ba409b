//! The benchmark of `tests/bench/verify.sh`: real registries, cosign and notary beside `trustctl`, measured by hyperfine and GNU time.

mod contest;
mod dct;
mod key;
mod keyless;

use std::path::Path;

use contest::{Bench, Contest};
use trustctl_tests::failure::Failure;
use trustctl_tests::peers::{Peer, Program};
use trustctl_tests::program::program;

fn main() -> Result<(), Failure> {
    let home = tempfile::tempdir().map_err(|source| Failure::Io { what: "a temporary folder".to_owned(), source })?;
    let bench = Bench::new(home.path(), find(Peer::Hyperfine)?);
    let (cosign, notary) = (find(Peer::Cosign3)?, find(Peer::Notary)?);
    println!(
        "cosign {}, notary {}, {} CPUs\n",
        cosign.version(),
        notary.version(),
        std::thread::available_parallelism().map_or(1, usize::from)
    );
    println!("| what | trustctl ms | peer ms | faster | trustctl MiB | peer MiB | memory |\n|---|---|---|---|---|---|---|");
    let version = Contest {
        what: "start-up (version)",
        ours: format!("{} --version", program().display()),
        theirs: format!("{} version", cosign.path().display()),
    };
    bench.compete(&version)?;
    key::contests(&bench, &cosign)?;
    keyless::contests(&bench, &cosign)?;
    dct::contests(&bench, &notary)?;
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len()) / 1024;
    println!("\nsize of the stripped binary: trustctl {} KiB, cosign {} KiB", size(program()), size(cosign.path()));
    Ok(())
}

fn find(peer: Peer) -> Result<Program, Failure> {
    peer.find().map_err(|missing| Failure::Output(format!("{peer:?}: {missing}")))
}
