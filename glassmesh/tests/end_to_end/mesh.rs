//! A running mesh, and what tests ask of it.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use http::{HeaderMap, Method, Uri};
use mesh_console::mesh_file::{Instances, LocalAddresses, MeshFile};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::time::Instant;

use crate::http_client::{self, Call};

/// Generous: the machine may be busy and the build unoptimised.
const PATIENCE: Duration = Duration::from_mins(1);

/// Every port is any free one.
const FREE_PORTS: [&str; 10] = [
    "--console-port",
    "0",
    "--shop-port",
    "0",
    "--otlp-grpc-port",
    "0",
    "--otlp-http-port",
    "0",
    "--internal-port",
    "0",
];

/// Where commands look that are typed beside the mesh.
const DATA: &str = ".glassmesh";

/// The binary under test.
pub(crate) fn glassmesh() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_glassmesh"));
    // What stands in the environment of whoever runs the tests must not matter.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GLASSMESH_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// A directory of its own for one mesh.
pub(crate) fn place() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("glassmesh-test-{}-{number}", std::process::id());
    let place = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&place).unwrap();
    place
}

/// Asks again and again until there is an answer.
pub(crate) async fn eventually<T>(what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
    let limit = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(
            Instant::now() < limit,
            "waited {PATIENCE:?} in vain for: {what}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A mesh without load, on free ports, in a directory of its own.
pub(crate) struct Mesh {
    supervisor: Child,
    place: PathBuf,
    facts: Value,
    file: MeshFile,
}

impl Mesh {
    /// Starts it; every process is ready when this returns.
    pub(crate) async fn start() -> Self {
        Self::start_in(place(), &[]).await
    }

    /// Starts the mesh of this file.
    pub(crate) async fn start_of(file: &str) -> Self {
        let place = place();
        let path = place.join("mesh.yaml");
        std::fs::write(&path, file).unwrap();
        Self::start_in(place, &["--config", path.to_str().unwrap()]).await
    }

    async fn start_in(place: PathBuf, more: &[&str]) -> Self {
        let said = File::create(place.join("said")).unwrap();
        let mut supervisor = glassmesh()
            .args(["up", "--json", "--rps", "0", "--data-dir"])
            .arg(place.join(DATA))
            .args(FREE_PORTS)
            .args(more)
            .stdout(Stdio::piped())
            .stderr(said)
            .spawn()
            .unwrap();
        let stdout = supervisor.stdout.take().unwrap();
        let line = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).map(|_| line)
        });
        let line = tokio::time::timeout(PATIENCE, line).await;
        let line = line.expect("ready in time").unwrap().unwrap();
        let Ok(facts) = serde_json::from_str(&line) else {
            let said = std::fs::read_to_string(place.join("said")).unwrap();
            panic!("the mesh does not start:\n{said}");
        };
        let file = std::fs::read_to_string(place.join(DATA).join("run/mesh.yaml")).unwrap();
        Self {
            supervisor,
            file: MeshFile::parse(&file).unwrap(),
            place,
            facts,
        }
    }

    /// A command line that talks to this mesh's console, typed beside its data.
    pub(crate) fn cli(&self, words: &[&str]) -> Cli {
        let mut command = glassmesh();
        command.args(words).current_dir(&self.place);
        command.env("GLASSMESH_CONSOLE", self.fact("console"));
        Cli(command)
    }

    /// `GET` of the console's API.
    pub(crate) async fn console(&self, path: &str) -> anyhow::Result<Value> {
        let url = format!("{}{path}", self.fact("console"));
        Ok(serde_json::from_slice(&get(&url).await?)?)
    }

    /// The policy that an instance's sidecar holds.
    pub(crate) async fn policy(&self, instance: &str) -> Value {
        let admin = self.addresses(instance).admin;
        let config = get(&format!("http://{admin}/config")).await.unwrap();
        let mut config: Value = serde_json::from_slice(&config).unwrap();
        config["policy"].take()
    }

    fn addresses(&self, instance: &str) -> &LocalAddresses {
        let all = self.file.services.values();
        let listed = all.filter_map(|service| match &service.instances {
            Instances::Listed(listed) => Some(listed),
            Instances::Count(_) => None,
        });
        let mut named = listed.flatten().filter(|one| one.name == instance);
        named.next().unwrap().local.as_ref().unwrap()
    }

    /// Sum of a metric over its series, on the page of an instance's sidecar.
    pub(crate) async fn sum(&self, instance: &str, series: &str) -> f64 {
        let metrics = self.addresses(instance).metrics;
        let page = get(&format!("http://{metrics}/metrics")).await.unwrap();
        let page = String::from_utf8(page).unwrap();
        let values = page.lines().filter(|line| line.starts_with(series));
        let value = |line: &str| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
        values.map(value).sum()
    }

    /// Kills a process by its name, as it was started first.
    pub(crate) fn kill(&self, name: &str) {
        self.signal(name, Signal::KILL);
    }

    /// Sends a signal to a process by its name, as it was started first.
    pub(crate) fn signal(&self, name: &str, number: Signal) {
        let processes = self.facts["processes"].as_array().unwrap();
        let process = processes.iter().find(|one| one["name"] == name).unwrap();
        signal(process["pid"].as_i64().unwrap(), number);
    }

    pub(crate) fn signal_supervisor(&self, number: Signal) {
        signal(i64::from(self.supervisor.id()), number);
    }

    pub(crate) fn kill_supervisor(&mut self) {
        self.supervisor.kill().unwrap();
        self.supervisor.wait().unwrap();
    }

    /// Until the supervisor has written this.
    pub(crate) async fn until_said(&self, wanted: &str) {
        let said = self.place.join("said");
        eventually(wanted, async || {
            let said = std::fs::read_to_string(&said).unwrap();
            said.contains(wanted).then_some(())
        })
        .await;
    }

    /// As Ctrl-C does: everything ends, nothing is left, exit code 0.
    pub(crate) async fn interrupt(&mut self) {
        signal(i64::from(self.supervisor.id()), Signal::INT);
        let limit = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.supervisor.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < limit, "the mesh does not end");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert_eq!(status.code(), Some(0), "exit code of a clean stop");
        assert_eq!(self.processes(), [""; 0], "processes are left");
        assert!(!self.place.join(DATA).join("run/mesh.yaml").exists());
        self.assert_ports_are_free();
    }

    /// Command lines of this mesh's children that still run.
    pub(crate) fn processes(&self) -> Vec<String> {
        let all = Command::new("ps")
            .args(["-axo", "pid=,stat=,args="])
            .output();
        let all = String::from_utf8_lossy(&all.unwrap().stdout).into_owned();
        let (place, console) = (self.place.display().to_string(), self.fact("console"));
        let ours = |line: &&str| line.contains(&place) || line.contains(console);
        all.lines().filter(ours).map(str::to_owned).collect()
    }

    pub(crate) fn assert_ports_are_free(&self) {
        for listener in self.file.listeners() {
            let bound = TcpListener::bind(listener.addr);
            assert!(bound.is_ok(), "{} is not free: {bound:?}", listener.purpose);
        }
    }

    pub(crate) fn fact(&self, name: &str) -> &str {
        self.facts[name].as_str().unwrap()
    }
}

impl Drop for Mesh {
    /// A failed test leaves no mesh behind, but the files that say why it failed.
    fn drop(&mut self) {
        let _ = self.supervisor.kill();
        let _ = self.supervisor.wait();
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.place);
        }
    }
}

/// A call of the command line.
pub(crate) struct Cli(Command);

impl Cli {
    pub(crate) fn args<const N: usize>(mut self, more: [&str; N]) -> Self {
        self.0.args(more);
        self
    }

    /// What it prints; it must succeed.
    pub(crate) fn text(mut self) -> String {
        let output = self.0.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{:?}: {said}", self.0);
        String::from_utf8(output.stdout).unwrap()
    }

    /// However it ends.
    pub(crate) fn output(mut self) -> std::process::Output {
        self.0.output().unwrap()
    }

    pub(crate) fn json(self) -> Value {
        let text = self.args(["--json"]).text();
        serde_json::from_str(&text).unwrap()
    }
}

async fn get(url: &str) -> anyhow::Result<Vec<u8>> {
    let url: Uri = url.parse()?;
    let call = Call {
        method: Method::GET,
        url: &url,
        headers: HeaderMap::new(),
        body: Vec::new(),
        timeout: Duration::from_secs(10),
    };
    let (status, body) = http_client::send(call).await?;
    anyhow::ensure!(status.is_success(), "{url} answered {status}");
    Ok(body.to_vec())
}

fn signal(pid: i64, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    kill_process(pid.unwrap(), signal).unwrap();
}
