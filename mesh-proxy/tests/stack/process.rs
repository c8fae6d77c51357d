//! The sidecar as a process: the real binary with a real file.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpStream;

use crate::support::{get, send};

/// A folder that is gone with the test.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("mesh-process-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.join("sidecar.yaml")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Addresses of one sidecar: outbound, admin, metrics. Their ports were free a moment
/// ago, and are not among those that the kernel gives to whoever asks for any.
#[derive(Clone, Copy)]
pub(crate) struct Ports(pub(crate) [SocketAddr; 3]);

impl Ports {
    pub(crate) fn free() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let begin = u16::try_from(std::process::id() % 1000).unwrap() * 20;
        let free = || loop {
            let port = 10_000 + (begin + NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            if TcpListener::bind(address).is_ok() {
                return address;
            }
        };
        Self([free(), free(), free()])
    }

    /// A configuration that answers every request with this text.
    pub(crate) fn answering(self, text: &str) -> String {
        let [outbound, admin, metrics] = self.0;
        format!(
            "service: orders
instance: orders-1
outbound: {{ listen: '{outbound}' }}
admin: {admin}
metrics: {metrics}
policy:
  clusters: {{ {text}: {{ endpoints: ['127.0.0.1:9'] }} }}
"
        )
    }
}

/// `mesh-proxy` as a process of its own.
pub(crate) struct Running {
    child: Child,
    ports: Ports,
    said: Arc<Mutex<Vec<String>>>,
}

impl Running {
    pub(crate) async fn start(file: &Path, ports: Ports, more: &[&str]) -> Self {
        Self::start_in(file, ports, more, &[]).await
    }

    /// The same with these variables in its environment.
    pub(crate) async fn start_in(
        file: &Path,
        ports: Ports,
        more: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_mesh-proxy"))
            .arg("--config")
            .arg(file)
            .args(more)
            .env("RUST_LOG", "info")
            .envs(environment.iter().copied())
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(Vec::new()));
        let (lines, log) = (
            BufReader::new(child.stderr.take().unwrap()),
            Arc::clone(&said),
        );
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                log.lock().unwrap().push(line);
            }
        });
        let running = Self { child, ports, said };
        until("it listens", async || {
            let [outbound, admin, metrics] = ports.0.map(TcpStream::connect);
            outbound.await.is_ok() && admin.await.is_ok() && metrics.await.is_ok()
        })
        .await;
        running
    }

    /// Names of the clusters in force.
    pub(crate) async fn clusters(&self) -> Vec<String> {
        let answer = send(self.ports.0[1], get("localhost", "/config")).await;
        let config: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let clusters = config["policy"]["clusters"].as_object().unwrap();
        clusters.keys().cloned().collect()
    }

    pub(crate) async fn until_in_force(&self, name: &str) {
        until(name, async || self.clusters().await == [name]).await;
    }

    /// Value of one series, with its labels as they stand on the page; 0 where there is none.
    pub(crate) async fn metric(&self, series: &str) -> f64 {
        let answer = send(self.ports.0[2], get("localhost", "/metrics")).await;
        let page = String::from_utf8(answer.body.to_vec()).unwrap();
        let mut values = page
            .lines()
            .filter_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        values
            .next_back()
            .map_or(0.0, |value| value.parse().unwrap())
    }

    /// Waits until a series is at least so much.
    pub(crate) async fn until_metric(&self, series: &str, least: f64) {
        until(series, async || self.metric(series).await >= least).await;
    }

    pub(crate) async fn until_refused(&self, times: f64) {
        self.until_metric("mesh_config_rejected_total", times).await;
        assert!(self.metric("mesh_config_last_reload_successful").await < 0.5);
    }

    pub(crate) fn times_said(&self, part: &str) -> usize {
        let said = self.said.lock().unwrap();
        said.iter().filter(|line| line.contains(part)).count()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Ends it as a supervisor would; it must end well.
    pub(crate) fn stop(mut self) {
        self.signal(Signal::TERM);
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    for _ in 0..600 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("waited in vain until {what}");
}
