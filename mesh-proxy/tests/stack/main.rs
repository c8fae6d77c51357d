//! The sidecar over real sockets: applications, sidecars and callers are real
//! hyper servers and clients on free ports.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod access_log;
mod ask;
mod b3;
mod balancing;
mod bounds;
mod chain;
mod chaos;
mod chaos_bodies;
mod chaos_clients;
mod chaos_edge;
mod chaos_metrics;
mod chaos_node;
mod chaos_safety;
mod chaos_scope;
mod chaos_verdict;
mod control;
mod deadline;
mod discovery;
mod docs_access_log;
mod docs_balancing;
mod docs_hardening;
mod docs_operations;
mod docs_protocols;
mod docs_retry;
mod docs_routing;
mod docs_tls;
mod example;
mod grpc;
mod health;
mod hedge;
mod hop;
mod hostile;
mod lifecycle;
mod limits;
mod moved;
mod page;
mod pages;
mod peers;
mod pki;
mod process;
mod protocols;
mod reload;
mod retry;
mod routing;
mod schema;
mod streaming;
mod support;
mod table;
mod tls_check;
mod tls_listener;
mod tls_upstream;
mod upgrade;
mod uploads;
mod upstreams;
