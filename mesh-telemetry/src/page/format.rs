//! Which of the two text formats a scraper wants.

use axum::http::{HeaderMap, header};

/// A text format of Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// The classic one, for everybody who does not ask for another.
    Plain,
    /// OpenMetrics, with exemplars.
    OpenMetrics(&'static str),
}

impl Format {
    /// As Prometheus expects it in `Content-Type`.
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Plain => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics(content_type) => content_type,
        }
    }

    /// The one that `Accept` prefers: by its weight, among equals the one named first.
    /// Whoever accepts neither gets the plain text all the same: a page that says
    /// something is of more use than a status that says nothing.
    pub(super) fn wanted(headers: &HeaderMap) -> Self {
        let mut best = (Self::Plain, 0);
        let all = headers.get_all(header::ACCEPT).iter();
        for range in all.filter_map(|value| value.to_str().ok()).flat_map(ranges) {
            if let Some((format, weight)) = read(range)
                && weight > best.1
            {
                best = (format, weight);
            }
        }
        best.0
    }
}

/// Media ranges of a header. Nobody who scrapes quotes a comma or a semicolon.
fn ranges(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim)
}

/// What a media range asks for and how much, in thousandths; none: neither format.
fn read(range: &str) -> Option<(Format, u16)> {
    let mut parts = range.split(';').map(str::trim);
    let media = parts.next()?.to_ascii_lowercase();
    let (mut version, mut weight) = (None, 1000);
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        match name.trim_end().to_ascii_lowercase().as_str() {
            "version" => version = Some(value.trim().trim_matches('"')),
            "q" => weight = thousandths(value.trim())?,
            _ => {}
        }
    }
    let format = match (media.as_str(), version) {
        ("application/openmetrics-text", None | Some("1.0.0")) => {
            Format::OpenMetrics("application/openmetrics-text; version=1.0.0; charset=utf-8")
        }
        ("application/openmetrics-text", Some("0.0.1")) => {
            Format::OpenMetrics("application/openmetrics-text; version=0.0.1; charset=utf-8")
        }
        ("text/plain", None | Some("0.0.4")) | ("text/*" | "*/*", _) => Format::Plain,
        _ => return None,
    };
    Some((format, weight))
}

/// `0.75` → 750; none for what is no weight.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a thousand"
)]
fn thousandths(weight: &str) -> Option<u16> {
    let weight: f64 = weight.parse().ok()?;
    (0.0..=1.0)
        .contains(&weight)
        .then(|| (weight * 1000.0).round() as u16)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, header};

    use super::Format;

    const ONE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    const OLD: &str = "application/openmetrics-text; version=0.0.1; charset=utf-8";
    const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";

    fn content_type(accept: &[&str]) -> &'static str {
        let mut headers = HeaderMap::new();
        for value in accept {
            headers.append(header::ACCEPT, value.parse().unwrap());
        }
        Format::wanted(&headers).content_type()
    }

    #[test]
    fn scrapers_get_what_they_prefer() {
        for (accept, expected) in [
            // Prometheus 2 and 3 as they ask, and browsers, curl and Go's client.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;\
                 version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                ONE,
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                 application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;\
                 escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                ONE,
            ),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
                 encoding=delimited;q=0.7,application/openmetrics-text;version=0.0.1;q=0.6,\
                 text/plain;version=0.0.4;q=0.3",
                OLD,
            ),
            ("text/html,application/xhtml+xml,*/*;q=0.8", PLAIN),
            ("*/*", PLAIN),
            ("text/plain;version=0.0.4", PLAIN),
            ("application/openmetrics-text", ONE),
            (
                "Application/OpenMetrics-Text; Version=\"0.0.1\" ; Q=0.5",
                OLD,
            ),
            // Weights decide, not places; among equals the place does.
            ("application/openmetrics-text;q=0.4,text/plain;q=0.5", PLAIN),
            ("text/plain;q=0.4,application/openmetrics-text;q=0.401", ONE),
            ("text/plain,application/openmetrics-text", PLAIN),
            ("application/openmetrics-text,text/plain", ONE),
            // Not acceptable, unknown, and nonsense.
            ("application/openmetrics-text;q=0", PLAIN),
            ("application/openmetrics-text;q=0.000,*/*;q=0.1", PLAIN),
            ("application/openmetrics-text;version=2.0.0", PLAIN),
            ("application/openmetrics-text;q=2", PLAIN),
            ("application/openmetrics-text;q=NaN", PLAIN),
            ("application/openmetrics-text;q=much", PLAIN),
            ("image/png", PLAIN),
            (",;=,;q", PLAIN),
            ("", PLAIN),
        ] {
            assert_eq!(content_type(&[accept]), expected, "{accept}");
        }
        assert_eq!(content_type(&[]), PLAIN);
        let several = ["text/plain;q=0.5", "application/openmetrics-text;q=0.9"];
        assert_eq!(content_type(&several), ONE);
    }
}
