//! Load generator of Glassmesh.
//!
//! [`load::run`] sends the shop's traffic at a fixed arrival rate, whatever the
//! shop answers ("open loop"): a slow shop does not get fewer requests, as it
//! would from callers that wait for each answer. Latency counts from the moment
//! a request was due.

pub mod load;
