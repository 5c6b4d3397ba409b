//! The benchmark of `tests/bench/verify.sh`: real registries, cosign and notary beside `trustctl`, measured by hyperfine and GNU time.
//! With `order FILE` it looks at which functions run meanwhile, for `tests/setup/order.sh`.

mod contest;
mod dct;
mod key;
mod keyless;
mod order;

use std::path::Path;
use std::rc::Rc;

use contest::{Bench, Contest, Way};
use order::Order;
use trustctl_tests::failure::Failure;
use trustctl_tests::peers::{Peer, Program};
use trustctl_tests::program::program;

fn main() -> Result<(), Failure> {
    let home = tempfile::tempdir().map_err(|source| Failure::Io { what: "a temporary folder".to_owned(), source })?;
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => measure(home.path()),
        [word, to] if word == "order" => {
            let order = Rc::new(Order::default());
            contests(&Bench::new(home.path(), Way::Order(Rc::clone(&order))))?;
            order.write(Path::new(to))
        }
        other => Err(Failure::Output(format!("neither nothing nor `order FILE`: {other:?}"))),
    }
}

fn measure(home: &Path) -> Result<(), Failure> {
    let (cosign, notary) = (find(Peer::Cosign3)?, find(Peer::Notary)?);
    println!(
        "cosign {}, notary {}, {} CPUs\n",
        cosign.version(),
        notary.version(),
        std::thread::available_parallelism().map_or(1, usize::from)
    );
    println!("| what | trustctl ms | peer ms | faster | trustctl MiB | peer MiB | memory |\n|---|---|---|---|---|---|---|");
    contests(&Bench::new(home, Way::Measure(find(Peer::Hyperfine)?)))?;
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len()) / 1024;
    println!("\nsize of the stripped binary: trustctl {} KiB, cosign {} KiB", size(program()), size(cosign.path()));
    Ok(())
}

fn contests(bench: &Bench) -> Result<(), Failure> {
    let (cosign, notary) = (find(Peer::Cosign3)?, find(Peer::Notary)?);
    bench.compete(&Contest {
        what: "start-up (version)",
        ours: format!("{} --version", program().display()),
        theirs: format!("{} version", cosign.path().display()),
    })?;
    key::contests(bench, &cosign)?;
    keyless::contests(bench, &cosign)?;
    dct::contests(bench, &notary)
}

fn find(peer: Peer) -> Result<Program, Failure> {
    peer.find().map_err(|missing| Failure::Output(format!("{peer:?}: {missing}")))
}
