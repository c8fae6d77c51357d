//! `glassmesh chaos replay`: the request of a trace once more, with the same fate.

mod fates;
mod request;
mod told;
mod why;

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use tokio::time::Instant;

use crate::{
    console_client::{ConsoleAt, ConsoleClient},
    failure::Failure,
    http_client::{self, Call},
    out,
    trace::{self, Trace, Which},
};
use fates::Fate;
use request::Asked;

pub(super) const EXAMPLES: &str = "\
Examples:
  glassmesh chaos replay latest --filter faulted
  glassmesh chaos replay 4bf92f35
  glassmesh chaos replay 4bf92f35 --data '{\"user_id\": 1, \"items\": [{\"product_id\": 1, \"quantity\": 1}]}'
  glassmesh chaos replay 4bf92f35 --data @order.json --header 'x-user: ann' --json

The request is sent to the edge of the mesh as a new trace, whose baggage (`mesh.fate`) makes
every rule draw as it drew for the old one. A trace holds no bodies, queries and headers: give
those that matter. Exit code 0: the same rules hit the same attempts; 1: they did not.";

/// How long a new trace may take until the console holds it.
const PATIENCE: Duration = Duration::from_secs(8);
const PAUSE: Duration = Duration::from_millis(100);
/// How long an answer may take; hanging is a fault, too.
const ANSWER: Duration = Duration::from_secs(30);

#[derive(Args, Debug)]
pub(super) struct ReplayArgs {
    #[command(flatten)]
    which: Which,
    /// Body of the request; @FILE reads it from a file, @- from stdin
    #[arg(long, value_name = "TEXT|@FILE")]
    data: Option<String>,
    /// Query of the request, where it had one, as page=2
    #[arg(long, value_name = "QUERY")]
    query: Option<String>,
    /// A header of the request; repeatable
    #[arg(long, value_name = "NAME: VALUE", value_parser = header)]
    header: Vec<(HeaderName, HeaderValue)>,
    /// Base URL to send it to; default: where callers outside reach the mesh
    #[arg(long, value_name = "URL")]
    to: Option<Uri>,
    #[command(flatten)]
    at: ConsoleAt,
}

/// A request that was sent again.
struct Replay {
    /// The trace that was asked for, and the one whose fate both meet.
    old: Trace,
    fate: Fate,
    asked: Asked,
    status: Result<StatusCode, String>,
    /// The new trace, if the console came to hold it.
    id: String,
    new: Option<Trace>,
}

pub(super) async fn run(args: ReplayArgs) -> Result<(), Failure> {
    let client = args.at.client()?;
    let old = trace::load(&client, &args.which).await?;
    let mut asked = Asked::of(&old).map_err(Failure::Invalid)?;
    asked.complete(&args, &client).await?;
    let replay = send(&client, old, asked, &args).await?;
    let verdict = why::judge(&replay, &client.chaos().await?);
    if args.at.json {
        out::json(&told::json(&replay, &verdict))?;
    } else {
        told::lines(&replay, &verdict).iter().for_each(out::line);
    }
    if verdict.same {
        Ok(())
    } else {
        Err(Failure::Told)
    }
}

async fn send(
    client: &ConsoleClient,
    old: Trace,
    asked: Asked,
    args: &ReplayArgs,
) -> Result<Replay, Failure> {
    let fate = Fate::of(&old);
    let id = format!("{:032x}", rand::random::<u128>().max(1));
    let headers = headers(&id, &fate, &asked, args)?;
    let call = Call {
        method: asked.method.clone(),
        url: &asked.url,
        headers,
        body: asked.body.clone().unwrap_or_default(),
        timeout: ANSWER,
    };
    let answer = http_client::send(call).await;
    // No answer is one, too: a reset or a truncated body is what some rules are for.
    let status = answer
        .map(|(status, _)| status)
        .map_err(|error| format!("{error:#}"));
    let new = appeared(client, &id).await?;
    Ok(Replay {
        old,
        fate,
        asked,
        status,
        id,
        new,
    })
}

fn headers(id: &str, fate: &Fate, asked: &Asked, args: &ReplayArgs) -> anyhow::Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in &args.header {
        headers.append(name, value.clone());
    }
    if asked.is_json() && !headers.contains_key(http::header::CONTENT_TYPE) {
        let json = HeaderValue::from_static("application/json");
        headers.insert(http::header::CONTENT_TYPE, json);
    }
    let parent = format!("00-{id}-{:016x}-01", rand::random::<u64>().max(1));
    headers.insert("traceparent", HeaderValue::from_str(&parent)?);
    headers.append("baggage", HeaderValue::from_str(&fate.baggage())?);
    Ok(headers)
}

/// The new trace, complete, once the console holds it.
async fn appeared(client: &ConsoleClient, id: &str) -> anyhow::Result<Option<Trace>> {
    let start = Instant::now();
    while client.trace(id).await?.is_none() {
        if start.elapsed() > PATIENCE {
            return Ok(None);
        }
        tokio::time::sleep(PAUSE).await;
    }
    trace::whole(client, id).await.map(Some)
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let expected = || "expected a header, as 'x-user: ann'".to_owned();
    let (name, value) = text.split_once([':', '=']).ok_or_else(expected)?;
    let name = name.trim().parse().map_err(|_| expected())?;
    let value = value.trim().parse().map_err(|_| expected())?;
    Ok((name, value))
}

impl ReplayArgs {
    fn body(&self) -> Result<Option<Vec<u8>>, Failure> {
        let Some(data) = &self.data else {
            return Ok(None);
        };
        let read = match data.strip_prefix('@') {
            None => Ok(data.clone().into_bytes()),
            Some("-") => {
                let mut body = Vec::new();
                std::io::Read::read_to_end(&mut std::io::stdin(), &mut body).map(|_| body)
            }
            Some(file) => std::fs::read(file),
        };
        Ok(Some(
            read.with_context(|| format!("--data: cannot read {data}"))?,
        ))
    }
}
