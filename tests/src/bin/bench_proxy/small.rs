//! Many small requests: a warm trusted manifest by tag, and a blob of 4 KiB.

use std::process::Command;
use std::time::Duration;

use trustctl_tests::failure::Failure;
use trustctl_tests::process::run;

use crate::arena::{Arena, Contestant, MANIFEST, PULL_THROUGH};
use crate::meter::{cpu_seconds, median};

const ROUNDS: usize = 5;
const LIMIT: Duration = Duration::from_secs(60);

/// What one run of wrk saw.
#[derive(Clone, Copy, Default)]
struct Run {
    per_second: f64,
    p99_milliseconds: f64,
    cpu_microseconds: f64,
}

/// Prints the table.
///
/// # Errors
/// [`Failure`] when a server answers anything but 200.
pub(crate) fn contests(arena: &Arena) -> Result<(), Failure> {
    let seconds = std::env::var("BENCH_SECONDS").unwrap_or_else(|_| "4".to_owned());
    println!(
        "| 32 connections | server | requests/s | p99 ms | CPU us/request | requests/CPU s, nginx = 1 | CPU/request of docker-registry |"
    );
    println!("|---|---|---|---|---|---|---|");
    let blob = format!("blobs/{}", arena.small);
    for (what, rest) in [("warm trusted manifest by tag", "manifests/1"), ("blob of 4 KiB", blob.as_str())] {
        let mut runs: [Vec<Run>; 4] = Default::default();
        for round in 0..=ROUNDS {
            for (contestant, runs) in arena.all().into_iter().zip(&mut runs) {
                // The first round warms up.
                let time = if round == 0 { "1" } else { seconds.as_str() };
                let run = wrk(contestant, rest, time)?;
                runs.extend(Some(run).filter(|_| round > 0));
            }
        }
        table(arena, what, &runs);
    }
    println!();
    Ok(())
}

fn table(arena: &Arena, what: &str, runs: &[Vec<Run>; 4]) {
    let middle = |runs: &[Run], of: fn(&Run) -> f64| median(runs.iter().map(of).collect());
    let cpu = |at: usize| runs.get(at).map_or(f64::NAN, |runs| middle(runs, |run| run.cpu_microseconds));
    for (contestant, runs) in arena.all().into_iter().zip(runs) {
        let own = middle(runs, |run| run.cpu_microseconds);
        println!(
            "| {what} | {} | {:.0} | {:.2} | {own:.1} | {:.2} | 1/{:.1} |",
            contestant.name,
            middle(runs, |run| run.per_second),
            middle(runs, |run| run.p99_milliseconds),
            cpu(2) / own,
            cpu(0) / own,
        );
    }
}

fn wrk(contestant: &Contestant, rest: &str, seconds: &str) -> Result<Run, Failure> {
    let pid = contestant.server.pid();
    let before = cpu_seconds(pid);
    let mut command = Command::new("wrk");
    command.args(["-t2", "-c32", "--latency", &format!("-d{seconds}s"), "-H", &format!("Accept: {MANIFEST}")]);
    let ran = run(command.arg(contestant.url(rest)), LIMIT)?.ok()?;
    let used = cpu_seconds(pid) - before;
    let text = ran.stdout;
    if let Some(line) = text.lines().find(|line| line.contains("Non-2xx") || line.contains("Socket errors")) {
        // The pull-through cache fails some requests under load; nobody else does.
        eprintln!("{}: {}", contestant.name, line.trim());
        if contestant.name != PULL_THROUGH {
            return Err(Failure::Output(format!("{}: {line}", contestant.name)));
        }
    }
    let number = |word: Option<&str>| word.and_then(|word| word.parse::<f64>().ok());
    let requests = text.lines().find_map(|line| number(line.trim().split_once(" requests in ").map(|(count, _)| count)));
    let per_second = text.lines().find_map(|line| number(line.strip_prefix("Requests/sec:").map(str::trim)));
    let p99 = text.lines().find_map(|line| line.trim().strip_prefix("99%").map(str::trim)).and_then(milliseconds);
    match (requests, per_second, p99) {
        (Some(requests), Some(per_second), Some(p99_milliseconds)) => {
            Ok(Run { per_second, p99_milliseconds, cpu_microseconds: used * 1e6 / requests })
        }
        _ => Err(Failure::Output(text)),
    }
}

/// wrk's way to write a time.
fn milliseconds(text: &str) -> Option<f64> {
    let units = [("us", 0.001), ("ms", 1.0), ("s", 1000.0)];
    units.iter().find_map(|(unit, factor)| Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * factor))
}
