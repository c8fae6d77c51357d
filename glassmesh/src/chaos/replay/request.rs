//! What entered the mesh, as far as its trace holds it.

use http::{Method, Uri};
use mesh_console::api::Overview;

use super::ReplayArgs;
use crate::{
    console_client::ConsoleClient,
    failure::Failure,
    trace::{Span, Trace},
};

/// A request that entered the mesh.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: Method,
    /// Path and query; with its host once it is known where to send it.
    pub(super) url: Uri,
    pub(super) body: Option<Vec<u8>>,
    /// Where it entered.
    pub(super) service: String,
    /// How it was answered then.
    pub(super) status: Option<u16>,
    host: Option<String>,
}

impl Asked {
    /// The request at the edge of the mesh, from the sidecar's span of it.
    pub(super) fn of(trace: &Trace) -> Result<Self, String> {
        let mut sidecars = trace
            .spans
            .iter()
            .filter(|span| span.tags.text("mesh.source").is_some());
        let first = sidecars.next().ok_or_else(|| {
            format!(
                "trace {} has no span of a sidecar (yet): nothing in it entered the mesh",
                trace.id
            )
        })?;
        if !first.name.starts_with("inbound ") {
            return Err(format!(
                "trace {} begins inside the mesh, at {}: only a request that entered it from outside can be sent again",
                trace.id, first.service
            ));
        }
        Self::of_span(first)
    }

    fn of_span(span: &Span) -> Result<Self, String> {
        if span.tags.text("rpc.system.name").is_some() {
            return Err("it was a gRPC call, whose messages no trace holds: send it again with a gRPC client, \
                 and with the baggage mesh.fate=TRACE_ID".to_owned());
        }
        let lost = |what: &str| format!("the trace does not say {what} of the request");
        let tag = |key: &str| span.tags.text(key);
        let method = tag("http.request.method").filter(|method| method != "_OTHER");
        let method = method.and_then(|method| method.parse().ok());
        let path = tag("url.path").ok_or_else(|| lost("the path"))?;
        let query = tag("url.query").map(|query| format!("?{query}"));
        let url = format!("{path}{}", query.unwrap_or_default());
        Ok(Self {
            method: method.ok_or_else(|| lost("the method"))?,
            url: url.parse().map_err(|_| lost("a path that can be sent"))?,
            body: None,
            service: tag("mesh.destination").unwrap_or_else(|| span.service.clone()),
            status: tag("http.response.status_code").and_then(|status| status.parse().ok()),
            host: tag("server.address"),
        })
    }

    /// Adds what the trace does not hold, from the flags and the console.
    pub(super) async fn complete(
        &mut self,
        args: &ReplayArgs,
        client: &ConsoleClient,
    ) -> Result<(), Failure> {
        self.body = args.body()?;
        if self.body.is_none() && [Method::POST, Method::PUT, Method::PATCH].contains(&self.method)
        {
            return Err(Failure::Invalid(format!(
                "a {} has a body as a rule, and no trace holds it: give it with --data TEXT or --data @FILE (--data '' for none)",
                self.method
            )));
        }
        let base = match &args.to {
            Some(base) => base.to_string(),
            None => self
                .entry(&client.overview().await?)
                .map_err(Failure::Invalid)?,
        };
        let (path, old) = (self.url.path(), self.url.query());
        let query = args
            .query
            .as_deref()
            .or(old)
            .map(|query| format!("?{query}"));
        let url = format!(
            "{}{path}{}",
            base.trim_end_matches('/'),
            query.unwrap_or_default()
        );
        let wrong = |_| Failure::Invalid(format!("`{url}` is no URL; see --to and --query"));
        self.url = url.parse().map_err(wrong)?;
        Ok(())
    }

    /// Base URL of the edge at which it came in.
    fn entry(&self, mesh: &Overview) -> Result<String, String> {
        let mut exposed = mesh.services.iter().filter(|service| service.exposed);
        let here = exposed.clone().any(|service| service.name == self.service);
        let only = exposed.next().is_some() && exposed.next().is_none();
        // Of several edges the one with the port that was asked for then.
        let as_then = self.host.as_ref().filter(|host| host.contains(':'));
        let url = match (&mesh.shop_url, as_then) {
            _ if !here => None,
            (Some(url), _) if only => Some(url.clone()),
            (_, Some(host)) => Some(format!("http://{host}")),
            _ => None,
        };
        url.ok_or_else(|| {
            format!(
                "the console does not know how {} is reached from outside: say so with --to URL",
                self.service
            )
        })
    }

    /// Whether what it sends is JSON.
    pub(super) fn is_json(&self) -> bool {
        let body = self.body.as_deref().filter(|body| !body.is_empty());
        body.is_some_and(|body| serde_json::from_slice::<serde_json::Value>(body).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    pub(super) fn span(name: &str, tags: &[(&str, &str)]) -> Value {
        let tags: Vec<Value> = tags
            .iter()
            .map(|(key, value)| json!({ "key": key, "value": value }))
            .collect();
        json!({ "spanID": name, "operationName": name, "startTime": 1, "duration": 1, "processID": "p", "tags": tags })
    }

    fn asked(spans: &[Value]) -> Result<Asked, String> {
        let answer = json!({ "data": [{ "traceID": "t", "spans": spans,
            "processes": { "p": { "serviceName": "gateway" } } }] });
        Asked::of(&Trace::from_jaeger(&answer).unwrap())
    }

    const TAGS: [(&str, &str); 6] = [
        ("mesh.source", "external"),
        ("mesh.destination", "gateway"),
        ("http.request.method", "GET"),
        ("url.path", "/products/7"),
        ("server.address", "127.0.0.1:4080"),
        ("http.response.status_code", "503"),
    ];

    #[test]
    fn the_request_is_found_where_it_entered_the_mesh() {
        let found = asked(&[span("inbound GET /products/{id}", &TAGS)]).unwrap();
        assert_eq!(
            (found.method.as_str(), found.url.to_string().as_str()),
            ("GET", "/products/7")
        );
        assert_eq!(
            (found.service.as_str(), found.status),
            ("gateway", Some(503))
        );
    }

    #[test]
    fn what_cannot_be_sent_again_says_why() {
        let grpc = [&TAGS[..], &[("rpc.system.name", "grpc")]].concat();
        for (span, part) in [
            (span("outbound users", &TAGS), "begins inside"),
            (span("GET /", &[]), "no span of a sidecar"),
            (span("inbound POST", &grpc), "gRPC"),
            (span("inbound POST", &TAGS[..2]), "the path"),
        ] {
            let why = asked(&[span]).unwrap_err();
            assert!(why.contains(part), "{why}");
        }
    }

    #[test]
    fn of_several_edges_the_one_of_then_is_asked() {
        let found = asked(&[span("inbound GET", &TAGS)]).unwrap();
        let service = |name: &str| {
            json!({ "name": name, "exposed": true, "instances": [],
            "inbound": { "rps": 0.0, "success": null, "p50_ms": null, "p99_ms": null } })
        };
        let mesh = |names: &[&str]| {
            let services: Vec<Value> = names.iter().map(|name| service(name)).collect();
            Overview {
                services: serde_json::from_value(services.into()).unwrap(),
                shop_url: Some("http://127.0.0.1:1".to_owned()),
                ..Overview::default()
            }
        };
        assert_eq!(
            found.entry(&mesh(&["gateway"])).unwrap(),
            "http://127.0.0.1:1"
        );
        assert_eq!(
            found.entry(&mesh(&["gateway", "back"])).unwrap(),
            "http://127.0.0.1:4080"
        );
        assert!(found.entry(&mesh(&["back"])).unwrap_err().contains("--to"));
    }
}
