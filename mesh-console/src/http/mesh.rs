//! The console's own API.

mod scenarios;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State},
    routing::{get, patch, post},
};
use http::StatusCode;
use mesh_proxy::config::Rule;
use serde::Deserialize;

use super::{
    body::{Strict, StrictQuery},
    events,
};
use crate::{
    ConsoleError,
    activity::ActivityLog,
    api::{Activity, ChaosState, EdgeHistory, Overview, RulePatch, RuleState, TraceSummary},
    shared::Shared,
    traces::Filter,
};

/// Traces of a list where nothing is asked for.
const TRACES: usize = 50;

/// Most traces of a list.
const MOST_TRACES: usize = 1_000;

type Answer<T> = Result<Json<T>, ConsoleError>;

pub(super) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/api/mesh/overview", get(overview))
        .route("/api/mesh/events", get(events::stream))
        .route("/api/mesh/chaos", get(chaos).post(put_rule))
        .route("/api/mesh/chaos/halt", post(halt))
        .route("/api/mesh/chaos/{id}", patch(turn_rule).delete(remove_rule))
        .merge(scenarios::router())
        .route("/api/mesh/traces", get(traces))
        .route("/api/mesh/edge", get(edge))
        .route("/api/mesh/activity", get(activity).post(post_activity))
}

async fn overview(State(shared): State<Arc<Shared>>) -> Json<Overview> {
    Json(shared.overview())
}

async fn chaos(State(shared): State<Arc<Shared>>) -> Json<ChaosState> {
    Json(shared.chaos_state())
}

async fn put_rule(
    State(shared): State<Arc<Shared>>,
    Strict(rule): Strict<Rule>,
) -> Result<(StatusCode, Json<RuleState>), ConsoleError> {
    let id = rule.id.clone();
    shared.chaos.put(rule).await?;
    Ok((StatusCode::CREATED, rule_state(&shared, &id)?))
}

async fn turn_rule(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Strict(patch): Strict<RulePatch>,
) -> Answer<RuleState> {
    shared.chaos.turn(&id, patch.enabled).await?;
    rule_state(&shared, &id)
}

async fn remove_rule(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<StatusCode, ConsoleError> {
    shared.chaos.remove(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Halting takes no words, but a body all the same: every write is JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

async fn halt(
    State(shared): State<Arc<Shared>>,
    Strict(Nothing {}): Strict<Nothing>,
) -> Answer<ChaosState> {
    shared.chaos.halt().await?;
    Ok(Json(shared.chaos_state()))
}

/// The rule as it is now; somebody else may have removed it meanwhile.
fn rule_state(shared: &Shared, id: &str) -> Answer<RuleState> {
    let rules = shared.chaos_state().rules;
    let found = rules.into_iter().find(|state| state.rule.id == id);
    found.map(Json).ok_or_else(|| ConsoleError::UnknownRule {
        id: id.to_owned(),
        known: "see GET /api/mesh/chaos".to_owned(),
    })
}

#[derive(Deserialize)]
struct TraceQuery {
    service: Option<String>,
    rule: Option<String>,
    #[serde(default)]
    filter: Filter,
    limit: Option<usize>,
}

async fn traces(
    State(shared): State<Arc<Shared>>,
    StrictQuery(query): StrictQuery<TraceQuery>,
) -> Json<Vec<TraceSummary>> {
    let limit = query.limit.unwrap_or(TRACES).min(MOST_TRACES);
    let service = query.service.as_deref().filter(|name| !name.is_empty());
    let rule = query.rule.as_deref().filter(|id| !id.is_empty());
    Json(shared.traces.summaries(service, rule, query.filter, limit))
}

#[derive(Deserialize)]
struct EdgeQuery {
    source: String,
    destination: String,
}

async fn edge(
    State(shared): State<Arc<Shared>>,
    StrictQuery(EdgeQuery {
        source,
        destination,
    }): StrictQuery<EdgeQuery>,
) -> Answer<EdgeHistory> {
    let samples = match shared.edges.history(&source, &destination) {
        Some(samples) => samples,
        None if shared.is_edge(&source, &destination) => Vec::new(),
        None => {
            return Err(ConsoleError::NotFound(format!(
                "`{source}` does not call `{destination}` in this mesh"
            )));
        }
    };
    Ok(Json(EdgeHistory {
        source,
        destination,
        samples,
    }))
}

async fn activity(State(shared): State<Arc<Shared>>) -> Json<Vec<Activity>> {
    Json(shared.activity.list())
}

async fn post_activity(
    State(shared): State<Arc<Shared>>,
    Strict(entry): Strict<Activity>,
) -> Result<(StatusCode, Json<Activity>), ConsoleError> {
    if let Some(refusal) = ActivityLog::refuse(&entry) {
        return Err(ConsoleError::BadRequest(refusal));
    }
    let entry = shared.activity.add(&entry.kind, entry.text);
    Ok((StatusCode::CREATED, Json(entry)))
}
