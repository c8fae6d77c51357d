//! Log files of the children, written by a thread of their own: a disk that is
//! slow or full costs lines, not the mesh.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use anyhow::Context as _;

/// Lines that wait for the disk; more are dropped.
const WAITING: usize = 4096;
/// Size at which a log becomes `<name>.log.1`, in place of the one before.
const ROTATE_AT: u64 = 8 << 20;

/// A line for a log file.
struct Line {
    process: Arc<str>,
    text: String,
}

/// The way to the log files.
#[derive(Clone)]
pub(super) struct Logs {
    lines: SyncSender<Line>,
}

impl Logs {
    /// Starts the thread; `complain` is told, once per file, of what cannot be written.
    pub(super) fn start(
        dir: PathBuf,
        complain: impl Fn(String) + Send + 'static,
    ) -> anyhow::Result<Self> {
        let (lines, waiting) = sync_channel(WAITING);
        thread::Builder::new()
            .name("logs".to_owned())
            .stack_size(128 << 10)
            .spawn(move || write_all(&dir, &waiting, &complain))
            .context("cannot start the thread that writes logs")?;
        Ok(Self { lines })
    }

    /// Hands a line over; never waits.
    pub(super) fn write(&self, process: &Arc<str>, text: &str) {
        // A full queue means a disk that does not keep up: the line is lost.
        let _ = self.lines.try_send(Line {
            process: Arc::clone(process),
            text: text.to_owned(),
        });
    }
}

/// Where a process's lines are kept.
pub(super) fn file(dir: &Path, process: &str) -> PathBuf {
    dir.join(format!("{}.log", process.replace('/', "-")))
}

fn write_all(dir: &Path, waiting: &Receiver<Line>, complain: &dyn Fn(String)) {
    let mut logs: HashMap<Arc<str>, Log> = HashMap::new();
    while let Ok(line) = waiting.recv() {
        let log = logs
            .entry(Arc::clone(&line.process))
            .or_insert_with(|| Log::new(file(dir, &line.process)));
        if let Err(error) = log.append(&line.text)
            && !std::mem::replace(&mut log.complained, true)
        {
            let path = log.path.display();
            complain(format!(
                "{path} cannot be written ({error}); the mesh runs on"
            ));
        }
    }
}

struct Log {
    path: PathBuf,
    open: Option<(File, u64)>,
    complained: bool,
}

impl Log {
    fn new(path: PathBuf) -> Self {
        Self {
            path,
            open: None,
            complained: false,
        }
    }

    fn append(&mut self, text: &str) -> io::Result<()> {
        if self.open.as_ref().is_none_or(|(_, size)| *size > ROTATE_AT) {
            self.open = None;
            self.open = Some((self.rotate()?, 0));
        }
        let Some((file, size)) = &mut self.open else {
            return Ok(());
        };
        let line = format!("{text}\n");
        *size += line.len() as u64;
        file.write_all(line.as_bytes())
    }

    /// What is there becomes the generation before; a new file begins.
    fn rotate(&self) -> io::Result<File> {
        if fs::metadata(&self.path).is_ok_and(|meta| meta.len() > 0) {
            fs::rename(&self.path, self.path.with_extension("log.1"))?;
        }
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn place(name: &str) -> PathBuf {
        let place = std::env::temp_dir().join(format!("glassmesh-{name}-{}", std::process::id()));
        fs::create_dir_all(&place).unwrap();
        place
    }

    #[test]
    fn a_new_run_keeps_the_log_of_the_one_before() {
        let place = place("rotate");
        let path = file(&place, "payments-2/sidecar");
        Log::new(path.clone()).append("old").unwrap();
        Log::new(path.clone()).append("new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new\n");
        let before = place.join("payments-2-sidecar.log.1");
        assert_eq!(fs::read_to_string(before).unwrap(), "old\n");
        fs::remove_dir_all(place).unwrap();
    }

    #[test]
    fn a_log_that_cannot_be_written_is_said_once() {
        let (lines, waiting) = sync_channel(8);
        for _ in 0..3 {
            let text = "lost".to_owned();
            let process = "users-1".into();
            lines.send(Line { process, text }).unwrap();
        }
        drop(lines);
        let said = Mutex::new(Vec::new());
        write_all(Path::new("/nowhere/at/all"), &waiting, &|text| {
            said.lock().unwrap().push(text);
        });
        assert_eq!(said.lock().unwrap().len(), 1);
    }
}
