//! Where the programs are.

use std::{env, path::PathBuf};

use anyhow::Context as _;

/// The executables; none: not installed, and skipped.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    /// With the arguments that come before those of the sidecar.
    pub(crate) mesh_proxy: (PathBuf, Vec<String>),
    pub(crate) envoy: Option<PathBuf>,
    pub(crate) haproxy: Option<PathBuf>,
    pub(crate) nginx: Option<PathBuf>,
}

impl Programs {
    /// `mesh-proxy` beside this program; it itself in that role if there is none or it
    /// is told so, as in tests. The others in the search path and where Debian keeps servers.
    pub(crate) fn find(
        mesh_proxy: Option<PathBuf>,
        envoy: Option<PathBuf>,
    ) -> anyhow::Result<Self> {
        let own = env::current_exe().context("where this program is")?;
        let beside = own.with_file_name("mesh-proxy");
        let mesh_proxy = match mesh_proxy {
            Some(path) if path != own => (path, Vec::new()),
            None if beside.is_file() => (beside, Vec::new()),
            _ => (own, vec!["sidecar".to_owned()]),
        };
        Ok(Self {
            mesh_proxy,
            envoy: envoy
                .or_else(|| in_path("envoy"))
                .or_else(|| unpacked("target/envoy/envoy/_bin/envoy")),
            haproxy: in_path("haproxy"),
            nginx: in_path("nginx"),
        })
    }

    /// mesh-proxy alone.
    pub(crate) fn only_ours(self) -> Self {
        Self {
            envoy: None,
            haproxy: None,
            nginx: None,
            ..self
        }
    }
}

fn in_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// Where `just envoy` puts it.
fn unpacked(file: &str) -> Option<PathBuf> {
    let file = env::current_dir().ok()?.join(file);
    file.is_file().then_some(file)
}
