//! The menu of scenarios.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State},
    routing::{get, post},
};

use super::{Answer, Nothing};
use crate::{
    ConsoleError,
    api::{ScenarioStart, ScenarioState},
    http::body::Strict,
    shared::Shared,
};

pub(super) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/api/mesh/scenarios", get(list))
        .route("/api/mesh/scenarios/{id}", post(start).delete(stop))
        .route("/api/mesh/scenarios/{id}/reveal", post(reveal))
}

async fn list(State(shared): State<Arc<Shared>>) -> Json<Vec<ScenarioState>> {
    Json(shared.chaos.scenarios())
}

async fn start(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Strict(wanted): Strict<ScenarioStart>,
) -> Answer<ScenarioState> {
    shared.chaos.start_scenario(&id, &wanted).await?;
    state(&shared, &id)
}

async fn stop(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Answer<ScenarioState> {
    shared.chaos.stop_scenario(&id).await?;
    state(&shared, &id)
}

async fn reveal(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Strict(Nothing {}): Strict<Nothing>,
) -> Answer<ScenarioState> {
    shared.chaos.reveal_scenario(&id).await?;
    state(&shared, &id)
}

fn state(shared: &Shared, id: &str) -> Answer<ScenarioState> {
    let found = shared
        .chaos
        .scenarios()
        .into_iter()
        .find(|one| one.id == id);
    found
        .map(Json)
        .ok_or_else(|| ConsoleError::NotFound(format!("there is no scenario `{id}`")))
}
