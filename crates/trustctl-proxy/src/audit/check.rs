//! Verifying a log.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use trustctl_core::reason::{Code, Reason, Step};
use trustctl_core::time::Timestamp;

use super::line::{self, BEGINNING, Head, MAX_LINE};
use super::writer::renamed;

/// What to do where lines are missing in front.
const PUT_AWAY: &str = "if older files were put away, verify them, and give the hash of their last line by --from; \
                        else look for who could remove them";

/// What to do where there is no line.
const EMPTY: &str = "verify again when the proxy has decided something; if it has, look for who could remove the lines";

/// What an unbroken log says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// The number of the first line there is. Above 1, older files were removed, and what was in them cannot be verified.
    pub first: u64,
    /// The hash that the first line follows from; empty where there is no line.
    pub after: String,
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

/// Reads the log in `path` and its renamed files, line by line, from the first line that was ever written.
///
/// # Errors
/// [`Code::AuditBroken`] with file, line and what is wrong, for the first line that does not follow, also where older lines are missing;
/// [`Code::AuditUnusable`] when a file cannot be read, or there is no whole line in any.
pub fn verify(path: &Path) -> Result<Summary, Reason> {
    verify_after(path, BEGINNING)
}

/// As [`verify`], where older files were put away: the first line there is has to follow from `hash`, which was found to be that of
/// their last line.
///
/// # Errors
/// As for [`verify`].
pub fn verify_after(path: &Path, hash: &str) -> Result<Summary, Reason> {
    let newest = File::open(path).map_err(|error| unreadable(path, &error))?;
    verify_opened(path, &newest, hash)
}

/// As [`verify_after`], with the newest file as it was opened: before the others are listed, so that none can come between them. When the
/// proxy has begun another file since, it is one of the others by now, and the log is verified up to the last of these.
pub(super) fn verify_opened(path: &Path, newest: &File, hash: &str) -> Result<Summary, Reason> {
    let unusable = |error: io::Error| unreadable(path, &error);
    let own = newest.metadata().map_err(unusable)?;
    let is_own = |file: &PathBuf| file.metadata().is_ok_and(|other| (other.dev(), other.ino()) == (own.dev(), own.ino()));
    let mut files = renamed(path).map_err(unusable)?;
    if !files.iter().any(is_own) {
        files.push(path.to_owned());
    }
    let mut reading = Reading::new(Some(hash.to_owned()), files.len());
    for (at, file) in files.iter().enumerate() {
        let opened = if file == path { newest.try_clone() } else { File::open(file) };
        let opened = opened.map_err(|error| unreadable(file, &error))?;
        let read = reading.file(BufReader::new(opened), at + 1 == files.len());
        let is_beginning = reading.head.is_none() && reading.summary.first > 1;
        reading.summary.unfinished = read.map_err(|trouble| match trouble {
            Trouble::Broken(number, why) => {
                let reason = Reason::new(Code::AuditBroken, format!("{}, line {number}: {why}", file.display()));
                if is_beginning { reason.step(Step::words(PUT_AWAY)) } else { reason }
            }
            Trouble::Unreadable(error) => unreadable(file, &error),
        })?;
    }
    if reading.summary.lines == 0 {
        let words = format!("{}: it has no whole line, so that nothing was verified", path.display());
        return Err(Reason::new(Code::AuditUnusable, words).step(Step::words(EMPTY)));
    }
    Ok(reading.end())
}

/// Verifies that the lines of one file that are at hand follow from each other, wherever in a log they begin.
///
/// # Errors
/// The number of the first line that does not follow, and what is wrong with it.
pub fn verify_lines(bytes: &[u8]) -> Result<Summary, (u64, String)> {
    let mut reading = Reading::new(None, 1);
    reading.summary.unfinished = reading.file(bytes, true).map_err(|trouble| match trouble {
        Trouble::Broken(number, why) => (number, why),
        Trouble::Unreadable(error) => (0, error.to_string()),
    })?;
    Ok(reading.end())
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
    /// What the first line has to follow from, where that is known.
    after: Option<String>,
    summary: Summary,
}

impl Reading {
    fn new(after: Option<String>, files: usize) -> Self {
        Self { head: None, after, summary: Summary { files, ..Summary::default() } }
    }

    fn end(self) -> Summary {
        Summary { head: self.head.unwrap_or_default(), ..self.summary }
    }

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

    /// What the first line there is follows from.
    fn beginning(&mut self, bytes: &[u8]) -> Result<Head, String> {
        let link = line::parse(bytes)?;
        let head = if link.seq == 1 { Head::default() } else { Head { seq: link.seq - 1, hash: link.prev } };
        (self.summary.first, self.summary.after) = (link.seq, head.hash.clone());
        match &self.after {
            Some(after) if after == BEGINNING && link.seq > 1 => {
                Err(format!("it has number {}, and the lines before it are not here", link.seq))
            }
            Some(after) if *after != head.hash => {
                Err(format!("it has number {}, and does not follow from the hash that was given", link.seq))
            }
            _ => Ok(head),
        }
    }

    fn line(&mut self, bytes: &[u8]) -> Result<(), String> {
        let head = match &self.head {
            Some(head) => head.clone(),
            None => self.beginning(bytes)?,
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
