//! `glassmesh tap`: requests as they pass.

use std::{fmt::Write as _, ops::RangeInclusive, time::Duration};

use clap::Args;
use mesh_console::api::{TapDirection, TapLine, Tapped};
use mesh_proxy::config::units;

use crate::{
    console_client::ConsoleAt,
    failure::Failure,
    out::{self, BAD, DIM, GOOD, NOTE, Styled},
};

/// Which requests.
#[derive(Args, Debug)]
pub(crate) struct TapArgs {
    /// Service that sends or receives them; default: every edge of the mesh, seen at the caller
    service: Option<String>,
    #[command(flatten)]
    side: Side,
    /// Only requests to this service
    #[arg(long, value_name = "SERVICE")]
    to: Option<String>,
    /// Only requests of this service
    #[arg(long, value_name = "SERVICE")]
    from: Option<String>,
    /// Only this method
    #[arg(long)]
    method: Option<String>,
    /// Only paths that begin so
    #[arg(long, value_name = "PREFIX")]
    path: Option<String>,
    /// Only this status, or this class, as 5xx
    #[arg(long, value_parser = status)]
    status: Option<RangeInclusive<u16>>,
    /// Only requests that took at least so long
    #[arg(long, value_name = "TIME", value_parser = units::duration::parse)]
    slower: Option<Duration>,
    #[command(flatten)]
    fate: Fate,
    /// End after so many
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    #[command(flatten)]
    at: ConsoleAt,
}

/// Where they are seen.
#[derive(Args, Debug)]
struct Side {
    /// Only what arrives at the service
    #[arg(long, conflicts_with = "outbound")]
    inbound: bool,
    /// Only what the service sends
    #[arg(long)]
    outbound: bool,
}

/// What became of them.
#[derive(Args, Debug)]
struct Fate {
    /// Only requests that failed
    #[arg(long)]
    failed: bool,
    /// Only requests with more than one attempt
    #[arg(long)]
    retried: bool,
    /// Only requests that a chaos rule struck
    #[arg(long)]
    faulted: bool,
}

impl Fate {
    fn wants(&self, one: &Tapped) -> bool {
        (!self.failed || is_failure(one))
            && (!self.retried || one.attempts.is_some_and(|attempts| attempts > 1))
            && (!self.faulted || !one.faults.is_empty())
    }
}

pub(crate) const EXAMPLES: &str = "\
Examples:
  glassmesh tap orders                          what orders receives and sends
  glassmesh tap --to payments --failed          failed calls of payments, seen at their callers
  glassmesh tap orders --inbound --method POST --slower 100ms
  glassmesh tap --faulted --count 1 --json | jq -r .trace_id

Each line ends with the beginning of a trace id: `glassmesh trace ID` shows the rest. Only
requests whose traces are kept pass here; the shop keeps all.";

fn status(text: &str) -> Result<RangeInclusive<u16>, String> {
    let wrong = || format!("`{text}` is no status: expected one, as 503, or a class, as 5xx");
    if let Some(class) = text.strip_suffix("xx") {
        let class: u16 = class.parse().map_err(|_| wrong())?;
        return match class {
            1..=5 => Ok(class * 100..=class * 100 + 99),
            _ => Err(wrong()),
        };
    }
    match text.parse() {
        Ok(status @ 100..=599) => Ok(status..=status),
        _ => Err(wrong()),
    }
}

impl TapArgs {
    /// What the console is asked for; the rest is left out here.
    fn query(&self) -> String {
        let direction = match (&self.service, self.side.inbound, self.side.outbound) {
            (_, true, _) => "direction=inbound",
            (_, _, true) => "direction=outbound",
            // Each request of the mesh once.
            (None, ..) if self.from.as_deref() != Some("external") => "direction=outbound",
            _ => "",
        };
        let service = self.service.as_ref().map(|name| format!("service={name}"));
        let parts: Vec<&str> = [service.as_deref().unwrap_or(""), direction]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect();
        format!("/api/mesh/tap?{}", parts.join("&"))
    }

    fn wants(&self, one: &Tapped) -> bool {
        let is = |wanted: &Option<String>, text: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == text)
        };
        let status = self
            .status
            .as_ref()
            .is_none_or(|wanted| one.status.is_some_and(|status| wanted.contains(&status)));
        is(&self.to, &one.destination)
            && is(&self.from, &one.source)
            && self
                .method
                .as_ref()
                .is_none_or(|method| method.eq_ignore_ascii_case(&one.method))
            && self
                .path
                .as_ref()
                .is_none_or(|prefix| one.path.starts_with(prefix))
            && status
            && self
                .slower
                .is_none_or(|least| one.duration_ms >= least.as_secs_f64() * 1e3)
            && self.fate.wants(one)
    }
}

/// Listens until somebody has heard enough.
pub(crate) async fn run(args: TapArgs) -> Result<(), Failure> {
    let client = args.at.client()?;
    if let Some(name) = &args.service {
        client.known_service(name).await?;
    }
    let mut lines = client.lines(&args.query()).await?;
    let mut heard = 0;
    while args.count.is_none_or(|count| heard < count) {
        let line = tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(()),
            line = lines.next() => line?,
        };
        match serde_json::from_slice(&line).map_err(anyhow::Error::from)? {
            TapLine::Lost { lost } => {
                out::note(format_args!(
                    "{lost} requests came faster than they were read"
                ));
            }
            TapLine::Request(one) if args.wants(&one) => {
                heard += 1;
                show(&one, args.at.json)?;
            }
            TapLine::Request(_) => {}
        }
    }
    Ok(())
}

fn show(one: &Tapped, json: bool) -> Result<(), Failure> {
    if json {
        out::line(serde_json::to_string(one).map_err(anyhow::Error::from)?);
        return Ok(());
    }
    let arrow = match one.direction {
        TapDirection::Inbound => "in ",
        TapDirection::Outbound => "out",
    };
    let style = if is_failure(one) { BAD } else { GOOD };
    let trace = one.trace_id.get(..8).unwrap_or(&one.trace_id);
    out::line(format_args!(
        "{} {arrow} {} → {}  {} {}  {}  {:.1} ms{}  {}",
        clock(one.at_ms),
        one.source,
        one.destination,
        one.method,
        printable(&one.path),
        Styled(style, answer(one)),
        one.duration_ms,
        remarks(one),
        Styled(DIM, trace),
    ));
    Ok(())
}

/// Time of the day, UTC.
fn clock(at_ms: u64) -> String {
    let time = std::time::UNIX_EPOCH + Duration::from_millis(at_ms);
    let text = humantime::format_rfc3339_millis(time).to_string();
    text.get(11..23).unwrap_or(&text).to_owned()
}

fn answer(one: &Tapped) -> String {
    match (&one.grpc_status, one.status) {
        (Some(status), _) => status.clone(),
        (None, Some(status)) => status.to_string(),
        (None, None) => "no answer".to_owned(),
    }
}

fn remarks(one: &Tapped) -> String {
    let attempts = one.attempts.filter(|attempts| *attempts > 1);
    let attempts = attempts.map(|attempts| Styled(NOTE, format!("{attempts} attempts")));
    let faults =
        (!one.faults.is_empty()).then(|| Styled(NOTE, format!("fault {}", one.faults.join(", "))));
    let reason = one.reason.clone().map(|reason| Styled(BAD, reason));
    let mut text = String::new();
    for remark in [attempts, faults, reason].into_iter().flatten() {
        let _ = write!(text, "  {remark}"); // into memory: cannot fail
    }
    text
}

fn is_failure(one: &Tapped) -> bool {
    match &one.grpc_status {
        Some(status) => status != "OK",
        None => one.status.is_none_or(|status| status >= 500),
    }
}

/// Paths come from callers: nothing in them may steer a terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use mesh_console::api::{TapDirection, Tapped};

    use super::{TapArgs, clock, printable};

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        tap: TapArgs,
    }

    fn args(words: &[&str]) -> TapArgs {
        Cli::try_parse_from([&["tap"], words].concat()).unwrap().tap
    }

    fn request() -> Tapped {
        Tapped {
            at_ms: 1_700_000_000_123,
            direction: TapDirection::Outbound,
            source: "orders".to_owned(),
            destination: "payments".to_owned(),
            route: "payments".to_owned(),
            method: "POST".to_owned(),
            path: "/payments".to_owned(),
            status: Some(503),
            grpc_status: None,
            duration_ms: 12.0,
            attempts: Some(3),
            reason: None,
            flags: None,
            faults: vec!["flaky".to_owned()],
            trace_id: "0".repeat(32),
        }
    }

    #[test]
    fn every_filter_leaves_out_what_it_does_not_name() {
        for (words, wanted) in [
            (&[][..], true),
            (&["--to", "payments"], true),
            (&["--to", "users"], false),
            (&["--from", "users"], false),
            (&["--method", "post"], true),
            (&["--path", "/pay"], true),
            (&["--path", "/orders"], false),
            (&["--status", "5xx"], true),
            (&["--status", "500"], false),
            (&["--slower", "10ms"], true),
            (&["--slower", "20ms"], false),
            (&["--failed", "--retried", "--faulted"], true),
        ] {
            assert_eq!(args(words).wants(&request()), wanted, "{words:?}");
        }
    }

    #[test]
    fn a_request_of_the_whole_mesh_is_told_once() {
        assert_eq!(args(&[]).query(), "/api/mesh/tap?direction=outbound");
        assert_eq!(args(&["orders"]).query(), "/api/mesh/tap?service=orders");
        let inbound = args(&["orders", "--inbound"]).query();
        assert_eq!(inbound, "/api/mesh/tap?service=orders&direction=inbound");
    }

    #[test]
    fn a_status_that_is_none_is_refused() {
        for wrong in ["6xx", "axx", "99", "ok"] {
            assert!(
                Cli::try_parse_from(["tap", "--status", wrong]).is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn what_a_caller_sends_cannot_steer_the_terminal() {
        assert_eq!(printable("/a\x1b[2J\nb"), "/a\u{fffd}[2J\u{fffd}b");
        assert_eq!(clock(1_700_000_000_123), "22:13:20.123");
    }
}
