//! A strict reader of the OpenMetrics text format: it fails where a scraper might, and
//! where the specification says `must` and scrapers look away.

use std::collections::{BTreeMap, BTreeSet};

/// An exemplar with the sample that it stands at.
#[derive(Clone, Debug)]
pub(crate) struct Exemplar {
    pub(crate) sample: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
    pub(crate) value: f64,
}

/// Reads a page, or fails; says what exemplars there are.
pub(crate) fn read(page: &str) -> Vec<Exemplar> {
    let page = page
        .strip_suffix("# EOF\n")
        .expect("the last line says that it is");
    let mut reader = Reader::default();
    for line in page.lines() {
        reader.line(line);
    }
    reader.end_family();
    reader.exemplars
}

/// What was read of a series so far.
#[derive(Default)]
struct Histogram {
    /// Bound and count of the last bucket.
    last: Option<(f64, f64)>,
    count: Option<f64>,
}

#[derive(Default)]
struct Reader {
    /// Families there were; none comes twice.
    seen: BTreeSet<String>,
    name: String,
    kind: String,
    described: BTreeSet<String>,
    /// Series of a histogram, by their labels without `le`.
    histograms: BTreeMap<String, Histogram>,
    exemplars: Vec<Exemplar>,
}

impl Reader {
    fn line(&mut self, line: &str) {
        assert!(!line.trim().is_empty(), "a blank line");
        match line.strip_prefix("# ") {
            Some(rest) => self.describe(rest),
            None => self.sample(line),
        }
    }

    fn describe(&mut self, rest: &str) {
        let mut parts = rest.splitn(3, ' ');
        let mut part = || {
            parts
                .next()
                .unwrap_or_else(|| panic!("`# {rest}` is cut off"))
        };
        let (what, name, said) = (part(), part(), part());
        if name != self.name {
            self.end_family();
            assert!(self.seen.insert(name.to_owned()), "`{name}` comes twice");
            name.clone_into(&mut self.name);
        }
        assert!(self.histograms.is_empty(), "`# {rest}` comes after samples");
        assert!(
            self.described.insert(what.to_owned()),
            "a second {what} of {name}"
        );
        match what {
            "TYPE" => said.clone_into(&mut self.kind),
            "UNIT" => assert!(
                name.ends_with(&format!("_{said}")),
                "{name} is not in {said}"
            ),
            "HELP" => assert!(!said.contains('"'), "quotes are escaped: {said}"),
            _ => panic!("`# {rest}`"),
        }
        assert!(!name.ends_with("_total"), "{name}: families have no suffix");
    }

    fn sample(&mut self, line: &str) {
        let (name, rest) = line.split_at(line.find(['{', ' ']).expect("a value"));
        let (mut labels, rest) = pairs(rest);
        let (value, rest) = number(rest);
        assert_eq!(
            self.described.contains("TYPE"),
            !self.kind.is_empty(),
            "{line}"
        );
        let suffix = name
            .strip_prefix(&self.name)
            .unwrap_or_else(|| panic!("`{line}` among the samples of {}", self.name));
        let bound = labels.remove("le");
        let series = format!("{labels:?}");
        let mut range = (f64::NEG_INFINITY, f64::INFINITY);
        match (self.kind.as_str(), suffix) {
            ("counter", "_total") => assert!(value >= 0.0, "{line}"),
            ("gauge", "") => assert!(rest.is_empty(), "a gauge has no exemplars: {line}"),
            ("histogram", "_bucket") => {
                let bound = bound.unwrap_or_else(|| panic!("no bound: {line}"));
                let whole = bound.bytes().all(|byte| byte.is_ascii_digit());
                assert!(!whole, "bounds are fractions: {line}");
                let bound: f64 = bound.parse().unwrap_or_else(|_| panic!("{line}"));
                let of_series = self.histograms.entry(series).or_default();
                let before = of_series.last.unwrap_or((f64::NEG_INFINITY, 0.0));
                assert!(before.0 < bound && before.1 <= value, "{line}");
                of_series.last = Some((bound, value));
                range = (before.0, bound);
            }
            ("histogram", "_count") => {
                self.histograms.entry(series).or_default().count = Some(value);
            }
            ("histogram", "_sum") => {}
            _ => panic!("`{line}` in a {}", self.kind),
        }
        if !rest.is_empty() {
            self.exemplar(name, labels, range, rest);
        }
    }

    fn exemplar(
        &mut self,
        sample: &str,
        labels: BTreeMap<String, String>,
        range: (f64, f64),
        text: &str,
    ) {
        let rest = text
            .strip_prefix(" # ")
            .unwrap_or_else(|| panic!("`{text}`"));
        let (mut own, rest) = pairs(rest);
        let length: usize = own
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        assert!(length <= 128, "{text}");
        let (value, rest) = number(rest);
        let (at, rest) = number(rest);
        assert!(rest.is_empty() && at > 1.5e9, "{text}");
        assert!(
            range.0 < value && value <= range.1,
            "{sample} {range:?}{text}"
        );
        let mut take = |name| {
            own.remove(name)
                .unwrap_or_else(|| panic!("no {name}: {text}"))
        };
        self.exemplars.push(Exemplar {
            sample: sample.to_owned(),
            labels,
            trace_id: take("trace_id"),
            span_id: take("span_id"),
            value,
        });
    }

    fn end_family(&mut self) {
        for (series, read) in std::mem::take(&mut self.histograms) {
            let count = read.count.unwrap_or_else(|| panic!("no count of {series}"));
            assert_eq!(
                read.last,
                Some((f64::INFINITY, count)),
                "{} {series}",
                self.name
            );
        }
        self.described.clear();
        self.kind.clear();
    }
}

/// `{name="value",…}` and what follows.
fn pairs(text: &str) -> (BTreeMap<String, String>, &str) {
    let mut pairs = BTreeMap::new();
    let Some(mut rest) = text.strip_prefix('{') else {
        return (pairs, text);
    };
    while let Some((name, after)) = rest.split_once("=\"") {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        assert!(
            !name.is_empty() && name.bytes().all(is_name),
            "`{name}` in {text}"
        );
        let (value, after) = value(after);
        assert!(pairs.insert(name.to_owned(), value).is_none(), "{text}");
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return (pairs, after.strip_prefix('}').expect("the end of labels")),
        }
    }
    panic!("labels without end: {text}");
}

/// Up to the quote that ends it.
fn value(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &text[at + 1..]),
            '\\' => match characters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, escaped @ ('"' | '\\'))) => value.push(escaped),
                _ => panic!("an escape that is none: {text}"),
            },
            other => value.push(other),
        }
    }
    panic!("a value without end: {text}");
}

/// ` 1.5` and what follows.
fn number(text: &str) -> (f64, &str) {
    let text = text
        .strip_prefix(' ')
        .unwrap_or_else(|| panic!("no space: `{text}`"));
    let (number, rest) = text.split_at(text.find(' ').unwrap_or(text.len()));
    let parsed = number
        .parse()
        .unwrap_or_else(|_| panic!("`{number}` is no number"));
    (parsed, rest)
}
