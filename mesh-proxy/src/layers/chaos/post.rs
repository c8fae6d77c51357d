//! The rules at one place of one route: an edge before or after `retry`, or a node.

use std::sync::Arc;

use mesh_telemetry::proxy::Edge;
use tokio::time::Instant;

use super::{
    Target,
    draw::{draw, fault_key},
    matching::{Subject, fate},
    rule::{Armed, Rules},
    strike::Strike,
};
use crate::config::{FaultKind, Place, Position};

/// Number of kinds of fault.
pub(super) const KINDS: usize = FaultKind::ALL.len();

/// The kinds of fault that strike, in the order of [`FaultKind::ALL`].
pub(super) type Hits = [Option<Hit>; KINDS];

/// Why one strikes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hit {
    /// What was drawn for it, 0 to 1.
    pub(super) drawn: f64,
    /// Its percentage at that time, 0 to 100.
    pub(super) share: f64,
}

/// The rules that stand at one place, in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Posts(Box<[Post]>);

/// One rule at one place.
#[derive(Clone, Debug)]
struct Post {
    rule: Arc<Armed>,
    dice: Box<[Die]>,
}

/// One of its faults.
#[derive(Clone, Copy, Debug)]
struct Die {
    kind: FaultKind,
    key: u64,
    /// 0 to 100.
    percent: f64,
}

impl Posts {
    /// Rules for the calls of `source` to `destination` at this position. A node that
    /// refuses connections does so at its callers: one that was taken cannot be refused.
    pub(crate) fn on_edge(
        rules: &Rules,
        source: &str,
        destination: &str,
        position: Position,
    ) -> Self {
        Self::of(rules, |armed, kind| match &armed.rule().place {
            Place::Edge {
                source: from,
                destination: to,
            } => armed.rule().position == position && from == source && to == destination,
            Place::Node(name) => {
                kind == FaultKind::Refuse && position == Position::Attempt && name == destination
            }
        })
    }

    /// Rules for what arrives at this instance of this service.
    pub(crate) fn on_node(rules: &Rules, service: &str, instance: &str) -> Self {
        Self::of(rules, |armed, kind| {
            let here =
                matches!(&armed.rule().place, Place::Node(it) if it == service || it == instance);
            here && kind != FaultKind::Refuse
        })
    }

    fn of(rules: &Rules, here: impl Fn(&Armed, FaultKind) -> bool) -> Self {
        let posts = rules.iter().map(|armed| Post {
            rule: Arc::clone(armed),
            dice: armed
                .rule()
                .faults()
                .filter(|kind| here(armed, *kind))
                .map(|kind| Die::of(armed, kind))
                .collect(),
        });
        Self(posts.filter(|post| !post.dice.is_empty()).collect())
    }

    /// The rules.
    pub(crate) fn rules(&self) -> impl Iterator<Item = &Arc<Armed>> {
        self.0.iter().map(|post| &post.rule)
    }

    /// Lets the counters of what can strike here start at 0.
    pub(crate) fn register(&self, edge: &Edge) {
        for post in &self.0 {
            for die in &post.dice {
                edge.register_rule(post.rule.id(), die.kind.as_str());
            }
        }
    }

    /// The first rule from this one on that strikes. Each is asked at most once about a
    /// request, and counts it.
    pub(super) fn strike(&self, target: &impl Target, from: usize) -> Option<Strike> {
        if self.0.is_empty() {
            return None;
        }
        let now = Instant::now();
        let subject = target.subject();
        let mut posts = self.0.iter().enumerate().skip(from);
        posts.find_map(|(index, post)| {
            let (hits, fate) = post.roll(&subject, target, now)?;
            let rule = post.rule.rule();
            let receipt = post.rule.receipt();
            Some(Strike {
                kept: receipt.strike_within(rule.max_affected, rule.first_requests)?,
                rule: Arc::clone(&post.rule),
                next: index + 1,
                hits,
                fate,
                replayed: fate != target.trace_id(),
                attempt: target.attempt(),
            })
        })
    }
}

impl Post {
    /// What strikes this request, and the trace that it was drawn for.
    fn roll(
        &self,
        subject: &Subject<'_>,
        target: &impl Target,
        now: Instant,
    ) -> Option<(Hits, [u8; 16])> {
        let (armed, attempt) = (&self.rule, target.attempt());
        armed.left(now)?;
        armed.receipt().see();
        if let Err(miss) = armed.matcher().meets(subject) {
            armed.receipt().miss(&miss, subject);
            return None;
        }
        armed.receipt().matched();
        let rule = armed.rule();
        if rule.first_attempts.is_some_and(|most| attempt > most) {
            return None;
        }
        let share = armed.share(now);
        let fate = fate(subject.headers, target.trace_id());
        let mut hits = [None; KINDS];
        for die in &self.dice {
            let hit = Hit {
                drawn: draw(rule.seed, die.key, fate, attempt),
                share: die.percent * share,
            };
            hits[die.kind as usize] = (hit.drawn * 100.0 < hit.share).then_some(hit);
        }
        let is_hit = hits.iter().any(Option::is_some);
        (is_hit && !armed.is_over(now)).then_some((hits, fate))
    }
}

impl Die {
    fn of(armed: &Armed, kind: FaultKind) -> Self {
        Self {
            kind,
            key: fault_key(armed.id(), kind),
            percent: armed.rule().percent_of(kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Posts;
    use crate::{
        config::{FaultKind, Position, Rule},
        layers::chaos::rule::{Clock, Rules},
    };

    fn armed(yaml: &str) -> Rules {
        let raw: Vec<Rule> = serde_saphyr::from_str(yaml).unwrap();
        Rules::arm(&raw, &Rules::default(), Clock::read())
    }

    /// Ids with their kinds of fault.
    fn names(posts: &Posts) -> Vec<String> {
        let of = |post: &super::Post| {
            let kinds: Vec<&str> = post.dice.iter().map(|die| die.kind.as_str()).collect();
            format!("{}: {}", post.rule.id(), kinds.join(" "))
        };
        posts.0.iter().map(of).collect()
    }

    #[tokio::test]
    async fn edges_nodes_and_instances_pick_their_own_rules() {
        let rules = armed(
            "
- { id: edge, where: orders -> payments, abort: 503 }
- { id: dead, where: orders -> payments, reset: true, position: request }
- { id: node, where: payments, abort: 503 }
- { id: one, where: payments-2, hang: true }
- { id: off, where: payments, abort: 503, enabled: false }
",
        );
        let edge = |source, position| names(&Posts::on_edge(&rules, source, "payments", position));
        let node = |instance| names(&Posts::on_node(&rules, "payments", instance));
        assert_eq!(edge("orders", Position::Attempt), ["edge: abort"]);
        assert_eq!(edge("orders", Position::Request), ["dead: reset"]);
        assert_eq!(edge("gateway", Position::Attempt), Vec::<String>::new());
        assert_eq!(node("payments-1"), ["node: abort"]);
        assert_eq!(node("payments-2"), ["node: abort", "one: hang"]);
    }

    #[tokio::test]
    async fn a_node_refuses_at_its_callers_and_does_the_rest_itself() {
        let rules = armed("[{ id: node, where: payments, refuse: true, delay: 1s }]");
        for caller in ["orders", "gateway"] {
            let at = |position| names(&Posts::on_edge(&rules, caller, "payments", position));
            assert_eq!(at(Position::Attempt), ["node: refuse"]);
            assert_eq!(at(Position::Request), Vec::<String>::new());
        }
        let node = Posts::on_node(&rules, "payments", "payments-1");
        assert_eq!(names(&node), ["node: delay"]);
    }

    #[test]
    fn kinds_stand_at_their_numbers() {
        for (index, kind) in FaultKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
        }
    }
}
