//! Envoy's configuration, with its counterpart of each thing that mesh-proxy is asked
//! to do. Everything that is not named here is Envoy's default.

use std::{fs, net::SocketAddr, process::Command};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{Dress, Ground, Hop, certificates};
use crate::load::Protocol;

const EXTENSIONS: &str = "type.googleapis.com/envoy.extensions";

pub(super) fn command(
    hop: &Hop,
    dress: &Dress,
    otlp: Option<&str>,
    ground: &Ground<'_>,
) -> anyhow::Result<Command> {
    let program = ground.programs.envoy.as_ref().context("not installed")?;
    let mut clusters = vec![upstream(hop, dress, ground)];
    if let Some(otlp) = otlp {
        clusters.push(collector(otlp)?);
    }
    let chain = filter_chain(hop, dress, otlp.is_some(), ground);
    let batches = json!({ "tracing.opentelemetry.min_flush_spans": 512 });
    let config = json!({
        "static_resources": {
            "listeners": [{
                "name": "entry",
                "address": address(hop.listen),
                "filter_chains": [chain],
            }],
            "clusters": clusters,
        },
        "layered_runtime": { "layers": [{
            "name": "bench",
            "static_layer": if dress.large_batches { batches } else { json!({}) },
        }] },
    });
    let file = ground.folder.join(format!("{}.json", hop.name));
    fs::write(&file, serde_json::to_string_pretty(&config)?)?;
    let mut command = Command::new(program);
    command
        .args([
            "--concurrency",
            "1",
            "--disable-hot-restart",
            "--log-level",
            "error",
        ])
        .arg("--config-path")
        .arg(file);
    Ok(command)
}

fn address(address: SocketAddr) -> Value {
    json!({ "socket_address": {
        "address": address.ip(),
        "port_value": address.port(),
    } })
}

fn filter_chain(hop: &Hop, dress: &Dress, tracing: bool, ground: &Ground<'_>) -> Value {
    let mut manager = json!({
        "@type": format!("{EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "entry",
        "codec_type": "AUTO",
        "route_config": { "name": "routes", "virtual_hosts": virtual_hosts(dress) },
        "http_filters": http_filters(dress),
    });
    if dress.everything {
        manager["access_log"] = access_log(hop, ground);
    }
    if let Some(share) = dress.traces.filter(|_| tracing) {
        manager["tracing"] = json!({
            "random_sampling": { "value": share * 100.0 },
            "spawn_upstream_span": !dress.one_span,
            "provider": {
                "name": "envoy.tracers.opentelemetry",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
                    "grpc_service": {
                        "envoy_grpc": { "cluster_name": "collector" },
                        "timeout": "10s",
                    },
                    "service_name": "bench",
                },
            },
        });
    }
    let mut chain = json!({ "filters": [{
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": manager,
    }] });
    if dress.tls && hop.index > 0 {
        chain["transport_socket"] = json!({
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": format!("{EXTENSIONS}.transport_sockets.tls.v3.DownstreamTlsContext"),
                "require_client_certificate": true,
                "common_tls_context": tls_context(ground),
            },
        });
    }
    chain
}

fn tls_context(ground: &Ground<'_>) -> Value {
    let files = ground.certificates;
    json!({
        "tls_params": { "tls_minimum_protocol_version": "TLSv1_3" },
        "tls_certificates": [{
            "certificate_chain": { "filename": files.certificate },
            "private_key": { "filename": files.key },
        }],
        "validation_context": { "trusted_ca": { "filename": files.authority } },
    })
}

fn virtual_hosts(dress: &Dress) -> Vec<Value> {
    let mut hosts: Vec<_> = (1..dress.routes)
        .map(|number| {
            let other = format!("other-{number}");
            json!({
                "name": other,
                "domains": [other],
                "routes": [{
                    "match": { "prefix": format!("/{other}") },
                    "direct_response": { "status": 404 },
                }],
            })
        })
        .collect();
    let mut action = json!({ "cluster": "echo" });
    if dress.everything {
        action["timeout"] = json!("10s");
        action["retry_policy"] = json!({
            "retry_on": "5xx,connect-failure,reset",
            "num_retries": 2,
            "per_try_timeout": "5s",
        });
    }
    hosts.push(json!({
        "name": "echo",
        "domains": ["*"],
        "routes": [{ "match": { "prefix": "/items" }, "route": action }],
    }));
    hosts
}

fn http_filters(dress: &Dress) -> Vec<Value> {
    let mut filters = Vec::new();
    if dress.everything {
        filters.push(rate_limit());
        filters.push(fault());
    }
    filters.push(json!({
        "name": "envoy.filters.http.router",
        "typed_config": { "@type": format!("{EXTENSIONS}.filters.http.router.v3.Router") },
    }));
    filters
}

fn rate_limit() -> Value {
    let always = json!({ "default_value": { "numerator": 100, "denominator": "HUNDRED" } });
    json!({
        "name": "envoy.filters.http.local_ratelimit",
        "typed_config": {
            "@type": format!("{EXTENSIONS}.filters.http.local_ratelimit.v3.LocalRateLimit"),
            "stat_prefix": "limit",
            "token_bucket": {
                "max_tokens": 1_000_000,
                "tokens_per_fill": 1_000_000,
                "fill_interval": "1s",
            },
            "filter_enabled": always,
            "filter_enforced": always,
        },
    })
}

/// Loaded and never matching.
fn fault() -> Value {
    json!({
        "name": "envoy.filters.http.fault",
        "typed_config": {
            "@type": format!("{EXTENSIONS}.filters.http.fault.v3.HTTPFault"),
            "abort": {
                "http_status": 503,
                "percentage": { "numerator": 100, "denominator": "HUNDRED" },
            },
            "headers": [{ "name": "x-bench-fault", "string_match": { "exact": "yes" } }],
        },
    })
}

fn access_log(hop: &Hop, ground: &Ground<'_>) -> Value {
    json!([{
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": format!("{EXTENSIONS}.access_loggers.file.v3.FileAccessLog"),
            "path": ground.folder.join(format!("{}.access.log", hop.name)),
            "log_format": { "json_format": {
                "time": "%START_TIME%",
                "method": "%REQ(:METHOD)%",
                "path": "%REQ(:PATH)%",
                "authority": "%REQ(:AUTHORITY)%",
                "protocol": "%PROTOCOL%",
                "status": "%RESPONSE_CODE%",
                "flags": "%RESPONSE_FLAGS%",
                "bytes_in": "%BYTES_RECEIVED%",
                "bytes_out": "%BYTES_SENT%",
                "duration_ms": "%DURATION%",
                "upstream": "%UPSTREAM_HOST%",
                "route": "%ROUTE_NAME%",
                "trace_id": "%TRACE_ID%",
            } },
        },
    }])
}

fn upstream(hop: &Hop, dress: &Dress, ground: &Ground<'_>) -> Value {
    let mut cluster = json!({
        "name": "echo",
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": "echo",
            "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": address(hop.to) } }] }],
        },
    });
    if dress.everything {
        cluster["lb_policy"] = json!("LEAST_REQUEST");
        cluster["circuit_breakers"] = json!({ "thresholds": [{
            "max_connections": 10_000,
            "max_pending_requests": 10_000,
            "max_requests": 10_000,
            "retry_budget": {
                "budget_percent": { "value": 20.0 },
                "min_retry_concurrency": 10,
            },
        }] });
        cluster["outlier_detection"] = json!({ "consecutive_5xx": 5 });
    }
    if dress.protocol == Protocol::Http2 {
        cluster["typed_extension_protocol_options"] = http2();
    }
    if dress.tls && !hop.last {
        cluster["transport_socket"] = json!({
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": format!("{EXTENSIONS}.transport_sockets.tls.v3.UpstreamTlsContext"),
                "sni": certificates::NAME,
                "common_tls_context": tls_context(ground),
            },
        });
    }
    cluster
}

fn http2() -> Value {
    json!({ "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": format!("{EXTENSIONS}.upstreams.http.v3.HttpProtocolOptions"),
        "explicit_http_config": { "http2_protocol_options": {} },
    } })
}

fn collector(otlp: &str) -> anyhow::Result<Value> {
    let to: SocketAddr = otlp.trim_start_matches("http://").parse()?;
    Ok(json!({
        "name": "collector",
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": http2(),
        "load_assignment": {
            "cluster_name": "collector",
            "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": address(to) } }] }],
        },
    }))
}
