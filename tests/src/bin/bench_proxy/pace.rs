//! Warm trusted manifests at a fixed pace from 32 connections: how long an answer takes where nobody waits for the processor. wrk loads
//! servers until the processor is the limit, and then tells how long requests wait for it.

use std::time::{Duration, Instant};

use trustctl_tests::failure::Failure;

use crate::arena::{Arena, Contestant};
use crate::client::{Client, Kind};
use crate::meter::median;

const CONNECTIONS: u32 = 32;
/// Requests a second of all connections; docker-registry cannot do twice as many on two processors.
const RATE: u32 = 500;
const ROUNDS: usize = 5;
const TIME: Duration = Duration::from_secs(5);

/// Prints the table.
///
/// # Errors
/// [`Failure`] when a server answers anything but 200.
pub(crate) fn contests(arena: &Arena) -> Result<(), Failure> {
    println!("| manifest by tag, 32 connections, {RATE} requests/s | p50 ms | p99 ms |\n|---|---|---|");
    for contestant in [&arena.registry, &arena.nginx, &arena.ours] {
        let (mut middles, mut lasts) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let mut times = round(contestant, &arena.small)?;
            times.sort_by(f64::total_cmp);
            let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or(f64::NAN);
            middles.push(at(50));
            lasts.push(at(99));
        }
        println!("| {} | {:.2} | {:.2} |", contestant.name, median(middles), median(lasts));
    }
    println!();
    Ok(())
}

/// The times of one round, in milliseconds, each from when its request was due.
fn round(contestant: &Contestant, blob: &str) -> Result<Vec<f64>, Failure> {
    let address = contestant.server.address();
    let pause = Duration::from_secs(1) * CONNECTIONS / RATE;
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|number| {
                let (mut client, first) = (Client::new(&address, blob), Instant::now() + pause * number / CONNECTIONS);
                scope.spawn(move || {
                    let (mut times, mut due) = (Vec::new(), first);
                    while due < first + TIME {
                        std::thread::sleep(due.saturating_duration_since(Instant::now()));
                        let answered = client.ask(Kind::Manifest, due);
                        if answered.status != 200 {
                            return Err(Failure::Output(format!("{}: {answered:?}", contestant.name)));
                        }
                        times.push(answered.milliseconds);
                        due += pause;
                    }
                    Ok(times)
                })
            })
            .collect();
        let mut all = Vec::new();
        for client in clients {
            all.extend(client.join().unwrap_or_else(|_| Err(Failure::Output("a client".to_owned())))?);
        }
        Ok(all)
    })
}
