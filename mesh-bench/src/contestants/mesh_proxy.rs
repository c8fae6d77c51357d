//! mesh-proxy's configuration.

use std::{fs, net::SocketAddr, process::Command};

use serde_json::{Value, json};

use super::{Dress, Ground, Hop, certificates, free_address};
use crate::load::Protocol;

pub(super) fn command(
    hop: &Hop,
    dress: &Dress,
    otlp: Option<&str>,
    metrics: SocketAddr,
    ground: &Ground<'_>,
) -> anyhow::Result<Command> {
    let mut config = json!({
        "service": service(hop),
        "instance": hop.name,
        "admin": free_address()?,
        "metrics": metrics,
        "telemetry": { "otlp": otlp, "sample_ratio": dress.traces.unwrap_or(0.0) },
        "policy": if hop.index == 0 { outbound(hop, dress, ground) } else { inbound(dress) },
    });
    if dress.everything {
        let file = ground.folder.join(format!("{}.access.log", hop.name));
        config["access_log"] = json!({ "to": file, "format": "json" });
    }
    if hop.index == 0 {
        config["outbound"] = json!({ "listen": hop.listen });
    } else {
        config["inbound"] = json!({ "listen": hop.listen, "application": hop.to });
        if dress.tls {
            config["inbound"]["tls"] = json!({
                "certificate": ground.certificates.certificate,
                "key": ground.certificates.key,
                "client_ca": ground.certificates.authority,
            });
        }
    }
    let file = ground.folder.join(format!("{}.yaml", hop.name));
    fs::write(&file, serde_json::to_string_pretty(&config)?)?; // YAML holds JSON
    let (program, arguments) = &ground.programs.mesh_proxy;
    let mut command = Command::new(program);
    command.args(arguments).arg("--config").arg(file);
    command.env("RUST_LOG", "warn");
    Ok(command)
}

fn service(hop: &Hop) -> &'static str {
    if hop.index == 0 { "bench" } else { "echo" }
}

fn protocol(dress: &Dress) -> &'static str {
    match dress.protocol {
        Protocol::Http1 => "http1",
        Protocol::Http2 => "http2",
    }
}

fn outbound(hop: &Hop, dress: &Dress, ground: &Ground<'_>) -> Value {
    let mut clusters = json!({ "echo": cluster(hop, dress, ground) });
    let mut routes = Vec::new();
    for number in 1..dress.routes {
        let other = format!("other-{number}");
        clusters[&other] = json!({ "endpoints": ["127.0.0.1:9"] });
        routes.push(json!({
            "name": other,
            "match": { "authority": other, "path_prefix": format!("/{other}") },
            "cluster": other,
        }));
    }
    routes.push(route(dress));
    json!({ "clusters": clusters, "routes": routes, "chaos": rules(dress) })
}

fn cluster(hop: &Hop, dress: &Dress, ground: &Ground<'_>) -> Value {
    let port = hop.to.port();
    // One listener takes all addresses of loopback: each is an endpoint of its own.
    let endpoints: Vec<_> = (0..dress.endpoints)
        .map(|index| format!("127.0.{}.{}:{port}", index / 250, index % 250 + 1))
        .collect();
    let mut cluster = json!({ "endpoints": endpoints });
    if dress.protocol == Protocol::Http2 {
        cluster["protocol"] = json!(protocol(dress));
    }
    if dress.tls && !hop.last {
        cluster["tls"] = json!({
            "ca": ground.certificates.authority,
            "certificate": ground.certificates.certificate,
            "key": ground.certificates.key,
            "server_name": certificates::NAME,
        });
    }
    cluster
}

fn route(dress: &Dress) -> Value {
    let mut route = json!({
        "name": "echo",
        "match": { "authority": "echo", "path_prefix": "/items" },
        "cluster": "echo",
    });
    if dress.everything {
        route["match"]["methods"] = json!(["GET", "POST"]);
        route["deadline"] = json!("10s");
        route["attempt_timeout"] = json!("5s");
        route["retry"] = json!({ "attempts": 3 });
        route["max_in_flight"] = json!(10_000);
        route["rate_limit"] = json!({ "per_second": 1_000_000, "burst": 100_000 });
    }
    route
}

/// Rules that are on and never strike: on other edges, and one on this edge that draws
/// for every attempt.
fn rules(dress: &Dress) -> Vec<Value> {
    let others = (1..=dress.rules).map(|number| {
        // A rule may name a service that has no route here: it is another sidecar's.
        let other = number % dress.routes.max(2);
        json!({
            "id": format!("slow-{number}"),
            "where": format!("bench -> other-{}", other.max(1)),
            "percent": 50,
            "delay": "100ms",
        })
    });
    let here = dress
        .everything
        .then(|| json!({ "id": "never", "where": "bench -> echo", "percent": 0, "abort": 503 }));
    others.chain(here).collect()
}

fn inbound(dress: &Dress) -> Value {
    let mut inbound = json!({ "callers": ["bench"] });
    if dress.protocol == Protocol::Http2 {
        inbound["protocol"] = json!(protocol(dress));
    }
    if dress.everything {
        inbound["max_in_flight"] = json!(10_000);
        inbound["rate_limit"] = json!({ "per_second": 1_000_000, "burst": 100_000 });
        inbound["deny"] = json!([{ "path_prefix": "/admin" }]);
    }
    json!({ "inbound": inbound })
}
