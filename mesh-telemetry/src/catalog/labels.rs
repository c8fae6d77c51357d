//! What each label can say.

/// A label and the bounded set of its values.
#[derive(Clone, Copy, Debug)]
pub struct Label {
    /// Name.
    pub name: &'static str,
    /// Its values, or where they come from.
    pub values: &'static str,
}

const fn label(name: &'static str, values: &'static str) -> Label {
    Label { name, values }
}

/// Every label, alphabetically. None takes a value from a request.
pub static LABELS: &[Label] = &[
    label("component", "service, sidecar, console, load, cli"),
    label(
        "condition",
        "5xx, gateway-error, connect-failure, reset, refused-stream, attempt-timeout, retriable-4xx, status, grpc-cancelled, grpc-deadline-exceeded, grpc-resource-exhausted, grpc-internal, grpc-unavailable",
    ),
    label("db_collection_name", "table, a literal in the code"),
    label("db_operation_name", "SQL verb, a literal in the code"),
    label("db_system_name", "sqlite"),
    label(
        "destination",
        "service from configuration; `unknown` before a route is found",
    ),
    label("direction", "inbound, outbound"),
    label(
        "endpoint",
        "`host:port` from configuration or DNS; on gauges only",
    ),
    label(
        "error_type",
        "empty without an error; a status from 400 (client) or 500 (server) on, `cancelled`, or a bounded code",
    ),
    label(
        "fault",
        "request_headers, delay, refuse, reset, hang, abort, response_headers, chunk_delay, throttle, corrupt, truncate",
    ),
    label("flow", "sent, received: to and from the cluster"),
    label(
        "grpc_status",
        "number of the status; `-` when it is not gRPC",
    ),
    label(
        "http_request_method",
        "the methods of RFC 9110 and PATCH; `_OTHER`",
    ),
    label(
        "http_response_status_code",
        "100 to 599; empty without an answer",
    ),
    label(
        "http_route",
        "template of the route, as `/orders/{id}`; empty without one",
    ),
    label("listener", "inbound, outbound, admin, metrics"),
    label("method", "the methods of RFC 9110 and PATCH; `_OTHER`"),
    label(
        "place",
        "where a chaos rule strikes, from the mesh file or the API, as `orders -> payments`; `hidden` for a mystery; on gauges of rules in force only",
    ),
    label("product", "product id of the shop"),
    label(
        "reason",
        "bounded snake_case code, a literal in the code: budget_exhausted, not_idempotent, body_too_large, deadline, attempts_exhausted (retry refused); rate_limited, overload, adaptive_limit, body_too_large (shed); consecutive_failures, failure_share, success_rate (ejected); done, upgraded, broken, drain, drain_over, idle_timeout, max_age, head_timeout, slow_body, malformed, large_head, handshake, fault (connection closed); line_end, request_line, folded_header, content_length, transfer_encoding, length_and_coding, chunk, trailer, syntax, large_head (malformed)",
    ),
    label("response_class", "1xx to 5xx; `none` without an answer"),
    label("response_code", "100 to 599; `0` without an answer"),
    label(
        "response_flags",
        "Envoy's letters, joined by commas: UH, UF, UO, URX, UT, UC, DC, RL, FI, DI, NR; `-` for none",
    ),
    label(
        "result",
        "exported, dropped, failed (spans); written, dropped (lines of the access log); won, lost, failed, cancelled, refused (hedges); ok, refused, timeout, error (connects); ok, unhealthy, refused, timeout, error (health checks); ok, empty, error (DNS lookups); ok, error, untrusted, expired, wrong_identity, timeout (handshakes); charged, replayed, declined, failed, refunded (payments)",
    ),
    label(
        "route",
        "name of the route from configuration; `none` before one is found",
    ),
    label("rule", "id of the chaos rule"),
    label(
        "scenario",
        "id of a scenario of the mesh file; empty for none",
    ),
    label("server_address", "name of the peer, as the code calls it"),
    label(
        "source",
        "service from configuration; `external` for callers outside, `unknown`",
    ),
    label("state", "ready, ejected, draining, unhealthy"),
    label("status", "confirmed, rejected, failed"),
    label(
        "tls",
        "none, server (the called side has a certificate), mutual (both have); inbound the caller's connection, outbound the one to the last endpoint",
    ),
    label("version", "version of Glassmesh"),
];
