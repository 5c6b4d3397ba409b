//! Large blobs: throughput and CPU time a GiB, for one client and for eight.

use std::process::{Command, Stdio};
use std::time::Instant;

use trustctl_tests::failure::Failure;

use crate::arena::{Arena, Contestant};
use crate::meter::{cpu_seconds, median};

const ROUNDS: usize = 5;
const GIB: f64 = 1024.0 * 1024.0 * 1024.0;

/// Prints the table.
///
/// # Errors
/// [`Failure`] when a transfer fails.
pub(crate) fn contests(arena: &Arena) -> Result<(), Failure> {
    println!("| large blob | server | GiB/s | of nginx | CPU s/GiB | CPU of nginx |\n|---|---|---|---|---|---|");
    for clients in [1_u32, 8] {
        let mut runs: [Vec<(f64, f64)>; 4] = Default::default();
        for round in 0..=ROUNDS {
            for (contestant, runs) in arena.all().into_iter().zip(&mut runs) {
                let run = transfer(arena, contestant, clients)?;
                runs.extend(Some(run).filter(|_| round > 0));
            }
        }
        let middle =
            |at: usize, of: fn(&(f64, f64)) -> f64| runs.get(at).map_or(f64::NAN, |runs| median(runs.iter().map(of).collect()));
        for (at, contestant) in arena.all().into_iter().enumerate() {
            let (speed, cpu) = (middle(at, |run| run.0), middle(at, |run| run.1));
            let (nginx_speed, nginx_cpu) = (middle(2, |run| run.0), middle(2, |run| run.1));
            println!(
                "| {clients} at once | {} | {speed:.2} | {:.2}x | {cpu:.3} | {:.2}x |",
                contestant.name,
                speed / nginx_speed,
                cpu / nginx_cpu
            );
        }
    }
    println!();
    Ok(())
}

/// GiB a second, and CPU seconds of the server a GiB.
fn transfer(arena: &Arena, contestant: &Contestant, clients: u32) -> Result<(f64, f64), Failure> {
    let pid = contestant.server.pid();
    let (before, start) = (cpu_seconds(pid), Instant::now());
    let url = contestant.url(&format!("blobs/{}", arena.large));
    let mut children = Vec::new();
    for _ in 0..clients {
        children.push(curl(&url).spawn().map_err(|source| Failure::Io { what: "curl".to_owned(), source })?);
    }
    for mut child in children {
        let status = child.wait().map_err(|source| Failure::Io { what: "curl".to_owned(), source })?;
        if !status.success() {
            return Err(Failure::Output(format!("curl from {}: {status}", contestant.name)));
        }
    }
    let amount = arena.large_bytes * f64::from(clients) / GIB;
    Ok((amount / start.elapsed().as_secs_f64(), (cpu_seconds(pid) - before) / amount))
}

pub(crate) fn curl(url: &str) -> Command {
    let mut command = Command::new("curl");
    command.args(["--silent", "--fail", "--noproxy", "*", "--output", "/dev/null", url]).stdin(Stdio::null());
    command
}
