use std::time::Duration;

use super::*;

/// A sidecar's page after so many requests from orders to payments, of which a
/// third of the attempts failed and was retried.
fn page(done: u32) -> Page {
    let (done, failed) = (f64::from(done), f64::from(done) / 2.0);
    let edge = "source=\"orders\",destination=\"payments\"";
    Page::read(&format!(
        "mesh_requests_total{{direction=\"outbound\",{edge},response_code=\"200\"}} {done}
mesh_requests_total{{direction=\"inbound\",source=\"gateway\",destination=\"orders\",response_code=\"201\"}} {done}
mesh_attempts_total{{{edge},response_code=\"200\"}} {done}
mesh_attempts_total{{{edge},response_code=\"503\"}} {failed}
mesh_retries_total{{{edge},condition=\"5xx\"}} {failed}
mesh_faults_injected_total{{rule=\"flaky\",fault=\"abort\",{edge}}} {failed}
mesh_request_duration_seconds_bucket{{direction=\"outbound\",{edge},response_class=\"2xx\",le=\"0.1\"}} {done}
mesh_request_duration_seconds_bucket{{direction=\"outbound\",{edge},response_class=\"2xx\",le=\"+Inf\"}} {done}
other_total NaN
"
    ))
}

struct Feed {
    edges: Edges,
    at: Instant,
}

impl Feed {
    fn new() -> Self {
        Self {
            edges: Edges::default(),
            at: Instant::now(),
        }
    }

    fn tick(&mut self, pid: u32, page: Page) {
        self.at += Duration::from_secs(1);
        let key = ("orders".to_owned(), "orders-1".to_owned());
        let scraped = vec![Scraped { key, pid, page }];
        self.edges.apply(self.at, 0, scraped);
    }

    fn edge(&self) -> EdgeState {
        let mut edges = self.edges.edges(BTreeSet::new());
        edges.retain(|edge| edge.source == "orders");
        edges.remove(0)
    }
}

fn close(found: f64, wanted: f64) {
    assert!((found - wanted).abs() < 1e-6, "{found} is not {wanted}");
}

#[test]
fn rates_and_shares_come_from_the_growth_of_counters() {
    let mut feed = Feed::new();
    for second in 0..=4 {
        feed.tick(1, page(1_000 + 20 * second));
    }
    let edge = feed.edge();
    close(edge.requests.rps, 20.0);
    close(edge.requests.success.unwrap(), 1.0);
    close(edge.requests.p50_ms.unwrap(), 50.0);
    close(edge.attempts_per_second, 30.0);
    close(edge.attempt_success.unwrap(), 2.0 / 3.0);
    close(edge.retries_per_second, 10.0);
    close(edge.faults_per_second, 10.0);
    close(feed.edges.inbound("orders").rps, 20.0);
    let key = ("orders".to_owned(), "orders-1".to_owned());
    close(feed.edges.instance_rps(&key), 20.0);
}

#[test]
fn the_window_forgets_after_ten_seconds() {
    let mut feed = Feed::new();
    feed.tick(1, page(0));
    feed.tick(1, page(100));
    for _ in 0..9 {
        feed.tick(1, page(100));
    }
    close(feed.edge().requests.rps, 10.0);
    feed.tick(1, page(100));
    close(feed.edge().requests.rps, 0.0);
    assert_eq!(feed.edge().requests.success, None);
}

#[test]
fn totals_of_rules_survive_a_sidecars_restart() {
    let mut feed = Feed::new();
    feed.tick(1, page(0));
    feed.tick(1, page(20));
    feed.tick(2, page(6));
    feed.tick(2, page(8));
    assert_eq!(feed.edges.injected()["flaky"], 10 + 3 + 1);
}

#[test]
fn a_counter_that_fell_began_anew() {
    let mut feed = Feed::new();
    feed.tick(1, page(100));
    feed.tick(1, page(4));
    assert_eq!(feed.edges.injected()["flaky"], 2);
}

#[test]
fn callers_outside_are_counted_where_they_arrive() {
    let mut feed = Feed::new();
    let page = |count| {
        Page::read(&format!(
            "mesh_requests_total{{direction=\"inbound\",source=\"external\",destination=\"gateway\",response_code=\"500\"}} {count}"
        ))
    };
    feed.tick(1, page(0));
    feed.tick(1, page(5));
    let edges = feed.edges.edges(BTreeSet::new());
    assert_eq!(edges[0].source, EXTERNAL);
    close(edges[0].requests.rps, 5.0);
    close(edges[0].requests.success.unwrap(), 0.0);
}

#[test]
fn samples_are_kept_for_fifteen_minutes() {
    let mut feed = Feed::new();
    for second in 0..1_000 {
        feed.tick(1, page(20 * second));
    }
    let samples = feed.edges.history("orders", "payments").unwrap();
    assert_eq!(samples.len(), 180);
    close(samples[179].requests.rps, 20.0);
    assert!(feed.edges.history("payments", "orders").is_none());
}

#[test]
fn allowed_edges_show_before_they_are_used() {
    let allowed = BTreeSet::from([("a".to_owned(), "b".to_owned())]);
    let edges = Edges::default().edges(allowed);
    close(edges[0].requests.rps, 0.0);
    assert_eq!(edges[0].attempt_success, None);
}

#[test]
fn instances_that_never_return_are_forgotten_and_one_that_pauses_is_not() {
    let mut feed = Feed::new();
    feed.tick(1, page(10));
    for gone in 0..2_000 {
        feed.at += Duration::from_secs(1);
        let key = ("orders".to_owned(), format!("orders-{gone}-x"));
        let again = (key.clone(), 1, page(1));
        let scraped = [(key, 1, page(0)), again].map(|(key, pid, page)| Scraped { key, pid, page });
        feed.edges.apply(feed.at, 0, scraped.into());
        if gone % 500 == 499 {
            feed.tick(1, page(10));
        }
    }
    feed.tick(1, page(30));
    let state = feed.edges.lock();
    assert!(state.pages.len() < 700, "{}", state.pages.len());
    assert!(state.instances.len() < 700, "{}", state.instances.len());
    let orders = ("orders".to_owned(), "orders-1".to_owned());
    close(state.instances[&orders].last(1).requests, 20.0);
}
