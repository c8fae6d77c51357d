//! What cannot be started says why, all of it, and starts nothing.

use std::{net::TcpListener, process::Output};

use crate::{
    ONE_AT_A_TIME,
    mesh::{glassmesh, place},
};

fn refused(words: &[&str]) -> (Output, String) {
    let _turn = ONE_AT_A_TIME.blocking_lock();
    let place = place();
    let output = glassmesh()
        .args(["up", "--rps", "0", "--internal-port", "0", "--data-dir"])
        .arg(place.join("data"))
        .args(words)
        .output()
        .unwrap();
    std::fs::remove_dir_all(place).unwrap();
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    (output, said)
}

#[test]
fn port_collisions_name_setting_and_holder_all_at_once() {
    let console = TcpListener::bind("127.0.0.1:0").unwrap();
    let shop = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port().to_string();
    let (console, shop) = (&console, &shop);
    let (output, said) = refused(&[
        "--console-port",
        &port(console),
        "--shop-port",
        &port(shop),
        "--otlp-grpc-port",
        "0",
        "--otlp-http-port",
        "0",
    ]);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for wanted in [
        "2 ports are not free",
        "ports.console",
        "--console-port",
        "services.gateway.expose",
        "--shop-port",
        &port(console),
        &port(shop),
    ] {
        assert!(said.contains(wanted), "no {wanted} in: {said}");
    }
    if cfg!(target_os = "linux") {
        let holder = format!("process id {}", std::process::id());
        assert!(said.contains(&holder), "no {holder} in: {said}");
    }
}

#[test]
fn every_problem_of_a_mesh_file_is_named_with_its_key() {
    let place = place();
    let file = place.join("mesh.yaml");
    let text = "
mesh: broken
services:
  gateway: { expose: 4080, calls: [nobody] }
  oracle: {}
";
    std::fs::write(&file, text).unwrap();
    let (output, said) = refused(&["--config", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for wanted in ["services.gateway.calls", "nobody", "services.oracle"] {
        assert!(said.contains(wanted), "no {wanted} in: {said}");
    }
    std::fs::remove_dir_all(place).unwrap();
}

#[test]
fn without_a_console_the_command_line_says_what_to_start() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let output = glassmesh()
        .args(["chaos", "list", "--console", &url])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains(&url) && said.contains("glassmesh up"),
        "{said}"
    );
}
