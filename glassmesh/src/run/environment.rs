//! What the command finds in its environment, so that an HTTP client and an
//! OpenTelemetry SDK that know nothing of a mesh take part in it.

use std::env;

use super::{Addresses, RunArgs, network::Network};

/// Hosts that are called without the sidecar.
const DIRECT: &str = "localhost,127.0.0.1,::1";

/// Variables for the command, beside those that it inherits.
pub(super) struct Environment(pub(super) Vec<(&'static str, String)>);

impl Environment {
    pub(super) fn of(args: &RunArgs, network: &Network, at: &Addresses) -> Self {
        let mut environment = Self(Vec::new());
        environment.requests(network, at);
        if let Some(application) = at.application {
            environment.set("PORT", application.port().to_string());
        }
        environment.telemetry(args, network, |name| env::var(name).ok());
        environment
    }

    fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.0.push((name, value.into()));
    }

    /// Plain HTTP goes to the sidecar. HTTPS does not: it could not see into it.
    fn requests(&mut self, network: &Network, at: &Addresses) {
        let outbound = format!("http://{}", at.outbound);
        let console = network.console().and_then(http::Uri::host);
        let direct = match console.filter(|host| !DIRECT.split(',').any(|name| name == *host)) {
            Some(host) => format!("{DIRECT},{host}"),
            None => DIRECT.to_owned(),
        };
        for name in ["HTTP_PROXY", "http_proxy"] {
            self.set(name, outbound.clone());
        }
        for name in ["NO_PROXY", "no_proxy"] {
            self.set(name, direct.clone());
        }
        self.set("NODE_USE_ENV_PROXY", "1"); // Node.js heeds the others only with this
        self.set("GLASSMESH_OUTBOUND", outbound); // for clients that know no proxies
    }

    /// What somebody has set himself stays.
    fn telemetry(
        &mut self,
        args: &RunArgs,
        network: &Network,
        inherited: impl Fn(&str) -> Option<String>,
    ) {
        let mut ours = vec![
            ("OTEL_SERVICE_NAME", args.name.clone()),
            ("OTEL_PROPAGATORS", "tracecontext,baggage".to_owned()),
        ];
        if let Some(otlp) = network.otlp_http() {
            ours.push(("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.to_owned()));
            ours.push(("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf".to_owned()));
            // The console takes spans; metrics it reads from the sidecars.
            ours.push(("OTEL_METRICS_EXPORTER", "none".to_owned()));
            ours.push(("OTEL_LOGS_EXPORTER", "none".to_owned()));
        }
        for (name, value) in ours {
            if inherited(name).is_none() {
                self.set(name, value);
            }
        }
        let mut attributes = inherited("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
        for (key, value) in [
            ("service.namespace", "glassmesh".to_owned()),
            ("service.instance.id", args.instance()),
            ("mesh.instance", args.instance()),
        ] {
            if !attributes
                .split(',')
                .any(|one| one.starts_with(&format!("{key}=")))
            {
                let comma = if attributes.is_empty() { "" } else { "," };
                attributes = format!("{attributes}{comma}{key}={value}");
            }
        }
        self.set("OTEL_RESOURCE_ATTRIBUTES", attributes);
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        run: RunArgs,
    }

    fn telemetry(inherited: &[(&str, &str)]) -> Vec<(&'static str, String)> {
        let words = [
            "x",
            "--name",
            "users",
            "--instance",
            "users-9",
            "--",
            "true",
        ];
        let args = Cli::parse_from(words).run;
        let mut environment = Environment(Vec::new());
        environment.telemetry(&args, &Network::Alone, |name| {
            let found = inherited.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        });
        environment.0
    }

    #[test]
    fn what_somebody_has_set_himself_stays() {
        let set = telemetry(&[
            ("OTEL_SERVICE_NAME", "mine"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=7,team=a"),
        ]);
        assert!(!set.iter().any(|(name, _)| *name == "OTEL_SERVICE_NAME"));
        let attributes =
            "service.instance.id=7,team=a,service.namespace=glassmesh,mesh.instance=users-9";
        assert!(set.contains(&("OTEL_RESOURCE_ATTRIBUTES", attributes.to_owned())));
    }

    #[test]
    fn the_service_has_its_name_in_its_spans() {
        let set = telemetry(&[]);
        assert!(set.contains(&("OTEL_SERVICE_NAME", "users".to_owned())));
        assert!(set.contains(&("OTEL_PROPAGATORS", "tracecontext,baggage".to_owned())));
    }
}
