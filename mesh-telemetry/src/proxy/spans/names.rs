//! Span names of low cardinality.

use crate::proxy::{Direction, outcome::method_label, record::Record};

/// Writes the name of a request: `outbound payments`, `inbound POST /payments`.
pub(super) fn request(record: &Record, to: &mut String) {
    match record.direction {
        Direction::Outbound => {
            to.push_str("outbound ");
            to.push_str(record.edge.destination());
        }
        Direction::Inbound => {
            to.push_str("inbound ");
            to.push_str(match method_label(&record.method) {
                "_OTHER" => "HTTP", // as the semantic conventions say
                known => known,
            });
            to.push(' ');
            template(record.uri.path(), to);
        }
    }
}

/// Writes the name of an attempt: `attempt payments`.
pub(super) fn attempt(record: &Record, to: &mut String) {
    to.push_str("attempt ");
    to.push_str(record.edge.destination());
}

/// The path with what looks like an id replaced: the sidecar does not know the
/// application's routes, and a name per order would be of no use.
fn template(path: &str, to: &mut String) {
    for (index, part) in path.split('/').enumerate() {
        if index > 0 {
            to.push('/');
        }
        to.push_str(if is_id(part) { "{id}" } else { part });
    }
}

/// Digits, a UUID, or anything long that holds a digit.
fn is_id(segment: &str) -> bool {
    let digits = segment.bytes().filter(u8::is_ascii_digit).count();
    digits > 0 && (digits == segment.len() || segment.len() >= 16 || is_prefixed_number(segment))
}

/// `ord-17`, `user_3`.
fn is_prefixed_number(segment: &str) -> bool {
    let number = segment.rsplit(['-', '_']).next().unwrap_or_default();
    number.len() < segment.len() && number.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::template;

    #[test]
    fn ids_do_not_multiply_names() {
        for (path, name) in [
            ("/payments", "/payments"),
            ("/orders/17", "/orders/{id}"),
            ("/orders/17/items", "/orders/{id}/items"),
            ("/users/2b0c6c4e-43a5-4e2e-9a5f-0d9a3a5b8e11", "/users/{id}"),
            ("/users/user_3", "/users/{id}"),
            ("/v1/users", "/v1/users"),
            ("/", "/"),
        ] {
            let mut written = String::new();
            template(path, &mut written);
            assert_eq!(written, name);
        }
    }
}
