//! Ejects endpoints that fail far more often than the others of their cluster:
//! every window, those whose success rate is some standard deviations below the mean.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use tokio::time::{Instant, sleep};

use super::{
    Endpoint, Members,
    breaker::{Limits, Reason},
};
use crate::config::SuccessRate;

/// Compares the endpoints for ever.
pub(super) async fn compare(members: Arc<Members>, limits: Arc<Limits>, settings: SuccessRate) {
    let mut rates = Rates::default();
    rates.turn(&members, &settings); // what happened before is not this window's
    loop {
        sleep(settings.window).await;
        let compared = rates.turn(&members, &settings);
        for endpoint in outliers(&compared, &settings) {
            members.eject(endpoint, Reason::SuccessRate, &limits, Instant::now());
        }
    }
}

/// Votes as they stood at the end of the last window.
#[derive(Default)]
struct Rates(HashMap<Arc<str>, Before>);

struct Before {
    endpoint: Weak<Endpoint>,
    votes: [u64; 2],
}

impl Rates {
    /// Ends a window. Returns the success rates of those with enough attempts in it.
    fn turn(&mut self, members: &Members, settings: &SuccessRate) -> Vec<(Arc<Endpoint>, f64)> {
        let set = members.load();
        let mut now = HashMap::with_capacity(set.members().len());
        let mut compared = Vec::new();
        for member in set.members() {
            let endpoint = &member.endpoint;
            let votes = endpoint.votes();
            let [failures, successes] = self.since(endpoint, votes);
            let attempts = failures + successes;
            if attempts >= u64::from(settings.minimum) && !endpoint.is_ejected() {
                let rate = successes as f64 / attempts as f64;
                compared.push((Arc::clone(endpoint), rate));
            }
            let before = Before {
                endpoint: Arc::downgrade(endpoint),
                votes,
            };
            now.insert(endpoint.address_handle(), before);
        }
        self.0 = now;
        compared
    }

    fn since(&self, endpoint: &Arc<Endpoint>, votes: [u64; 2]) -> [u64; 2] {
        let known = self.0.get(endpoint.address());
        let same = |it: &&Before| it.endpoint.as_ptr() == Arc::as_ptr(endpoint);
        let before = known.filter(same).map_or([0, 0], |it| it.votes);
        [votes[0] - before[0], votes[1] - before[1]]
    }
}

/// Those whose rate lies too far below the mean; nobody where too few can be compared.
fn outliers<'a, T>(
    compared: &'a [(T, f64)],
    settings: &SuccessRate,
) -> impl Iterator<Item = &'a T> {
    let count = compared.len() as f64;
    let mean = compared.iter().map(|(_, rate)| rate).sum::<f64>() / count.max(1.0);
    let squares = compared.iter().map(|(_, rate)| (rate - mean).powi(2));
    let deviation = (squares.sum::<f64>() / count.max(1.0)).sqrt();
    let least = mean - settings.deviations * deviation;
    let enough = compared.len() >= settings.minimum_endpoints.max(2) && deviation > 0.0;
    compared
        .iter()
        .filter(move |(_, rate)| enough && *rate < least)
        .map(|(endpoint, _)| endpoint)
}

#[cfg(test)]
mod tests {
    use super::outliers;
    use crate::config::SuccessRate;

    fn out(rates: &[f64], deviations: f64) -> Vec<usize> {
        let compared: Vec<(usize, f64)> = rates.iter().copied().enumerate().collect();
        let settings = SuccessRate {
            deviations,
            minimum_endpoints: 3,
            ..SuccessRate::default()
        };
        outliers(&compared, &settings).copied().collect()
    }

    #[test]
    fn the_one_far_below_the_others_is_out() {
        let rates = [0.99, 0.98, 1.0, 0.99, 0.5, 0.97];
        assert_eq!(out(&rates, 1.9), [4]);
    }

    #[test]
    fn nobody_is_out_where_all_are_alike_or_too_few() {
        assert!(out(&[0.5, 0.5, 0.5, 0.5], 1.0).is_empty());
        assert!(out(&[1.0, 0.0], 0.5).is_empty());
        assert!(out(&[], 1.0).is_empty());
    }

    #[test]
    fn a_mesh_that_fails_as_a_whole_ejects_nobody_for_it() {
        assert!(out(&[0.30, 0.35, 0.32, 0.28], 1.9).is_empty());
    }
}
