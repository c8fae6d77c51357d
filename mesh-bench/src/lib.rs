//! What mesh-proxy costs, side by side with Envoy, `HAProxy` and nginx in one run.
//!
//! The proxies have a core to themselves; load, upstream and the receiver of spans are
//! in this process, on another. The headline is the time that all threads of a proxy
//! spent on a core, by the scheduler's account, divided by the requests answered:
//! unlike requests a second it holds on a machine that does other things besides.
//!
//! Linux only: it reads the scheduler's account in `/proc`.
#![cfg(target_os = "linux")]

mod contestants;
mod load;
mod machine;
mod process;
mod receiver;
mod report;
mod run;
mod scenarios;
mod upstream;

use std::{fs, path::PathBuf, process::Command, time::Duration};

use anyhow::{Context as _, ensure};
use clap::Args;
use tokio::task::LocalSet;

use contestants::{Certificates, Ground, Programs};
use load::Times;
use machine::{Cores, Machine};
use report::{Report, line, show, show_machine};
use run::Effort;
use upstream::Upstream;

/// What to measure, and how thoroughly.
#[derive(Args, Clone, Debug)]
pub struct BenchArgs {
    /// Scenarios; all without one, `--list` names them
    pub scenarios: Vec<String>,
    /// Name the scenarios and end
    #[arg(long)]
    pub list: bool,
    /// Times that every proxy has its turn
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Seconds that a turn is measured
    #[arg(long, default_value_t = 3.0)]
    pub seconds: f64,
    /// mesh-proxy alone, one short turn each; fails when a request is not answered or a
    /// span is missing
    #[arg(long)]
    pub quick: bool,
    /// Write all figures to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Executable of mesh-proxy; otherwise the one beside this program
    #[arg(long, value_name = "FILE")]
    pub mesh_proxy: Option<PathBuf>,
    /// Executable of Envoy; otherwise from the search path, or where `just envoy` puts it
    #[arg(long, value_name = "FILE", env = "ENVOY")]
    pub envoy: Option<PathBuf>,
    /// Keep configurations and logs of the proxies in this folder
    #[arg(long, value_name = "FOLDER")]
    pub keep: Option<PathBuf>,
}

impl BenchArgs {
    fn effort(&self) -> Effort {
        let (rounds, seconds) = if self.quick {
            (1, 1.0)
        } else {
            (self.rounds.max(1), self.seconds)
        };
        let window = Duration::from_secs_f64(seconds);
        Effort {
            rounds,
            times: Times {
                warm_up: window.min(Duration::from_millis(700)),
                window,
            },
            connections: if self.quick { 100 } else { 1000 },
        }
    }
}

/// Measures, and prints as it goes.
pub async fn bench(args: &BenchArgs) -> anyhow::Result<()> {
    let scenarios = chosen(args)?;
    if args.list {
        for scenario in &scenarios {
            line(format!("{:15} {}", scenario.name, scenario.title));
        }
        return Ok(());
    }
    machine::raise_file_limit();
    let mut programs = Programs::find(args.mesh_proxy.clone(), args.envoy.clone())?;
    if args.quick {
        programs = programs.only_ours();
    }
    let temporary = tempfile::tempdir()?;
    let folder = args.keep.as_deref().unwrap_or(temporary.path());
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let cores = Cores::choose()?;
    let machine = Machine::here(); // before there is only one core to be seen
    machine::pin(cores.rest)?;
    let mut report = Report {
        machine,
        cores,
        versions: versions(&programs),
        tables: Vec::new(),
    };
    show_machine(&report);
    LocalSet::new()
        .run_until(async {
            let upstream = Upstream::start().await?;
            let certificates = Certificates::make(folder)?;
            let ground = Ground {
                programs: &programs,
                cores,
                folder,
                upstream: &upstream,
                certificates: &certificates,
            };
            for scenario in &scenarios {
                let table = run::run(scenario, args.effort(), &ground).await?;
                show(&table);
                report.tables.push(table);
            }
            anyhow::Ok(())
        })
        .await?;
    if let Some(file) = &args.json {
        let text = serde_json::to_string_pretty(&report)?;
        fs::write(file, text).with_context(|| file.display().to_string())?;
    }
    if args.quick { sound(&report) } else { Ok(()) }
}

fn chosen(args: &BenchArgs) -> anyhow::Result<Vec<scenarios::Scenario>> {
    let all = scenarios::all();
    for name in &args.scenarios {
        ensure!(
            all.iter().any(|scenario| scenario.name == name),
            "there is no scenario `{name}`: see --list"
        );
    }
    let wanted =
        |name: &str| args.scenarios.is_empty() || args.scenarios.iter().any(|it| it == name);
    Ok(all
        .into_iter()
        .filter(|scenario| wanted(scenario.name))
        .collect())
}

/// First line that each program says about its version.
fn versions(programs: &Programs) -> Vec<String> {
    let mut ours = programs.mesh_proxy.1.clone();
    ours.push("--version".to_owned());
    let mut versions = vec![version(&programs.mesh_proxy.0, &ours)];
    for (program, argument) in [
        (&programs.envoy, "--version"),
        (&programs.haproxy, "-v"),
        (&programs.nginx, "-v"),
    ] {
        if let Some(program) = program {
            versions.push(version(program, &[argument.to_owned()]));
        }
    }
    versions
}

fn version(program: &std::path::Path, arguments: &[String]) -> String {
    let said = Command::new(program).args(arguments).output();
    let line = said.ok().and_then(|said| {
        let text = [said.stdout, said.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        let line = text.lines().find(|line| !line.trim().is_empty())?;
        Some(line.trim().to_owned())
    });
    line.unwrap_or_else(|| program.display().to_string())
}

/// Every request answered, every span there or accounted for.
fn sound(report: &Report) -> anyhow::Result<()> {
    for table in &report.tables {
        for row in &table.rows {
            ensure!(
                row.is_sound(),
                "{}, {}: {} of its requests failed ({}), spans complete: {}",
                table.name,
                row.name,
                row.failed,
                row.failure.as_deref().unwrap_or("none"),
                row.spans_complete
            );
        }
        let ours = |name: &str| {
            !["envoy", "haproxy", "nginx"]
                .iter()
                .any(|it| name.starts_with(it))
        };
        if let Some((name, why)) = table.skipped.iter().find(|(name, _)| ours(name)) {
            anyhow::bail!("{}, {name}: {why}", table.name);
        }
    }
    Ok(())
}
