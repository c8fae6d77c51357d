//! Jaeger's query API over the trace store, in Jaeger's own JSON: what its page,
//! Grafana's data source and scripts written for it understand.

mod convert;
mod dependencies;
pub(crate) mod model;
mod query;
mod ui;
mod values;

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    Json, Router,
    extract::{OriginalUri, Path, RawQuery, State},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use http::StatusCode;
use serde_json::{Value, json};

use crate::{hex, shared::Shared, traces::TraceStore};
use model::{Envelope, Problem};
use query::{Params, Query};

/// Most traces of one answer.
const MOST_TRACES: usize = 1_500;

/// The API, and the page over it, which asks for it under its own path.
pub(crate) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .merge(api())
        .nest("/jaeger", api().route("/api/{*more}", any(not_served)))
        .merge(ui::router())
}

fn api() -> Router<Arc<Shared>> {
    Router::new()
        .route("/api/services", get(services))
        .route("/api/services/{service}/operations", get(operation_names))
        .route("/api/operations", get(operations))
        .route("/api/traces", get(search))
        .route("/api/traces/{id}", get(trace))
        .route("/api/dependencies", get(dependencies))
}

/// Its page can ask for more than there is, as for metrics and archives.
async fn not_served(OriginalUri(uri): OriginalUri) -> Response {
    fail(
        StatusCode::NOT_FOUND,
        &format!("the console does not serve {}", uri.path()),
    )
}

async fn services(State(shared): State<Arc<Shared>>) -> Json<Envelope<String>> {
    Json(Envelope::counted(shared.traces.services()))
}

async fn operation_names(
    State(shared): State<Arc<Shared>>,
    Path(service): Path<String>,
) -> Json<Envelope<String>> {
    let names: BTreeSet<String> = operations_of(&shared.traces, &service)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    Json(Envelope::counted(names.into_iter().collect()))
}

async fn operations(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Response {
    let params = Params::parse(query.as_deref());
    let Some(service) = params.one("service") else {
        return bad("parameter 'service' is required");
    };
    let kind = params.one("spanKind");
    let operations: Vec<Value> = operations_of(&shared.traces, service)
        .into_iter()
        .filter(|(_, of)| kind.is_none_or(|kind| kind == *of))
        .map(|(name, kind)| json!({ "name": name, "spanKind": kind }))
        .collect();
    Json(Envelope::counted(operations)).into_response()
}

async fn search(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Response {
    let params = Params::parse(query.as_deref());
    let ids = params.all("traceID");
    if !ids.is_empty() {
        return by_ids(&shared.traces, &ids);
    }
    let query = match Query::read(&params) {
        Ok(query) => query,
        Err(message) => return bad(&message),
    };
    let traces = Arc::clone(&shared.traces);
    // A search that decodes every span takes milliseconds: off the reactor.
    let found = tokio::task::spawn_blocking(move || query.run(&traces)).await;
    match found {
        Ok(found) => Json(Envelope::uncounted(found)).into_response(),
        Err(error) => fail(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn by_ids(store: &TraceStore, ids: &[&str]) -> Response {
    let mut found = Envelope::uncounted(Vec::new());
    for text in ids.iter().take(MOST_TRACES) {
        let Some(id) = hex::decode::<16>(text) else {
            return bad(&not_an_id(text));
        };
        match store.get(&id) {
            Some(trace) => found.data.push(convert::trace(&id, &trace)),
            None => found.errors.push(Problem {
                trace_id: Some((*text).to_owned()),
                ..not_found()
            }),
        }
    }
    Json(found).into_response()
}

async fn trace(State(shared): State<Arc<Shared>>, Path(text): Path<String>) -> Response {
    let Some(id) = hex::decode::<16>(&text) else {
        return bad(&not_an_id(&text));
    };
    match shared.traces.get(&id) {
        Some(trace) => {
            let data = vec![convert::trace(&id, &trace)];
            Json(Envelope::uncounted(data)).into_response()
        }
        None => fail(StatusCode::NOT_FOUND, &not_found().msg),
    }
}

async fn dependencies(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Response {
    let params = Params::parse(query.as_deref());
    let range = match dependencies::Range::read(&params, shared.clock.now_ms()) {
        Ok(range) => range,
        Err(message) => return bad(&message),
    };
    let links = dependencies::links(&shared.traces, &range);
    Json(Envelope::counted(links)).into_response()
}

/// Names and kinds of a service's operations, sorted.
fn operations_of(store: &TraceStore, service: &str) -> BTreeSet<(String, &'static str)> {
    let mut found = BTreeSet::new();
    for (_, trace) in store.all() {
        for span in &trace.spans {
            if span.origin.service == service {
                let kind = values::kind(span.kind).unwrap_or("");
                // Most spans say what was said before.
                if !found.contains(&(span.name.to_string(), kind)) {
                    found.insert((span.name.to_string(), kind));
                }
            }
        }
    }
    found
}

fn not_found() -> Problem {
    Problem {
        code: 404,
        msg: "trace not found".to_owned(),
        trace_id: None,
    }
}

fn not_an_id(text: &str) -> String {
    format!("`{text}` is no trace id: expected up to 32 hex digits")
}

fn bad(message: &str) -> Response {
    fail(StatusCode::BAD_REQUEST, message)
}

fn fail(status: StatusCode, message: &str) -> Response {
    (status, Json(model::failure(status, message))).into_response()
}
