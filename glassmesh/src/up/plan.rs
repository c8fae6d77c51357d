//! Which processes make up a mesh, and how each is started.

use std::{
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use mesh_console::mesh_file::{Instance, Instances, LocalAddresses, MeshFile};

/// When a process is started and, in the opposite order, stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// The console: sidecars ask it for their policy.
    Console,
    /// Services and sidecars, all at once.
    Mesh,
    /// The load: first to be stopped, so that nothing is in flight when the rest drains.
    Load,
}

impl Stage {
    pub(super) const STOP_ORDER: [Self; 3] = [Self::Load, Self::Mesh, Self::Console];
}

/// One process.
#[derive(Debug)]
pub(super) struct Spec {
    /// Name in messages and of its log file: `payments-2`, `payments-2/sidecar`.
    pub(super) name: Arc<str>,
    pub(super) stage: Stage,
    /// Arguments of this same binary.
    pub(super) args: Vec<OsString>,
    /// Answers `GET /health/ready`; none: ready when started.
    pub(super) ready: Option<SocketAddr>,
    /// Whether it halts chaos when it gets a `SIGUSR1`.
    pub(super) halts: bool,
}

/// All processes of a resolved mesh.
pub(super) struct Plan<'a> {
    pub(super) mesh: &'a MeshFile,
    pub(super) mesh_file: &'a Path,
    pub(super) data_dir: &'a Path,
}

impl Plan<'_> {
    pub(super) fn specs(&self) -> Vec<Spec> {
        let mut specs = vec![self.console()];
        for (service, definition) in &self.mesh.services {
            let Instances::Listed(instances) = &definition.instances else {
                continue;
            };
            for instance in instances {
                // An instance without local addresses runs elsewhere.
                if let Some(local) = &instance.local {
                    specs.push(self.application(service, instance, local));
                    specs.push(self.sidecar(service, instance, local));
                }
            }
        }
        specs.extend(self.load());
        specs
    }

    /// Address of the first exposed service: the shop's front door.
    pub(super) fn shop(&self) -> Option<SocketAddr> {
        let exposed = self.mesh.services.values().find(|s| s.expose.is_some())?;
        match &exposed.instances {
            Instances::Listed(instances) => Some(instances.first()?.local.as_ref()?.inbound),
            Instances::Count(_) => None,
        }
    }

    pub(super) fn console_url(&self) -> String {
        self.url(self.mesh.ports.console)
    }

    fn url(&self, port: u16) -> String {
        format!("http://{}", SocketAddr::new(self.mesh.ports.host, port))
    }

    fn console(&self) -> Spec {
        let mut args = Args::new("console");
        args.flag("--mesh", self.mesh_file.to_owned());
        args.flag("--data-dir", self.data_dir.to_owned());
        if let Some(shop) = self.shop() {
            args.flag("--shop-url", format!("http://{shop}"));
        }
        let ports = &self.mesh.ports;
        Spec {
            name: "console".into(),
            stage: Stage::Console,
            args: args.0,
            ready: Some(SocketAddr::new(ports.host, ports.console)),
            halts: true,
        }
    }

    fn application(&self, service: &str, instance: &Instance, local: &LocalAddresses) -> Spec {
        let mut args = Args::new("service");
        args.0.push(service.into());
        args.flag("--instance", instance.name.clone());
        args.flag("--listen", local.application.to_string());
        args.flag("--metrics", local.application_metrics.to_string());
        args.flag("--data-dir", self.data_dir.to_owned());
        args.flag("--outbound", format!("http://{}", local.outbound));
        self.telemetry(&mut args);
        Spec {
            name: instance.name.as_str().into(),
            stage: Stage::Mesh,
            args: args.0,
            ready: Some(local.application_metrics),
            halts: false,
        }
    }

    fn sidecar(&self, service: &str, instance: &Instance, local: &LocalAddresses) -> Spec {
        let mut args = Args::new("proxy");
        args.flag("--service", service.to_owned());
        args.flag("--instance", instance.name.clone());
        args.flag("--inbound", local.inbound.to_string());
        args.flag("--application", local.application.to_string());
        args.flag("--outbound", local.outbound.to_string());
        args.flag("--admin", local.admin.to_string());
        args.flag("--metrics", local.metrics.to_string());
        args.flag("--control", self.console_url());
        self.telemetry(&mut args);
        Spec {
            name: format!("{}/sidecar", instance.name).into(),
            stage: Stage::Mesh,
            args: args.0,
            ready: Some(local.metrics),
            halts: true,
        }
    }

    fn telemetry(&self, args: &mut Args) {
        args.flag("--otlp", self.url(self.mesh.ports.otlp_grpc));
        args.flag(
            "--sample-ratio",
            self.mesh.telemetry.sample_ratio.to_string(),
        );
    }

    fn load(&self) -> Option<Spec> {
        let rps = self.mesh.load.rps;
        let shop = self.shop().filter(|_| rps > 0.0)?;
        let mut args = Args::new("load");
        args.flag("--target", format!("http://{shop}"));
        args.flag("--rps", rps.to_string());
        Some(Spec {
            name: "load".into(),
            stage: Stage::Load,
            args: args.0,
            ready: None,
            halts: false,
        })
    }
}

struct Args(Vec<OsString>);

impl Args {
    fn new(role: &str) -> Self {
        Self(vec![role.into()])
    }

    fn flag(&mut self, name: &str, value: impl Into<PathBuf>) {
        self.0.push(name.into());
        self.0.push(value.into().into_os_string());
    }
}
