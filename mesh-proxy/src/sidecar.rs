//! A sidecar's life: listeners up, policy in force, drain, end.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use mesh_telemetry::{
    Readiness,
    proxy::{AccessLog, AccessLogOptions, Direction, ProcessEvent, Sink, emit},
    task,
};
use tokio::{sync::oneshot, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    admin,
    config::{LogFormat, Policy, Problem, SidecarConfig, check_sidecar},
    control,
    error::RunError,
    policy::{Owner, Store},
    random::Random,
    reload::restart_needed,
    server::{self, Drain, Listening},
    shared::Shared,
    stack,
    tls::{self, ServerTls},
};

/// How long requests in flight may take to finish when the sidecar ends: as long as
/// its application's, and well within the 10 s after which supervisors kill.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// Time for what is given up after that to end; it needs no more than its turn.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A sidecar that handles requests; see [`crate::run`] for one with telemetry and
/// its page around it.
pub struct Sidecar {
    shared: Arc<Shared>,
    /// As it was started, but for the policy.
    started: SidecarConfig,
    readiness: Readiness,
    drain: Drain,
    /// Ends the control stream and the admin listener.
    end: CancellationToken,
    workers: Vec<oneshot::Receiver<()>>,
    inbound: Option<SocketAddr>,
    outbound: Option<SocketAddr>,
    admin: SocketAddr,
}

/// Reports everything that is wrong with a configuration.
pub(crate) fn refuse_problems(config: &SidecarConfig) -> Result<(), RunError> {
    let problems = check_sidecar(config);
    if problems.is_empty() {
        Ok(())
    } else {
        Err(RunError::Config(problems))
    }
}

impl Sidecar {
    /// Opens the listeners and begins to serve; port 0 takes any free port.
    ///
    /// Must be called on a tokio runtime. `readiness` is set as soon as there is a policy:
    /// at once with one from the file, else with the console's first snapshot.
    pub fn start(
        config: SidecarConfig,
        sink: Sink,
        readiness: Readiness,
    ) -> Result<Self, RunError> {
        refuse_problems(&config)?;
        let admin_listener = server::bind("admin", config.admin, false)?;
        let shared = share(&config, sink)?;
        let sockets = Sockets::open(&config)?;
        let drain = shared.drain.clone();
        let mut sidecar = Self {
            shared,
            started: SidecarConfig {
                policy: Policy::default(),
                ..config.clone()
            },
            readiness,
            drain,
            end: CancellationToken::new(),
            workers: Vec::new(),
            inbound: sockets.address(Direction::Inbound),
            outbound: sockets.address(Direction::Outbound),
            admin: local_address(&admin_listener, config.admin),
        };
        let listenings = Listenings::of(&config, &sidecar.shared);
        sidecar.start_workers(sockets, &listenings)?;
        let state = admin::State::new(&sidecar.shared, &config, &sidecar.drain);
        admin::serve_page(
            "admin",
            admin_listener,
            admin::router(state),
            sidecar.end.clone(),
        );
        sidecar.watch_certificates();
        sidecar.follow_console(config);
        Ok(sidecar)
    }

    fn start_workers(&mut self, sockets: Sockets, listenings: &Listenings) -> Result<(), RunError> {
        if sockets.0.len() == 1 {
            // One worker needs no thread of its own.
            for only in sockets.0 {
                serve_all(only, listenings, &self.shared, 0, &self.drain);
            }
            return Ok(());
        }
        for (index, listeners) in sockets.0.into_iter().enumerate() {
            let (ended, end) = oneshot::channel();
            let (shared, drain) = (Arc::clone(&self.shared), self.drain.clone());
            let listenings = listenings.clone();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|cause| RunError::Worker { index, cause })?;
            std::thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(move || {
                    runtime.block_on(work(listeners, listenings, shared, index, drain));
                    drop(ended);
                })
                .map_err(|cause| RunError::Worker { index, cause })?;
            self.workers.push(end);
        }
        Ok(())
    }

    fn watch_certificates(&self) {
        let (end, shared) = (self.end.clone(), Arc::clone(&self.shared));
        task::spawn("certificates", async move {
            tokio::select! {
                () = end.cancelled() => {}
                () = tls::keep_fresh(shared) => {}
            }
        });
    }

    fn follow_console(&self, mut config: SidecarConfig) {
        if config.control.is_none() || config.policy != Policy::default() {
            self.readiness.set_ready(); // there is a policy already
        }
        let Some(console) = config.control.clone() else {
            return;
        };
        config.admin = self.admin;
        if let (Some(inbound), Some(address)) = (&mut config.inbound, self.inbound) {
            inbound.listen = address;
        }
        let (shared, readiness) = (Arc::clone(&self.shared), self.readiness.clone());
        let (end, draining) = (self.end.clone(), self.drain.begin.clone());
        task::spawn("control", async move {
            let first = move || {
                if !draining.is_cancelled() {
                    readiness.set_ready();
                }
            };
            tokio::select! {
                () = end.cancelled() => {}
                () = control::follow(&console, &config, &shared, first) => {}
            }
        });
    }

    /// Where requests from the mesh arrive.
    #[must_use]
    pub fn inbound_address(&self) -> Option<SocketAddr> {
        self.inbound
    }

    /// Where the application sends its requests.
    #[must_use]
    pub fn outbound_address(&self) -> Option<SocketAddr> {
        self.outbound
    }

    /// Where the admin API listens.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// Revision of the policy in force; 0: the file's.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.shared.policy.load().revision
    }

    /// Puts a policy in force, or reports all that is wrong with it and keeps the old one.
    pub fn apply(&self, revision: u64, policy: Policy) -> Result<(), Vec<Problem>> {
        self.shared.policy.apply(revision, policy)
    }

    /// Turns all chaos rules off, at this sidecar alone, until whoever sends policies says
    /// something else about them; requests that they hold go on at once. Returns how many
    /// were on.
    #[must_use]
    pub fn halt_chaos(&self) -> usize {
        self.shared.policy.halt_chaos()
    }

    /// Puts a changed configuration in force as a whole, or reports all that is wrong
    /// with it, and what of it needs a restart, and keeps the old one.
    ///
    /// Once the console has sent a snapshot, its policy stays: then this returns
    /// `false`, and the rest of the configuration is in force.
    pub fn reload(&self, config: SidecarConfig) -> Result<bool, Vec<Problem>> {
        let mut problems = check_sidecar(&config);
        problems.extend(restart_needed(&self.started, &config));
        if !problems.is_empty() {
            self.count_refusal(problems.len());
            return Err(problems);
        }
        let own_policy = self.shared.policy.apply_own(config.policy)?;
        self.refresh_certificates();
        self.shared
            .sink
            .set_sample_ratio(config.telemetry.sample_ratio);
        Ok(own_policy)
    }

    /// A configuration file that cannot be understood: counted, and told as a problem.
    pub(crate) fn refuse_file(&self, file: &str, error: &RunError) -> Vec<Problem> {
        self.count_refusal(1);
        let message = match error {
            RunError::File { cause, .. } => cause.clone(),
            other => other.to_string(),
        };
        let key = file.to_owned();
        vec![Problem { key, message }]
    }

    fn count_refusal(&self, problems: usize) {
        let revision = self.revision();
        emit(&ProcessEvent::ConfigRejected { revision, problems });
    }

    /// Opens files that are written to anew: whoever rotates them has moved them away.
    pub(crate) fn reopen_logs(&self) {
        if let Some(log) = self.shared.sink.access_log() {
            log.reopen();
        }
    }

    /// Reads changed certificates and keys again now; by itself the sidecar looks at
    /// them every five seconds.
    pub fn refresh_certificates(&self) {
        tls::refresh(&self.shared);
    }

    /// Resolves when a drain has begun, by whomever.
    pub async fn drain_begun(&self) {
        self.drain.begin.cancelled().await;
    }

    /// Accepts nothing more, finishes what is in flight, within five seconds, and ends.
    pub async fn drain(self) {
        self.readiness.set_not_ready();
        self.drain.begin.cancel();
        self.drain.connections.close();
        if timeout(DRAIN_TIME, self.drain.connections.wait())
            .await
            .is_err()
        {
            let left = self.drain.connections.len();
            tracing::warn!(
                connections = left,
                "requests were still in flight at the end of the drain"
            );
        }
        self.drain.give_up.cancel();
        // Those that are given up end at once, and are logged when they do.
        let _ = timeout(LAST_WORDS, self.drain.connections.wait()).await;
        self.end.cancel();
        for worker in self.workers {
            let _ = worker.await; // an error means that the worker has ended
        }
        if let Some(log) = self.shared.sink.access_log() {
            log.flush().await;
        }
    }
}

fn share(config: &SidecarConfig, sink: Sink) -> Result<Arc<Shared>, RunError> {
    let owner = Owner::of(config);
    let policy = Store::new(owner, config.policy.clone()).map_err(RunError::Config)?;
    access_log(config, &sink)?;
    Ok(Arc::new(Shared {
        policy,
        sink,
        listener_tls: listener_tls(config)?,
        random: Random::from_system(),
        drain: Drain::default(),
    }))
}

/// Opens the log and has finished requests written to it.
fn access_log(config: &SidecarConfig, sink: &Sink) -> Result<(), RunError> {
    let Some(settings) = &config.access_log else {
        return Ok(());
    };
    let log = AccessLog::open(AccessLogOptions {
        to: settings.to.clone(),
        json: settings.format == LogFormat::Json,
        sample: settings.sample,
    });
    let log = log.map_err(|cause| {
        let (key, path) = ("access_log.to".to_owned(), settings.to.display());
        let message = format!("{path}: cannot be opened: {cause}");
        RunError::Config(vec![Problem { key, message }])
    })?;
    sink.set_access_log(log);
    Ok(())
}

fn listener_tls(config: &SidecarConfig) -> Result<Option<Arc<ServerTls>>, RunError> {
    let settings = config
        .inbound
        .as_ref()
        .and_then(|inbound| inbound.tls.clone());
    let Some(settings) = settings else {
        return Ok(None);
    };
    // Its files were looked at a moment ago, with all other settings.
    let tls = ServerTls::load(settings).map_err(|unusable| {
        let key = format!("inbound.tls.{}", unusable.key);
        let message = unusable.message;
        RunError::Config(vec![Problem { key, message }])
    })?;
    Ok(Some(Arc::new(tls)))
}

/// Listeners of each worker.
struct Sockets(Vec<Listeners>);

struct Listeners(Vec<(Direction, TcpListener)>);

impl Sockets {
    fn open(config: &SidecarConfig) -> Result<Self, RunError> {
        let wanted = [
            (
                Direction::Inbound,
                "inbound.listen",
                config.inbound.as_ref().map(|l| l.listen),
            ),
            (
                Direction::Outbound,
                "outbound.listen",
                config.outbound.as_ref().map(|l| l.listen),
            ),
        ];
        let mut sockets = Self(Vec::new());
        for _ in 0..config.workers {
            let mut listeners = Vec::new();
            for (direction, key, address) in wanted {
                // The first worker's choice of a free port is everybody's.
                let Some(address) = sockets.address(direction).or(address) else {
                    continue;
                };
                listeners.push((direction, server::bind(key, address, config.workers > 1)?));
            }
            sockets.0.push(Listeners(listeners));
        }
        Ok(sockets)
    }

    fn address(&self, wanted: Direction) -> Option<SocketAddr> {
        let listeners = &self.0.first()?.0;
        let (_, listener) = listeners
            .iter()
            .find(|(direction, _)| *direction == wanted)?;
        listener.local_addr().ok()
    }
}

fn local_address(listener: &TcpListener, asked: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(asked)
}

/// What each side's listeners share, over all workers.
#[derive(Clone)]
struct Listenings {
    inbound: Arc<Listening>,
    outbound: Arc<Listening>,
}

impl Listenings {
    fn of(config: &SidecarConfig, shared: &Shared) -> Self {
        let inbound = config.inbound.as_ref().map(|side| side.limits.clone());
        let outbound = config.outbound.as_ref().map(|side| side.limits.clone());
        let tls = shared.listener_tls.clone();
        Self {
            inbound: Listening::new("inbound", inbound.unwrap_or_default(), tls),
            outbound: Listening::new("outbound", outbound.unwrap_or_default(), None),
        }
    }
}

fn serve_all(
    listeners: Listeners,
    listenings: &Listenings,
    shared: &Arc<Shared>,
    worker: usize,
    drain: &Drain,
) {
    for (direction, listener) in listeners.0 {
        let drain = drain.clone();
        match direction {
            Direction::Inbound => {
                let stack = stack::inbound(shared, worker);
                let listening = Arc::clone(&listenings.inbound);
                let accepting = server::serve(listener, stack, listening, drain);
                task::spawn("accept_inbound", accepting);
            }
            Direction::Outbound => {
                let stack = stack::outbound(shared, worker);
                let listening = Arc::clone(&listenings.outbound);
                let accepting = server::serve(listener, stack, listening, drain);
                task::spawn("accept_outbound", accepting);
            }
        }
    }
}

/// A worker's whole life on its own thread.
async fn work(
    listeners: Listeners,
    listenings: Listenings,
    shared: Arc<Shared>,
    index: usize,
    drain: Drain,
) {
    serve_all(listeners, &listenings, &shared, index, &drain);
    drain.give_up.cancelled().await;
}
