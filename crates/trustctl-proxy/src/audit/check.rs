//! Verifying a log.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use trustctl_core::reason::{Code, Reason};
use trustctl_core::time::Timestamp;

use super::line::{self, Head, MAX_LINE};
use super::writer::renamed;

/// What an unbroken log says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// The number of the first line there is. Above 1, older files were removed, and what was in them cannot be verified.
    pub first: u64,
    /// The number and hash of the last line: to be compared with what was copied elsewhere.
    pub head: Head,
    /// Lines.
    pub lines: u64,
    /// Files, renamed ones included.
    pub files: usize,
    /// Records that could not be written at their time.
    pub lost: u64,
    /// Lines that a crash left half, and that were set aside.
    pub torn: u64,
    /// When the first and the last line were written.
    pub between: Option<(Timestamp, Timestamp)>,
    /// Whether a line is being written, or was when the process ended: the file does not end with a newline.
    pub unfinished: bool,
}

/// Reads the log in `path` and its renamed files, line by line.
///
/// # Errors
/// [`Code::AuditBroken`] with file, line and what is wrong, for the first line that does not follow; [`Code::AuditUnusable`] when a
/// file cannot be read.
pub fn verify(path: &Path) -> Result<Summary, Reason> {
    let mut files = renamed(path).map_err(|error| unreadable(path, &error))?;
    files.push(path.to_owned());
    let mut reading = Reading { head: None, summary: Summary { files: files.len(), ..Summary::default() } };
    for file in &files {
        let opened = File::open(file).map_err(|error| unreadable(file, &error))?;
        reading.summary.unfinished = reading.file(BufReader::new(opened), file == path).map_err(|trouble| match trouble {
            Trouble::Broken(number, why) => Reason::new(Code::AuditBroken, format!("{}, line {number}: {why}", file.display())),
            Trouble::Unreadable(error) => unreadable(file, &error),
        })?;
    }
    reading.summary.head = reading.head.unwrap_or_default();
    Ok(reading.summary)
}

/// Verifies the lines of one file that are at hand.
///
/// # Errors
/// The number of the first line that does not follow, and what is wrong with it.
pub fn verify_lines(bytes: &[u8]) -> Result<Summary, (u64, String)> {
    let mut reading = Reading { head: None, summary: Summary { files: 1, ..Summary::default() } };
    reading.summary.unfinished = reading.file(bytes, true).map_err(|trouble| match trouble {
        Trouble::Broken(number, why) => (number, why),
        Trouble::Unreadable(error) => (0, error.to_string()),
    })?;
    reading.summary.head = reading.head.unwrap_or_default();
    Ok(reading.summary)
}

fn unreadable(file: &Path, error: &io::Error) -> Reason {
    Reason::new(Code::AuditUnusable, format!("{}: {error}", file.display()))
}

enum Trouble {
    Broken(u64, String),
    Unreadable(io::Error),
}

struct Reading {
    /// `None` before the first line.
    head: Option<Head>,
    summary: Summary,
}

impl Reading {
    /// All lines of a file; whether its end is half a line, which only that of the `newest` may be.
    fn file(&mut self, mut file: impl BufRead, newest: bool) -> Result<bool, Trouble> {
        let mut number = 0;
        loop {
            let mut bytes = Vec::new();
            let limit = u64::try_from(MAX_LINE + 1).unwrap_or(u64::MAX);
            let read = file.by_ref().take(limit).read_until(b'\n', &mut bytes).map_err(Trouble::Unreadable)?;
            number += 1;
            let broken = |why: &str| Err(Trouble::Broken(number, why.to_owned()));
            match bytes.pop() {
                None => return Ok(false),
                Some(b'\n') => self.line(&bytes).map_err(|why| Trouble::Broken(number, why))?,
                Some(_) if read > MAX_LINE => return broken("it is longer than a record can be"),
                Some(_) if newest => return Ok(true),
                Some(_) => return broken("it ends without a newline, and the log goes on"),
            }
        }
    }

    fn line(&mut self, bytes: &[u8]) -> Result<(), String> {
        let head = match &self.head {
            Some(head) => head.clone(),
            None => {
                // The first line there is: only the very first can be checked for what comes before it.
                let link = line::parse(bytes)?;
                self.summary.first = link.seq;
                if link.seq == 1 { Head::default() } else { Head { seq: link.seq - 1, hash: link.prev } }
            }
        };
        let (link, head) = head.follow(bytes)?;
        self.head = Some(head);
        let summary = &mut self.summary;
        summary.lines += 1;
        summary.between = Some((summary.between.map_or(link.time, |(first, _)| first), link.time));
        match link.kind.as_str() {
            "lost" => {
                let value: serde_json::Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
                summary.lost = summary.lost.saturating_add(value.get("count").and_then(serde_json::Value::as_u64).unwrap_or(1));
            }
            "torn-line" => summary.torn += 1,
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_file_panics(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
            if let Ok(summary) = verify_lines(&bytes) {
                prop_assert!(summary.lines <= 500 && summary.head.seq >= summary.lines);
            }
        }
    }
}
