//! The benchmark of `tests/bench/proxy.sh`: the proxy beside docker-registry, plain and as a pull-through cache, and beside nginx with static
//! files; loaded by wrk and curl, CPU time read from the operating system.

mod arena;
mod client;
mod cold;
mod fan;
mod large;
mod meter;
mod pace;
mod small;
mod soak;

use std::time::Instant;

use arena::Arena;
use trustctl_tests::failure::Failure;

fn main() -> Result<(), Failure> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let runs = |name: &str| wanted.is_empty() || wanted.iter().any(|word| word == name);
    let arena = Arena::build()?;
    // Parts of an image are served once the image is known to be trusted.
    client::Client::new(&arena.ours.server.address(), &arena.small).ask(client::Kind::Manifest, Instant::now());
    println!("{} CPUs; {}\n", std::thread::available_parallelism().map_or(1, usize::from), arena.versions());
    if runs("small") {
        small::contests(&arena)?;
    }
    if runs("pace") {
        pace::contests(&arena)?;
    }
    if runs("large") {
        large::contests(&arena)?;
    }
    if runs("fan") {
        fan::stampede(&arena)?;
        fan::memory(&arena)?;
    }
    if runs("cold") {
        cold::contest(&arena)?;
    }
    // Ten minutes: only when it is asked for.
    if wanted.iter().any(|word| word == "soak") {
        soak::soak(&arena)?;
    }
    Ok(())
}
