//! Flags for what a rule does.

use clap::Args;
use mesh_proxy::config::{Abort, Delay, FaultKind, HeaderChanges, Rule, Throttle, Truncate, units};

use super::{pair, percent, set, set_some};

type Pair = (String, String);

#[derive(Args, Debug, Default)]
pub(super) struct FaultFlags {
    /// Pause first: 200ms, uniform:100ms:300ms, normal:200ms:50ms, exponential:200ms, pareto:100ms:1.5
    #[arg(long, value_name = "TIME")]
    delay: Option<Delay>,
    /// Pause before each piece of the answer's body; forms as of --delay
    #[arg(long, value_name = "TIME")]
    chunk_delay: Option<Delay>,
    /// Answer with this instead: an HTTP status from 400 to 599, as 503, or grpc:UNAVAILABLE
    #[arg(long, value_name = "STATUS", value_parser = abort)]
    abort: Option<Abort>,
    /// Body of that answer; of a gRPC status its message
    #[arg(long, value_name = "TEXT")]
    abort_body: Option<String>,
    /// Content-Type of that body
    #[arg(long, value_name = "TYPE", requires = "abort_body")]
    abort_type: Option<String>,
    /// The connection breaks before there is an answer
    #[arg(long)]
    reset: bool,
    /// No answer, until somebody gives up
    #[arg(long)]
    hang: bool,
    /// Nobody takes the connection
    #[arg(long)]
    refuse: bool,
    /// The answer's body comes no faster than this, as 10KiB/s
    #[arg(long, value_name = "RATE")]
    throttle: Option<Throttle>,
    /// The answer's body breaks off after so much, as 100B
    #[arg(long, value_name = "SIZE", value_parser = units::size::parse)]
    truncate: Option<u64>,
    /// About one byte in so many of the answer's body is changed, as 64B
    #[arg(long, value_name = "SIZE", value_parser = units::size::parse)]
    corrupt: Option<u64>,
    /// Set a header of the request, in place of what is there; repeatable
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    set_request_header: Vec<Pair>,
    /// Add a value to a header of the request; repeatable
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    add_request_header: Vec<Pair>,
    /// Take a header of the request away; repeatable
    #[arg(long, value_name = "NAME")]
    remove_request_header: Vec<String>,
    /// Set a header of the answer, in place of what is there; repeatable
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    set_response_header: Vec<Pair>,
    /// Add a value to a header of the answer; repeatable
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    add_response_header: Vec<Pair>,
    /// Take a header of the answer away; repeatable
    #[arg(long, value_name = "NAME")]
    remove_response_header: Vec<String>,
    /// Share of what matches that each fault hits, 0 to 100 [default: 100]
    #[arg(long, value_parser = percent, allow_negative_numbers = true)]
    percent: Option<f64>,
    /// Share of one kind of fault, in place of --percent, as delay=50; repeatable
    #[arg(long, value_name = "KIND=PERCENT", value_parser = percent_of)]
    percent_of: Vec<(FaultKind, f64)>,
}

impl FaultFlags {
    /// One of these must be given: without a fault there is no rule. A file has its own.
    pub(super) const IDS: [&str; 16] = [
        "file",
        "delay",
        "chunk_delay",
        "abort",
        "reset",
        "hang",
        "refuse",
        "throttle",
        "truncate",
        "corrupt",
        "set_request_header",
        "add_request_header",
        "remove_request_header",
        "set_response_header",
        "add_response_header",
        "remove_response_header",
    ];

    pub(super) fn apply(self, rule: &mut Rule) -> Result<(), String> {
        set_some(&mut rule.delay, self.delay);
        set_some(&mut rule.chunk_delay, self.chunk_delay);
        set_some(&mut rule.abort, self.abort);
        if let Some(body) = self.abort_body {
            words_of_abort(&mut rule.abort, body, self.abort_type)?;
        }
        rule.reset |= self.reset;
        rule.hang |= self.hang;
        rule.refuse |= self.refuse;
        set_some(&mut rule.throttle, self.throttle);
        set_some(
            &mut rule.truncate,
            self.truncate.map(|after| Truncate { after }),
        );
        set_some(&mut rule.corrupt, self.corrupt);
        let to = &mut rule.request_headers;
        change(
            to,
            self.set_request_header,
            self.add_request_header,
            self.remove_request_header,
        );
        let to = &mut rule.response_headers;
        change(
            to,
            self.set_response_header,
            self.add_response_header,
            self.remove_response_header,
        );
        set(&mut rule.percent, self.percent);
        rule.percent_of.extend(self.percent_of);
        Ok(())
    }
}

fn change(to: &mut HeaderChanges, set: Vec<Pair>, add: Vec<Pair>, remove: Vec<String>) {
    to.set.extend(set);
    to.add.extend(add);
    to.remove.extend(remove);
}

fn words_of_abort(
    abort: &mut Option<Abort>,
    text: String,
    kind: Option<String>,
) -> Result<(), String> {
    match abort {
        Some(Abort::Http {
            body, content_type, ..
        }) => {
            *body = Some(text);
            set_some(content_type, kind);
        }
        Some(Abort::Grpc { message, .. }) if kind.is_none() => *message = Some(text),
        Some(Abort::Grpc { .. }) => {
            return Err("--abort-type: a gRPC status has a message and no body".to_owned());
        }
        None => {
            return Err(
                "--abort-body: there is no answer to put it into; add --abort 503".to_owned(),
            );
        }
    }
    Ok(())
}

fn abort(text: &str) -> Result<Abort, String> {
    match text.parse()? {
        Abort::Http { status, .. } if !(400..=599).contains(&status) => {
            Err("expected an HTTP status from 400 to 599, as 503".to_owned())
        }
        abort => Ok(abort),
    }
}

fn percent_of(text: &str) -> Result<(FaultKind, f64), String> {
    let (kind, share) =
        pair(text).map_err(|_| "expected a kind of fault and a share, as delay=50")?;
    // Flags are written with `-`, kinds with `_`: both are understood.
    Ok((kind.replace('-', "_").parse()?, percent(&share)?))
}
