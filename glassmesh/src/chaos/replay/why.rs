//! Whether the fate was the same, and if not, why that may be.

use mesh_console::api::{ChaosState, RuleState};
use mesh_proxy::config::{Arm, FaultKind, Rule};

use super::{
    Replay,
    fates::{self, Compared, Hit},
};

/// What became of a replay.
pub(super) struct Verdict {
    /// The same rules hit the same attempts, as often.
    pub(super) same: bool,
    pub(super) compared: Vec<Compared>,
    /// What may explain a difference, each with what to do about it.
    pub(super) reasons: Vec<String>,
}

pub(super) fn judge(replay: &Replay, chaos: &ChaosState) -> Verdict {
    let before = fates::hits(&replay.old);
    let Some(new) = &replay.new else {
        let why = format!(
            "the console holds no trace {} (yet): without it nobody can say what hit it; does the edge take a `traceparent` from here?",
            replay.id
        );
        return Verdict {
            same: false,
            compared: fates::compare(&before, &[]),
            reasons: vec![why],
        };
    };
    let now = fates::hits(new);
    let compared = fates::compare(&before, &now);
    let same = compared.iter().all(|one| one.before == one.now);
    let reasons = if same {
        Vec::new()
    } else {
        reasons(&replay.fate.of, &compared, &before, &now, chaos)
    };
    Verdict {
        same,
        compared,
        reasons,
    }
}

fn reasons(
    fate: &str,
    compared: &[Compared],
    before: &[Hit],
    now: &[Hit],
    chaos: &ChaosState,
) -> Vec<String> {
    if now.iter().any(|hit| hit.fate.as_deref() != Some(fate)) {
        return vec![STRIPPED.to_owned()]; // it drew for itself: nothing else needs a reason
    }
    let mut reasons = Vec::new();
    for one in compared.iter().filter(|one| one.before > one.now) {
        let hit = before.iter().find(|hit| hit.spot == one.spot);
        reasons.extend(hit.map(|hit| missed(hit, chaos)));
    }
    for one in compared.iter().filter(|one| one.before < one.now) {
        let rule = &one.spot.rule;
        reasons.push(format!(
            "rule `{rule}` hits it now and did not then: it was off, another one, or was not reached; \
             `glassmesh chaos off {rule}` turns it off"
        ));
    }
    // An edge that takes no baggage from here shows it only in what does hit.
    if now.is_empty() && reasons.iter().all(|reason| reason.ends_with(NOT_REACHED)) {
        reasons.push(STRIPPED.to_owned());
    }
    reasons.dedup();
    reasons
}

const STRIPPED: &str = "the new trace does not show the old one's fate: the edge takes the baggage `mesh.fate` \
from testers alone; name this caller's network or identity under `inbound.testers` of the edge";

const NOT_REACHED: &str = "a matching condition that no trace holds may not be met (--header), or the request went another way";

/// Why a fault of before did not hit.
fn missed(hit: &Hit, chaos: &ChaosState) -> String {
    let id = &hit.spot.rule;
    let Some(state) = chaos.rules.iter().find(|state| state.rule.id == *id) else {
        return format!("rule `{id}` is gone; `glassmesh chaos list` shows those there are");
    };
    if !state.rule.enabled {
        return format!("rule `{id}` is off: `glassmesh chaos on {id}` turns it on");
    }
    if !chaos.halted.is_empty() {
        let halted = chaos.halted.join(", ");
        return format!(
            "rule `{id}` is on, but all chaos was halted at {halted}; `glassmesh chaos on {id}` puts it in force again"
        );
    }
    changed(hit, state)
        .unwrap_or_else(|| format!("rule `{id}` is on: `glassmesh chaos show {id}`; {NOT_REACHED}"))
}

/// What about the rule itself is another than then.
fn changed(hit: &Hit, state: &RuleState) -> Option<String> {
    let (id, rule) = (&hit.spot.rule, &state.rule);
    let kind: Option<FaultKind> = hit.spot.fault.parse().ok();
    let Some(kind) = kind.filter(|kind| rule.faults().any(|one| one == *kind)) else {
        return Some(format!("rule `{id}` has no {} any more", hit.spot.fault));
    };
    if let Some(seed) = hit.seed.filter(|seed| *seed != rule.seed) {
        return Some(format!(
            "rule `{id}` draws from seed {} now, and drew from {seed}",
            rule.seed
        ));
    }
    if state.percent_now <= 0.0 && rule.percent > 0.0 {
        return Some(format!(
            "rule `{id}` is quiet now by its schedule: `glassmesh chaos show {id}`"
        ));
    }
    let share = share_now(rule, state, kind);
    if let Some(draw) = hit.draw.filter(|draw| draw * 100.0 >= share) {
        return Some(format!(
            "rule `{id}` hits {share} % now, and the attempt drew {:.1}",
            draw * 100.0
        ));
    }
    if rule.first_requests.is_some() || rule.max_affected.is_some() {
        return Some(format!(
            "rule `{id}` spares requests beyond first_requests or max_affected, which count all requests"
        ));
    }
    (rule.arm == Arm::Baggage)
        .then(|| format!("rule `{id}` hits only requests whose baggage asks for it; {STRIPPED}"))
}

fn share_now(rule: &Rule, state: &RuleState, kind: FaultKind) -> f64 {
    let scheduled = if rule.percent > 0.0 {
        state.percent_now / rule.percent
    } else {
        1.0
    };
    rule.percent_of(kind) * scheduled
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::fates::tests::trace, *};

    fn chaos(rules: &[&str]) -> ChaosState {
        let state = |yaml: &&str| {
            let rule: Rule = serde_saphyr::from_str(yaml).unwrap();
            RuleState {
                percent_now: if rule.enabled { rule.percent } else { 0.0 },
                rule,
                expires_in_ms: None,
                injected: 0,
                receipt: mesh_console::api::RuleReceipt::default(),
                scenario: None,
            }
        };
        ChaosState {
            revision: 1,
            acknowledged: 1,
            sidecars: 1,
            halted: Vec::new(),
            rules: rules.iter().map(state).collect(),
        }
    }

    fn why(rules: &[&str]) -> String {
        let fault = json!({ "rule": "a", "fault": "abort", "seed": 7, "draw": 0.25 });
        let before = fates::hits(&trace("aa", &[fault]));
        let compared = fates::compare(&before, &[]);
        reasons("aa", &compared, &before, &[], &chaos(rules)).join("\n")
    }

    #[test]
    fn a_fault_that_does_not_hit_again_is_explained_by_its_rule() {
        for (rules, part) in [
            (&[] as &[&str], "is gone"),
            (
                &["{ id: a, where: b, abort: 503, seed: 7, enabled: false }"],
                "glassmesh chaos on a",
            ),
            (
                &["{ id: a, where: b, hang: true, seed: 7 }"],
                "no abort any more",
            ),
            (
                &["{ id: a, where: b, abort: 503, seed: 8 }"],
                "seed 8 now, and drew from 7",
            ),
            (
                &["{ id: a, where: b, abort: 503, seed: 7, percent: 20 }"],
                "hits 20 % now, and the attempt drew 25.0",
            ),
            (
                &["{ id: a, where: b, abort: 503, seed: 7, arm: baggage }"],
                "inbound.testers",
            ),
            (
                &["{ id: a, where: b, abort: 503, seed: 7 }"],
                "inbound.testers",
            ),
        ] {
            let told = why(rules);
            assert!(told.contains(part), "{rules:?}: {told}");
        }
    }

    #[test]
    fn a_new_hit_names_its_rule_and_a_fate_that_was_not_taken_is_said() {
        let told = |fault| {
            let now = fates::hits(&trace("bb", &[fault]));
            let compared = fates::compare(&[], &now);
            reasons("aa", &compared, &[], &now, &chaos(&[])).join("\n")
        };
        let new = told(json!({ "rule": "b", "fault": "hang", "fate": "aa" }));
        assert!(new.contains("glassmesh chaos off b"), "{new}");
        let own = told(json!({ "rule": "b", "fault": "hang" }));
        assert_eq!(own, STRIPPED);
    }
}
