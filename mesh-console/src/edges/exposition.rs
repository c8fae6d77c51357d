//! Prometheus's text format, as far as a page of counters and histograms needs it.

use std::borrow::Cow;

/// One line: a value with its name and labels.
#[derive(Debug, PartialEq)]
pub(super) struct Sample<'a> {
    pub(super) name: &'a str,
    labels: Vec<(&'a str, Cow<'a, str>)>,
    pub(super) value: f64,
}

impl Sample<'_> {
    /// A label's value; empty, as Prometheus has it, for one that is absent.
    pub(super) fn label(&self, name: &str) -> &str {
        let found = self.labels.iter().find(|(one, _)| *one == name);
        found.map_or("", |(_, value)| value)
    }
}

/// Samples whose name passes `wanted`; lines that cannot be read are passed over.
pub(super) fn samples<'a>(
    text: &'a str,
    wanted: impl Fn(&str) -> bool + 'a,
) -> impl Iterator<Item = Sample<'a>> + 'a {
    text.lines().filter_map(move |line| {
        let line = line.trim();
        let end = line.find(|c: char| c == '{' || c.is_whitespace())?;
        let (name, rest) = line.split_at(end);
        if name.starts_with('#') || !wanted(name) {
            return None;
        }
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(inside) => read_labels(inside)?,
            None => (Vec::new(), rest),
        };
        // What may follow the value is a time or an exemplar.
        let value = rest.split_whitespace().next()?.parse().ok()?;
        Some(Sample {
            name,
            labels,
            value,
        })
    })
}

type Labels<'a> = Vec<(&'a str, Cow<'a, str>)>;

/// Labels up to the closing brace, and what comes after it.
fn read_labels(mut rest: &str) -> Option<(Labels<'_>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', ',']);
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (name, after) = rest.split_once('=')?;
        let after = after.trim_start().strip_prefix('"')?;
        let end = closing_quote(after)?;
        labels.push((name.trim(), unescape(&after[..end])));
        rest = &after[end + 1..];
    }
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, chars.clone().next()) {
            ('\\', Some('n')) => {
                plain.push('\n');
                chars.next();
            }
            ('\\', Some(next)) => {
                plain.push(next);
                chars.next();
            }
            _ => plain.push(c),
        }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<Sample<'_>> {
        samples(text, |_| true).collect()
    }

    #[test]
    fn lines_with_and_without_labels_are_read() {
        let found =
            all("# HELP a b\n# TYPE a counter\na 1\nb{x=\"1\",y=\"two\",} 2.5e3 1700000000\n\n");
        assert_eq!(found.len(), 2);
        assert!((found[1].value - 2500.0).abs() < f64::EPSILON);
        assert_eq!(found[1].label("y"), "two");
        assert_eq!(found[1].label("z"), "");
    }

    #[test]
    fn escapes_exemplars_and_infinity_are_understood() {
        let text = "a_bucket{le=\"+Inf\",q=\"say \\\"hi\\\"\\n\\\\, {}\"} 7 # {trace_id=\"ab\"} 0.2\nc NaN\nd +Inf";
        let found = all(text);
        assert_eq!(found[0].label("q"), "say \"hi\"\n\\, {}");
        assert!((found[0].value - 7.0).abs() < f64::EPSILON);
        assert!(found[1].value.is_nan());
        assert!(found[2].value.is_infinite());
    }

    #[test]
    fn nonsense_is_passed_over() {
        assert_eq!(all("a{x=\"1 2\nb{x=1} 3\nc{} \nd x\ne\n"), []);
        assert_eq!(samples("a 1\nb 2", |name| name == "b").count(), 1);
    }
}
