//! Tab completion: names of the running mesh, asked of its console while one types.
//!
//! A console that is gone, or slow, completes nothing and says nothing.

use std::{ffi::OsStr, time::Duration};

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::{
    ArgValueCandidates, ArgValueCompleter, CompleteEnv, CompletionCandidate, env::Shells,
};
use http::Uri;
use mesh_console::api::Overview;

use crate::{
    console_client::{self, ConsoleClient},
    failure::Failure,
};

/// Set by the script of a shell to ask for completions. Not clap's `COMPLETE`, which
/// somebody may have set for something else.
const VARIABLE: &str = "GLASSMESH_COMPLETE";
/// A shell that hangs at a tab is worse than one that completes nothing.
const PATIENCE: Duration = Duration::from_millis(400);
/// Newest traces that are offered.
const TRACES: usize = 20;

pub(crate) const EXAMPLES: &str = "\
Examples, for the rc file of the shell:
  source <(glassmesh completions bash)          ~/.bashrc
  source <(glassmesh completions zsh)           ~/.zshrc, behind compinit
  glassmesh completions fish | source           ~/.config/fish/config.fish

Ids of rules, services, edges, scenarios and traces are those of the console that runs.";

/// For which shell.
#[derive(Args, Debug)]
pub(crate) struct CompletionsArgs {
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    Elvish,
    Powershell,
}

impl Shell {
    const fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
            Self::Elvish => "elvish",
            Self::Powershell => "powershell",
        }
    }
}

/// Answers a shell that asks for completions, and ends the process then; does nothing
/// in an ordinary call.
pub(crate) fn answer<C: CommandFactory>() {
    CompleteEnv::with_factory(C::command)
        .var(VARIABLE)
        .complete();
}

/// Prints what makes a shell ask.
pub(crate) fn run(args: &CompletionsArgs) -> Result<(), Failure> {
    let shells = Shells::builtins();
    let name = args.shell.name();
    let shell = shells.completer(name);
    let shell = shell.ok_or_else(|| Failure::Invalid(format!("{name} is not supported")))?;
    let own = std::env::current_exe()?;
    let mut script = Vec::new();
    let completer = own.to_string_lossy();
    shell.write_registration(VARIABLE, "glassmesh", "glassmesh", &completer, &mut script)?;
    crate::out::line(String::from_utf8_lossy(&script).trim_end());
    Ok(())
}

/// Ids of rules, with their places.
pub(crate) fn rules() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let state = ask(async |console| console.chaos().await);
        let rules = state.map(|state| state.rules).unwrap_or_default();
        let candidate = |rule: mesh_console::api::RuleState| {
            let on = if rule.rule.enabled { "on" } else { "off" };
            let help = format!("{on}, at {}", rule.rule.place);
            CompletionCandidate::new(rule.rule.id).help(Some(help.into()))
        };
        rules.into_iter().map(candidate).collect()
    })
}

/// Ids of scenarios, with their titles.
pub(crate) fn scenarios() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let all = ask(async |console| console.scenarios().await).unwrap_or_default();
        let candidate = |one: mesh_console::api::ScenarioState| {
            CompletionCandidate::new(one.id).help(Some(one.title.into()))
        };
        all.into_iter().map(candidate).collect()
    })
}

/// `latest`, and the newest traces.
pub(crate) fn traces() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let newest = ask(async |console| console.traces("all", TRACES).await);
        let candidate = |trace: mesh_console::api::TraceSummary| {
            let status = trace.status_code.map(|status| format!(" {status}"));
            let help = format!("{}{}", trace.name, status.unwrap_or_default());
            CompletionCandidate::new(trace.trace_id).help(Some(help.into()))
        };
        let newest = newest.unwrap_or_default().into_iter().map(candidate);
        let latest = CompletionCandidate::new("latest").help(Some("the newest trace".into()));
        [latest].into_iter().chain(newest).collect()
    })
}

/// Names of services.
pub(crate) fn services() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let services = ask(async |console| console.overview().await).map(|mesh| mesh.services);
        let names = services.unwrap_or_default().into_iter();
        names
            .map(|service| CompletionCandidate::new(service.name))
            .collect()
    })
}

/// Places of a rule: services, instances, edges.
pub(crate) fn places() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let mesh = ask(async |console| console.overview().await);
        let typed = typed.to_string_lossy();
        let quoting = Quoting::of(&typed, is_bash());
        let places = mesh.map(|mesh| places_of(&mesh)).unwrap_or_default();
        let words = places.iter().map(|place| quoting.word(place));
        let fitting = words.filter(|word| word.starts_with(&*typed));
        fitting.map(CompletionCandidate::new).collect()
    })
}

fn places_of(mesh: &Overview) -> Vec<String> {
    let services = mesh.services.iter().map(|service| service.name.clone());
    // The only instance of a service is the service.
    let several = mesh
        .services
        .iter()
        .filter(|service| service.instances.len() > 1);
    let instances = several.flat_map(|service| &service.instances);
    let instances = instances.map(|instance| instance.name.clone());
    let inside = |name: &str| mesh.services.iter().any(|service| service.name == name);
    let edges = mesh.edges.iter().filter(|edge| inside(&edge.source));
    let edges = edges.map(|edge| format!("{} -> {}", edge.source, edge.destination));
    services.chain(instances).chain(edges).collect()
}

/// How the spaces and the `>` of an edge get past the shell. Most shells quote what
/// they put in by themselves; bash does not, unless a quote was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quoting {
    Shells,
    Backslashes,
}

impl Quoting {
    /// Of what was typed so far; bash takes a quote away that was begun, and then a
    /// bare space is what tells.
    fn of(typed: &str, bash: bool) -> Self {
        let bare = typed.replace("\\ ", "").contains(' ');
        if bash && !bare {
            Self::Backslashes
        } else {
            Self::Shells
        }
    }

    fn word(self, place: &str) -> String {
        match self {
            Self::Shells => place.to_owned(),
            Self::Backslashes => place.replace(' ', "\\ ").replace('>', "\\>"),
        }
    }
}

/// Only the script for bash tells what kind of completion it asks for.
fn is_bash() -> bool {
    std::env::var_os("_CLAP_COMPLETE_COMP_TYPE").is_some()
}

/// Asks the console that the line is about; none: there is no quick answer.
fn ask<T>(question: impl AsyncFnOnce(ConsoleClient) -> anyhow::Result<T>) -> Option<T> {
    let line: Vec<String> = std::env::args().collect();
    let asked = of_line(&line).or_else(|| std::env::var("GLASSMESH_CONSOLE").ok());
    let asked: Option<Uri> = asked.map(|url| url.parse()).transpose().ok()?;
    let client = ConsoleClient::new(console_client::base(asked.as_ref()).ok()?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .ok()?;
    let answer = async { tokio::time::timeout(PATIENCE, question(client)).await };
    runtime.block_on(answer).ok()?.ok()
}

/// The console that the line names.
fn of_line(words: &[String]) -> Option<String> {
    let glued = words
        .iter()
        .find_map(|word| word.strip_prefix("--console="));
    let apart = || {
        let flag = words.iter().position(|word| word == "--console")?;
        words.get(flag + 1)
    };
    glued.map(str::to_owned).or_else(|| apart().cloned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_get_past_bash_as_they_were_begun() {
        let word = |typed, bash| Quoting::of(typed, bash).word("a -> b");
        assert_eq!(word("", true), "a\\ -\\>\\ b");
        assert_eq!(word("a\\ -\\>", true), "a\\ -\\>\\ b");
        assert_eq!(word("a -", true), "a -> b", "within quotes");
        assert_eq!(word("a", false), "a -> b");
    }

    #[test]
    fn the_console_of_the_line_is_asked() {
        let line = |text: &str| {
            let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
            of_line(&words)
        };
        let url = Some("http://h:1".to_owned());
        assert_eq!(line("glassmesh chaos on --console http://h:1 "), url);
        assert_eq!(line("glassmesh chaos on --console=http://h:1"), url);
        assert_eq!(line("glassmesh chaos on"), None);
    }
}
