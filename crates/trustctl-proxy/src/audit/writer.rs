//! The one thread that writes the log.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{mpsc, oneshot};
use trustctl_core::time::Timestamp;

use super::line::{self, Head, MAX_LINE};
use super::log::AuditOptions;
use super::record::USUAL;
use super::spare::Spares;

/// Records written at once.
const BATCH: usize = 256;
/// Bytes for lines that are kept from one batch to the next: what a batch usually takes.
const ROOM: usize = 256 * 1024;
/// How long a record for which nobody waits is left for others to join it. Waking this thread for each of them would cost more than
/// writing them.
const GATHER: Duration = Duration::from_millis(10);
/// What was written is flushed to the disk at the latest after so long.
const FLUSH: Duration = Duration::from_secs(1);

/// A record to be written, or none, and who wants to know when everything up to it is on disk.
pub(super) struct Order {
    pub(super) fields: Option<String>,
    pub(super) done: Option<oneshot::Sender<bool>>,
}

pub(super) struct Writer {
    path: PathBuf,
    options: AuditOptions,
    failing: Arc<AtomicBool>,
    dropped: Arc<AtomicU64>,
    spares: Spares,
    /// Room for the lines of a batch.
    text: String,
    file: File,
    /// Bytes of whole lines in the file.
    length: u64,
    head: Head,
    /// Records that could not be written since the last one that could.
    lost: u64,
    /// Whether half a line may be behind the whole ones.
    half: bool,
    /// When something was written that was not flushed.
    unflushed: Option<Instant>,
}

impl Writer {
    /// Opens the file and finds the end of its chain.
    pub(super) fn open(
        path: PathBuf,
        options: AuditOptions,
        (failing, dropped, spares): (Arc<AtomicBool>, Arc<AtomicU64>, Spares),
    ) -> io::Result<Self> {
        let mut file = open_locked(&path)?;
        let end = End::find(&mut file)?;
        let head = match &end.last {
            Some(last) => {
                let link = line::parse(last).map_err(|why| io::Error::other(format!("its last line: {why}")))?;
                Head { seq: link.seq, hash: line::hash(last) }
            }
            // The file is new; the chain may go on from one that was renamed.
            None => last_of_renamed(&path)?,
        };
        let mut writer = Self {
            path,
            options,
            failing,
            dropped,
            spares,
            text: String::new(),
            file,
            length: end.whole,
            head,
            lost: 0,
            half: false,
            unflushed: None,
        };
        if !end.torn.is_empty() {
            writer.set_aside(&end.torn)?;
        }
        Ok(writer)
    }

    /// A line that is half is moved into a file of its own, and a record says so.
    fn set_aside(&mut self, torn: &[u8]) -> io::Result<()> {
        let aside = beside(&self.path, &format!("torn-{}", self.head.seq + 1));
        fs::write(&aside, torn)?;
        self.file.set_len(self.length)?;
        let name = aside.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let fields = serde_json::json!({"bytes": torn.len(), "sha256": line::hash(torn), "file": name}).to_string();
        let (line, head) = self.head.next(now(), "torn-line", inner(&fields));
        self.write_lines(&format!("{line}\n"), head)?;
        self.file.sync_data()
    }

    /// Writes what is ordered until nobody can order any more.
    pub(super) async fn run(&mut self, mut orders: mpsc::Receiver<Order>) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let more = match self.unflushed {
                None => Ok(orders.recv().await),
                // Nothing that was written waits longer than it may, even when nothing else comes.
                Some(since) => tokio::time::timeout(FLUSH.saturating_sub(since.elapsed()), orders.recv()).await,
            };
            match more {
                Ok(Some(order)) => batch.push(order),
                Ok(None) => break,
                Err(_) => {
                    self.flush();
                    continue;
                }
            }
            if batch.iter().all(|order| order.done.is_none()) {
                tokio::time::sleep(GATHER).await;
            }
            while !batch.is_empty() {
                while batch.len() < BATCH
                    && let Ok(order) = orders.try_recv()
                {
                    batch.push(order);
                }
                self.write_batch(&mut batch);
                batch.extend(orders.try_recv());
            }
        }
        self.flush();
    }

    fn write_batch(&mut self, batch: &mut Vec<Order>) {
        let wanted = batch.iter().any(|order| order.done.is_some());
        let written = self.try_write(batch) && (!wanted || self.flush());
        self.failing.store(!written, Ordering::Release);
        if self.unflushed.is_some_and(|since| since.elapsed() >= FLUSH) {
            self.flush();
        }
        for done in batch.iter_mut().filter_map(|order| order.done.take()) {
            // Whoever asked may have gone.
            let _ = done.send(written);
        }
        self.spares.keep(batch.drain(..).filter_map(|order| order.fields), USUAL);
    }

    /// Writes all of the batch, or nothing and counts it as lost.
    fn try_write(&mut self, batch: &[Order]) -> bool {
        self.lost = self.lost.saturating_add(self.dropped.swap(0, Ordering::Relaxed));
        let records = || batch.iter().filter_map(|order| order.fields.as_deref());
        let count = u64::try_from(records().count()).unwrap_or(u64::MAX);
        if self.rotate().is_err() {
            self.lost = self.lost.saturating_add(count);
            return false;
        }
        let (mut text, mut head) = (std::mem::take(&mut self.text), self.head.clone());
        text.clear();
        text.shrink_to(ROOM);
        let mut add = |kind: &str, fields: &str| {
            let (line, next) = head.next(now(), kind, fields);
            head = next;
            text.push_str(&line);
            text.push('\n');
        };
        if self.lost > 0 {
            add("lost", &format!(r#""count":{}"#, self.lost));
        }
        records().for_each(|fields| add("decision", fields));
        let written = self.write_lines(&text, head);
        self.text = text;
        match written {
            Ok(()) => {
                self.lost = 0;
                true
            }
            Err(_) => {
                self.lost = self.lost.saturating_add(count);
                false
            }
        }
    }

    /// Writes whole lines, or takes back what it could write of them.
    fn write_lines(&mut self, text: &str, head: Head) -> io::Result<()> {
        if self.half {
            self.file.set_len(self.length)?;
        }
        self.half = true;
        if let Err(error) = self.file.write_all(text.as_bytes()) {
            self.half = self.file.set_len(self.length).is_err();
            return Err(error);
        }
        self.half = false;
        self.length += u64::try_from(text.len()).unwrap_or(u64::MAX);
        self.head = head;
        self.unflushed.get_or_insert_with(Instant::now);
        Ok(())
    }

    fn flush(&mut self) -> bool {
        let flushed = self.unflushed.is_none() || self.file.sync_data().is_ok();
        if flushed {
            self.unflushed = None;
        } else {
            self.failing.store(true, Ordering::Release);
            self.unflushed = Some(Instant::now());
        }
        flushed
    }

    /// Begins a new file when this one is large enough.
    fn rotate(&mut self) -> io::Result<()> {
        if self.length < self.options.rotate_at.max(1) {
            return Ok(());
        }
        self.file.sync_data()?;
        match fs::rename(&self.path, beside(&self.path, &format!("{:020}", self.head.seq))) {
            // It was renamed before, and then the new file could not be opened.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.file = open_locked(&self.path)?;
        (self.length, self.unflushed) = (0, None);
        if let Some(keep) = self.options.keep {
            let renamed = renamed(&self.path)?;
            for old in renamed.iter().take(renamed.len().saturating_sub(keep)) {
                fs::remove_file(old)?;
            }
        }
        Ok(())
    }
}

/// The end of a log.
struct End {
    /// The last whole line, without its newline.
    last: Option<Vec<u8>>,
    /// Bytes of all whole lines.
    whole: u64,
    /// What follows the last newline.
    torn: Vec<u8>,
}

impl End {
    fn find(file: &mut File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        // Enough for the last whole line and half a line after it.
        let window = u64::try_from(2 * MAX_LINE + 2).unwrap_or(u64::MAX).min(length);
        file.seek(SeekFrom::Start(length - window))?;
        let mut tail = Vec::new();
        file.read_to_end(&mut tail)?;
        let Some(newline) = tail.iter().rposition(|byte| *byte == b'\n') else {
            if length > window {
                return Err(io::Error::other("its last line is longer than a record can be"));
            }
            return Ok(Self { last: None, whole: 0, torn: tail });
        };
        let (lines, torn) = tail.split_at(newline);
        let torn = torn.get(1..).unwrap_or_default().to_vec();
        let start = lines.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let last = lines.get(start..).unwrap_or_default().to_vec();
        let whole = length - u64::try_from(torn.len()).unwrap_or(u64::MAX);
        Ok(Self { last: Some(last), whole, torn })
    }
}

/// Where the chain ended in the newest renamed file.
fn last_of_renamed(path: &Path) -> io::Result<Head> {
    let Some(newest) = renamed(path)?.pop() else { return Ok(Head::default()) };
    let end = End::find(&mut File::open(&newest)?)?;
    let unusable = |why: String| io::Error::other(format!("the last line of {}: {why}", newest.display()));
    let last = end.last.ok_or_else(|| unusable("there is none".to_owned()))?;
    let link = line::parse(&last).map_err(unusable)?;
    Ok(Head { seq: link.seq, hash: line::hash(&last) })
}

/// The renamed files of a log, the oldest first: their names end in the number of their last line.
pub(super) fn renamed(path: &Path) -> io::Result<Vec<PathBuf>> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let prefix = path.file_name().map(|name| format!("{}.", name.to_string_lossy())).unwrap_or_default();
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let number = name.strip_prefix(&prefix).unwrap_or_default();
        if number.len() == 20 && number.bytes().all(|byte| byte.is_ascii_digit()) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{ending}"));
    name.into()
}

fn open_locked(path: &Path) -> io::Result<File> {
    let file = File::options().create(true).append(true).read(true).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(io::Error::other("another process writes it")),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

fn inner(object: &str) -> &str {
    object.strip_prefix('{').and_then(|object| object.strip_suffix('}')).unwrap_or_default()
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let time = i64::try_from(since.as_secs()).ok().and_then(|seconds| Timestamp::from_unix_seconds(seconds).ok());
    time.unwrap_or(Timestamp::UNIX_EPOCH)
}
