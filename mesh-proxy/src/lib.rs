//! The Glassmesh sidecar.

pub mod config;
