//! The process: listeners, tasks, and their end.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, serve::ListenerExt};
use mesh_proxy::config::Place;
use mesh_telemetry::{Component, Identity, Options, Readiness, task};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    ConsoleConfig, ConsoleError,
    activity::ActivityLog,
    chaos::Chaos,
    clock::Clock,
    edges::{Edges, Scraper},
    http::{self, Assets, Guard},
    otlp::{self, Receiver},
    receipts::Receipts,
    registry::Registry,
    roster::{Now, Roster},
    shared::Shared,
    traces::TraceStore,
};

/// Pause between two readings of the sidecars' pages.
const TICK: Duration = Duration::from_secs(1);

/// Time for open answers after the shutdown began.
const DRAIN: Duration = Duration::from_secs(2);

/// Runs the console until `shutdown`, then drains.
pub async fn run(config: ConsoleConfig, shutdown: CancellationToken) -> Result<(), ConsoleError> {
    let telemetry = mesh_telemetry::install_plain(Options {
        identity: Identity {
            service: "console".to_owned(),
            instance: "console".to_owned(),
            component: Component::Console,
        },
        otlp: None,
        sample_ratio: 0.0,
    })
    .map_err(|error| ConsoleError::Telemetry(error.to_string()))?;
    let ready = Readiness::default();
    let health = telemetry.metrics_router(ready.clone());
    let result = match Console::bind(config, Clock::System).await {
        Ok(console) => {
            ready.set_ready();
            console.serve(health, shutdown).await
        }
        Err(error) => Err(error),
    };
    telemetry.shutdown().await;
    result
}

/// A console whose listeners are open.
pub struct Console {
    page: TcpListener,
    otlp_grpc: TcpListener,
    otlp_http: TcpListener,
    config: ConsoleConfig,
    clock: Clock,
    activity: Arc<ActivityLog>,
    roster: Roster,
    chaos: Chaos,
}

/// Where a console listens.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// Page, API and control.
    pub page: SocketAddr,
    /// OTLP over gRPC.
    pub otlp_grpc: SocketAddr,
    /// OTLP over HTTP.
    pub otlp_http: SocketAddr,
}

impl Console {
    /// Opens the listeners and reads what was saved. Port 0 takes any free one.
    pub async fn bind(config: ConsoleConfig, clock: Clock) -> Result<Self, ConsoleError> {
        let page = bind("page and API", "--listen or `ports.console`", config.listen);
        let grpc = bind(
            "OTLP/gRPC",
            "--otlp-grpc or `ports.otlp_grpc`",
            config.otlp_grpc,
        );
        let http = bind(
            "OTLP/HTTP",
            "--otlp-http or `ports.otlp_http`",
            config.otlp_http,
        );
        let (page, otlp_grpc, otlp_http) = (page.await?, grpc.await?, http.await?);
        let activity = Arc::new(ActivityLog::new(clock));
        let roster = Roster::new(Arc::new(config.mesh.clone()));
        let chaos = Chaos::open(
            roster.clone(),
            clock,
            Arc::clone(&activity),
            config.data_dir.as_deref(),
        )?;
        Ok(Self {
            page,
            otlp_grpc,
            otlp_http,
            config,
            clock,
            activity,
            roster,
            chaos,
        })
    }

    /// Where it listens.
    pub fn addresses(&self) -> Result<Addresses, ConsoleError> {
        Ok(Addresses {
            page: self.page.local_addr()?,
            otlp_grpc: self.otlp_grpc.local_addr()?,
            otlp_http: self.otlp_http.local_addr()?,
        })
    }

    /// Serves until `shutdown`; `health` is merged into the page's port.
    pub async fn serve(
        self,
        health: Router,
        shutdown: CancellationToken,
    ) -> Result<(), ConsoleError> {
        let addresses = self.addresses()?;
        let registry = Registry::new(self.roster.clone(), Arc::clone(&self.activity));
        let shared = Shared {
            registry: Arc::new(registry),
            receipts: Receipts::default(),
            traces: Arc::new(TraceStore::new(self.config.trace_bytes)),
            tap: Arc::default(),
            edges: Edges::default(),
            overview: watch::Sender::default(),
            shop_url: self.config.shop_url.clone(),
            addresses,
            roster: self.roster,
            clock: self.clock,
            activity: self.activity,
            chaos: self.chaos,
            shutdown: shutdown.clone(),
        };
        shared.overview.send_replace(Arc::new(shared.overview()));
        let shared = Arc::new(shared);
        let assets = match self.config.web_root {
            Some(folder) => Assets::Folder(folder),
            None => Assets::BuiltIn,
        };
        let guard = Guard::new(&self.config.allow_hosts);
        let receiver = otlp::router(Receiver {
            traces: Arc::clone(&shared.traces),
            tap: Arc::clone(&shared.tap),
            clock: self.clock,
        });
        let page = http::router(Arc::clone(&shared), guard, assets).merge(health);
        // Before anybody can register: a guest that comes at once is told to everybody, too.
        let guests = shared.roster.watch();
        let servers = [
            serve("console_page", self.page, page, &shutdown),
            serve(
                "console_otlp_grpc",
                self.otlp_grpc,
                receiver.clone(),
                &shutdown,
            ),
            serve("console_otlp_http", self.otlp_http, receiver, &shutdown),
        ];
        let watching = task::spawn("console_watch", watch_edges(Arc::clone(&shared)));
        let meshing = task::spawn("console_guests", follow_guests(Arc::clone(&shared), guests));
        let halting = task::spawn("console_halt", halt_on_signal(Arc::clone(&shared)));
        let expiring = task::spawn("console_expire", async move {
            shared.chaos.expire(shared.shutdown.clone()).await;
        });
        let result = join(servers, &shutdown).await;
        watching.abort();
        meshing.abort();
        halting.abort();
        expiring.abort();
        result
    }
}

/// Turns all rules off at each `SIGUSR1`, as sidecars do for themselves.
async fn halt_on_signal(shared: Arc<Shared>) {
    let mut signals = match signal(SignalKind::user_defined1()) {
        Ok(signals) => signals,
        Err(error) => return tracing::warn!(%error, "SIGUSR1 cannot be listened for"),
    };
    while signals.recv().await.is_some() {
        if let Err(error) = shared.chaos.halt().await {
            tracing::error!(%error, "chaos could not be halted");
        }
    }
}

/// Tells everybody when guests come or go.
async fn follow_guests(shared: Arc<Shared>, mut guests: watch::Receiver<Now>) {
    while guests.changed().await.is_ok() {
        shared.chaos.remesh().await;
    }
}

/// Reads the sidecars' pages each second and makes the numbers of it.
async fn watch_edges(shared: Arc<Shared>) {
    let scraper = Scraper::default();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shared.shutdown.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let pages = scraper.scrape(shared.targets()).await;
        let now = shared.clock.now_ms();
        shared.edges.apply(Instant::now(), now, pages);
        shared.overview.send_replace(Arc::new(shared.overview()));
        let measure = |place: &Place, time| shared.edges.watched(place, time);
        shared.chaos.guard(measure).await;
        mesh_telemetry::console::show_rules(shared.chaos.active());
    }
}

async fn bind(
    purpose: &'static str,
    setting: &'static str,
    addr: SocketAddr,
) -> Result<TcpListener, ConsoleError> {
    TcpListener::bind(addr)
        .await
        .map_err(|source| ConsoleError::Bind {
            purpose,
            setting,
            addr,
            source,
        })
}

type Server = JoinHandle<std::io::Result<()>>;

fn serve(
    name: &'static str,
    listener: TcpListener,
    router: Router,
    shutdown: &CancellationToken,
) -> Server {
    // Snapshots and events are small and urgent.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY not set");
        }
    });
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let end = shutdown.clone().cancelled_owned();
    task::spawn(name, async move {
        axum::serve(listener, service)
            .with_graceful_shutdown(end)
            .await
    })
}

/// Waits for the shutdown and, for a while, for open answers.
async fn join(servers: [Server; 3], shutdown: &CancellationToken) -> Result<(), ConsoleError> {
    shutdown.cancelled().await;
    let end = Instant::now() + DRAIN;
    for mut server in servers {
        let left = end.saturating_duration_since(Instant::now());
        match timeout(left, &mut server).await {
            Ok(Ok(result)) => result?,
            Ok(Err(panicked)) => tracing::error!(%panicked, "a listener panicked"),
            Err(_) => server.abort(),
        }
    }
    Ok(())
}
