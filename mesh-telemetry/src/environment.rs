//! The `OTEL_*` variables that the SDK leaves to its user.
//!
//! What cannot be understood is reported and ignored, as the specification says:
//! telemetry must not keep a process from running.

mod otlp;

use std::time::Duration;

use http::HeaderMap;

use crate::{
    propagation::{Format, Propagators},
    sampling::Sampling,
};

/// What the variables say; none where one is unset.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Environment {
    /// `OTEL_SDK_DISABLED`.
    pub(crate) disabled: bool,
    /// `OTEL_SERVICE_NAME`.
    pub(crate) service_name: Option<String>,
    /// `OTEL_TRACES_SAMPLER` with `OTEL_TRACES_SAMPLER_ARG`.
    pub(crate) sampling: Option<Sampling>,
    /// `OTEL_TRACES_EXPORTER` says `none`.
    pub(crate) no_export: bool,
    /// `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, else `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub(crate) endpoint: Option<String>,
    /// `OTEL_PROPAGATORS`.
    pub(crate) propagators: Option<Propagators>,
    /// `OTEL_BSP_MAX_QUEUE_SIZE`.
    pub(crate) queue: Option<usize>,
    /// `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`.
    pub(crate) batch: Option<usize>,
    /// `OTEL_BSP_SCHEDULE_DELAY`.
    pub(crate) delay: Option<Duration>,
    /// `OTEL_BSP_EXPORT_TIMEOUT`.
    pub(crate) timeout: Option<Duration>,
    /// `OTEL_EXPORTER_OTLP_TRACES_TIMEOUT`, else `OTEL_EXPORTER_OTLP_TIMEOUT`.
    pub(crate) try_timeout: Option<Duration>,
    /// `OTEL_EXPORTER_OTLP_TRACES_HEADERS`, else `OTEL_EXPORTER_OTLP_HEADERS`.
    pub(crate) headers: HeaderMap,
    /// What could not be understood, for the log.
    pub(crate) complaints: Vec<String>,
}

impl Environment {
    /// Of this process.
    pub(crate) fn read() -> Self {
        Self::from(&|name| std::env::var(name).ok())
    }

    /// Of any source of variables; empty ones count as unset.
    fn from(variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let get = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let mut complaints = Vec::new();
        let number = |name: &'static str, complaints: &mut Vec<String>| {
            get(name).and_then(|value| parse(name, &value, "a whole number", complaints))
        };
        let queue = number("OTEL_BSP_MAX_QUEUE_SIZE", &mut complaints);
        let batch = number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", &mut complaints);
        let delay = number("OTEL_BSP_SCHEDULE_DELAY", &mut complaints);
        let timeout = number("OTEL_BSP_EXPORT_TIMEOUT", &mut complaints);
        let milliseconds = |number: usize| Duration::from_millis(number as u64);
        let endpoint = get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
        otlp::check(&get, &mut complaints);
        Self {
            disabled: get("OTEL_SDK_DISABLED").is_some_and(|it| it.eq_ignore_ascii_case("true")),
            service_name: get("OTEL_SERVICE_NAME"),
            sampling: sampling(&get, &mut complaints),
            no_export: no_export(&get, &mut complaints),
            endpoint: endpoint.or_else(|| get("OTEL_EXPORTER_OTLP_ENDPOINT")),
            propagators: propagators(&get, &mut complaints),
            queue,
            batch,
            delay: delay.map(milliseconds),
            timeout: timeout.map(milliseconds),
            try_timeout: otlp::timeout(&get, &mut complaints),
            headers: otlp::headers(&get, &mut complaints),
            complaints,
        }
    }
}

type Get<'a> = dyn Fn(&str) -> Option<String> + 'a;

fn sampling(get: &Get<'_>, complaints: &mut Vec<String>) -> Option<Sampling> {
    const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
    let name = get("OTEL_TRACES_SAMPLER")?;
    let (parent_based, root) = match name.strip_prefix("parentbased_") {
        Some(root) => (true, root),
        None => (false, name.as_str()),
    };
    let ratio = match root {
        "always_on" => 1.0,
        "always_off" => 0.0,
        "traceidratio" => {
            let value = get(ARGUMENT).unwrap_or_else(|| "1".to_owned());
            let ratio: f64 = parse(ARGUMENT, &value, "a share from 0 to 1", complaints)?;
            ratio.clamp(0.0, 1.0)
        }
        _ => {
            let expected = "always_on, always_off, traceidratio, each also with `parentbased_`";
            complaints.push(complaint("OTEL_TRACES_SAMPLER", &name, expected));
            return None;
        }
    };
    Some(Sampling {
        ratio,
        parent_based,
    })
}

fn no_export(get: &Get<'_>, complaints: &mut Vec<String>) -> bool {
    match get("OTEL_TRACES_EXPORTER").as_deref().map(str::trim) {
        None | Some("otlp") => false,
        Some("none") => true,
        Some(other) => {
            complaints.push(complaint("OTEL_TRACES_EXPORTER", other, "otlp or none"));
            false
        }
    }
}

fn propagators(get: &Get<'_>, complaints: &mut Vec<String>) -> Option<Propagators> {
    let list = get("OTEL_PROPAGATORS")?;
    let (mut formats, mut baggage) = (Vec::new(), false);
    for name in list.split(',').map(str::trim) {
        match name {
            "tracecontext" => formats.push(Format::TraceContext),
            "b3" => formats.push(Format::B3),
            "b3multi" => formats.push(Format::B3Multi),
            "baggage" => baggage = true,
            "none" | "" => {}
            other => {
                let expected = "tracecontext, baggage, b3, b3multi, or none";
                complaints.push(complaint("OTEL_PROPAGATORS", other, expected));
            }
        }
    }
    Some(Propagators { formats, baggage })
}

fn parse<T: std::str::FromStr>(
    name: &str,
    value: &str,
    expected: &str,
    complaints: &mut Vec<String>,
) -> Option<T> {
    let parsed = value.trim().parse().ok();
    if parsed.is_none() {
        complaints.push(complaint(name, value, expected));
    }
    parsed
}

fn complaint(name: &str, value: &str, expected: &str) -> String {
    format!("{name}: `{value}` is ignored; expected {expected}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Environment, Format, Propagators};
    use crate::sampling::Sampling;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let find = |name: &str| variables.iter().find(|(key, _)| *key == name);
        Environment::from(&|name| find(name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn nothing_set_changes_nothing() {
        assert_eq!(environment(&[]), Environment::default());
        assert_eq!(
            environment(&[("OTEL_TRACES_SAMPLER", " ")]),
            Environment::default()
        );
    }

    #[test]
    fn samplers_are_understood() {
        let cases = [
            ("always_on", "", 1.0, false),
            ("always_off", "", 0.0, false),
            ("traceidratio", "0.25", 0.25, false),
            ("parentbased_always_on", "", 1.0, true),
            ("parentbased_traceidratio", "7", 1.0, true),
        ];
        for (name, argument, ratio, parent_based) in cases {
            let variables = [
                ("OTEL_TRACES_SAMPLER", name),
                ("OTEL_TRACES_SAMPLER_ARG", argument),
            ];
            let read = environment(&variables);
            assert_eq!(
                read.sampling,
                Some(Sampling {
                    ratio,
                    parent_based
                }),
                "{name}"
            );
            assert!(read.complaints.is_empty(), "{name}");
        }
    }

    #[test]
    fn the_endpoint_for_traces_wins() {
        let read = environment(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4317"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:4317"),
            ("OTEL_BSP_SCHEDULE_DELAY", "50"),
            ("OTEL_SDK_DISABLED", "TRUE"),
            ("OTEL_PROPAGATORS", "tracecontext"),
        ]);
        assert_eq!(read.endpoint.as_deref(), Some("http://traces:4317"));
        assert_eq!(read.delay, Some(Duration::from_millis(50)));
        assert!(read.disabled);
        let expected = Propagators {
            formats: vec![Format::TraceContext],
            baggage: false,
        };
        assert_eq!(read.propagators, Some(expected));
    }

    #[test]
    fn nonsense_is_reported_and_ignored() {
        let read = environment(&[
            ("OTEL_TRACES_SAMPLER", "sometimes"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
            ("OTEL_PROPAGATORS", "b3multi, baggage,jaeger,b3"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "many"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ]);
        assert_eq!(read.complaints.len(), 5, "{:?}", read.complaints);
        assert_eq!(read.sampling, None);
        let expected = Propagators {
            formats: vec![Format::B3Multi, Format::B3],
            baggage: true,
        };
        assert_eq!(read.propagators, Some(expected));
    }
}
