//! From a scenario and a seed to what is put in force: a pure function, so that a seed
//! that is told again brings the same faults again.

use std::time::Duration;

use mesh_proxy::{
    config::{Delay, Rule},
    mix, unit,
};
use serde::{Deserialize, Serialize};

use crate::{
    chaos::words,
    mesh_file::{Cast, EdgePolicy, MeshFile, PercentRange, Scenario, Suspect, TimeRange},
};

/// What a scenario puts in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// Its rules, on, with its seed and time.
    pub(crate) rules: Vec<Rule>,
    /// Policies that it lays over those of the file.
    pub(crate) routes: Vec<EdgePolicy>,
    /// Of a mystery: what it is, in one sentence.
    pub(crate) answer: Option<String>,
}

impl Plan {
    pub(crate) fn make(mesh: &MeshFile, scenario: &Scenario, seed: u64, time: Duration) -> Self {
        let mut rules: Vec<Rule> = scenario
            .rules
            .iter()
            .filter_map(|cast| rule_of(mesh, cast))
            .collect();
        let chosen = choose(scenario, seed);
        let answer = chosen.as_ref().map(|rule| {
            let what = words::strikes(rule);
            format!("it was {what}")
        });
        rules.extend(chosen);
        for rule in &mut rules {
            rule.enabled = true;
            rule.seed = seed;
            rule.ttl = time;
            rule.expires_at_ms = None;
        }
        let routes = scenario.routes.clone();
        Self {
            rules,
            routes,
            answer,
        }
    }
}

fn rule_of(mesh: &MeshFile, cast: &Cast) -> Option<Rule> {
    match cast {
        Cast::Own(rule) => Some(Rule::clone(rule)),
        Cast::Toggle(id) => mesh.chaos.iter().find(|rule| rule.id == *id).cloned(),
    }
}

/// The suspect that did it, as the seed says.
fn choose(scenario: &Scenario, seed: u64) -> Option<Rule> {
    let mut dice = Dice(mix(seed));
    let suspects = &scenario.mystery;
    let suspect = suspects.get(dice.below(suspects.len()))?;
    let Suspect {
        places,
        percent,
        delay,
        ..
    } = suspect;
    let mut rule = suspect.rule.clone();
    rule.id.clone_from(&scenario.id);
    // Its words would tell what it is.
    rule.description = String::new();
    if let Some(place) = places.get(dice.below(places.len())) {
        rule.place = place.clone();
    }
    if let Some(PercentRange { from, to }) = percent {
        let percent = from + dice.unit() * (to - from);
        rule.percent = ((percent * 10.0).round() / 10.0).clamp(*from, *to);
    }
    if let Some(TimeRange { from, to }) = delay {
        let more = to.saturating_sub(*from).mul_f64(dice.unit());
        let millis = u64::try_from((*from + more).as_millis()).unwrap_or(u64::MAX);
        rule.delay = Some(Delay::Fixed(Duration::from_millis(millis)));
    }
    Some(rule)
}

/// One throw after the other, all from one seed.
struct Dice(u64);

impl Dice {
    fn unit(&mut self) -> f64 {
        self.0 = mix(self.0);
        unit(self.0)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a small count: below it and not negative"
    )]
    fn below(&mut self, count: usize) -> usize {
        (self.unit() * count as f64) as usize
    }
}
