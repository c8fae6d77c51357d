//! What a retried, faulted order must look like in its trace.

use serde_json::Value;

/// An attempt that the rule hit, a second try beside it, and an end in notifications.
pub(crate) fn assert_retried(answer: &Value, rule: &str) {
    let trace = &answer["data"][0];
    let spans = trace["spans"].as_array().unwrap();
    let hit = spans.iter().find(|span| was_hit(span, rule));
    let hit = hit.unwrap_or_else(|| panic!("no span has an event mesh.fault with rule {rule}"));
    assert_eq!(hit["operationName"], "attempt payments");
    assert_eq!(service(trace, hit), "orders");

    let next = spans
        .iter()
        .find(|span| parent(span) == parent(hit) && tag(span, "http.request.resend_count") == "1");
    let next = next.expect("a second attempt under the same request, counted as resend 1");
    assert_eq!(tag(next, "mesh.attempt"), "2");
    assert!(next["startTime"].as_u64() > hit["startTime"].as_u64());

    let below = |child: &Value| parent(child) == next["spanID"].as_str();
    let called = spans.iter().find(|span| below(span)).unwrap();
    assert_eq!(
        service(trace, called),
        "payments",
        "the callee hangs under the attempt"
    );
    assert!(
        spans
            .iter()
            .any(|span| service(trace, span) == "notifications")
    );
    let roots = spans.iter().filter(|span| parent(span).is_none()).count();
    assert_eq!(roots, 1, "one trace, one root");
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
