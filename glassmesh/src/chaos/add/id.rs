//! The id of a rule that was given none.

use mesh_proxy::config::{Arm, FaultKind, Place, Position, Rule};

/// Longest id there may be, and how much of a longer one is kept before its digits.
const LONGEST: usize = 63;
const KEPT: usize = 54;

/// Place and faults: `payments-abort-503`, `orders-payments-delay-200ms`. The same words
/// give the same id, so that adding a rule again, with another share or time, replaces
/// it; one that concerns other requests is another rule, and gets digits of its own.
pub(super) fn of(rule: &Rule) -> String {
    let mut parts = match &rule.place {
        Place::Edge {
            source,
            destination,
        } => vec![source.clone(), destination.clone()],
        Place::Node(name) => vec![name.clone()],
    };
    parts.extend(rule.faults().map(|kind| fault(rule, kind)));
    if rule.position == Position::Request {
        parts.push("request".to_owned());
    }
    if rule.arm == Arm::Baggage {
        parts.push("armed".to_owned());
    }
    if !rule.matches.is_everything() {
        let conditions = serde_json::to_string(&rule.matches).unwrap_or_default();
        parts.push(format!("{:04x}", digest(&conditions) & 0xffff));
    }
    short(&letters(&parts.join("-")))
}

fn fault(rule: &Rule, kind: FaultKind) -> String {
    let value = match kind {
        FaultKind::Delay => rule.delay.map(|delay| delay.to_string()),
        FaultKind::Abort => rule
            .abort
            .as_ref()
            .map(|abort| abort.to_string().replace("grpc:", "")),
        _ => None,
    };
    match value {
        Some(value) => format!("{kind}-{value}"),
        None => kind.to_string(),
    }
}

/// Lower-case letters, digits and single dashes.
fn letters(text: &str) -> String {
    let clean = text
        .to_ascii_lowercase()
        .replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let parts: Vec<&str> = clean.split('-').filter(|part| !part.is_empty()).collect();
    parts.join("-")
}

fn short(id: &str) -> String {
    if id.len() <= LONGEST {
        return id.to_owned();
    }
    let kept = id[..KEPT].trim_end_matches('-');
    format!("{kept}-{:08x}", digest(id) & 0xffff_ffff)
}

/// FNV-1a: the same on every machine and in every version.
fn digest(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(yaml: &str) -> String {
        of(&serde_saphyr::from_str(&format!("{{ id: '', {yaml} }}")).unwrap())
    }

    #[test]
    fn ids_name_place_and_faults() {
        for (yaml, wanted) in [
            ("where: payments, abort: 503", "payments-abort-503"),
            (
                "where: orders -> payments, delay: 'normal:1s 500ms:50ms'",
                "orders-payments-delay-normal-1s-500ms-50ms",
            ),
            (
                "where: a, abort: 'grpc:UNAVAILABLE', reset: true",
                "a-reset-abort-unavailable",
            ),
            (
                "where: a, chunk_delay: 5ms, position: request, arm: baggage",
                "a-chunk-delay-request-armed",
            ),
        ] {
            assert_eq!(id(yaml), wanted);
        }
    }

    #[test]
    fn share_and_time_do_not_change_an_id_but_conditions_do() {
        let plain = id("where: a, hang: true");
        assert_eq!(
            id("where: a, hang: true, percent: 3, for: 1m, seed: 7"),
            plain
        );
        let get = id("where: a, hang: true, match: { methods: [GET] }");
        let post = id("where: a, hang: true, match: { methods: [POST] }");
        assert!(plain != get && get != post, "{get} {post}");
        assert_eq!(id("where: a, hang: true, match: { methods: [GET] }"), get);
    }

    #[test]
    fn a_long_id_is_cut_and_stays_its_own() {
        let long = "very-".repeat(20);
        let (one, other) = (
            id(&format!("where: {long}a, hang: true")),
            id(&format!("where: {long}b, hang: true")),
        );
        assert!(
            one.len() <= LONGEST && other.len() <= LONGEST,
            "{one} {other}"
        );
        assert_ne!(one, other);
        assert!(!one.contains("--"), "{one}");
    }
}
