//! Times pieces of work by turns, each as often as the others, and as time on the processor: what slows one then slows all.
#![expect(clippy::as_conversions, reason = "seconds and nanoseconds of a processor clock are small")]

use rustix::time::{ClockId, clock_gettime};

const ROUNDS: usize = 15;
/// How often each is done in a round.
const TIMES: usize = 200;

/// What each of `works` takes in microseconds, round by round.
pub(crate) fn rounds<const N: usize>(works: [&dyn Fn(); N]) -> Vec<[f64; N]> {
    let round = || {
        let mut times = [const { Vec::new() }; N];
        for _ in 0..TIMES {
            for (work, times) in works.iter().zip(&mut times) {
                times.push(microseconds(work));
            }
        }
        times.map(undisturbed)
    };
    (0..ROUNDS).map(|_| round()).collect()
}

/// Prints the ratios of all rounds in one line: the one in the middle, and the extremes.
pub(crate) fn tell(name: &str, mut ratios: Vec<f64>) {
    ratios.sort_by(f64::total_cmp);
    let at = |position: usize| ratios.get(position).copied().unwrap_or(f64::NAN);
    let last = ratios.len().saturating_sub(1);
    println!("{name}: median {:.3}, least {:.3}, most {:.3} of {} rounds", at(ratios.len() / 2), at(0), at(last), ratios.len());
}

/// How long the processor works on `work`. Time in which others have the processor does not count.
fn microseconds(work: impl Fn()) -> f64 {
    let now = || {
        let spent = clock_gettime(ClockId::ThreadCPUTime);
        spent.tv_sec as f64 * 1e6 + spent.tv_nsec as f64 / 1e3
    };
    let began = now();
    work();
    now() - began
}

/// The tenth part from the quickest: what it takes while neighbours of the processor, who share its caches and its clock, are quiet. Means
/// of the same work differ by half from one round to the next on a shared machine.
fn undisturbed(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 10).copied().unwrap_or(f64::NAN)
}
