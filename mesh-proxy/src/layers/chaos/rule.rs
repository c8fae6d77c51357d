//! Rules as they are in force.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::StatusCode;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    draw::{draw, rule_key},
    receipt::Receipt,
};
use crate::config::{Abort, Place, Position, Rule};

/// A rule that is turned on.
#[derive(Debug)]
pub(crate) struct Armed {
    rule: Rule,
    id: Arc<str>,
    key: u64,
    /// When the rule drops itself.
    ends: Instant,
    /// Cancelled when the rule is taken back: requests that it holds go on at once.
    taken_back: CancellationToken,
    receipt: Arc<Receipt>,
}

impl Armed {
    fn new(rule: &Rule, clock: Clock) -> Self {
        Self {
            rule: rule.clone(),
            id: rule.id.as_str().into(),
            key: rule_key(&rule.id),
            ends: clock.end_of(rule),
            taken_back: CancellationToken::new(),
            receipt: Arc::default(),
        }
    }

    /// What it met since it was put in force.
    pub(crate) fn receipt(&self) -> &Arc<Receipt> {
        &self.receipt
    }

    pub(crate) fn id(&self) -> &Arc<str> {
        &self.id
    }

    pub(crate) fn rule(&self) -> &Rule {
        &self.rule
    }

    pub(crate) fn seed(&self) -> u64 {
        self.rule.seed
    }

    pub(crate) fn delay(&self) -> Option<Duration> {
        self.rule.delay.map(|delay| delay.mean())
    }

    pub(crate) fn abort(&self) -> Option<StatusCode> {
        match self.rule.abort {
            Some(Abort::Http { status, .. }) => StatusCode::from_u16(status).ok(),
            _ => None,
        }
    }

    /// Time until the rule drops itself; none: it has.
    pub(crate) fn left(&self, now: Instant) -> Option<Duration> {
        self.ends
            .checked_duration_since(now)
            .filter(|left| !left.is_zero())
    }

    /// Share in force now, 0 to 100, by the rule's schedule.
    pub(crate) fn percent_now(&self, now: Instant) -> f64 {
        self.left(now).map_or(0.0, |left| {
            let since = self.rule.ttl.saturating_sub(left);
            self.rule.percent * self.rule.schedule.share(since)
        })
    }

    /// What is drawn for this attempt, if that makes the rule strike.
    pub(crate) fn strikes(&self, trace_id: [u8; 16], attempt: u32, now: Instant) -> Option<f64> {
        let drawn = draw(self.rule.seed, self.key, trace_id, attempt);
        (drawn * 100.0 < self.rule.percent && self.left(now).is_some()).then_some(drawn)
    }

    /// Ends when the rule does.
    pub(crate) async fn over(&self) {
        tokio::select! {
            () = self.taken_back.cancelled() => {}
            () = tokio::time::sleep_until(self.ends) => {}
        }
    }
}

/// Both clocks at one moment: rules end by the wall clock, timers run by the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    pub(crate) now: Instant,
    pub(crate) wall: SystemTime,
}

impl Clock {
    pub(crate) fn read() -> Self {
        Self {
            now: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    fn end_of(self, rule: &Rule) -> Instant {
        let left = rule.expires_at_ms.map_or(rule.ttl, |end| {
            let end = UNIX_EPOCH + Duration::from_millis(end);
            let left = end.duration_since(self.wall).unwrap_or(Duration::ZERO);
            left.min(rule.ttl) // more: this clock was set back, or is behind the console's
        });
        // A century is for ever, and can be added to any instant.
        self.now + left.min(Duration::from_hours(24 * 36_500))
    }
}

/// All rules of a policy that are turned on, by their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules(Vec<Arc<Armed>>);

impl Rules {
    /// Arms what is turned on. A rule that stays as it was goes on with the time it
    /// has left; one that is changed or gone lets go of the requests it holds.
    pub(crate) fn arm(raw: &[Rule], before: &Self, clock: Clock) -> Self {
        let armed: Vec<Arc<Armed>> = raw
            .iter()
            .filter(|rule| rule.enabled)
            .map(|rule| {
                before
                    .same(rule)
                    .unwrap_or_else(|| Arc::new(Armed::new(rule, clock)))
            })
            .collect();
        for old in &before.0 {
            if !armed.iter().any(|new| Arc::ptr_eq(new, old)) {
                old.taken_back.cancel();
            }
        }
        Self(armed)
    }

    fn same(&self, rule: &Rule) -> Option<Arc<Armed>> {
        self.0.iter().find(|armed| armed.rule == *rule).cloned()
    }

    /// Rules for the calls of `source` to `destination` at this position.
    pub(crate) fn on_edge(&self, source: &str, destination: &str, position: Position) -> Self {
        self.filtered(|rule| {
            rule.position == position
                && matches!(&rule.place, Place::Edge { source: s, destination: d } if s == source && d == destination)
        })
    }

    /// Rules for the service itself.
    pub(crate) fn on_node(&self, service: &str) -> Self {
        self.filtered(|rule| matches!(&rule.place, Place::Node(name) if name == service))
    }

    fn filtered(&self, wanted: impl Fn(&Rule) -> bool) -> Self {
        let rules = self.0.iter().filter(|armed| wanted(&armed.rule));
        Self(rules.cloned().collect())
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Arc<Armed>> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Clock, Rules};
    use crate::config::{Position, Rule};

    fn rules(yaml: &str) -> Vec<Rule> {
        serde_saphyr::from_str(yaml).unwrap()
    }

    #[tokio::test]
    async fn edges_and_nodes_pick_their_own_rules() {
        let raw = rules(
            "
- { id: edge, where: orders -> payments, abort: 503 }
- { id: dead, where: orders -> payments, abort: 503, position: request }
- { id: node, where: payments, abort: 503 }
- { id: off, where: payments, abort: 503, enabled: false }
",
        );
        let armed = Rules::arm(&raw, &Rules::default(), Clock::read());
        let ids = |rules: Rules| {
            rules
                .iter()
                .map(|rule| rule.id().to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            ids(armed.on_edge("orders", "payments", Position::Attempt)),
            ["edge"]
        );
        assert_eq!(
            ids(armed.on_edge("orders", "payments", Position::Request)),
            ["dead"]
        );
        assert_eq!(ids(armed.on_node("payments")), ["node"]);
        assert!(ids(armed.on_edge("gateway", "payments", Position::Attempt)).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_rule_drops_itself_when_its_time_is_over() {
        let raw = rules("[{ id: short, where: payments, abort: 503, for: 1s }]");
        let armed = Rules::arm(&raw, &Rules::default(), Clock::read());
        let strikes = |rules: &Rules| {
            let rule = rules.iter().next().unwrap();
            rule.strikes([1; 16], 1, tokio::time::Instant::now())
                .is_some()
        };
        assert!(strikes(&armed));
        tokio::time::advance(Duration::from_millis(900)).await;
        let again = Rules::arm(&raw, &armed, Clock::read());
        assert!(strikes(&again));
        tokio::time::advance(Duration::from_millis(200)).await;
        assert!(
            !strikes(&again),
            "a swap does not give an unchanged rule more time"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_was_set_back_gives_a_rule_no_more_than_its_time() {
        let mut raw = rules("[{ id: short, where: payments, abort: 503, for: 1s }]");
        raw[0].expires_at_ms = Some(3_600_000);
        let clock = Clock {
            wall: std::time::UNIX_EPOCH,
            ..Clock::read()
        };
        let armed = Rules::arm(&raw, &Rules::default(), clock);
        let left = armed.iter().next().unwrap().left(clock.now);
        assert_eq!(left, Some(Duration::from_secs(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_rule_taken_back_lets_go_of_what_it_holds() {
        let raw = rules("[{ id: slow, where: payments, delay: 1h, for: 2h }]");
        let armed = Rules::arm(&raw, &Rules::default(), Clock::read());
        let rule = armed.iter().next().unwrap().clone();
        Rules::arm(&[], &armed, Clock::read());
        let begin = tokio::time::Instant::now();
        rule.over().await;
        assert_eq!(begin.elapsed(), Duration::ZERO);
    }
}
