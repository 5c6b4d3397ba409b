//! Which functions run when something is verified, as a linker script that lays them side by side.
//!
//! The kernel maps a program in pieces of 64 KiB and more, so functions that lie apart cost the memory of everything between them.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use trustctl_tests::failure::Failure;
use trustctl_tests::process::run;
use trustctl_tests::program::program;

use crate::contest::LIMIT;

/// Names of generic code that more functions of the program share come last: few of these functions are run.
const SHARED: usize = 8;
/// Of longer names the beginning is enough.
const LONGEST: usize = 100;
/// Where what is marked as cold runs at each start all the same: collections grow, cells are filled.
const COLD: [&str; 5] = ["alloc", "hashbrown", "once", "Once", "std"];
const HEADER: &str = "/* What runs in `trustctl verify` comes first in the program, so that few of its pages are mapped.\n   \
    Written by tests/setup/order.sh from what it saw running; nothing but size in memory depends on it. */\n";

/// Collects the functions that run, seen by callgrind.
#[derive(Default)]
pub(crate) struct Order {
    patterns: RefCell<BTreeMap<String, Seen>>,
}

/// How often the functions of one pattern were seen.
#[derive(Clone, Copy)]
struct Seen {
    /// How many functions of the program have it.
    functions: usize,
    /// In how many runs one of them ran.
    runs: usize,
}

impl Order {
    /// Runs what `command` makes of a command line under callgrind, and takes down which of the program's functions it ran.
    ///
    /// # Errors
    /// [`Failure`] when valgrind or the program fails.
    pub(crate) fn trace(&self, home: &Path, words: &str, command: impl Fn(&str) -> Command) -> Result<(), Failure> {
        let seen = home.join("callgrind.out");
        let valgrind = format!("valgrind --tool=callgrind --demangle=no --callgrind-out-file={} {words}", seen.display());
        run(&mut command(&valgrind), LIMIT)?.ok()?;
        let functions = read(&seen)?;
        let own = own()?;
        let names = functions.lines().filter_map(|line| line.strip_prefix("fn=").or(line.strip_prefix("cfn=")));
        let names: BTreeSet<_> = names.filter_map(|line| line.split_once(") ")).map(|(_, name)| pattern(name)).collect();
        let mut patterns = self.patterns.borrow_mut();
        for name in names {
            let Some(functions) = own.get(&name).copied() else { continue };
            patterns.entry(name).or_insert(Seen { functions, runs: 0 }).runs += 1;
        }
        Ok(())
    }

    /// Writes the linker script.
    ///
    /// # Errors
    /// [`Failure::Io`].
    pub(crate) fn write(&self, to: &Path) -> Result<(), Failure> {
        let patterns = self.patterns.borrow();
        let mut ordered: Vec<_> = patterns.iter().collect();
        ordered.sort_by_key(|(_, seen)| (seen.functions > SHARED, Reverse(seen.runs)));
        let mut script = format!("{HEADER}SECTIONS {{\n.text.verify : {{\n");
        for (pattern, _) in ordered {
            let cold =
                if COLD.iter().any(|part| pattern.contains(part)) { format!(" .text.unlikely.{pattern}") } else { String::new() };
            let _ = writeln!(script, "*(.text.{pattern}{cold})");
        }
        script.push_str("}\n} INSERT BEFORE .text;\n");
        println!("{} names of functions", patterns.len());
        std::fs::write(to, script).map_err(|source| Failure::Io { what: to.display().to_string(), source })
    }
}

/// The functions of the program, which has to have its symbols, as patterns.
fn own() -> Result<BTreeMap<String, usize>, Failure> {
    let listed = run(Command::new("nm").arg("--defined-only").arg(program()), LIMIT)?.ok()?;
    let mut own = BTreeMap::new();
    for line in listed.stdout.lines() {
        if let [_, "t" | "T", name] = line.split(' ').collect::<Vec<_>>().as_slice() {
            *own.entry(pattern(name)).or_default() += 1;
        }
    }
    Ok(own)
}

/// A symbol without what differs from one build to the next: hashes of crates and instances, versions, numbers of copies.
fn pattern(symbol: &str) -> String {
    // Callgrind's mark of a recursion.
    let symbol = symbol.split('\'').next().unwrap_or_default();
    let mut pattern = if let Some(at) = symbol.starts_with("_ZN").then(|| symbol.rfind("17h")).flatten() {
        format!("{}17h*", symbol.get(..at).unwrap_or_default())
    } else if let Some(rest) = symbol.strip_prefix("aws_lc_") {
        format!("aws_lc_*{}", rest.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '_'))
    } else if symbol.starts_with("_R") {
        without_hashes(symbol)
    } else {
        symbol.to_owned()
    };
    if pattern.len() > LONGEST {
        pattern.truncate(LONGEST);
        pattern.push('*');
    }
    pattern
}

/// A name of the newer mangling: crates are `Cs`, their hash, and `_`; the number of a copy follows the last dot.
fn without_hashes(symbol: &str) -> String {
    let name = symbol.split('.').next().unwrap_or_default();
    let mut parts = name.split("Cs");
    let mut pattern = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let hashed = part.split_once('_').filter(|(hash, _)| hash.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        let _ = match hashed {
            Some((_, rest)) => write!(pattern, "Cs*_{rest}"),
            None => write!(pattern, "Cs{part}"),
        };
    }
    pattern.push('*');
    pattern
}

fn read(path: &PathBuf) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|source| Failure::Io { what: path.display().to_string(), source })
}
