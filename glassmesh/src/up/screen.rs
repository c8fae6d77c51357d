//! What `glassmesh up` shows while it runs, written by a thread of its own: a
//! terminal that is stopped (Ctrl-S) or a reader that is slow stops no mesh.

use std::{
    io::IsTerminal as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use anstyle::{AnsiColor, Style};
use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};

use crate::out::{self, Styled};

/// Lines that wait for the terminal; more are dropped and counted.
const WAITING: usize = 2048;

/// Colours of the processes' names: those that are read on dark and on light.
const COLOURS: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Magenta,
    AnsiColor::Blue,
    AnsiColor::Green,
    AnsiColor::Yellow,
    AnsiColor::BrightBlue,
];

enum Show {
    Line(String),
    Child {
        process: Arc<str>,
        text: String,
    },
    Progress {
        done: usize,
        all: usize,
        waiting: String,
    },
    Clear,
    Flush(tokio::sync::oneshot::Sender<()>),
}

/// The way to the terminal.
#[derive(Clone)]
pub(super) struct Screen {
    show: SyncSender<Show>,
    dropped: Arc<AtomicU64>,
}

impl Screen {
    /// Starts the thread; `widest` is the length of the longest name of a process.
    pub(super) fn start(widest: usize) -> anyhow::Result<Self> {
        let (show, waiting) = sync_channel(WAITING);
        let dropped = Arc::new(AtomicU64::new(0));
        let mut terminal = Terminal {
            bar: None,
            widest,
            dropped: Arc::clone(&dropped),
        };
        thread::Builder::new()
            .name("screen".to_owned())
            .spawn(move || terminal.run(&waiting))
            .context("cannot start the thread that writes to the terminal")?;
        Ok(Self { show, dropped })
    }

    /// A screen that nobody looks at.
    #[cfg(test)]
    pub(super) fn unseen() -> Self {
        Self {
            show: sync_channel(0).0,
            dropped: Arc::default(),
        }
    }

    /// A line of the supervisor's own.
    pub(super) fn line(&self, text: impl Into<String>) {
        self.send(Show::Line(text.into()));
    }

    /// A line of a child's.
    pub(super) fn child(&self, process: &Arc<str>, text: &str) {
        self.send(Show::Child {
            process: Arc::clone(process),
            text: text.to_owned(),
        });
    }

    /// How far the start is, and whom it waits for.
    pub(super) fn progress(&self, done: usize, all: usize, waiting: String) {
        self.send(Show::Progress { done, all, waiting });
    }

    /// Ends the progress display.
    pub(super) fn clear_progress(&self) {
        self.send(Show::Clear);
    }

    /// Waits until everything is written, for a second at most.
    pub(super) async fn flush(&self) {
        let (done, written) = tokio::sync::oneshot::channel();
        if self.show.try_send(Show::Flush(done)).is_ok() {
            let _ = tokio::time::timeout(Duration::from_secs(1), written).await;
        }
    }

    fn send(&self, show: Show) {
        if self.show.try_send(show).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

struct Terminal {
    bar: Option<ProgressBar>,
    widest: usize,
    dropped: Arc<AtomicU64>,
}

impl Terminal {
    fn run(&mut self, waiting: &Receiver<Show>) {
        while let Ok(show) = waiting.recv() {
            match show {
                Show::Line(text) => self.write(&text),
                Show::Child { process, text } => self.write(&self.child_line(&process, &text)),
                Show::Progress { done, all, waiting } => self.progress(done, all, &waiting),
                Show::Clear => self.clear(),
                Show::Flush(done) => drop(done.send(())),
            }
            let dropped = self.dropped.swap(0, Ordering::Relaxed);
            if dropped > 0 {
                self.write(&format!(
                    "… {dropped} lines not shown; they are in the logs"
                ));
            }
        }
    }

    fn child_line(&self, process: &str, text: &str) -> String {
        let name = format!("{process:<width$} │", width = self.widest);
        format!("{} {text}", Styled(colour(process), name))
    }

    fn write(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| out::note(text)),
            None => out::note(text),
        }
    }

    /// A bar on a terminal; elsewhere nothing, the end is said by a line.
    fn progress(&mut self, done: usize, all: usize, waiting: &str) {
        if !std::io::stderr().is_terminal() {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| bar(all as u64));
        bar.set_position(done as u64);
        bar.set_message(waiting.to_owned());
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

fn bar(all: u64) -> ProgressBar {
    let bar = ProgressBar::new(all);
    let style = ProgressStyle::with_template(
        "{spinner} {pos:>2}/{len} ready [{bar:24}] {elapsed:.dim} {wide_msg:.dim}",
    );
    if let Ok(style) = style {
        bar.set_style(style.progress_chars("━╸ "));
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// One colour for an instance and its sidecar, the same in every run.
fn colour(process: &str) -> Style {
    let instance = process.split('/').next().unwrap_or(process);
    let sum = instance.bytes().fold(0_usize, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(usize::from(byte))
    });
    COLOURS[sum % COLOURS.len()].on_default()
}
