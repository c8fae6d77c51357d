//! The console's API, as the command line uses it.

use std::{fmt, path::Path, time::Duration};

use anyhow::{Context as _, anyhow};
use clap::Args;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use mesh_console::{
    api::{
        ApiError, ChaosState, Overview, RulePatch, RuleState, ScenarioStart, ScenarioState,
        TraceSummary,
    },
    mesh_file::MeshFile,
};
use mesh_proxy::config::Rule;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    failure::{Failure, Refused},
    http_client,
    up::data_dir,
};

/// Longest wait for an answer of the console.
const PATIENCE: Duration = Duration::from_secs(10);

/// No console answers.
#[derive(Debug)]
pub(crate) struct Unreachable(String);

impl fmt::Display for Unreachable {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.0)
    }
}

/// Where to find the console.
#[derive(Args, Debug)]
pub(crate) struct ConsoleAt {
    /// Base URL of the console; default: the mesh running in ./.glassmesh, else `http://127.0.0.1:4090`
    #[arg(long, env = "GLASSMESH_CONSOLE", value_name = "URL")]
    console: Option<Uri>,
    /// Print JSON, for scripts
    #[arg(long)]
    pub(crate) json: bool,
}

impl ConsoleAt {
    /// A client; says what is wrong with a URL that cannot be one.
    pub(crate) fn client(&self) -> Result<ConsoleClient, Failure> {
        let base = base(self.console.as_ref())?;
        Ok(ConsoleClient { base })
    }

    /// Whether the console that is meant is the one of the mesh that runs here.
    pub(crate) fn is_here(&self) -> bool {
        self.console.as_ref().is_none_or(|asked| {
            running_here().is_some_and(|here| here.authority() == asked.authority())
        })
    }
}

/// Base URL of the console: the one that is asked for, or the one that is likely meant.
pub(crate) fn base(asked: Option<&Uri>) -> Result<Uri, Failure> {
    let base = match asked {
        Some(url) => url.clone(),
        None => running_here().unwrap_or_else(|| Uri::from_static("http://127.0.0.1:4090")),
    };
    if base.scheme_str() != Some("http") || base.authority().is_none() {
        return Err(Failure::Invalid(format!(
            "--console: `{base}` is no base URL: write it as http://127.0.0.1:4090"
        )));
    }
    Ok(base)
}

/// The console of the mesh whose data directory is here.
fn running_here() -> Option<Uri> {
    let file = data_dir::resolved_mesh_file(Path::new(data_dir::DEFAULT));
    let mesh = MeshFile::parse(&std::fs::read_to_string(file).ok()?).ok()?;
    let at = std::net::SocketAddr::new(mesh.ports.host, mesh.ports.console);
    format!("http://{at}").parse().ok()
}

/// Calls to one console.
pub(crate) struct ConsoleClient {
    base: Uri,
}

impl ConsoleClient {
    pub(crate) fn new(base: Uri) -> Self {
        Self { base }
    }

    /// The mesh as it is now.
    pub(crate) async fn overview(&self) -> anyhow::Result<Overview> {
        self.get("/api/mesh/overview").await
    }

    /// Refuses a name that is no service, and says which are.
    pub(crate) async fn known_service(&self, name: &str) -> Result<(), Failure> {
        let services = self.overview().await?.services;
        if services.iter().any(|service| service.name == name) {
            return Ok(());
        }
        let known: Vec<&str> = services.iter().map(|one| one.name.as_str()).collect();
        Err(Failure::Invalid(format!(
            "`{name}` is no service of this mesh; known are: {}",
            known.join(", ")
        )))
    }

    /// An answer that goes on, line by line.
    pub(crate) async fn lines(&self, path: &str) -> anyhow::Result<http_client::Lines> {
        let url = self.url(path)?;
        let call = http_client::Call {
            method: Method::GET,
            url: &url,
            headers: HeaderMap::new(),
            body: Vec::new(),
            timeout: PATIENCE,
        };
        match http_client::lines(call).await {
            Ok((StatusCode::OK, lines)) => Ok(lines),
            Ok((status, _)) => Err(anyhow!(
                "the console answered {status}; is it of the same version?"
            )),
            Err(error) => Err(error.context(self.unreachable())),
        }
    }

    /// Rules and how many sidecars hold them.
    pub(crate) async fn chaos(&self) -> anyhow::Result<ChaosState> {
        self.get("/api/mesh/chaos").await
    }

    /// Adds a rule, or replaces the one of the same id.
    pub(crate) async fn add_rule(&self, rule: &Rule) -> anyhow::Result<RuleState> {
        self.write(Method::POST, "/api/mesh/chaos", rule).await
    }

    /// Turns a rule on or off.
    pub(crate) async fn switch_rule(&self, id: &str, enabled: bool) -> anyhow::Result<RuleState> {
        let path = format!("/api/mesh/chaos/{}", checked_id(id)?);
        self.write(Method::PATCH, &path, &RulePatch { enabled })
            .await
    }

    /// Removes a rule.
    pub(crate) async fn remove_rule(&self, id: &str) -> anyhow::Result<()> {
        let path = format!("/api/mesh/chaos/{}", checked_id(id)?);
        self.call(Method::DELETE, &path, Vec::new()).await.map(drop)
    }

    /// Turns every rule off.
    pub(crate) async fn halt(&self) -> anyhow::Result<()> {
        let body = b"{}".to_vec();
        self.call(Method::POST, "/api/mesh/chaos/halt", body)
            .await
            .map(drop)
    }

    /// The menu of scenarios.
    pub(crate) async fn scenarios(&self) -> anyhow::Result<Vec<ScenarioState>> {
        self.get("/api/mesh/scenarios").await
    }

    /// Starts one.
    pub(crate) async fn start_scenario(
        &self,
        id: &str,
        wanted: &ScenarioStart,
    ) -> anyhow::Result<ScenarioState> {
        let path = format!("/api/mesh/scenarios/{}", checked_id(id)?);
        self.write(Method::POST, &path, wanted).await
    }

    /// Stops one.
    pub(crate) async fn stop_scenario(&self, id: &str) -> anyhow::Result<ScenarioState> {
        let path = format!("/api/mesh/scenarios/{}", checked_id(id)?);
        parse(&self.call(Method::DELETE, &path, Vec::new()).await?)
    }

    /// Has a mystery told, and stops it.
    pub(crate) async fn reveal_scenario(&self, id: &str) -> anyhow::Result<ScenarioState> {
        let path = format!("/api/mesh/scenarios/{}/reveal", checked_id(id)?);
        let nothing = serde_json::json!({});
        self.write(Method::POST, &path, &nothing).await
    }

    /// The newest trace that a rule hit; none: the console holds none.
    pub(crate) async fn trace_of_rule(&self, id: &str) -> anyhow::Result<Option<TraceSummary>> {
        let path = format!("/api/mesh/traces?rule={}&limit=1", checked_id(id)?);
        let newest: Vec<TraceSummary> = self.get(&path).await?;
        Ok(newest.into_iter().next())
    }

    /// The newest traces that pass a filter (`all`, `faulted`, …), newest first.
    pub(crate) async fn traces(
        &self,
        filter: &str,
        limit: usize,
    ) -> anyhow::Result<Vec<TraceSummary>> {
        self.get(&format!("/api/mesh/traces?filter={filter}&limit={limit}"))
            .await
    }

    /// A whole trace in Jaeger's form; none: the console does not hold it.
    pub(crate) async fn trace(&self, id: &str) -> anyhow::Result<Option<Value>> {
        let path = format!("/api/traces/{}", checked_id(id)?);
        match self.send(Method::GET, &path, Vec::new()).await? {
            (StatusCode::NOT_FOUND, _) => Ok(None),
            (status, body) => parse(&success(status, body)?).map(Some),
        }
    }

    /// Adds an entry to the console's list of what happened.
    pub(crate) async fn post_activity(&self, kind: &str, text: &str) -> anyhow::Result<()> {
        let entry = serde_json::json!({ "kind": kind, "text": text });
        let body = serde_json::to_vec(&entry)?;
        self.call(Method::POST, "/api/mesh/activity", body)
            .await
            .map(drop)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        parse(&self.call(Method::GET, path, Vec::new()).await?)
    }

    async fn write<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        parse(&self.call(method, path, serde_json::to_vec(body)?).await?)
    }

    async fn call(&self, method: Method, path: &str, body: Vec<u8>) -> anyhow::Result<Vec<u8>> {
        let (status, body) = self.send(method, path, body).await?;
        success(status, body)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> anyhow::Result<(StatusCode, Vec<u8>)> {
        let url = self.url(path)?;
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        // The console takes writes only with a header that no foreign page can send.
        headers.insert("x-glassmesh", HeaderValue::from_static("1"));
        let call = http_client::Call {
            method,
            url: &url,
            headers,
            body,
            timeout: PATIENCE,
        };
        let (status, body) = http_client::send(call)
            .await
            .with_context(|| Unreachable(self.unreachable()))?;
        Ok((status, body.to_vec()))
    }

    fn url(&self, path: &str) -> anyhow::Result<Uri> {
        let base = self.base.to_string();
        Ok(format!("{}{path}", base.trim_end_matches('/')).parse()?)
    }

    fn unreachable(&self) -> String {
        format!(
            "no console answers at {}; start a mesh with `glassmesh up`, or say where one runs with --console URL",
            self.base
        )
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> anyhow::Result<T> {
    serde_json::from_slice(body)
        .context("the console's answer is not understood; is it of the same version?")
}

fn success(status: StatusCode, body: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    if status.is_success() {
        return Ok(body);
    }
    let Ok(error) = serde_json::from_slice::<ApiError>(&body) else {
        let text = String::from_utf8_lossy(&body);
        return Err(anyhow!("the console answered {status}: {}", text.trim()));
    };
    let text = told(error);
    if status.is_client_error() {
        return Err(Refused(text).into());
    }
    Err(anyhow!(text))
}

/// The message, and below it each problem that it does not name already.
fn told(error: ApiError) -> String {
    let mut text = error.message;
    if error.code == "not_found" {
        text.push_str("; is what answers there a console, and of the same version?");
    }
    for problem in error.problems {
        let problem = problem.to_string();
        if !text.contains(&problem) {
            text.push_str("\n  ");
            text.push_str(&problem);
        }
    }
    text
}

/// Ids stand in paths: nothing else may get there.
fn checked_id(id: &str) -> anyhow::Result<&str> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !id.is_empty() && id.chars().all(fine) {
        Ok(id)
    } else {
        let why = format!("`{id}` is no id: ids consist of letters, digits and `-`");
        Err(Refused(why).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: StatusCode, body: &str) -> Failure {
        success(status, body.as_bytes().to_vec())
            .unwrap_err()
            .into()
    }

    #[test]
    fn a_problem_that_the_message_names_is_not_said_twice() {
        let problem = r#"{"key": "where", "message": "no such place"}"#;
        for (message, lines) in [("rule `x`: where: no such place", 1), ("two problems", 2)] {
            let body = format!(
                r#"{{"code": "bad_rule", "message": "{message}", "problems": [{problem}]}}"#
            );
            let Failure::Invalid(text) = answer(StatusCode::BAD_REQUEST, &body) else {
                panic!("{message}: asked wrongly, and not said so");
            };
            assert_eq!(text.lines().count(), lines, "{text}");
        }
    }

    #[test]
    fn what_was_asked_wrongly_is_told_apart_from_what_did_not_work() {
        let body = r#"{"code": "unknown_rule", "message": "there is no rule `x`"}"#;
        assert!(matches!(
            answer(StatusCode::NOT_FOUND, body),
            Failure::Invalid(_)
        ));
        let body = r#"{"code": "internal", "message": "it broke"}"#;
        assert!(matches!(
            answer(StatusCode::INTERNAL_SERVER_ERROR, body),
            Failure::Failed(_)
        ));
    }
}
