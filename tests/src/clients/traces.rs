//! What of an image lies in a folder.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, io};
use crate::image::Content;

/// Files above this size hold no image of a test: databases grow to some MiB.
const MOST: u64 = 64 << 20;

/// The files below `folder` whose name or content has one of `signs`; logs, which only speak of images, do not count.
///
/// Files that vanish meanwhile are not there.
#[must_use]
pub fn traces(folder: &Path, signs: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            let Ok(kind) = entry.file_type() else { continue };
            let mut is_trace = signs.iter().any(|sign| name.contains(sign));
            if kind.is_dir() {
                open.push(path.clone());
            } else if kind.is_file() && path.extension().is_none_or(|extension| extension != "log") {
                is_trace |= has(&path, signs);
            }
            if is_trace {
                found.push(path);
            }
        }
    }
    found
}

/// The SHA-256 of every file in `folder`, one a line, computed here and not believed.
pub(super) fn digests(folder: &Path) -> Result<String, Failure> {
    let mut lines = String::new();
    for entry in fs::read_dir(folder).map_err(io("folder of an image"))?.flatten() {
        if entry.path().is_file() {
            let bytes = fs::read(entry.path()).map_err(io("file of an image"))?;
            let _ = writeln!(lines, "{}", Content::new("", bytes).digest());
        }
    }
    Ok(lines)
}

fn has(path: &Path, signs: &[&str]) -> bool {
    if fs::metadata(path).is_ok_and(|about| about.len() > MOST) {
        return false;
    }
    let bytes = fs::read(path).unwrap_or_default();
    signs.iter().any(|sign| bytes.windows(sign.len()).any(|window| window == sign.as_bytes()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn names_and_content_are_traces_and_logs_are_not() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("a")).unwrap();
        fs::write(folder.path().join("a/abc123"), "x").unwrap();
        fs::write(folder.path().join("a/layer"), "--secret text--").unwrap();
        fs::write(folder.path().join("a/x.log"), "secret text").unwrap();
        let mut found = traces(folder.path(), &["abc", "secret"]);
        found.sort();
        assert_eq!(found, [folder.path().join("a/abc123"), folder.path().join("a/layer")]);
        assert!(traces(folder.path(), &["nothing"]).is_empty());
    }
}
