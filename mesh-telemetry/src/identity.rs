//! Who reports: the resource that all spans of a process share.

use opentelemetry::KeyValue;
use opentelemetry_sdk::{
    Resource,
    resource::{EnvResourceDetector, TelemetryResourceDetector},
};

/// What kind of process this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// A service of the shop.
    Service,
    /// A sidecar.
    Sidecar,
    /// The console.
    Console,
    /// The load generator.
    Load,
    /// The command line.
    Cli,
}

impl Component {
    /// As it stands in labels and attributes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Sidecar => "sidecar",
            Self::Console => "console",
            Self::Load => "load",
            Self::Cli => "cli",
        }
    }
}

/// Who reports.
#[derive(Clone, Debug)]
pub struct Identity {
    /// `service.name`; a sidecar gives its application's.
    pub service: String,
    /// Name of the instance, as `payments-2`.
    pub instance: String,
    /// Kind of process.
    pub component: Component,
}

impl Identity {
    /// The resource, with a `service.instance.id` of this process and role. What
    /// `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME` say wins.
    pub(crate) fn resource(&self, service_name: Option<&str>) -> Resource {
        let own = [
            KeyValue::new("service.name", self.service.clone()),
            KeyValue::new("service.namespace", "glassmesh"),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", uuid::Uuid::new_v4().to_string()),
            KeyValue::new("mesh.component", self.component.as_str()),
            KeyValue::new("mesh.instance", self.instance.clone()),
        ];
        let named = service_name.map(|name| KeyValue::new("service.name", name.to_owned()));
        Resource::builder_empty()
            .with_attributes(own)
            .with_detector(Box::new(TelemetryResourceDetector))
            .with_detector(Box::new(EnvResourceDetector::new()))
            .with_attributes(named)
            .build()
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::Key;

    use super::{Component, Identity};

    #[test]
    fn a_sidecar_reports_under_its_applications_name() {
        let identity = Identity {
            service: "payments".to_owned(),
            instance: "payments-2".to_owned(),
            component: Component::Sidecar,
        };
        let get = |key: &'static str, name| {
            identity
                .resource(name)
                .get(&Key::new(key))
                .map(|value| value.to_string())
        };
        assert_eq!(get("service.name", None).as_deref(), Some("payments"));
        assert_eq!(get("service.name", Some("other")).as_deref(), Some("other"));
        assert_eq!(get("mesh.component", None).as_deref(), Some("sidecar"));
        assert_ne!(
            get("service.instance.id", None),
            get("service.instance.id", None)
        );
    }
}
