//! A line for each request, written beside the requests and never in their way.
//!
//! A request's last act is to append its line to a buffer that it shares with hardly
//! anybody; full buffers go over a bounded queue to a thread of their own, which also
//! empties the others every second. Where the disk is slow or full, lines are dropped
//! and counted, and requests go on.

mod line;
mod writer;

use std::{
    cell::Cell,
    fmt, io,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    time::Duration,
};

use metrics::Counter;
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};

use super::record::Record;
use crate::{catalog, register::counter, sampling::Sampling};
use writer::Writer;

/// Bytes of a buffer that is due.
const BLOCK: usize = 32 * 1024;

/// Room above that for the line that makes it due: most lines are shorter.
const ROOM: usize = 4 * 1024;

/// Full buffers that wait for the disk, 2 MiB: beyond these, lines are dropped.
const QUEUE: usize = 64;

/// Buffers that threads share: more than a sidecar has workers, nearly always.
const SHARDS: usize = 16;

/// How long the end of the process waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Pause before a full queue is asked again.
const RETRY: Duration = Duration::from_millis(10);

/// How lines look and which requests get one.
#[derive(Clone, Debug)]
pub struct AccessLogOptions {
    /// A file that is appended to, or `-` for standard output.
    pub to: PathBuf,
    /// JSON objects, else text for people.
    pub json: bool,
    /// Share of requests that get a line, 0 to 1; failed, retried and faulted ones always do.
    pub sample: f64,
}

/// The log; clones write to one place.
#[derive(Clone)]
pub struct AccessLog(Arc<Inner>);

impl fmt::Debug for AccessLog {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("AccessLog").finish_non_exhaustive()
    }
}

struct Inner {
    json: bool,
    sampling: Sampling,
    shards: [Mutex<Block>; SHARDS],
    queue: SyncSender<Message>,
    /// The place is to be opened anew.
    reopen: AtomicBool,
    dropped: Counter,
}

/// Whole lines.
#[derive(Default)]
struct Block {
    bytes: Vec<u8>,
    lines: u64,
}

/// What the thread is told.
enum Message {
    Write(Block),
    /// Write all there is, then say so.
    Flush(oneshot::Sender<()>),
}

impl AccessLog {
    /// Opens the file and starts the thread that writes.
    pub fn open(options: AccessLogOptions) -> io::Result<Self> {
        let (queue, messages) = sync_channel(QUEUE);
        let inner = Arc::new(Inner {
            json: options.json,
            sampling: Sampling::parent_based(options.sample),
            shards: Default::default(),
            queue,
            reopen: AtomicBool::new(false),
            dropped: counter(&catalog::ACCESS_LOG_LINES, &["dropped"]),
        });
        let writer = Writer::open(options.to, Arc::downgrade(&inner))?;
        spawn(writer, messages)?;
        Ok(Self(inner))
    }

    /// Opens the file anew, before the next lines are written: after whoever rotates
    /// logs has moved it. A file that was moved is noticed within a second anyway.
    pub fn reopen(&self) {
        self.0.reopen.store(true, Relaxed);
    }

    /// Writes what was logged until now, and waits for that, but not for long.
    pub async fn flush(&self) {
        let _ = timeout(LAST_LINES, self.flushed()).await; // a slow disk ends the wait
    }

    async fn flushed(&self) {
        let (told, written) = oneshot::channel();
        let mut message = Message::Flush(told);
        while let Err(TrySendError::Full(again)) = self.0.queue.try_send(message) {
            message = again;
            sleep(RETRY).await;
        }
        let _ = written.await; // an error: the thread has ended
    }

    /// Writes a line, if this request gets one.
    pub(super) fn log(&self, record: &Record) {
        let log = &*self.0;
        let drawn = log.sampling.decide(None, record.trace_id);
        if !drawn && !record.interesting() {
            return;
        }
        let mut block = log.shards[own_shard()]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if block.bytes.capacity() == 0 {
            block.bytes.reserve_exact(BLOCK + ROOM);
        }
        if log.json {
            line::json(&mut block.bytes, record);
        } else {
            line::text(&mut block.bytes, record);
        }
        block.lines += 1;
        if block.bytes.len() >= BLOCK {
            log.hand_over(std::mem::take(&mut *block));
        }
    }
}

impl Inner {
    fn hand_over(&self, block: Block) {
        let lines = block.lines;
        if self.queue.try_send(Message::Write(block)).is_err() {
            self.dropped.increment(lines);
        }
    }

    /// What has gathered in the buffers.
    fn take(&self) -> impl Iterator<Item = Block> + '_ {
        let taken = self.shards.iter().map(|shard| {
            let mut block = shard.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *block)
        });
        taken.filter(|block| block.lines > 0)
    }
}

impl Drop for Inner {
    /// The thread writes what is in the queue before it ends.
    fn drop(&mut self) {
        let left: Vec<Block> = self.take().collect();
        for block in left {
            self.hand_over(block);
        }
    }
}

fn spawn(mut writer: Writer, messages: Receiver<Message>) -> io::Result<()> {
    std::thread::Builder::new()
        .name("access-log".to_owned())
        .spawn(move || writer.run(&messages))
        .map(drop)
}

/// Each thread keeps to one buffer, so that its lock is free nearly always.
fn own_shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<Option<usize>> = const { Cell::new(None) };
    }
    OWN.with(|own| {
        own.get().unwrap_or_else(|| {
            let shard = NEXT.fetch_add(1, Relaxed) % SHARDS;
            own.set(Some(shard));
            shard
        })
    })
}
