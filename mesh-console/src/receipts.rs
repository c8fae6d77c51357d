//! What chaos rules met since they were turned on, summed over all sidecars.
//!
//! A sidecar sends totals of its own count, which begins anew with its process. The sum
//! over all counts of all sidecars that ever held the rule as it is now never shrinks;
//! a restarted console has it again as soon as they have reported.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use mesh_proxy::config::{NearMiss, Report, Rule, RuleReport};

use crate::{
    api::RuleReceipt,
    registry::{Key, Sidecar},
};

/// Counts of one sidecar that are told apart; what was counted before them is added up.
/// A report that comes late is of the last one, or of the one before.
const KEPT: usize = 3;

/// Most sidecars of a rule: many times those that can be there at once. What came after
/// so many have come and gone is not counted.
const MOST_SIDECARS: usize = 4096;

/// Receipts of the rules that are on.
#[derive(Default)]
pub(crate) struct Receipts(Mutex<BTreeMap<String, Activation>>);

/// One time of a rule being on.
struct Activation {
    expires_at_ms: Option<u64>,
    by_sidecar: BTreeMap<Key, Counts>,
}

/// What one sidecar counted.
#[derive(Default)]
struct Counts {
    /// Counts that began anew since.
    earlier: Met,
    /// By their beginning, in the order in which they came.
    kept: Vec<(u64, Met)>,
}

/// Numbers that only grow.
#[derive(Clone, Debug, Default)]
struct Met {
    seen: u64,
    matched: u64,
    struck: u64,
    spared: u64,
    last_ms: Option<u64>,
    nearest: Option<NearMiss>,
}

impl Receipts {
    /// Takes in what a sidecar reported of the rules that are on.
    pub(crate) fn take(&self, report: &Report, rules: &[Rule]) {
        let mut all = self.lock();
        all.retain(|id, known| rules.iter().any(|rule| rule.id == *id && known.is_of(rule)));
        for told in &report.rules {
            let on = rules.iter().any(|rule| is_activation(rule, told));
            if !on {
                continue; // the report was on its way when the rule was changed
            }
            let activation = all.entry(told.id.clone()).or_insert_with(|| Activation {
                expires_at_ms: told.expires_at_ms,
                by_sidecar: BTreeMap::new(),
            });
            let key = (report.service.clone(), report.instance.clone());
            let counts = &mut activation.by_sidecar;
            if counts.len() < MOST_SIDECARS || counts.contains_key(&key) {
                counts.entry(key).or_default().take(told);
            }
        }
    }

    /// What a rule met; nothing while it is off.
    pub(crate) fn of(&self, rule: &Rule, sidecars: &BTreeMap<Key, Sidecar>) -> RuleReceipt {
        if !rule.enabled {
            return RuleReceipt::default();
        }
        let held_by: Vec<u64> = sidecars
            .values()
            .filter_map(Sidecar::reported)
            .flat_map(|report| &report.rules)
            .filter(|told| is_activation(rule, told))
            .map(|told| told.held)
            .collect();
        let met = self.met(rule);
        RuleReceipt {
            sidecars: held_by.len(),
            seen: met.seen,
            matched: met.matched,
            struck: met.struck,
            spared: met.spared,
            held: held_by.iter().sum(),
            last_ms: met.last_ms,
            nothing: met.nothing(rule, held_by.len()),
        }
    }

    fn met(&self, rule: &Rule) -> Met {
        let all = self.lock();
        let activation = all.get(&rule.id).filter(|known| known.is_of(rule));
        let counts = activation.iter().flat_map(|it| it.by_sidecar.values());
        counts.fold(Met::default(), |sum, counts| sum.and(&counts.sum()))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Activation>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Activation {
    fn is_of(&self, rule: &Rule) -> bool {
        rule.enabled && rule.expires_at_ms == self.expires_at_ms
    }
}

fn is_activation(rule: &Rule, told: &RuleReport) -> bool {
    rule.enabled && rule.id == told.id && rule.expires_at_ms == told.expires_at_ms
}

impl Counts {
    fn take(&mut self, told: &RuleReport) {
        let known = self
            .kept
            .iter_mut()
            .find(|(since, _)| *since == told.since_ms);
        match known {
            Some((_, met)) => met.grow(told),
            None => self.kept.push((told.since_ms, Met::of(told))),
        }
        if self.kept.len() > KEPT {
            let (_, oldest) = self.kept.remove(0);
            self.earlier = std::mem::take(&mut self.earlier).and(&oldest);
        }
    }

    fn sum(&self) -> Met {
        let kept = self.kept.iter().map(|(_, met)| met);
        kept.fold(self.earlier.clone(), Met::and)
    }
}

impl Met {
    fn of(told: &RuleReport) -> Self {
        Self {
            seen: told.seen,
            matched: told.matched,
            struck: told.struck,
            spared: told.spared,
            last_ms: told.last_ms,
            nearest: told.nearest.clone(),
        }
    }

    /// The same count, later; or earlier, when reports overtook one another.
    fn grow(&mut self, told: &RuleReport) {
        self.seen = self.seen.max(told.seen);
        self.matched = self.matched.max(told.matched);
        self.struck = self.struck.max(told.struck);
        self.spared = self.spared.max(told.spared);
        self.last_ms = self.last_ms.max(told.last_ms);
        self.come_near(told.nearest.as_ref());
    }

    /// Another count beside this one.
    fn and(mut self, other: &Self) -> Self {
        self.seen = self.seen.saturating_add(other.seen);
        self.matched = self.matched.saturating_add(other.matched);
        self.struck = self.struck.saturating_add(other.struck);
        self.spared = self.spared.saturating_add(other.spared);
        self.last_ms = self.last_ms.max(other.last_ms);
        self.come_near(other.nearest.as_ref());
        self
    }

    fn come_near(&mut self, other: Option<&NearMiss>) {
        let nearness = |miss: Option<&NearMiss>| miss.map(|miss| miss.met);
        if nearness(other) > nearness(self.nearest.as_ref()) {
            self.nearest = other.cloned();
        }
    }

    /// Why nothing happens, in a sentence; none: something matched.
    fn nothing(&self, rule: &Rule, sidecars: usize) -> Option<String> {
        if self.matched > 0 {
            return None;
        }
        let count = match self.seen {
            0 if sidecars == 0 => return Some("no sidecar holds it yet".to_owned()),
            0 => return Some("no request came by yet".to_owned()),
            seen => format!("0 of {seen} requests matched"),
        };
        Some(match &self.nearest {
            Some(miss) if miss.key == ARM => format!(
                "{count}: none of them asked for it, with the baggage mesh.chaos={}; nearest: {}",
                rule.id, miss.request
            ),
            Some(NearMiss { request, key, .. }) => {
                format!("{count}; nearest: {request}, which does not meet {key}")
            }
            None => count,
        })
    }
}

/// Key of the condition that requests ask for the rule.
const ARM: &str = "arm";

#[cfg(test)]
mod tests {
    use super::*;

    fn rule() -> Rule {
        let mut rule = Rule::new("slow", "back".parse().unwrap());
        rule.expires_at_ms = Some(1_000);
        rule
    }

    fn told(since_ms: u64, seen: u64) -> RuleReport {
        RuleReport {
            id: "slow".to_owned(),
            expires_at_ms: Some(1_000),
            since_ms,
            seen,
            ..RuleReport::default()
        }
    }

    fn report(instance: &str, rule: RuleReport) -> Report {
        Report {
            service: "back".to_owned(),
            instance: instance.to_owned(),
            revision: 1,
            halted: false,
            rules: vec![rule],
        }
    }

    fn seen(receipts: &Receipts, rule: &Rule) -> u64 {
        receipts.of(rule, &BTreeMap::new()).seen
    }

    #[test]
    fn totals_are_summed_over_sidecars_and_their_restarts_and_never_shrink() {
        let (receipts, rules) = (Receipts::default(), [rule()]);
        let mut last = 0;
        for (instance, since, count, sum) in [
            ("back-1", 1, 5, 5),
            ("back-1", 1, 7, 7),
            ("back-2", 2, 10, 17),
            ("back-1", 3, 0, 17), // restarted
            ("back-1", 3, 4, 21),
            ("back-1", 1, 6, 21), // came late
            ("back-1", 4, 1, 22),
            ("back-1", 5, 1, 23),
            ("back-1", 6, 1, 24),
            ("back-1", 6, 1, 24), // came twice
        ] {
            receipts.take(&report(instance, told(since, count)), &rules);
            assert_eq!(seen(&receipts, &rules[0]), sum);
            assert!(sum >= last);
            last = sum;
        }
    }

    #[test]
    fn a_rule_that_is_turned_on_again_begins_anew() {
        let (receipts, mut rule) = (Receipts::default(), rule());
        receipts.take(&report("back-1", told(1, 5)), &[rule.clone()]);
        rule.expires_at_ms = Some(2_000);
        assert_eq!(seen(&receipts, &rule), 0);
        receipts.take(&report("back-1", told(1, 6)), &[rule.clone()]);
        assert_eq!(seen(&receipts, &rule), 0, "that was the time before");
        assert_eq!(receipts.lock().len(), 0, "and is forgotten");
        rule.enabled = false;
        assert_eq!(receipts.of(&rule, &BTreeMap::new()), RuleReceipt::default());
    }

    #[test]
    fn what_never_strikes_says_why() {
        let rule = rule();
        let miss = |key: &str, met| {
            Some(NearMiss {
                request: "GET /payments".to_owned(),
                key: key.to_owned(),
                met,
            })
        };
        let said = |seen, nearest, sidecars| {
            let met = Met {
                seen,
                nearest,
                ..Met::default()
            };
            met.nothing(&rule, sidecars).unwrap()
        };
        assert_eq!(said(0, None, 0), "no sidecar holds it yet");
        assert_eq!(said(0, None, 1), "no request came by yet");
        assert_eq!(
            said(214, miss("match.methods", 0), 1),
            "0 of 214 requests matched; nearest: GET /payments, which does not meet match.methods"
        );
        assert_eq!(
            said(3, miss("arm", 2), 1),
            "0 of 3 requests matched: none of them asked for it, with the baggage mesh.chaos=slow; nearest: GET /payments"
        );
        let mut met = Met {
            nearest: miss("match.methods", 0),
            matched: 1,
            ..Met::default()
        };
        assert_eq!(met.nothing(&rule, 1), None);
        met.come_near(miss("match.headers", 2).as_ref());
        met.come_near(miss("match.path", 1).as_ref());
        assert_eq!(met.nearest.unwrap().key, "match.headers");
    }
}
