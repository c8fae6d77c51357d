//! Options of a sidecar: for the `mesh-proxy` binary and for whoever starts
//! sidecars in another role.

mod admin;
mod check;
mod command;
mod explain;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::Args;

pub use command::{Command, Report};

use crate::{
    config::{InboundListener, OutboundListener, Policy, SidecarConfig, TelemetryConfig},
    error::RunError,
};

/// Who the sidecar is and where it listens: a file, options, or a file with
/// options that change it.
#[derive(Args, Clone, Debug, Default)]
pub struct ProxyArgs {
    /// Configuration file (YAML); the options below change it
    #[arg(long, value_name = "FILE", env = "MESH_PROXY_CONFIG")]
    pub config: Option<PathBuf>,
    /// Service that the sidecar stands beside, as `orders`
    #[arg(long, env = "MESH_PROXY_SERVICE")]
    pub service: Option<String>,
    /// Unique name of this instance, as `orders-1`
    #[arg(long, env = "MESH_PROXY_INSTANCE")]
    pub instance: Option<String>,
    /// Listener for requests from the mesh; needs --application
    #[arg(long, value_name = "ADDR", env = "MESH_PROXY_INBOUND")]
    pub inbound: Option<SocketAddr>,
    /// Where the application listens
    #[arg(long, value_name = "ADDR", env = "MESH_PROXY_APPLICATION")]
    pub application: Option<SocketAddr>,
    /// Listener for requests of the application
    #[arg(long, value_name = "ADDR", env = "MESH_PROXY_OUTBOUND")]
    pub outbound: Option<SocketAddr>,
    /// Listener of the admin API; keep it on loopback
    #[arg(long, value_name = "ADDR", env = "MESH_PROXY_ADMIN")]
    pub admin: Option<SocketAddr>,
    /// Listener of /metrics and /health/*
    #[arg(long, value_name = "ADDR", env = "MESH_PROXY_METRICS")]
    pub metrics: Option<SocketAddr>,
    /// Console that sends policies, as `http://127.0.0.1:4090`
    #[arg(long, value_name = "URL", env = "MESH_PROXY_CONTROL")]
    pub control: Option<String>,
    /// Join the console's mesh although its mesh file does not list this instance
    #[arg(long, env = "MESH_PROXY_GUEST")]
    pub guest: bool,
    /// OTLP/gRPC endpoint for spans, as `http://127.0.0.1:4317`
    #[arg(long, value_name = "URL", env = "MESH_PROXY_OTLP")]
    pub otlp: Option<String>,
    /// Share of new traces that are kept, 0 to 1 [default: 0.01]
    #[arg(long, value_name = "SHARE", env = "MESH_PROXY_SAMPLE_RATIO")]
    pub sample_ratio: Option<f64>,
    /// Threads that handle requests [default: 1]
    #[arg(long, value_name = "N", env = "MESH_PROXY_WORKERS")]
    pub workers: Option<usize>,
}

impl ProxyArgs {
    /// Reads the file, if there is one, and changes what the options say.
    pub fn resolve(&self) -> Result<SidecarConfig, RunError> {
        if self.config.is_some() {
            return self.resolve_text(&self.read()?);
        }
        let mut config = self.bare()?;
        self.change(&mut config);
        Ok(config)
    }

    /// The text of the file; empty without one.
    pub(crate) fn read(&self) -> Result<String, RunError> {
        self.config.as_deref().map_or(Ok(String::new()), read_text)
    }

    /// The configuration that the file's text and the options make.
    pub(crate) fn resolve_text(&self, text: &str) -> Result<SidecarConfig, RunError> {
        let mut config = SidecarConfig::parse(text).map_err(|cause| {
            let path = self.config.as_deref().unwrap_or(Path::new("configuration"));
            file_error(path, cause)
        })?;
        self.change(&mut config);
        Ok(config)
    }

    fn bare(&self) -> Result<SidecarConfig, RunError> {
        Ok(SidecarConfig {
            service: self.service.clone().ok_or(RunError::Missing("--service"))?,
            instance: self
                .instance
                .clone()
                .ok_or(RunError::Missing("--instance"))?,
            admin: self.admin.ok_or(RunError::Missing("--admin"))?,
            metrics: self.metrics.ok_or(RunError::Missing("--metrics"))?,
            inbound: match (self.inbound, self.application) {
                (Some(listen), Some(application)) => {
                    Some(InboundListener::new(listen, application))
                }
                (Some(_), None) => return Err(RunError::Missing("--application (with --inbound)")),
                (None, _) => None,
            },
            outbound: None,
            workers: 1,
            control: None,
            guest: false,
            access_log: None,
            telemetry: TelemetryConfig::default(),
            policy: Policy::default(),
        })
    }

    fn change(&self, config: &mut SidecarConfig) {
        set(&mut config.service, self.service.as_ref());
        set(&mut config.instance, self.instance.as_ref());
        set(&mut config.admin, self.admin.as_ref());
        set(&mut config.metrics, self.metrics.as_ref());
        set(&mut config.workers, self.workers.as_ref());
        set(
            &mut config.telemetry.sample_ratio,
            self.sample_ratio.as_ref(),
        );
        if let Some(inbound) = &mut config.inbound {
            set(&mut inbound.listen, self.inbound.as_ref());
            set(&mut inbound.application, self.application.as_ref());
        } else if let (Some(listen), Some(application)) = (self.inbound, self.application) {
            config.inbound = Some(InboundListener::new(listen, application));
        }
        if let Some(listen) = self.outbound {
            match &mut config.outbound {
                Some(outbound) => outbound.listen = listen,
                None => config.outbound = Some(OutboundListener::new(listen)),
            }
        }
        config.guest |= self.guest;
        config.control = self.control.clone().or(config.control.take());
        config.telemetry.otlp = self.otlp.clone().or(config.telemetry.otlp.take());
    }
}

/// Reads a configuration file; the error shows the line and what was expected there.
pub fn read(path: &Path) -> Result<SidecarConfig, RunError> {
    SidecarConfig::parse(&read_text(path)?).map_err(|cause| file_error(path, cause))
}

fn read_text(path: &Path) -> Result<String, RunError> {
    fs::read_to_string(path).map_err(|error| file_error(path, error.to_string()))
}

fn file_error(path: &Path, cause: String) -> RunError {
    RunError::File {
        path: path.display().to_string(),
        cause,
    }
}

fn set<T: Clone>(target: &mut T, value: Option<&T>) {
    if let Some(value) = value {
        target.clone_from(value);
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::ProxyArgs;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: ProxyArgs,
    }

    fn parse(line: &str) -> ProxyArgs {
        Cli::parse_from(line.split(' ')).args
    }

    #[test]
    fn options_alone_make_a_sidecar() {
        let config = parse(
            "x --service orders --instance orders-1 --inbound 127.0.0.1:1 --application 127.0.0.1:2 \
             --outbound 127.0.0.1:3 --admin 127.0.0.1:4 --metrics 127.0.0.1:5 --control http://c:1",
        )
        .resolve()
        .unwrap();
        assert_eq!(config.inbound.unwrap().application.port(), 2);
        assert_eq!(config.outbound.unwrap().listen.port(), 3);
        assert_eq!(config.control.as_deref(), Some("http://c:1"));
    }

    #[test]
    fn a_missing_option_is_named() {
        let error = parse("x --service orders --instance orders-1")
            .resolve()
            .unwrap_err();
        assert!(
            error.to_string().starts_with("--admin is needed"),
            "{error}"
        );
    }
}
