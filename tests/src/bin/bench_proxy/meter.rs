//! Reading what a server used: CPU time and memory, from `/proc`.

use std::fs;

use trustctl_tests::failure::Failure;

/// Clock ticks of `/proc/PID/stat` in a second, on every Linux.
const TICKS: f64 = 100.0;

/// CPU seconds, user and system, that a process and its children have used so far.
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    let mut all = vec![pid];
    all.extend(children(pid));
    all.into_iter().filter_map(own_ticks).sum::<f64>() / TICKS
}

/// What `/proc/PID/status` says in KiB under `name`, such as `VmRSS`, in MiB.
pub(crate) fn mebibytes(pid: u32, name: &str) -> Result<f64, Failure> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).map_err(|error| Failure::Output(error.to_string()))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kibibytes = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
    kibibytes.map(|amount| amount / 1024.0).ok_or_else(|| Failure::Output(format!("{pid} has no {name}")))
}

/// How many file handles a process has open.
pub(crate) fn handles(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// Sets the peak of `VmHWM` back to what is used now.
pub(crate) fn reset_peak(pid: u32) -> Result<(), Failure> {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").map_err(|error| Failure::Output(format!("clear_refs: {error}")))
}

fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

fn own_ticks(pid: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may have spaces; the fields after it are numbered from 3.
    let mut fields = text.get(text.rfind(')')? + 2..)?.split(' ').skip(11);
    Some(fields.next()?.parse::<f64>().ok()? + fields.next()?.parse::<f64>().ok()?)
}

/// The middle one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
