//! A long time under steady load while the upstream fails again and again: what may not grow does not.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use trustctl_tests::counting::{Counting, Fault};
use trustctl_tests::failure::Failure;

use crate::arena::{Arena, layer};
use crate::client::{self, Answered, Client, Kind};
use crate::meter::{handles, mebibytes};

/// Clients, each with a connection of its own.
const CLIENTS: usize = 40;
/// Requests a second of one client: 2,000 of all.
const RATE: u64 = 50;
/// A client that goes away in the middle of an answer comes this often.
const DESERTER: Duration = Duration::from_millis(500);
/// Answers are only good for so long, so that the upstream, with its faults, is asked all the time.
const IMPATIENT: &str = "[times]\ntag-ttl = \"1s\"\nrevocation = \"2s\"\nrefusal = \"1s\"\nverify = \"2s\"\n";

/// Runs for `BENCH_SOAK_SECONDS`, ten minutes when nothing is said, and prints a line a minute.
///
/// # Errors
/// [`Failure`] when what is refused is served, or what is asked for cannot be set up.
pub(crate) fn soak(arena: &Arena) -> Result<(), Failure> {
    let seconds = std::env::var("BENCH_SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(600);
    let unsigned = layer(1024, 77);
    arena.push_unsigned(&[&unsigned], "unsigned")?;
    let upstream = Counting::start(&arena.registry.server.address())?;
    let proxy = arena.impatient_proxy("soak", &upstream.address(), IMPATIENT)?;
    // Parts of an image are served once the image is known to be trusted.
    Client::new(&proxy.address(), &arena.small).ask(Kind::Manifest, Instant::now());
    let (stop, answers) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let end = Instant::now() + Duration::from_secs(seconds);
    println!(
        "| minute | requests | 200/206 | 403 | 503 | other | trusted: p50 ms | p99 ms | resident MiB | file handles |\n|---|---|---|---|---|---|---|---|---|---|"
    );
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let (stop, answers, address) = (&stop, &answers, proxy.address());
            scope.spawn(move || work(number, &address, arena, stop, answers));
        }
        scope.spawn(|| break_and_heal(&upstream, &stop));
        scope.spawn(|| desert(&proxy.address(), &arena.large, &stop));
        let done = report(proxy.pid(), end, &answers);
        stop.store(true, Ordering::SeqCst);
        done
    })?;
    let asked = upstream.seen().len();
    println!("\n{asked} upstream requests, of which some failed on purpose; nothing that is refused was served\n");
    Ok(())
}

/// One client at its pace until told to stop.
fn work(number: usize, address: &str, arena: &Arena, stop: &AtomicBool, answers: &Mutex<Vec<Answered>>) {
    let mut client = Client::new(address, &arena.small);
    let pause = Duration::from_millis(1000 / RATE);
    let mut due = Instant::now() + pause.mul_f64(f64::from(u32::try_from(number).unwrap_or(0)) / 40.0);
    let kind = Kind::of(number);
    while !stop.load(Ordering::SeqCst) {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        // Late answers delay the next request: its time counts from when it was due.
        let answered = client.ask(kind, due);
        answers.lock().unwrap_or_else(PoisonError::into_inner).push(answered);
        due += pause;
    }
}

/// Five seconds of 503, five of 429, five of answers that come late and ten without a fault, over and over.
fn break_and_heal(upstream: &Counting, stop: &AtomicBool) {
    let (mut step, mut until) = (0_u32, Instant::now());
    while !stop.load(Ordering::SeqCst) {
        if Instant::now() >= until {
            upstream.heal();
            match step % 4 {
                1 => upstream.inject(Fault::always("/v2/", 503)),
                2 => upstream.inject(Fault::always("/v2/", 429)),
                3 => upstream.inject(Fault::always("/manifests/", 500)),
                _ => {}
            }
            (step, until) = (step + 1, Instant::now() + Duration::from_secs(5));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    upstream.heal();
}

/// Clients that ask for the large blob and go away.
fn desert(address: &str, large: &str, stop: &AtomicBool) {
    while !stop.load(Ordering::SeqCst) {
        client::go_away(address, large);
        std::thread::sleep(DESERTER);
    }
}

fn report(pid: u32, end: Instant, answers: &Mutex<Vec<Answered>>) -> Result<(), Failure> {
    let mut minute = 0;
    while Instant::now() < end {
        std::thread::sleep(Duration::from_secs(60).min(end.saturating_duration_since(Instant::now())));
        minute += 1;
        let seen = std::mem::take(&mut *answers.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(wrong) = seen.iter().find(|answered| !answered.is_allowed()) {
            return Err(Failure::Output(format!("{wrong:?}")));
        }
        let count = |wanted: &[u16]| seen.iter().filter(|answered| wanted.contains(&answered.status)).count();
        let (fine, refused, undecided) = (count(&[200, 206]), count(&[403]), count(&[503]));
        // What is refused waits for the upstream to be asked again; what is trusted waits for nobody.
        let trusted = seen.iter().filter(|answered| answered.kind != Kind::Unsigned);
        let mut times: Vec<f64> = trusted.map(|answered| answered.milliseconds).collect();
        times.sort_by(f64::total_cmp);
        let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or(f64::NAN);
        println!(
            "| {minute} | {} | {fine} | {refused} | {undecided} | {} | {:.2} | {:.2} | {:.1} | {} |",
            seen.len(),
            seen.len() - fine - refused - undecided,
            at(50),
            at(99),
            mebibytes(pid, "VmRSS")?,
            handles(pid)
        );
    }
    Ok(())
}
