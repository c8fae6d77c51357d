//! What a retried, faulted order must look like in its trace.

use serde_json::Value;

/// The tries of one request, in the order of time: the first was hit by the
/// rule, the last was not and reached payments. None: some spans are not there yet.
pub(crate) struct Retried<'a> {
    trace: &'a Value,
    tries: Vec<&'a Value>,
    callee: &'a Value,
}

impl<'a> Retried<'a> {
    pub(crate) fn find(answer: &'a Value, rule: &str) -> Option<Self> {
        let trace = &answer["data"][0];
        let spans = trace["spans"].as_array()?;
        let hit = spans.iter().find(|span| was_hit(span, rule))?;
        let is_try = |span: &&Value| span["operationName"] == "attempt payments";
        let beside = |span: &&Value| parent(span) == parent(hit);
        let mut tries: Vec<&Value> = spans.iter().filter(is_try).filter(beside).collect();
        tries.sort_by_key(|span| span["startTime"].as_u64());
        let last = tries.last()?;
        let below = |span: &&Value| parent(span) == last["spanID"].as_str();
        let callee = spans.iter().find(below)?;
        let told = |span: &Value| service(trace, span) == "notifications";
        let rooted = spans.iter().filter(|span| parent(span).is_none()).count() == 1;
        (rooted && spans.iter().any(told)).then_some(Self {
            trace,
            tries,
            callee,
        })
    }

    pub(crate) fn assert(&self, rule: &str) {
        let Self {
            trace,
            tries,
            callee,
        } = self;
        assert!(tries.len() >= 2, "one try only");
        assert!(was_hit(tries[0], rule), "the first try met the fault");
        for (resent, span) in tries.iter().enumerate() {
            assert_eq!(service(trace, span), "orders");
            assert_eq!(tag(span, "mesh.attempt"), (resent + 1).to_string());
            let count = tag(span, "http.request.resend_count");
            let wanted = if resent == 0 {
                String::new()
            } else {
                resent.to_string()
            };
            assert_eq!(count, wanted, "resend count of try {}", resent + 1);
        }
        let name = service(trace, callee);
        assert_eq!(
            name, "payments",
            "the callee hangs under the try that reached it"
        );
        self.assert_time_shrinks();
    }
}

impl Retried<'_> {
    /// Each sidecar on the way down to the callee had no more time than the one before.
    fn assert_time_shrinks(&self) {
        let spans = self.trace["spans"].as_array().unwrap();
        let mut times: Vec<f64> = Vec::new();
        let mut here = Some(self.callee);
        while let Some(span) = here {
            times.extend(tag(span, "mesh.deadline_ms").parse::<f64>().ok());
            here = spans
                .iter()
                .find(|one| parent(span).is_some_and(|id| one["spanID"] == id));
        }
        assert!(
            times.len() >= 4,
            "gateway, orders twice, payments: {times:?}"
        );
        assert!(times.is_sorted(), "from the callee up: {times:?}");
    }
}

/// Length of the first span of this name, microseconds.
pub(crate) fn length(answer: &Value, name: &str) -> Option<u64> {
    let spans = answer["data"][0]["spans"].as_array()?;
    let span = spans.iter().find(|span| span["operationName"] == name)?;
    span["duration"].as_u64()
}

fn was_hit(span: &Value, rule: &str) -> bool {
    let logs = span["logs"].as_array().unwrap();
    logs.iter().any(|log| {
        let fields = &log["fields"];
        field(fields, "event") == "mesh.fault" && field(fields, "rule") == rule
    })
}

fn parent(span: &Value) -> Option<&str> {
    let references = span["references"].as_array()?;
    let parent = references.iter().find(|one| one["refType"] == "CHILD_OF")?;
    parent["spanID"].as_str()
}

fn service<'a>(trace: &'a Value, span: &Value) -> &'a str {
    let process = span["processID"].as_str().unwrap();
    trace["processes"][process]["serviceName"].as_str().unwrap()
}

fn tag(span: &Value, key: &str) -> String {
    field(&span["tags"], key)
}

/// A value as text; empty: there is none.
fn field(fields: &Value, key: &str) -> String {
    let found = fields
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["key"] == key);
    match found.map(|field| &field["value"]) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}
