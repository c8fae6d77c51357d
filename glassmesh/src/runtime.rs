//! Runtimes that fit a command: every process of a mesh pays for its threads.

use std::{future::Future, time::Duration};

use anyhow::Context as _;
use tokio::runtime::{Builder, Runtime};

use crate::failure::Failure;

/// Time for blocking work (a read of stdin, a name lookup) that is still going on at the end.
const LEFTOVERS: Duration = Duration::from_millis(100);

/// One thread: for commands that mostly wait.
pub(crate) fn small(main: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    run(Builder::new_current_thread(), main)
}

/// Two workers: for the console and the services, which must answer health
/// checks while they work.
pub(crate) fn threaded(main: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2);
    run(builder, main)
}

fn run(
    mut builder: Builder,
    main: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    let runtime: Runtime = builder
        .enable_all()
        .build()
        .context("cannot start the async runtime")?;
    let outcome = runtime.block_on(main);
    runtime.shutdown_timeout(LEFTOVERS);
    outcome
}
