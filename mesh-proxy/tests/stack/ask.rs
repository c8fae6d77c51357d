//! The questions that the binary answers: check, schema, explain.

use std::process::{Command, Output};

use crate::support::{App, Proxy, policy};

fn ask(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mesh-proxy"));
    command.args(words).env_remove("MESH_PROXY_CONFIG");
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A file that is gone with the test.
struct File(std::path::PathBuf);

impl File {
    fn with(name: &str, policy: &str) -> Self {
        let name = format!("mesh-ask-{name}-{}.yaml", std::process::id());
        let path = std::env::temp_dir().join(name);
        let head = "service: orders
instance: orders-1
outbound: { listen: 127.0.0.1:0 }
admin: 127.0.0.1:0
metrics: 127.0.0.1:0
policy:
";
        std::fs::write(&path, format!("{head}{policy}")).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

const FINE: &str = "
  clusters: { payments: { endpoints: ['127.0.0.1:9'] } }
  routes: [{ name: payments, match: { authority: payments }, cluster: payments }]
";

const BAD: &str = "
  clusters: { payments: { endpoints: ['127.0.0.1:9'] } }
  routes: [{ name: a, cluster: nowhere }, { name: b, cluster: payments, deadline: 0s }]
";

#[test]
fn a_good_file_is_fine() {
    let file = File::with("fine", FINE);
    let output = ask(&["check", file.path()]);
    assert!(output.status.success(), "{output:?}");
    assert!(
        said(&output).contains("is fine: 1 route, 1 cluster"),
        "{output:?}"
    );
}

#[test]
fn all_problems_come_at_once_for_people_and_for_scripts() {
    let file = File::with("bad", BAD);
    let output = ask(&["check", file.path()]);
    assert_eq!(output.status.code(), Some(1));
    for key in ["policy.routes[0].cluster: ", "policy.routes[1].deadline: "] {
        assert!(said(&output).contains(key), "{output:?}");
    }
    let output = ask(&["check", file.path(), "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        answer["problems"].as_array().unwrap().len() >= 2,
        "{answer}"
    );
    assert_eq!(answer["problems"][0]["key"], "policy.routes[0].cluster");
}

#[test]
fn a_file_that_is_not_there_is_a_problem_too() {
    let output = ask(&["check", "/no/such/file.yaml", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["problems"].as_array().unwrap().len(), 1, "{answer}");
}

#[test]
fn what_cannot_be_a_request_is_refused_by_its_argument() {
    for words in [
        ["explain", "GET", "payments", "--config", "x"],
        ["explain", "G ET", "http://payments/", "--config", "x"],
    ] {
        let output = ask(&words);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
    let output = ask(&["explain", "GET", "http://payments/"]);
    assert_eq!(output.status.code(), Some(2), "whose policy? {output:?}");
}

#[test]
fn a_file_with_problems_is_not_explained_but_checked() {
    let file = File::with("unexplained", BAD);
    let output = ask(&[
        "explain",
        "GET",
        "http://payments/",
        "--config",
        file.path(),
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("policy.routes[0].cluster"),
        "{output:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_sidecar_is_asked_for_its_policy() {
    let app = App::fine().await;
    let routes = "
clusters: { payments: { endpoints: [$app] } }
routes: [{ name: payments, match: { authority: payments }, cluster: payments }]
";
    let proxy = Proxy::outbound(policy(routes, &[("app", app.address)]));
    let admin = proxy.sidecar.admin_address().to_string();
    let explain = move || {
        ask(&[
            "explain",
            "GET",
            "http://payments/",
            "--json",
            "--admin",
            &admin,
        ])
    };
    let output = tokio::task::spawn_blocking(explain).await.unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {output:?}"));
    assert!(answer.get("passed_over").is_some(), "{answer}");
}

#[test]
fn a_sidecar_that_is_not_there_is_named() {
    let output = ask(&[
        "explain",
        "GET",
        "http://payments/",
        "--admin",
        "127.0.0.1:1",
    ]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(told.contains("127.0.0.1:1"), "{told}");
}
