//! `glassmesh load`: traffic for the shop, and figures about its answers.

use std::{io::IsTerminal as _, sync::Arc, time::Duration};

use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use http::Uri;
use indicatif::{ProgressBar, ProgressStyle};
use mesh_lab::load::{self, KindReport, Live, LoadOptions, Mix, Report, Stats};
use mesh_proxy::config::units;
use mesh_telemetry::{Component, Identity, Options};

use crate::{
    failure::Failure,
    out::{self, BAD, DIM, GOOD, Styled},
    role,
};

/// What to send, where to, how fast.
#[derive(Args, Debug)]
pub(crate) struct LoadArgs {
    /// Base URL of the shop
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:4080", value_parser = target)]
    target: Uri,
    /// Arrivals a second; they come whether or not the shop keeps up
    #[arg(long, default_value_t = 20.0, value_parser = rps, allow_negative_numbers = true)]
    rps: f64,
    /// Stop after this time; default: on Ctrl-C
    #[arg(long, value_name = "TIME", value_parser = units::duration::parse)]
    duration: Option<Duration>,
    /// Start of all random choices, to repeat a run
    #[arg(long)]
    seed: Option<u64>,
    /// Shares of browse, detail, order and lookup
    #[arg(long, value_name = "KIND=SHARE,…", default_value_t)]
    mix: Mix,
    /// Most requests in flight; an arrival beyond it is counted as not sent
    #[arg(long, value_name = "N", default_value_t = LoadOptions::MAX_IN_FLIGHT, value_parser = at_least_one)]
    max_in_flight: usize,
    /// Give up waiting for an answer after this time
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = patience)]
    timeout: Duration,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) const EXAMPLES: &str = "\
Examples:
  glassmesh load --rps 50 --duration 30s
  glassmesh load --rps 20 --mix order=100 --duration 1m --json
  glassmesh load --target http://127.0.0.1:4080 --seed 7     (Ctrl-C ends it with a report)

Latency counts from the moment a request was due, not from when it could be sent:
a shop that stalls shows it in the figures.";

fn target(text: &str) -> Result<Uri, String> {
    let wrong = || "expected the base URL of a shop, as http://127.0.0.1:4080".to_owned();
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    if uri.scheme_str() == Some("http") && uri.authority().is_some() && uri.query().is_none() {
        Ok(uri)
    } else {
        Err(wrong())
    }
}

fn rps(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rps) if rps > 0.0 && rps <= 1_000_000.0 => Ok(rps),
        _ => Err("expected a number of requests a second above 0, as 20 or 0.5".to_owned()),
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("expected a whole number above 0, as 512".to_owned()),
    }
}

fn patience(text: &str) -> Result<Duration, String> {
    match units::duration::parse(text)? {
        Duration::ZERO => {
            Err("no answer comes in no time: expected more than 0, as 10s".to_owned())
        }
        timeout => Ok(timeout),
    }
}

impl LoadArgs {
    fn options(&self) -> LoadOptions {
        LoadOptions {
            target: self.target.clone(),
            rps: self.rps,
            duration: self.duration,
            seed: self.seed.unwrap_or_else(load::random_seed),
            mix: self.mix.clone(),
            max_in_flight: self.max_in_flight,
            timeout: self.timeout,
        }
    }
}

/// Sends until the time is over or a signal comes, then reports.
pub(crate) async fn run(args: LoadArgs) -> Result<(), Failure> {
    let shutdown = role::shutdown_token()?;
    let telemetry = mesh_telemetry::install_plain(Options {
        identity: Identity {
            service: "load".to_owned(),
            instance: "load".to_owned(),
            component: Component::Load,
        },
        otlp: None,
        sample_ratio: 0.0,
    })?;
    let stats = Arc::<Stats>::default();
    let running = load::run(args.options(), Arc::clone(&stats), shutdown);
    let report = if std::io::stderr().is_terminal() && !role::is_supervised() {
        with_live_line(&stats, running).await
    } else {
        running.await
    };
    telemetry.shutdown().await;
    if args.json {
        out::json(&report)?;
    } else if !role::is_supervised() {
        show(&report);
    }
    Ok(())
}

async fn with_live_line(stats: &Stats, running: impl Future<Output = Report>) -> Report {
    let line = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
        line.set_style(style);
    }
    let mut every = tokio::time::interval(Duration::from_millis(500));
    tokio::pin!(running);
    let report = loop {
        tokio::select! {
            report = &mut running => break report,
            _ = every.tick() => {
                line.set_message(live(&stats.live()));
                line.tick();
            }
        }
    };
    line.finish_and_clear();
    report
}

fn live(live: &Live) -> String {
    let not_sent = match live.not_sent {
        0 => String::new(),
        some => format!("   {some} not sent"),
    };
    format!(
        "{:>4.0} s   {} done, {}   p50 {:.1} ms   p99 {:.1} ms{not_sent}",
        live.elapsed.as_secs_f64(),
        live.done,
        percent(live.ok as f64 / (live.done.max(1)) as f64),
        live.p50_ms,
        live.p99_ms,
    )
}

fn show(report: &Report) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "", "requests", "success", "p50 ms", "p90 ms", "p99 ms", "max ms",
    ]);
    for (kind, figures) in &report.kinds {
        table.add_row(row(kind, figures));
    }
    table.add_row(row("all", &report.all));
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    out::line(table);
    for (error, count) in &report.errors {
        out::line(format_args!("{} {count} × {error}", Styled(BAD, "failed")));
    }
    if report.not_sent > 0 {
        let why = "all slots taken, or this machine too busy";
        out::line(format_args!(
            "{} {} ({why})",
            Styled(BAD, "not sent"),
            report.not_sent
        ));
    }
    if report.errors.is_empty() && report.not_sent == 0 {
        out::line(Styled(GOOD, "no request failed"));
    }
    let run = format!(
        "{:.1} requests a second of {} wanted, for {:.1} s, seed {}",
        report.rps, report.wanted_rps, report.seconds, report.seed
    );
    out::line(Styled(DIM, run));
}

fn row(name: &str, figures: &KindReport) -> [String; 7] {
    let ms = |value: f64| format!("{value:.1}");
    [
        name.to_owned(),
        figures.count.to_string(),
        percent(figures.success),
        ms(figures.latency.p50_ms),
        ms(figures.latency.p90_ms),
        ms(figures.latency.p99_ms),
        ms(figures.latency.max_ms),
    ]
}

/// Never rounded up to 100 when something failed.
fn percent(share: f64) -> String {
    let percent = (share * 10_000.0).floor() / 100.0;
    format!("{percent:.2} %")
}
