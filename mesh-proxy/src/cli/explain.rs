//! `explain METHOD URL`: what would become of a request.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

use super::{Report, admin, check, read};
use crate::{
    config::{Policy, check_sidecar},
    error::RunError,
    explain::explain,
};

/// The request, and whose policy to ask.
#[derive(Args, Clone, Debug)]
pub struct ExplainArgs {
    /// Method, as `GET`
    method: Method,
    /// Where the request goes, as `http://payments/charges?dry=1`; a path alone with `-H 'host: payments'`
    #[arg(value_parser = url)]
    url: Uri,
    /// A header of the request; repeatable
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Configuration file whose policy is asked
    #[arg(
        long,
        value_name = "FILE",
        env = "MESH_PROXY_CONFIG",
        required_unless_present = "admin"
    )]
    config: Option<PathBuf>,
    /// Admin API of a running sidecar whose policy is asked
    #[arg(long, value_name = "ADDR")]
    admin: Option<SocketAddr>,
    /// Print JSON, for scripts
    #[arg(long)]
    json: bool,
}

fn url(text: &str) -> Result<Uri, String> {
    let fine = |url: &Uri| url.scheme().is_some() || text.starts_with('/');
    text.parse().ok().filter(fine).ok_or_else(|| {
        "expected a URL, as `http://payments/charges`, or a path, as `/charges`".to_owned()
    })
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let read = || {
        let (name, value) = text.split_once(':')?;
        Some((name.trim().parse().ok()?, value.trim().parse().ok()?))
    };
    read().ok_or_else(|| "expected a name and a value, as `x-user: 7`".to_owned())
}

pub(super) async fn run(args: &ExplainArgs) -> Result<Report, RunError> {
    let (service, policy) = match (args.admin, &args.config) {
        (Some(address), _) => admin::policy(address).await?,
        (None, Some(file)) => {
            let config = read(file)?;
            if !check_sidecar(&config).is_empty() {
                return Ok(check::check(file, args.json));
            }
            (config.service, config.policy)
        }
        (None, None) => return Err(RunError::Missing("--config FILE or --admin ADDR")),
    };
    Ok(told(args, &service, &policy))
}

fn told(args: &ExplainArgs, service: &str, policy: &Policy) -> Report {
    let mut headers = HeaderMap::new();
    for (name, value) in &args.headers {
        headers.append(name, value.clone());
    }
    let explanation = explain(policy, service, &args.method, &args.url, &headers);
    let text = if args.json {
        // Plain data with string keys: writing it cannot fail.
        serde_json::to_string_pretty(&explanation).unwrap_or_default()
    } else {
        explanation.to_string().trim_end().to_owned()
    };
    Report {
        text,
        good: explanation.route.is_some(),
    }
}
