//! Reading the end of a log, and what is added to it. Nothing is verified here.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::line::MAX_LINE;

/// Most bytes that are read from the end of a file.
const MAX_TAIL: u64 = 16 * 1024 * 1024;

/// The last `count` whole lines of the file `path`, the oldest first; fewer when they take more than 16 MiB or there are fewer.
///
/// # Errors
/// Those of reading the file.
pub fn last_lines(path: &Path, count: usize) -> io::Result<Vec<String>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut window = 64 * 1024;
    loop {
        let start = length.saturating_sub(window);
        file.seek(SeekFrom::Start(start))?;
        let mut tail = Vec::new();
        file.by_ref().take(length - start).read_to_end(&mut tail)?;
        let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        tail.truncate(whole);
        let text = String::from_utf8_lossy(&tail);
        // The first of them may be half, unless the file begins there.
        let lines: Vec<&str> = text.lines().skip(usize::from(start > 0)).collect();
        if lines.len() >= count || start == 0 || window >= MAX_TAIL {
            return Ok(lines.iter().skip(lines.len().saturating_sub(count)).map(|line| (*line).to_owned()).collect());
        }
        window *= 4;
    }
}

/// What is added to a log, also when it begins a new file.
#[derive(Debug)]
pub struct Follow {
    path: PathBuf,
    file: File,
    rest: Vec<u8>,
}

impl Follow {
    /// Follows the file `path` from its end.
    ///
    /// # Errors
    /// Those of opening the file.
    pub fn from_end(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let mut file = File::open(&path)?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self { path, file, rest: Vec::new() })
    }

    /// The lines that were added since the last time.
    ///
    /// # Errors
    /// Those of reading the file.
    pub fn added(&mut self) -> io::Result<Vec<String>> {
        let mut lines = self.read()?;
        let current = match self.path.metadata() {
            Ok(current) => current,
            // Between two files.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(lines),
            Err(error) => return Err(error),
        };
        let own = self.file.metadata()?;
        if (current.dev(), current.ino()) != (own.dev(), own.ino()) {
            // What came into the old one meanwhile comes first.
            lines.extend(self.read()?);
            self.file = File::open(&self.path)?;
            self.rest.clear();
            lines.extend(self.read()?);
        }
        Ok(lines)
    }

    fn read(&mut self) -> io::Result<Vec<String>> {
        self.file.by_ref().take(MAX_TAIL).read_to_end(&mut self.rest)?;
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else {
            if self.rest.len() > MAX_LINE {
                self.rest.clear();
            }
            return Ok(Vec::new());
        };
        let rest = self.rest.split_off(end + 1);
        let whole = std::mem::replace(&mut self.rest, rest);
        Ok(String::from_utf8_lossy(&whole).lines().map(str::to_owned).collect())
    }
}
