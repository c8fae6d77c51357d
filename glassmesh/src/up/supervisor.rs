//! Starts the processes of a mesh in order, tells what becomes of them, and
//! stops them in the opposite order. It holds no state that matters.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::anyhow;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
        watch,
    },
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    activity::Activity,
    lines::Lines,
    logs::Logs,
    plan::{Spec, Stage},
    process::{Ended, Event, Keeper, What},
    screen::Screen,
};
use crate::{
    failure::Failure,
    out::{BAD, DIM, GOOD, Styled},
};

/// Failures in a row at which the start of a mesh is given up.
const START_FAILURES: u32 = 3;
/// Time for all processes to become ready; generous, for debug builds on busy machines.
const START_LIMIT: Duration = Duration::from_mins(1);
/// Time for everything to drain after the first Ctrl-C.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// Ids of the running processes, by name.
pub(super) type Pids = BTreeMap<Arc<str>, u32>;

/// What the supervisor works with.
pub(super) struct Tools {
    pub(super) binary: PathBuf,
    pub(super) verbose: bool,
    pub(super) screen: Screen,
    pub(super) logs: Logs,
    pub(super) activity: Activity,
}

/// Runs the processes of one mesh.
pub(super) struct Supervisor {
    tools: Tools,
    events: UnboundedReceiver<Event>,
    tell: UnboundedSender<Event>,
    signals: Signals,
    stages: BTreeMap<Stage, Group>,
    kill: CancellationToken,
    halts: watch::Sender<()>,
    /// Not ready yet, while the mesh starts.
    waiting: BTreeSet<Arc<str>>,
    all: usize,
    pids: Pids,
}

/// The processes of a stage.
#[derive(Default)]
struct Group {
    stop: CancellationToken,
    keepers: TaskTracker,
}

impl Supervisor {
    pub(super) fn new(tools: Tools) -> anyhow::Result<Self> {
        let (tell, events) = unbounded_channel();
        Ok(Self {
            tools,
            events,
            tell,
            signals: Signals::new()?,
            stages: BTreeMap::new(),
            kill: CancellationToken::new(),
            halts: watch::Sender::new(()),
            waiting: BTreeSet::new(),
            all: 0,
            pids: Pids::new(),
        })
    }

    /// Starts all, calls `started` when all are ready, and runs until asked to
    /// end. Every process has ended when this returns.
    pub(super) async fn run(
        mut self,
        specs: Vec<Spec>,
        started: impl FnOnce(&Pids),
    ) -> Result<(), Failure> {
        let ran = self.start_and_watch(specs, started).await;
        self.tools.screen.clear_progress();
        let stopped = self.stop().await;
        ran.and(stopped)
    }

    async fn start_and_watch(
        &mut self,
        mut specs: Vec<Spec>,
        started: impl FnOnce(&Pids),
    ) -> Result<(), Failure> {
        self.all = specs.len();
        self.waiting = specs.iter().map(|spec| Arc::clone(&spec.name)).collect();
        let limit = Instant::now() + START_LIMIT;
        for stage in [Stage::Console, Stage::Mesh, Stage::Load] {
            let (now, later) = specs.into_iter().partition(|spec| spec.stage == stage);
            specs = later;
            if self.launch(stage, now, limit).await? == Launched::Stopped {
                return Ok(());
            }
        }
        self.tools.screen.clear_progress();
        // The table comes after all that was said before.
        self.tools.screen.flush().await;
        started(&self.pids);
        loop {
            tokio::select! {
                Some(event) = self.events.recv() => { self.narrate(&event); }
                asked = self.signals.next() => match asked {
                    Asked::ToHalt => self.halt(),
                    Asked::ToStop => return Ok(()),
                },
            }
        }
    }

    /// Starts the processes of a stage and waits until they are ready.
    async fn launch(
        &mut self,
        stage: Stage,
        specs: Vec<Spec>,
        limit: Instant,
    ) -> Result<Launched, Failure> {
        let names: Vec<_> = specs.iter().map(|spec| Arc::clone(&spec.name)).collect();
        for spec in specs {
            self.keep(stage, spec);
        }
        self.show_progress();
        while names.iter().any(|name| self.waiting.contains(name)) {
            tokio::select! {
                Some(event) = self.events.recv() => {
                    if let Some(ended) = self.narrate(&event)
                        && ended.failures >= START_FAILURES
                    {
                        return Err(does_not_start(&event.process, ended));
                    }
                    self.show_progress();
                }
                asked = self.signals.next() => match asked {
                    Asked::ToHalt => self.halt(),
                    Asked::ToStop => return Ok(Launched::Stopped),
                },
                () = tokio::time::sleep_until(limit) => return Err(self.too_slow()),
            }
        }
        Ok(Launched::Ready)
    }

    /// Halts chaos everywhere, whether the console is there or not.
    fn halt(&self) {
        self.halts.send_replace(());
        let text = "chaos is halted by a signal, at all sidecars";
        self.tools
            .screen
            .line(format!("{} {text}", Styled(GOOD, "●")));
        self.tools.activity.post(text.to_owned());
    }

    fn keep(&mut self, stage: Stage, spec: Spec) {
        let group = self.stages.entry(stage).or_default();
        let keeper = Keeper {
            binary: self.tools.binary.clone(),
            verbose: self.tools.verbose,
            events: self.tell.clone(),
            stop: group.stop.clone(),
            kill: self.kill.clone(),
            halts: self.halts.subscribe(),
        };
        let (screen, logs) = (self.tools.screen.clone(), self.tools.logs.clone());
        let lines = Lines::new(Arc::clone(&spec.name), screen, logs);
        let kept = group.keepers.track_future(keeper.keep(spec, lines));
        mesh_telemetry::task::spawn("process", kept);
    }

    /// Says what happened; gives back how a process ended, if that was it.
    fn narrate<'a>(&mut self, event: &'a Event) -> Option<&'a Ended> {
        let name = &event.process;
        match &event.what {
            What::Started { pid } => {
                self.pids.insert(Arc::clone(name), *pid);
            }
            What::Stopped => {
                self.pids.remove(name);
            }
            What::Ready { again: false } => {
                self.waiting.remove(name);
            }
            What::Ready { again: true } => {
                let line = format!("{} {name} is back", Styled(GOOD, "●"));
                self.tools.screen.line(line);
                self.tools.activity.post(format!("{name} is back"));
            }
            What::Ended(ended) => {
                let text = format!(
                    "{name} {}; restarting it in {:?}",
                    ended.how, ended.restart_in
                );
                self.pids.remove(name);
                self.tools
                    .screen
                    .line(format!("{} {text}", Styled(BAD, "●")));
                self.tools.activity.post(text);
                return Some(ended);
            }
        }
        None
    }

    fn show_progress(&self) {
        let waiting: Vec<&str> = self.waiting.iter().map(AsRef::as_ref).collect();
        let done = self.all - waiting.len();
        let screen = &self.tools.screen;
        screen.progress(done, self.all, waiting.join(" "));
    }

    fn too_slow(&self) -> Failure {
        let waiting: Vec<&str> = self.waiting.iter().map(AsRef::as_ref).collect();
        Failure::Failed(anyhow!(
            "not ready after {START_LIMIT:?}: {}; their logs may say why",
            waiting.join(", ")
        ))
    }

    /// Ends the processes stage by stage, within the limit; then by force.
    async fn stop(&mut self) -> Result<(), Failure> {
        let limit = Instant::now() + STOP_LIMIT;
        let mut outcome = Ok(());
        for stage in Stage::STOP_ORDER {
            let Some(group) = self.stages.remove(&stage) else {
                continue;
            };
            self.say_stopping(stage);
            group.stop.cancel();
            group.keepers.close();
            loop {
                tokio::select! {
                    () = group.keepers.wait() => break,
                    Some(event) = self.events.recv() => { self.narrate(&event); }
                    asked = self.signals.next() => match asked {
                        Asked::ToHalt => self.halt(),
                        Asked::ToStop => {
                            self.kill.cancel();
                            outcome = Err(Failure::Killed);
                        }
                    },
                    () = tokio::time::sleep_until(limit), if !self.kill.is_cancelled() => {
                        self.kill.cancel();
                        outcome = Err(self.too_stubborn());
                    }
                }
            }
        }
        outcome
    }

    fn too_stubborn(&self) -> Failure {
        let left: Vec<&str> = self.pids.keys().map(AsRef::as_ref).collect();
        Failure::Failed(anyhow!(
            "still running after {STOP_LIMIT:?}, and killed: {}",
            left.join(", ")
        ))
    }

    fn say_stopping(&self, stage: Stage) {
        let what = match stage {
            Stage::Load => "stopping the load",
            Stage::Mesh => "draining services and sidecars",
            Stage::Console => "stopping the console",
        };
        self.tools.screen.line(Styled(DIM, what).to_string());
    }
}

/// What came of starting a stage.
#[derive(PartialEq, Eq)]
enum Launched {
    Ready,
    /// Somebody asked to end meanwhile.
    Stopped,
}

/// What a signal asks for.
enum Asked {
    ToStop,
    ToHalt,
}

fn does_not_start(process: &str, ended: &Ended) -> Failure {
    let lines = match ended.last_lines.as_slice() {
        [] => "it wrote nothing".to_owned(),
        lines => format!("its last lines:\n  {}", lines.join("\n  ")),
    };
    Failure::Failed(anyhow!(
        "{process} does not start: it {} {} times in a row; {lines}",
        ended.how,
        ended.failures
    ))
}

/// The signals that ask a mesh to end, and the one that halts chaos. Not SIGHUP: `nohup`
/// must go on working, and when the terminal closes, the children end with their
/// supervisor.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    halt: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            halt: signal(SignalKind::user_defined1())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.interrupt.recv() => Asked::ToStop,
            _ = self.terminate.recv() => Asked::ToStop,
            _ = self.halt.recv() => Asked::ToHalt,
        }
    }
}
