//! Control plane and built-in observability of Glassmesh.

pub mod api;
pub mod mesh_file;
