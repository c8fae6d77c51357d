//! Start-up and end of a service process, the same for all.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt as _;
use mesh_telemetry::{Component, Identity, Options, Readiness, Telemetry};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::args::ServiceArgs;
use crate::database::{Database, Step};
use crate::error::Error;
use crate::peer::Peers;
use crate::{deadline, slowness};

/// How long requests and background work may take to end after the signal.
const DRAIN: Duration = Duration::from_secs(5);

/// What a service is built from: its data, its peers, and its share of the
/// process's life.
#[derive(Clone, Debug)]
pub struct Context {
    data_dir: PathBuf,
    peers: Peers,
    shutdown: CancellationToken,
    tasks: TaskTracker,
    databases: Arc<Mutex<Vec<Database>>>,
}

impl Context {
    /// A context of its own; `shutdown` ends the background tasks.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>, peers: Peers, shutdown: CancellationToken) -> Self {
        Self {
            data_dir: data_dir.into(),
            peers,
            shutdown,
            tasks: TaskTracker::new(),
            databases: Arc::default(),
        }
    }

    /// The same process with other peers (for several services in one process).
    #[must_use]
    pub fn with_peers(&self, peers: Peers) -> Self {
        Self {
            peers,
            ..self.clone()
        }
    }

    /// Where to find other services.
    #[must_use]
    pub fn peers(&self) -> &Peers {
        &self.peers
    }

    /// Cancelled when the process is asked to end.
    #[must_use]
    pub fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }

    /// Opens the service's database; it is closed when the process ends.
    pub async fn database(&self, service: &str, steps: &[Step]) -> Result<Database, Error> {
        let database = Database::open(&self.data_dir, service, steps).await?;
        self.databases
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(database.clone());
        Ok(database)
    }

    /// Starts work beside the requests; it must end soon after `shutdown`,
    /// and is waited for.
    pub fn spawn<F>(&self, name: &'static str, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        mesh_telemetry::task::spawn(name, self.tasks.track_future(work));
    }

    /// Runs work to its end even if nobody waits for its result any more, as
    /// when a caller hangs up in the middle of an order. The caller's deadline
    /// still holds for its calls.
    pub async fn see_through<T, F>(&self, name: &'static str, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let work = slowness::carried(slowness::current(), deadline::carried(work));
        mesh_telemetry::task::spawn(name, self.tasks.track_future(work))
            .await
            .map_err(|_| Error::BrokenOff)?
    }

    /// Waits for the background work and closes the databases.
    pub async fn close(&self) {
        self.tasks.close();
        if tokio::time::timeout(DRAIN, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                left = self.tasks.len(),
                "background work did not end in time"
            );
        }
        let databases = std::mem::take(
            &mut *self
                .databases
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        for database in databases {
            database.close().await;
        }
    }
}

/// Runs one service until `shutdown`: telemetry, both listeners, the router
/// that `build` makes; then drains and cleans up in the opposite order.
pub async fn run<F, Fut>(
    name: &'static str,
    args: ServiceArgs,
    shutdown: CancellationToken,
    build: F,
) -> Result<(), Error>
where
    F: FnOnce(Context) -> Fut,
    Fut: Future<Output = Result<Router, Error>>,
{
    let telemetry = mesh_telemetry::install_service(options(name, &args))?;
    let outcome = serve(&args, shutdown, &telemetry, build).await;
    telemetry.shutdown().await;
    outcome
}

fn options(name: &str, args: &ServiceArgs) -> Options {
    Options {
        identity: Identity {
            service: name.to_owned(),
            instance: args.instance.clone().unwrap_or(format!("{name}-1")),
            component: Component::Service,
        },
        otlp: args.otlp.clone(),
        sample_ratio: args.sample_ratio,
    }
}

async fn serve<F, Fut>(
    args: &ServiceArgs,
    shutdown: CancellationToken,
    telemetry: &Telemetry,
    build: F,
) -> Result<(), Error>
where
    F: FnOnce(Context) -> Fut,
    Fut: Future<Output = Result<Router, Error>>,
{
    let api = listen(args.listen, "--listen").await?;
    let metrics = listen(args.metrics, "--metrics").await?;
    let ready = Readiness::default();
    let end_of_metrics = CancellationToken::new();
    let health = mesh_telemetry::task::spawn(
        "metrics_server",
        serve_until(
            metrics,
            telemetry.metrics_router(ready.clone()),
            end_of_metrics.clone(),
        ),
    );
    let peers = Peers::from_args(args);
    let context = Context::new(&args.data_dir, peers, shutdown.clone());
    let router = build(context.clone()).await?;
    ready.set_ready();
    mesh_telemetry::task::spawn("unready", {
        let (ready, shutdown) = (ready.clone(), shutdown.clone());
        async move {
            shutdown.cancelled().await;
            ready.set_not_ready();
        }
    });
    serve_until(api, router, shutdown).await;
    context.close().await;
    end_of_metrics.cancel();
    let _ = health.await;
    Ok(())
}

async fn listen(address: SocketAddr, flag: &'static str) -> Result<TcpListener, Error> {
    TcpListener::bind(address)
        .await
        .map_err(|source| Error::Listen {
            address,
            flag,
            source,
        })
}

/// Serves until `shutdown`, then lets requests in flight end, for a while.
pub async fn serve_until(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    let listener = listener.tap_io(|stream| {
        // Answers are small: waiting for more to send only delays them.
        let _ = stream.set_nodelay(true);
    });
    let serving = axum::serve(listener, router)
        .with_graceful_shutdown(shutdown.clone().cancelled_owned())
        .into_future();
    let too_late = async {
        shutdown.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        _ = serving => {}
        () = too_late => tracing::warn!("requests in flight did not end in time"),
    }
}
