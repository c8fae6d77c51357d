//! What runs, where, and what to do next: shown when everything is ready.

use std::net::SocketAddr;

use comfy_table::{Attribute, Cell, Table, presets};
use mesh_console::mesh_file::{Instances, MeshFile};
use serde::Serialize;

use super::{next::Next, plan::Plan, supervisor::Pids};
use crate::out::{self, BOLD, DIM, Styled};

/// Facts about a started mesh; its JSON form is what `glassmesh up --json` prints.
#[derive(Serialize)]
pub(super) struct Summary {
    mesh: String,
    console: String,
    shop: Option<String>,
    otlp_grpc: String,
    otlp_http: String,
    data_dir: String,
    load_rps: f64,
    start_seconds: f64,
    processes: Vec<Process>,
    #[serde(skip)]
    services: Vec<String>,
    #[serde(skip)]
    next: Next,
}

#[derive(Serialize)]
struct Process {
    name: String,
    pid: u32,
}

impl Summary {
    pub(super) fn new(plan: &Plan<'_>, pids: &Pids, start_seconds: f64) -> Self {
        let ports = &plan.mesh.ports;
        let url = |port| format!("http://{}", SocketAddr::new(ports.host, port));
        let process = |(name, pid): (&std::sync::Arc<str>, &u32)| Process {
            name: name.to_string(),
            pid: *pid,
        };
        Self {
            mesh: plan.mesh.mesh.clone(),
            console: plan.console_url(),
            shop: plan.shop().map(|shop| format!("http://{shop}")),
            otlp_grpc: url(ports.otlp_grpc),
            otlp_http: url(ports.otlp_http),
            data_dir: plan.data_dir.display().to_string(),
            load_rps: plan.mesh.load.rps,
            start_seconds,
            processes: pids.iter().map(process).collect(),
            services: services(plan.mesh),
            next: Next::new(plan),
        }
    }

    pub(super) fn show(&self, json: bool) {
        if json {
            // One line, so that a reader knows when it is complete. A struct of
            // strings and numbers cannot fail to become JSON.
            out::line(serde_json::to_string(self).unwrap_or_default());
            return;
        }
        out::line(format_args!(
            "\n{} {}",
            Styled(BOLD, format_args!("The mesh `{}` runs:", self.mesh)),
            Styled(
                DIM,
                format_args!(
                    "{} processes, up in {:.1} s",
                    self.processes.len(),
                    self.start_seconds
                )
            ),
        ));
        out::line(self.table());
        self.next.show(self.shop.as_deref());
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        let mut row = |what: &str, at: String| {
            table.add_row([
                Cell::new(what).add_attribute(Attribute::Bold),
                Cell::new(at),
            ]);
        };
        row("console", format!("{0}   Jaeger: {0}/jaeger", self.console));
        if let Some(shop) = &self.shop {
            row("shop", format!("{shop}   API: {shop}/docs"));
        }
        row("services", self.services.join(", "));
        row(
            "OTLP",
            format!("gRPC {}   HTTP {}", self.otlp_grpc, self.otlp_http),
        );
        row(
            "load",
            match self.load_rps {
                rps if rps > 0.0 => format!("{rps} requests a second"),
                _ => "none".to_owned(),
            },
        );
        row("files", format!("{} (databases, logs)", self.data_dir));
        table
    }
}

/// `payments ×2`, each with a sidecar of its own.
fn services(mesh: &MeshFile) -> Vec<String> {
    let count = |instances: &Instances| match instances {
        Instances::Count(count) => usize::from(*count),
        Instances::Listed(listed) => listed.len(),
    };
    let named = |(name, service): (&String, &mesh_console::mesh_file::Service)| match count(
        &service.instances,
    ) {
        1 => name.clone(),
        several => format!("{name} ×{several}"),
    };
    mesh.services.iter().map(named).collect()
}
