//! The thread that writes.

use std::{
    fs::{File, Metadata, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{
        Weak,
        atomic::Ordering::Relaxed,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::Duration,
};

use metrics::Counter;
use tokio::time::Instant; // outside a runtime: the system's

use super::{Block, Inner, Message};
use crate::{catalog, register::counter};

/// No line waits longer for being written.
const PAUSE: Duration = Duration::from_secs(1);

/// Writes blocks to a file or to standard output.
pub(super) struct Writer {
    path: PathBuf,
    target: Target,
    /// None: nobody logs any more.
    log: Weak<Inner>,
    written: Counter,
    dropped: Counter,
    failing: bool,
    /// The file that lines go to is not at its path any more, and no other can be made.
    astray: bool,
    /// The last line stands there in part.
    torn: bool,
}

enum Target {
    File(File),
    Stdout,
}

impl Writer {
    pub(super) fn open(path: PathBuf, log: Weak<Inner>) -> io::Result<Self> {
        let result = |result| counter(&catalog::ACCESS_LOG_LINES, &[result]);
        let (written, dropped) = (result("written"), result("dropped"));
        written.increment(0);
        dropped.increment(0);
        Ok(Self {
            target: open(&path)?,
            path,
            log,
            written,
            dropped,
            failing: false,
            astray: false,
            torn: false,
        })
    }

    /// Writes until nobody logs any more.
    pub(super) fn run(&mut self, messages: &Receiver<Message>) {
        let mut due = Instant::now() + PAUSE;
        loop {
            let left = due.saturating_duration_since(Instant::now());
            match messages.recv_timeout(left) {
                Ok(Message::Write(block)) => self.write(&block),
                Ok(Message::Flush(told)) => {
                    self.gather();
                    let _ = told.send(()); // nobody may wait any longer
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if Instant::now() >= due {
                self.follow();
                self.gather();
                due = Instant::now() + PAUSE;
            }
        }
    }

    fn gather(&mut self) {
        let Some(log) = self.log.upgrade() else {
            return;
        };
        if log.reopen.swap(false, Relaxed) {
            self.reopen();
        }
        // A disk that hangs must not hold a buffer's lock: first take, then write.
        let blocks: Vec<Block> = log.take().collect();
        drop(log);
        for block in blocks {
            self.write(&block);
        }
    }

    /// A file that was moved or removed is made anew.
    fn follow(&mut self) {
        let moved = match &self.target {
            Target::File(file) => !is_at(file, &self.path),
            Target::Stdout => false,
        };
        if moved {
            self.reopen();
        }
    }

    /// Where that cannot be done the old file takes what comes until it can.
    fn reopen(&mut self) {
        match open(&self.path) {
            Ok(target) => {
                self.target = target;
                self.torn = false;
                if std::mem::take(&mut self.astray) {
                    tracing::info!("the access log is at its place again");
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut self.astray, true) {
                    let path = self.path.display();
                    tracing::warn!(%error, %path, "the access log cannot be opened anew, the old file takes the lines");
                }
            }
        }
    }

    fn write(&mut self, block: &Block) {
        match self.write_all(&block.bytes) {
            Ok(()) => {
                self.written.increment(block.lines);
                if std::mem::take(&mut self.failing) {
                    tracing::info!("the access log can be written again");
                }
            }
            Err(error) => {
                self.dropped.increment(block.lines);
                self.complain(&error);
            }
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.torn {
            self.write_some(b"\n")?;
            self.torn = false;
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.write_some(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.torn |= rest.len() < bytes.len();
                    return Err(error);
                }
            }
        }
        self.flush()
    }

    fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.target {
            Target::File(file) => file.write(bytes),
            Target::Stdout => io::stdout().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.target {
            Target::Stdout => io::stdout().flush(),
            Target::File(_) => Ok(()), // it has no buffer here
        }
    }

    /// Said once, not a hundred times a second.
    fn complain(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.failing, true) {
            let path = self.path.display();
            tracing::warn!(%error, %path, "the access log cannot be written, lines are dropped");
        }
    }
}

fn open(path: &Path) -> io::Result<Target> {
    if path == Path::new("-") {
        return Ok(Target::Stdout);
    }
    let file = OpenOptions::new().append(true).create(true).open(path)?;
    Ok(Target::File(file))
}

/// Whether this file is the one that stands at the path.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(open), Ok(there)) => same(&open, &there),
        (_, Err(_)) => false,
        (Err(_), _) => true, // nothing is known: leave it
    }
}

#[cfg(unix)]
fn same(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn same(_: &Metadata, _: &Metadata) -> bool {
    true
}

#[cfg(all(test, unix))]
mod tests {
    use std::{fs, sync::Weak};

    use super::{Block, Writer};

    #[test]
    fn a_folder_that_is_gone_is_told_once_and_the_log_returns_with_it() {
        let folder = std::env::temp_dir().join(format!("mesh-log-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("access.log");
        let mut writer = Writer::open(path.clone(), Weak::new()).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        let block = Block {
            bytes: b"a line\n".to_vec(),
            lines: 1,
        };
        for _ in 0..2 {
            writer.follow();
            writer.write(&block);
            assert!(writer.astray && !writer.failing);
        }
        fs::create_dir_all(&folder).unwrap();
        writer.follow();
        writer.write(&block);
        assert!(!writer.astray);
        assert_eq!(fs::read_to_string(path).unwrap(), "a line\n");
        fs::remove_dir_all(folder).unwrap();
    }
}
