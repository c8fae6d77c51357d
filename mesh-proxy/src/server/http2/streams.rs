//! The tasks of one connection's requests.
//!
//! A peer that never opens the window of a stream has its answer neither sent nor
//! asked for more, so that no deadline inside it can fire. Its task gives up instead,
//! and takes the stream with it.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    task::Poll,
};

use mesh_telemetry::task;
use tokio::{
    task_local,
    time::{Sleep, sleep},
};

use crate::server::wire::PATIENCE;

task_local! {
    static FLOW: Arc<Flow>;
}

/// Runs each request as a task of its own.
#[derive(Clone, Copy, Debug)]
pub(in crate::server) struct Streams;

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let flow = Arc::new(Flow::default());
        task::spawn(
            "stream",
            FLOW.scope(Arc::clone(&flow), patient(stream, flow)),
        );
    }
}

/// How the answer on one stream gets on.
#[derive(Debug, Default)]
pub(in crate::server) struct Flow {
    /// How often the body was asked for more.
    asked: AtomicU32,
    /// The answer has a body, and it is not the body that is waited for.
    is_stuffed: AtomicBool,
}

impl Flow {
    /// Of the stream whose task this is; none on HTTP/1. Its answer begins now.
    pub(in crate::server) fn begin() -> Option<Arc<Self>> {
        let flow = FLOW.try_with(Arc::clone).ok()?;
        flow.is_stuffed.store(true, Relaxed);
        Some(flow)
    }

    /// The body was asked for more, and had something or not.
    pub(in crate::server) fn asked(&self, had_nothing: bool) {
        self.asked.fetch_add(1, Relaxed);
        self.is_stuffed.store(!had_nothing, Relaxed);
    }
}

async fn patient(stream: impl Future<Output = ()>, flow: Arc<Flow>) {
    let mut stream = pin!(stream);
    let mut stalled: Option<Pin<Box<Sleep>>> = None;
    let mut asked = 0;
    poll_fn(|cx| {
        if stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let now = flow.asked.load(Relaxed);
        if !flow.is_stuffed.load(Relaxed) || now != asked {
            (stalled, asked) = (None, now);
        }
        if !flow.is_stuffed.load(Relaxed) {
            return Poll::Pending;
        }
        let timer = stalled.get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
        timer.as_mut().poll(cx)
    })
    .await;
}
