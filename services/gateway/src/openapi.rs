//! One description of the whole shop, put together from what each service
//! says of itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use kit::{Json, Peer};
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How long a description is served before the services are asked again.
const FRESH: Duration = Duration::from_secs(10);

/// The services' descriptions, as last heard.
#[derive(Clone, Debug)]
pub(crate) struct Descriptions {
    peers: Arc<[Peer]>,
    heard: Arc<Mutex<Heard>>,
}

#[derive(Debug, Default)]
struct Heard {
    at: Option<Instant>,
    /// By service; one that does not answer keeps its last description.
    parts: BTreeMap<String, Value>,
}

impl Descriptions {
    pub(crate) fn new(peers: Vec<Peer>) -> Self {
        Self {
            peers: peers.into(),
            heard: Arc::default(),
        }
    }

    async fn merged(&self) -> Value {
        let mut heard = self.heard.lock().await;
        if heard.at.is_none_or(|at| at.elapsed() >= FRESH) {
            for peer in self.peers.iter() {
                if let Ok(part) = peer.get::<Value>("/openapi.json").await {
                    heard.parts.insert(peer.name().to_owned(), part);
                }
            }
            // With a part missing the next question asks again.
            let complete = heard.parts.len() == self.peers.len();
            heard.at = complete.then(Instant::now);
        }
        merge(&heard.parts)
    }
}

/// `GET /openapi.json`
pub(crate) async fn serve(State(descriptions): State<Descriptions>) -> Json<Value> {
    Json(descriptions.merged().await)
}

fn merge(parts: &BTreeMap<String, Value>) -> Value {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for (service, part) in parts {
        let part = prefixed(service, part);
        for (into, from) in [
            (&mut paths, part.pointer("/paths")),
            (&mut schemas, part.pointer("/components/schemas")),
        ] {
            let entries = from.and_then(Value::as_object).into_iter().flatten();
            into.extend(entries.map(|(key, value)| (key.clone(), value.clone())));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Glassmesh shop",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Seven small services behind one gateway. \
                Errors are {code, message} with a proper status.",
        },
        "servers": [{ "url": "/" }],
        "tags": parts.keys().map(|name| json!({ "name": name })).collect::<Vec<_>>(),
        "paths": paths,
        "components": { "schemas": schemas },
    })
}

const SCHEMAS: &str = "#/components/schemas/";

/// Two services may use one name for different things (`Item`): in the merged
/// description each schema carries its service's name. Only the error is common.
fn prefixed(service: &str, part: &Value) -> Value {
    match part {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), prefixed_entry(service, key, value)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(values) => values.iter().map(|v| prefixed(service, v)).collect(),
        other => other.clone(),
    }
}

fn prefixed_entry(service: &str, key: &str, value: &Value) -> Value {
    match (key, value) {
        ("$ref", Value::String(target)) => match target.strip_prefix(SCHEMAS) {
            Some(name) => format!("{SCHEMAS}{}", schema_name(service, name)).into(),
            None => value.clone(),
        },
        ("schemas", Value::Object(schemas)) => schemas
            .iter()
            .map(|(name, schema)| (schema_name(service, name), prefixed(service, schema)))
            .collect::<Map<_, _>>()
            .into(),
        _ => prefixed(service, value),
    }
}

fn schema_name(service: &str, name: &str) -> String {
    match name {
        "ErrorBody" => "Error".to_owned(),
        name => format!("{service}.{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_of_one_name_stay_apart_and_references_follow() {
        let part = |text: &str| {
            json!({
                "paths": { text: { "get": { "schema": { "$ref": "#/components/schemas/Item" } } } },
                "components": { "schemas": { "Item": { "title": text }, "ErrorBody": {} } },
            })
        };
        let parts = [("a", part("/a")), ("b", part("/b"))]
            .map(|(name, part)| (name.to_owned(), part))
            .into();
        let merged = merge(&parts);
        assert_eq!(merged["components"]["schemas"]["a.Item"]["title"], "/a");
        assert_eq!(merged["components"]["schemas"]["b.Item"]["title"], "/b");
        assert_eq!(
            merged["components"]["schemas"].as_object().unwrap().len(),
            3
        );
        let reference = &merged["paths"]["/b"]["get"]["schema"]["$ref"];
        assert_eq!(reference, "#/components/schemas/b.Item");
    }
}
