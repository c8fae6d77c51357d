use std::time::Duration;

use tokio::time::Instant;

use super::{Admission, Breaker, Change, Limits, Reason};
use crate::{
    config::{self, FailureShare},
    random::Random,
};

const EJECTION: Duration = Duration::from_secs(5);

fn limits(change: impl FnOnce(&mut config::Cluster)) -> Limits {
    let mut settings = config::Cluster::new(Vec::new());
    settings.consecutive_failures = 3;
    settings.ejection = EJECTION;
    change(&mut settings);
    Limits::of(&settings, Random::seeded(1))
}

fn plain() -> Limits {
    limits(|_| {})
}

fn fail(breaker: &mut Breaker, limits: &Limits, now: Instant, times: u32) -> Option<Change> {
    (0..times)
        .map(|_| breaker.vote(false, Admission::Ordinary, limits, now, || true))
        .last()
        .flatten()
}

/// The length of an ejection, which may be a tenth shorter than `times` first ones.
fn assert_ejected(change: Option<Change>, times: u32) {
    let Some(Change::Ejected(_, length)) = change else {
        panic!("not ejected: {change:?}");
    };
    let longest = EJECTION * times;
    assert!(
        length <= longest && length >= longest.mul_f64(0.9),
        "{length:?} instead of {longest:?}"
    );
}

#[tokio::test]
async fn failures_in_a_row_eject_and_a_success_between_them_does_not() {
    let (now, limits) = (Instant::now(), plain());
    let mut breaker = Breaker::new(now);
    assert_eq!(fail(&mut breaker, &limits, now, 2), None);
    breaker.vote(true, Admission::Ordinary, &limits, now, || true);
    assert_eq!(fail(&mut breaker, &limits, now, 2), None);
    assert_ejected(fail(&mut breaker, &limits, now, 1), 1);
    assert_eq!(breaker.admit(&limits, now), None);
}

#[tokio::test]
async fn a_share_of_failures_ejects_once_there_are_enough_attempts() {
    let now = Instant::now();
    let limits = limits(|settings| {
        settings.consecutive_failures = 0;
        settings.failure_share = Some(FailureShare {
            share: 0.5,
            minimum: 10,
            window: Duration::from_secs(10),
        });
    });
    let mut breaker = Breaker::new(now);
    let mut vote = |success| breaker.vote(success, Admission::Ordinary, &limits, now, || true);
    for _ in 0..4 {
        assert_eq!(vote(true), None);
        assert_eq!(vote(false), None);
    }
    assert_eq!(vote(true), None);
    let change = vote(false);
    assert!(
        matches!(change, Some(Change::Ejected(Reason::FailureShare, _))),
        "{change:?}"
    );
}

#[tokio::test]
async fn a_cluster_that_cannot_spare_the_endpoint_keeps_it() {
    let (now, limits) = (Instant::now(), plain());
    let mut breaker = Breaker::new(now);
    for _ in 0..9 {
        let change = breaker.vote(false, Admission::Ordinary, &limits, now, || false);
        assert_eq!(change, None);
    }
    assert_eq!(breaker.admit(&limits, now), Some(Admission::Ordinary));
}

#[tokio::test]
async fn one_probe_decides_and_others_wait() {
    let (start, limits) = (Instant::now(), plain());
    let mut breaker = Breaker::new(start);
    fail(&mut breaker, &limits, start, 3);
    let due = start + EJECTION;
    assert_eq!(breaker.admit(&limits, due), Some(Admission::Probe));
    let other = breaker.admit(&limits, due);
    assert_eq!(other, None, "there is one probe at a time");
    let verdict = breaker.vote(true, Admission::Probe, &limits, due, || true);
    assert_eq!(verdict, Some(Change::Readmitted));
    assert_eq!(breaker.admit(&limits, due), Some(Admission::Ordinary));
}

#[tokio::test]
async fn a_probe_that_does_not_end_lets_another_decide() {
    let (start, limits) = (Instant::now(), plain());
    let mut breaker = Breaker::new(start);
    fail(&mut breaker, &limits, start, 3);
    let due = start + EJECTION;
    breaker.admit(&limits, due);
    let later = due + EJECTION;
    assert_eq!(breaker.admit(&limits, later), Some(Admission::Probe));
}

#[tokio::test]
async fn a_failed_probe_ejects_for_longer_and_never_for_more_than_the_longest() {
    let (start, limits) = (Instant::now(), plain());
    let mut breaker = Breaker::new(start);
    fail(&mut breaker, &limits, start, 3);
    let mut now = start;
    for times in [2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 10] {
        now += EJECTION * 10;
        assert_eq!(breaker.admit(&limits, now), Some(Admission::Probe));
        let verdict = breaker.vote(false, Admission::Probe, &limits, now, || true);
        assert_ejected(verdict, times);
    }
}

#[tokio::test]
async fn the_longest_ejection_can_be_set() {
    let now = Instant::now();
    let limits = limits(|settings| settings.max_ejection = Some(EJECTION));
    let mut breaker = Breaker::new(now);
    fail(&mut breaker, &limits, now, 3);
    breaker.admit(&limits, now + EJECTION);
    let verdict = breaker.vote(false, Admission::Probe, &limits, now, || true);
    assert_ejected(verdict, 1);
}

#[tokio::test]
async fn a_probe_without_a_verdict_frees_its_place() {
    let (start, limits) = (Instant::now(), plain());
    let mut breaker = Breaker::new(start);
    fail(&mut breaker, &limits, start, 3);
    let due = start + EJECTION;
    breaker.admit(&limits, due);
    breaker.probe_lost(due);
    assert_eq!(breaker.admit(&limits, due), Some(Admission::Probe));
}

#[tokio::test]
async fn old_news_does_not_move_an_open_breaker() {
    let (now, limits) = (Instant::now(), plain());
    let mut breaker = Breaker::new(now);
    fail(&mut breaker, &limits, now, 3);
    let change = breaker.vote(true, Admission::Ordinary, &limits, now, || true);
    assert_eq!(change, None);
    assert_eq!(breaker.admit(&limits, now), None);
}

#[tokio::test]
async fn a_good_time_since_the_last_ejection_shortens_the_next() {
    let (start, limits) = (Instant::now(), plain());
    let mut breaker = Breaker::new(start);
    fail(&mut breaker, &limits, start, 3);
    let due = start + EJECTION;
    breaker.admit(&limits, due);
    breaker.vote(true, Admission::Probe, &limits, due, || true);
    let later = due + EJECTION * 3;
    assert_ejected(fail(&mut breaker, &limits, later, 3), 1);
}
