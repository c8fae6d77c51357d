//! `glassmesh health URL`: the health check of a container that has no shell.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::Args;
use http::{HeaderMap, Method, Uri};

use crate::{
    failure::Failure,
    http_client::{self, Call},
};

/// Shorter than what container engines wait for a check (Compose: 3 s here).
const TIMEOUT: Duration = Duration::from_secs(2);

/// Whom to ask.
#[derive(Args, Debug)]
pub(crate) struct HealthArgs {
    /// What answers 200 when all is well
    #[arg(value_name = "URL", value_parser = url)]
    url: Uri,
}

pub(crate) const EXAMPLES: &str = "\
Examples:
  glassmesh health http://127.0.0.1:4090/health/ready     exit code 0: the console is ready
  glassmesh health http://127.0.0.1:9102/health/live && echo alive";

fn url(text: &str) -> Result<Uri, String> {
    let wrong = || "expected a URL, as http://127.0.0.1:4090/health/ready".to_owned();
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    if uri.scheme_str() == Some("http") && uri.authority().is_some() {
        Ok(uri)
    } else {
        Err(wrong())
    }
}

/// Succeeds when the answer is a success.
pub(crate) async fn run(args: HealthArgs) -> Result<(), Failure> {
    let (status, body) = http_client::send(Call {
        method: Method::GET,
        url: &args.url,
        headers: HeaderMap::new(),
        body: Vec::new(),
        timeout: TIMEOUT,
    })
    .await
    .with_context(|| args.url.to_string())?;
    if status.is_success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&body);
    Err(anyhow!("{} answers {status}: {}", args.url, said.trim()).into())
}
