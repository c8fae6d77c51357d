//! Rules as they are in force.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{matching::Matcher, receipt::Receipt};
use crate::{
    config::{HeaderChanges, Rule},
    error::Blow,
    routing::changes::Edits,
};

/// A rule that is turned on.
#[derive(Debug)]
pub(crate) struct Armed {
    rule: Rule,
    id: Arc<str>,
    matcher: Matcher,
    /// The answer instead of the upstream's, if it gives one.
    abort: Option<Blow>,
    request_headers: Edits,
    response_headers: Edits,
    /// When the rule drops itself.
    ends: Instant,
    /// Cancelled when the rule is taken back: requests that it holds go on at once.
    taken_back: CancellationToken,
    receipt: Arc<Receipt>,
}

impl Armed {
    fn new(rule: &Rule, clock: Clock) -> Self {
        let left = clock.left(rule);
        Self {
            rule: rule.clone(),
            id: rule.id.as_str().into(),
            matcher: Matcher::of(rule),
            abort: rule.abort.as_ref().and_then(Blow::of),
            request_headers: edits(&rule.request_headers),
            response_headers: edits(&rule.response_headers),
            // A century is for ever, and can be added to any instant.
            ends: clock.now + left.min(Duration::from_hours(24 * 36_500)),
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

    pub(super) fn matcher(&self) -> &Matcher {
        &self.matcher
    }

    pub(super) fn abort(&self) -> Option<&Blow> {
        self.abort.as_ref()
    }

    pub(super) fn request_headers(&self) -> &Edits {
        &self.request_headers
    }

    pub(super) fn response_headers(&self) -> &Edits {
        &self.response_headers
    }

    /// Time until the rule drops itself; none: it has.
    pub(crate) fn left(&self, now: Instant) -> Option<Duration> {
        self.ends
            .checked_duration_since(now)
            .filter(|left| !left.is_zero())
    }

    /// Share in force now, 0 to 100, by the rule's schedule.
    pub(crate) fn percent_now(&self, now: Instant) -> f64 {
        self.rule.percent * self.share(now)
    }

    /// The part of its shares that its schedule puts in force now, 0 to 1.
    pub(super) fn share(&self, now: Instant) -> f64 {
        self.left(now).map_or(0.0, |left| {
            let since = self.rule.ttl.saturating_sub(left);
            self.rule.schedule.share(since)
        })
    }

    /// Whether it was taken back, or its time is over.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.left(now).is_none() || self.taken_back.is_cancelled()
    }

    /// Ends when the rule does.
    pub(crate) async fn over(&self) {
        tokio::select! {
            () = self.taken_back.cancelled() => {}
            () = tokio::time::sleep_until(self.ends) => {}
        }
    }
}

/// A checked rule has none that cannot be read.
fn edits(raw: &HeaderChanges) -> Edits {
    Edits::compile("", raw, &mut Vec::new())
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

    /// Time that a rule has left.
    fn left(self, rule: &Rule) -> Duration {
        rule.expires_at_ms.map_or(rule.ttl, |end| {
            let end = UNIX_EPOCH + Duration::from_millis(end);
            let left = end.duration_since(self.wall).unwrap_or(Duration::ZERO);
            left.min(rule.ttl) // more: this clock was set back, or is behind the console's
        })
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

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Arc<Armed>> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Clock, Rules};
    use crate::config::Rule;

    fn rules(yaml: &str) -> Vec<Rule> {
        serde_saphyr::from_str(yaml).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_rule_drops_itself_when_its_time_is_over() {
        let raw = rules("[{ id: short, where: payments, abort: 503, for: 1s }]");
        let armed = Rules::arm(&raw, &Rules::default(), Clock::read());
        let strikes = |rules: &Rules| {
            let rule = rules.iter().next().unwrap();
            !rule.is_over(tokio::time::Instant::now())
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

    #[tokio::test(start_paused = true)]
    async fn a_schedule_counts_from_being_turned_on_also_at_a_sidecar_that_came_later() {
        let mut raw = rules(
            "[{ id: ramp, where: payments, abort: 503, for: 100s, schedule: { ramp: 100s } }]",
        );
        raw[0].expires_at_ms = Some(60_000);
        let clock = Clock {
            wall: std::time::UNIX_EPOCH,
            ..Clock::read()
        };
        let armed = Rules::arm(&raw, &Rules::default(), clock);
        let share = || {
            let rule = armed.iter().next().unwrap();
            rule.share(tokio::time::Instant::now())
        };
        assert!((share() - 0.4).abs() < 1e-9, "60 of 100 seconds are left");
        tokio::time::advance(Duration::from_secs(30)).await;
        assert!((share() - 0.7).abs() < 1e-9);
    }
}
