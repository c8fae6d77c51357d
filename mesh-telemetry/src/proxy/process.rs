//! What happens to the sidecar itself: counted and logged where it happens.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{Direction, ProcessEvent};
use crate::{
    catalog,
    register::{counter, gauge},
};

/// Counts and logs what happened to the sidecar.
pub fn emit(event: &ProcessEvent<'_>) {
    match *event {
        ProcessEvent::EndpointEjected {
            cluster,
            endpoint,
            reason,
        } => {
            counter(&catalog::EJECTIONS, &[cluster, reason]).increment(1);
            tracing::info!(cluster, endpoint, reason, "endpoint ejected");
        }
        ProcessEvent::EndpointReadmitted { cluster, endpoint } => {
            tracing::info!(cluster, endpoint, "endpoint readmitted");
        }
        ProcessEvent::EndpointRemoved { cluster, endpoint } => {
            tracing::info!(cluster, endpoint, "endpoint removed");
        }
        ProcessEvent::Endpoints {
            cluster,
            ready,
            ejected,
            draining,
            unhealthy,
        } => {
            let states = [
                ("ready", ready),
                ("ejected", ejected),
                ("draining", draining),
                ("unhealthy", unhealthy),
            ];
            for (state, number) in states {
                gauge(&catalog::ENDPOINTS, &[cluster, state]).set(number as f64);
            }
        }
        ProcessEvent::HealthChecked { cluster, result } => {
            counter(&catalog::HEALTH_CHECKS, &[cluster, result]).increment(1);
        }
        ProcessEvent::Discovered { cluster, result } => {
            counter(&catalog::DNS_LOOKUPS, &[cluster, result]).increment(1);
        }
        ProcessEvent::ConfigApplied { revision } => {
            gauge(&catalog::CONFIG_REVISION, &[]).set(revision as f64);
            gauge(&catalog::CONFIG_RELOADED, &[]).set(1.0);
            gauge(&catalog::CONFIG_RELOAD_TIME, &[]).set(unix_seconds(SystemTime::now()));
            tracing::info!(revision, "policy in force");
        }
        ProcessEvent::ConfigRejected { revision, problems } => {
            counter(&catalog::CONFIG_REJECTED, &[]).increment(1);
            gauge(&catalog::CONFIG_RELOADED, &[]).set(0.0);
            tracing::warn!(
                revision,
                problems,
                "policy refused, the old one stays in force"
            );
        }
        ProcessEvent::ControlConnected(connected) => {
            gauge(&catalog::CONTROL_CONNECTED, &[]).set(f64::from(u8::from(connected)));
            tracing::info!(connected, "stream to the console");
        }
        ProcessEvent::UpstreamConnect { cluster, result } => {
            counter(&catalog::UPSTREAM_CONNECTS, &[cluster, result]).increment(1);
        }
        ProcessEvent::UpstreamOpened { cluster } => {
            gauge(&catalog::UPSTREAM_CONNECTIONS, &[cluster]).increment(1.0);
        }
        ProcessEvent::UpstreamClosed { cluster } => {
            gauge(&catalog::UPSTREAM_CONNECTIONS, &[cluster]).decrement(1.0);
        }
        ProcessEvent::DownstreamOpened { listener } => {
            gauge(&catalog::DOWNSTREAM_CONNECTIONS, &[listener]).increment(1.0);
        }
        ProcessEvent::DownstreamClosed { listener, reason } => {
            gauge(&catalog::DOWNSTREAM_CONNECTIONS, &[listener]).decrement(1.0);
            counter(&catalog::DOWNSTREAM_CLOSED, &[listener, reason]).increment(1);
        }
        ProcessEvent::Malformed { listener, reason } => {
            counter(&catalog::MALFORMED, &[listener, reason]).increment(1);
            tracing::debug!(listener, reason, "malformed request");
        }
        ProcessEvent::TlsHandshake { direction, result } => {
            counter(&catalog::TLS_HANDSHAKES, &[direction.as_str(), result]).increment(1);
        }
        ProcessEvent::CertificateExpiry { direction, ends } => certificate(direction, ends),
        ProcessEvent::ConcurrencyLimit {
            direction,
            destination,
            route,
            limit,
        } => {
            let labels = [direction.as_str(), destination, route];
            let limit = limit.map_or(f64::NAN, |limit| limit as f64);
            gauge(&catalog::CONCURRENCY_LIMIT, &labels).set(limit);
        }
    }
}

/// Lets the series that stand for the sidecar as a whole exist from the start.
pub(crate) fn register() {
    gauge(&catalog::CONFIG_REVISION, &[]).set(0.0);
    gauge(&catalog::CONTROL_CONNECTED, &[]).set(0.0);
    counter(&catalog::CONFIG_REJECTED, &[]).increment(0);
    gauge(&catalog::CONFIG_RELOADED, &[]).set(1.0);
    gauge(&catalog::CONFIG_RELOAD_TIME, &[]).set(unix_seconds(SystemTime::now()));
    for direction in [Direction::Inbound, Direction::Outbound] {
        counter(&catalog::TLS_HANDSHAKES, &[direction.as_str(), "ok"]).increment(0);
        certificate(direction, None);
    }
}

fn certificate(direction: Direction, ends: Option<SystemTime>) {
    let seconds = ends.map_or(f64::NAN, unix_seconds);
    gauge(&catalog::CERTIFICATE_EXPIRY, &[direction.as_str()]).set(seconds);
}

/// NaN for a clock before 1970.
fn unix_seconds(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH)
        .map_or(f64::NAN, |since| since.as_secs_f64())
}
