//! Guards: they turn a rule off when more breaks than was agreed.

use std::time::Duration;

use mesh_proxy::config::{Guard, Place, Rule};

use super::{Chaos, times::on_since, turn_off};
use crate::snapshots::Draft;

/// Time over which success is measured.
const WINDOW: Duration = Duration::from_secs(10);

/// What went over an edge, or arrived at a service.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Watched {
    /// Requests.
    pub(crate) requests: f64,
    /// Those that failed.
    pub(crate) failed: f64,
}

impl Watched {
    fn success(self) -> f64 {
        100.0 * (1.0 - self.failed / self.requests)
    }
}

impl Chaos {
    /// Turns rules off whose guard sees too few requests succeed. `measure` says what
    /// went over a place in the last seconds, at most so many of them.
    pub(crate) async fn guard(&self, measure: impl Fn(&Place, Duration) -> Watched) {
        let now = self.clock.now_ms();
        let current = self.current();
        for rule in current.rules.iter().filter(|rule| rule.enabled) {
            let Some(guard) = &rule.guard else { continue };
            // What went before it was on is not its doing.
            let since = on_since(rule, now).min(WINDOW);
            let watched = measure(&guard.watch, since);
            if trips(guard, watched) {
                self.turn_off_guarded(rule, told(rule, guard, watched))
                    .await;
            }
        }
    }

    async fn turn_off_guarded(&self, guarded: &Rule, text: String) {
        let off = |draft: &mut Draft| {
            // What was replaced or turned on anew meanwhile is not what was watched.
            let same = |rule: &&mut Rule| **rule == *guarded;
            let Some(rule) = draft.rules.iter_mut().find(same) else {
                return Ok(None);
            };
            turn_off(rule);
            if draft.stage.owner(&guarded.id).is_none() {
                return Ok(Some(text));
            }
            let ended = draft.stage.end(&mut draft.rules);
            let ended = ended.map(|ended| format!("; scenario `{}` ended with it", ended.id));
            Ok(Some(text + &ended.unwrap_or_default()))
        };
        if let Err(error) = self.change(off).await {
            tracing::error!(%error, "a guarded chaos rule could not be turned off");
        }
    }
}

fn trips(guard: &Guard, watched: Watched) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "a count that people write")]
    let enough = guard.min_requests.max(1) as f64;
    watched.requests >= enough && watched.success() < guard.min_success
}

fn told(rule: &Rule, guard: &Guard, watched: Watched) -> String {
    format!(
        "`{}` turned off by its guard: success of {} fell to {} % (floor {} %)",
        rule.id,
        guard.watch,
        (watched.success() * 10.0).floor() / 10.0,
        guard.min_success
    )
}
