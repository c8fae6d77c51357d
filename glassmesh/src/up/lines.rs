//! What children write: line by line to the terminal, to the log, and the last
//! ones kept for the message that a child ended.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

use super::{logs::Logs, screen::Screen};

/// A longer line is cut into several: memory stays bounded.
const LONGEST: usize = 8 << 10;
/// Lines that are shown of a child that failed.
const KEPT: usize = 12;

/// Where the lines of one process go.
#[derive(Clone)]
pub(super) struct Lines {
    process: Arc<str>,
    screen: Screen,
    logs: Logs,
    last: Arc<Mutex<VecDeque<String>>>,
}

impl Lines {
    pub(super) fn new(process: Arc<str>, screen: Screen, logs: Logs) -> Self {
        Self {
            process,
            screen,
            logs,
            last: Arc::default(),
        }
    }

    /// Takes lines until the child closes its end.
    pub(super) async fn follow(self, pipe: impl AsyncRead + Unpin) {
        let mut pipe = BufReader::with_capacity(LONGEST, pipe);
        let mut line = Vec::new();
        loop {
            let (used, complete) = match pipe.fill_buf().await {
                Ok([]) | Err(_) => break,
                Ok(bytes) => take_line(bytes, &mut line),
            };
            pipe.consume(used);
            if complete || line.len() >= LONGEST {
                self.take(&line);
                line.clear();
            }
        }
        if !line.is_empty() {
            self.take(&line);
        }
    }

    /// The last lines, taken out.
    pub(super) fn take_last(&self) -> Vec<String> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.drain(..).collect()
    }

    fn take(&self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end();
        self.screen.child(&self.process, text);
        self.logs.write(&self.process, text);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() == KEPT {
            last.pop_front();
        }
        last.push_back(text.to_owned());
    }
}

/// Moves bytes up to the end of the line; says how many, and whether it ended.
fn take_line(bytes: &[u8], line: &mut Vec<u8>) -> (usize, bool) {
    let room = LONGEST - line.len();
    let end = bytes.iter().take(room).position(|byte| *byte == b'\n');
    let length = end.unwrap_or(bytes.len().min(room));
    line.extend_from_slice(&bytes[..length]);
    (length + usize::from(end.is_some()), end.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_cut_and_the_last_ones_kept() {
        let screen = Screen::unseen();
        let logs = Logs::start(std::env::temp_dir().join("glassmesh-no-such"), |_| ()).unwrap();
        let lines = Lines::new("users-1".into(), screen, logs);
        let long = "x".repeat(LONGEST + 10);
        let text = format!("one\n{long}\ntail without end");
        lines.clone().follow(text.as_bytes()).await;
        let last = lines.take_last();
        let lengths: Vec<usize> = last.iter().map(String::len).collect();
        assert_eq!(lengths, [3, LONGEST, 10, 16]);
    }
}
