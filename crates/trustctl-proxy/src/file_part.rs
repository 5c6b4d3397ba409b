//! A part of a file that the system can send as it lies there, and whether that would wait for a disk.

use std::fs::File;
use std::io;
use std::sync::Arc;

/// How far apart is looked whether a file is in memory. Each look costs a hundredth of what sending so much costs (measured).
const LOOK: usize = 256 * 1024;
/// How much is read at a time of what has to come into memory.
const READ: usize = 64 * 1024;

/// Some bytes of a file: at least one, and [`Self::MOST`] at most.
#[derive(Clone, Debug)]
pub struct FilePart {
    file: Arc<File>,
    at: u64,
    length: usize,
}

impl FilePart {
    /// Most bytes of a part. More at once is not faster (measured), and keeps the others of a thread waiting.
    pub const MOST: usize = 1024 * 1024;
    /// Most bytes that are looked at, and brought in, for a client that was slow.
    pub const AT_ONCE: usize = LOOK;

    /// `length` bytes of `file` from `at` on. Nothing where that is no byte, or too many.
    #[must_use]
    pub fn new(file: Arc<File>, at: u64, length: usize) -> Option<Self> {
        (length > 0 && length <= Self::MOST).then_some(Self { file, at, length })
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Where in the file it begins.
    #[must_use]
    pub fn at(&self) -> u64 {
        self.at
    }

    /// How many bytes it has.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    /// Its first `length` bytes, all of them where it has fewer.
    #[must_use]
    pub fn start(&self, length: usize) -> Self {
        Self { length: self.length.min(length), ..self.clone() }
    }

    /// The rest after its first `length` bytes; nothing where that is no byte.
    #[must_use]
    pub fn after(self, length: usize) -> Option<Self> {
        let at = self.at.saturating_add(u64::try_from(length).ok()?);
        Self::new(self.file, at, self.length.checked_sub(length)?)
    }

    /// Whether it is in memory, as far as some looks can tell: at its ends, and in between at places that nobody can foresee, since a look
    /// at what is not there brings in the one page that it was at.
    #[must_use]
    pub fn is_in_memory(&self) -> bool {
        let is_there = |offset: usize| {
            let at = u64::try_from(offset).ok().and_then(|offset| self.at.checked_add(offset));
            at.is_some_and(|at| read_now(&self.file, &mut [0], at).is_ok_and(|read| read == 1))
        };
        let in_between = |begin: usize| begin + fastrand::usize(..LOOK.min(self.length - begin));
        is_there(0) && is_there(self.length - 1) && (0..self.length).step_by(LOOK).map(in_between).all(is_there)
    }

    /// Reads it, waiting for the disk, so that it is in memory afterwards. Errors are found again by whoever sends it.
    pub fn bring_in(&self) {
        let mut buffer = vec![0; READ.min(self.length)];
        let mut next = Some(self.clone());
        while let Some(part) = next {
            match read_at(&part.file, &mut buffer, part.at) {
                Ok(read) if read > 0 => next = part.after(read),
                _ => return,
            }
        }
    }
}

/// Reads, waiting for the disk where it has to.
pub(crate) fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    loop {
        match std::os::unix::fs::FileExt::read_at(file, buffer, at) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// Reads what is in memory already; [`io::ErrorKind::WouldBlock`] when the disk would have to be waited for.
#[cfg(target_os = "linux")]
pub(crate) fn read_now(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    use rustix::io::{Errno, ReadWriteFlags};
    match rustix::io::preadv2(file, &mut [io::IoSliceMut::new(buffer)], at, ReadWriteFlags::NOWAIT) {
        Ok(read) => Ok(read),
        // File systems that cannot tell are asked where waiting does no harm.
        Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INTR | Errno::INVAL) => Err(io::ErrorKind::WouldBlock.into()),
        Err(error) => Err(error.into()),
    }
}

/// Nothing is known to be in memory on other systems.
#[cfg(not(target_os = "linux"))]
pub(crate) fn read_now(_: &File, _: &mut [u8], _: u64) -> io::Result<usize> {
    Err(io::ErrorKind::WouldBlock.into())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use std::io::Write as _;

    use super::*;

    fn file(length: usize) -> Arc<File> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![7; length]).unwrap();
        Arc::new(file)
    }

    #[test]
    fn a_part_has_a_byte_and_not_too_many() {
        let file = file(10);
        assert!(FilePart::new(file.clone(), 0, 0).is_none() && FilePart::new(file.clone(), 0, FilePart::MOST + 1).is_none());
        let part = FilePart::new(file, 3, 5).unwrap();
        let places = |part: &FilePart| (part.at(), part.length());
        assert_eq!((places(&part), places(&part.start(2)), places(&part.start(99))), ((3, 5), (3, 2), (3, 5)));
        assert_eq!(part.clone().after(4).map(|rest| places(&rest)), Some((7, 1)));
        assert!(part.clone().after(5).is_none() && part.after(6).is_none());
    }

    #[test]
    fn what_was_just_written_is_in_memory_and_what_is_not_there_is_not() {
        let file = file(700_000);
        let can_tell = read_now(&file, &mut [0], 0).is_ok();
        for (at, length) in [(0, 1), (0, LOOK), (5, LOOK + 1), (0, 700_000), (699_999, 1)] {
            assert_eq!(FilePart::new(file.clone(), at, length).unwrap().is_in_memory(), can_tell, "{at} {length}");
        }
        for (at, length) in [(700_000, 1), (600_000, 200_000), (u64::MAX, 2)] {
            let part = FilePart::new(file.clone(), at, length).unwrap();
            assert!(!part.is_in_memory(), "{at} {length}");
            // It ends, with what is there.
            part.bring_in();
        }
    }
}
