//! The live feed: numbers each second, chaos and activity as they happen.

use std::{convert::Infallible, sync::Arc};

use axum::{
    extract::State,
    response::{
        IntoResponse,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::stream;
use serde::Serialize;
use tokio::sync::{
    broadcast::{self, error::RecvError},
    watch,
};

use crate::{
    api::{Activity, ChaosState, Overview, RuleReceipt},
    scenarios::Stage,
    shared::Shared,
    snapshots::Published,
};

pub(super) async fn stream(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let feed = Feed::new(shared);
    let events = stream::unfold(feed, |mut feed| async move {
        let event = feed.next().await?;
        Some((Ok::<_, Infallible>(event), feed))
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

/// What one page still has to hear.
struct Feed {
    shared: Arc<Shared>,
    overview: watch::Receiver<Arc<Overview>>,
    published: watch::Receiver<Arc<Published>>,
    registry: watch::Receiver<u64>,
    activity: broadcast::Receiver<Activity>,
    told: Option<Told>,
    /// The scenario that runs, and what was revealed, as they were told last.
    staged: Option<Arc<Stage>>,
}

/// What was last said of chaos, but for the time that runs.
#[derive(PartialEq)]
struct Told {
    revision: u64,
    acknowledged: usize,
    sidecars: usize,
    halted: Vec<String>,
    rules: Vec<(u64, RuleReceipt)>,
}

impl Feed {
    fn new(shared: Arc<Shared>) -> Self {
        let mut overview = shared.overview.subscribe();
        let mut published = shared.chaos.watch();
        // A new page hears at once how things are.
        overview.mark_changed();
        published.mark_changed();
        Self {
            overview,
            published,
            registry: shared.registry.watch(),
            activity: shared.activity.subscribe(),
            shared,
            told: None,
            staged: None,
        }
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            tokio::select! {
                biased;
                () = self.shared.shutdown.cancelled() => return None,
                changed = self.published.changed() => changed.ok()?,
                changed = self.registry.changed() => changed.ok()?,
                received = self.activity.recv() => match received {
                    Ok(entry) => return Some(event("activity", &entry)),
                    // A page too slow for so many asks for the list anew.
                    Err(RecvError::Lagged(_)) => continue,
                    Err(RecvError::Closed) => return None,
                },
                changed = self.overview.changed() => {
                    changed.ok()?;
                    let overview = Arc::clone(&self.overview.borrow_and_update());
                    // Counts of injected faults change with the numbers, and receipts are
                    // not told more often.
                    self.published.mark_changed();
                    return Some(event("overview", &*overview));
                }
            }
            if let Some(event) = self.scenarios() {
                // What there is to say of the rules comes next.
                self.published.mark_changed();
                return Some(event);
            }
            if let Some(event) = self.chaos() {
                return Some(event);
            }
        }
    }

    /// The menu, when something on it changed.
    fn scenarios(&mut self) -> Option<Event> {
        let stage = Arc::clone(&self.shared.chaos.current().stage);
        let same = self.staged.as_ref().is_some_and(|told| *told == stage);
        self.staged = Some(stage);
        (!same).then(|| event("scenarios", &self.shared.chaos.scenarios()))
    }

    fn chaos(&mut self) -> Option<Event> {
        let state = self.shared.chaos_state();
        let told = Some(Told::of(&state));
        let same = self.told == told;
        self.told = told;
        (!same).then(|| event("chaos", &state))
    }
}

impl Told {
    fn of(state: &ChaosState) -> Self {
        let rules = state.rules.iter();
        Self {
            revision: state.revision,
            acknowledged: state.acknowledged,
            sidecars: state.sidecars,
            halted: state.halted.clone(),
            rules: rules
                .map(|rule| (rule.injected, rule.receipt.clone()))
                .collect(),
        }
    }
}

fn event(name: &str, data: &impl Serialize) -> Event {
    let event = Event::default().event(name);
    event
        .json_data(data)
        .expect("the API's types are plain data with string keys")
}
