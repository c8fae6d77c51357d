//! `glassmesh run`: unmodified programs in another language join a mesh.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Output, Stdio},
};

use http::{HeaderMap, Method};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{
    http_client::{self, Call},
    mesh::{eventually, glassmesh, place},
};

/// An ordinary service: answers with its name and, under `/ask`, with what another
/// service said. It has a way of its own to end.
const SERVICE: &str = "
import http.server, os, signal, sys, urllib.request

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = os.environ['OTEL_SERVICE_NAME']
        if self.path.startswith('/ask'):
            text += ' asked ' + urllib.request.urlopen('http://back/').read().decode()
        self.send_response(200)
        self.send_header('content-length', str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(('127.0.0.1', int(os.environ['PORT'])), Handler)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
print('listening', flush=True)
server.serve_forever()
";

/// A script that asks and ends with an exit code of its own.
const ASK: &str = "
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1]).read().decode())
sys.exit(7)
";

/// These tests are about programs that are not ours: without one there is nothing to test.
fn has_python() -> bool {
    let asked = Command::new("python3").arg("--version").output();
    asked.is_ok_and(|output| output.status.success())
}

/// A process that is gone with the test.
struct Running(Child);

impl Running {
    fn signal(&self, number: Signal) {
        let pid = Pid::from_raw(self.0.id().cast_signed()).unwrap();
        kill_process(pid, number).unwrap();
    }

    fn exit_code(mut self) -> Option<i32> {
        self.0.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Not killed: its own child would be left behind.
        if let Some(pid) = Pid::from_raw(self.0.id().cast_signed()) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = self.0.wait();
    }
}

fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// A plain service without any sidecar.
fn plain(text: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            std::thread::spawn(move || {
                let mut seen = [0; 4096];
                let _ = stream.read(&mut seen);
                let length = text.len();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}"
                );
                let _ = std::io::Write::write_all(&mut stream, answer.as_bytes());
            });
        }
    });
    address
}

/// A console whose mesh has one service, which is not one of ours.
async fn console(back: SocketAddr) -> (Running, String) {
    let ports = [free(), free(), free()].map(|address| address.port());
    let place = place();
    let file = place.join("mesh.yaml");
    let text = format!(
        "mesh: m
ports: {{ console: {}, otlp_grpc: {}, otlp_http: {} }}
services: {{ back: {{ instances: [{{ name: back-1, inbound: '{back}' }}] }} }}",
        ports[0], ports[1], ports[2]
    );
    std::fs::write(&file, text).unwrap();
    let mut command = glassmesh();
    command.args(["console", "--mesh"]).arg(&file);
    let running = Running(command.spawn().unwrap());
    let url = format!("http://127.0.0.1:{}", ports[0]);
    eventually("the console", async || overview(&url).await).await;
    std::fs::remove_dir_all(place).unwrap();
    (running, url)
}

async fn overview(console: &str) -> Option<Value> {
    let url = format!("{console}/api/mesh/overview").parse().unwrap();
    let call = Call {
        method: Method::GET,
        url: &url,
        headers: HeaderMap::new(),
        body: Vec::new(),
        timeout: std::time::Duration::from_secs(5),
    };
    let (_, body) = http_client::send(call).await.ok()?;
    serde_json::from_slice(&body).ok()
}

fn connected(overview: &Value, service: &str) -> bool {
    let services = overview["services"].as_array().unwrap();
    services
        .iter()
        .any(|one| one["name"] == service && one["instances"][0]["connected"] == Value::Bool(true))
}

fn run(name: &str, options: &[&str], script: &str, argument: &str) -> Command {
    let mut command = glassmesh();
    command.args(["run", "--name", name]).args(options);
    command.args(["--", "python3", "-c", script, argument]);
    // A proxy of whoever runs the tests must not matter either.
    command
        .env("HTTP_PROXY", "http://127.0.0.1:1")
        .env("no_proxy", "back,reviews");
    command
}

/// Starts a service and waits until it listens.
fn start(command: &mut Command) -> Running {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    lines.read_line(&mut first).unwrap();
    assert_eq!(first, "listening\n");
    Running(child)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unmodified_service_joins_a_mesh_calls_and_is_called() {
    if !has_python() {
        return;
    }
    let (_console, url) = console(plain("back")).await;
    let mut reviews = run("reviews", &["--port", "0", "--console", &url], SERVICE, "");
    let reviews = start(&mut reviews);
    let seen = overview(&url).await.unwrap();
    assert!(connected(&seen, "reviews"), "{seen:#}");

    let mut script = run("script", &["--console", &url], ASK, "http://reviews/ask");
    let output = tokio::task::spawn_blocking(move || script.output().unwrap())
        .await
        .unwrap();
    assert_eq!(said(&output), "reviews asked back", "{output:?}");
    assert_eq!(output.status.code(), Some(7), "the command's own exit code");
    eventually("its call is seen", async || {
        let edges = overview(&url).await?["edges"].clone();
        let mut edges = edges.as_array().unwrap().iter();
        let seen = edges.any(|edge| edge["source"] == "reviews" && edge["destination"] == "back");
        seen.then_some(())
    })
    .await;

    reviews.signal(Signal::TERM);
    let code = tokio::task::spawn_blocking(|| reviews.exit_code()).await;
    assert_eq!(code.unwrap(), Some(3), "the signal reached it");
    eventually("the guest is forgotten", async || {
        let seen = overview(&url).await?;
        (!connected(&seen, "reviews")).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_console_addresses_are_enough() {
    if !has_python() {
        return;
    }
    let back = format!("back={}", plain("hello"));
    let mut command = run("orders", &["--cluster", &back], ASK, "http://back/");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = output.await.unwrap();
    assert_eq!(said(&output), "hello", "{output:?}");
    assert_eq!(output.status.code(), Some(7));
}

#[test]
fn without_a_mesh_it_says_what_to_do() {
    let nowhere = format!("http://{}", free());
    let output = glassmesh()
        .args(["run", "--name", "a", "--console", &nowhere, "--", "true"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("--cluster") && told.contains(&nowhere),
        "{told}"
    );
}

#[test]
fn a_command_that_is_not_there_is_named() {
    let output = glassmesh()
        .args(["run", "--name", "a", "--cluster", "b=127.0.0.1:9"])
        .args(["--", "/no/such/command"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("/no/such/command"), "{told}");
}
