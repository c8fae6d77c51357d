use crate::config::{Policy, check};

/// Keys of the problems of a cluster `a` with these settings, without their messages.
fn keys(settings: &str) -> Vec<String> {
    let policy: Policy = serde_saphyr::from_str(&format!("clusters: {{ a: {settings} }}")).unwrap();
    let keys = check(&policy).into_iter().map(|problem| problem.key);
    keys.map(|key| key.replace("clusters.a.", "")).collect()
}

#[test]
fn everything_at_once_can_be_right() {
    let settings = "{ endpoints: ['10.0.0.1:80'], dns: { name: shop.local, record: a, port: 80, server: '127.0.0.1:53' },
        balance: round-robin, slow_start: 30s, health_check: { http: /health, interval: 2s },
        failure_share: { share: 0.5 }, success_rate: { deviations: 1.9 }, ejection: 5s, max_ejection: 1m }";
    assert_eq!(keys(settings), Vec::<String>::new());
    let settings =
        "{ dns: { name: _http._tcp.shop.local., record: srv }, health_check: { grpc: '' },
        balance: { consistent-hash: { header: x-user } } }";
    assert_eq!(keys(settings), Vec::<String>::new());
}

#[test]
fn every_setting_that_cannot_work_is_named() {
    for (settings, key) in [
        ("{ dns: { name: 'http://shop', port: 80 } }", "dns.name"),
        ("{ dns: { name: shop } }", "dns.port"),
        ("{ dns: { name: shop, record: srv, port: 80 } }", "dns.port"),
        (
            "{ dns: { name: shop, port: 80, min_ttl: 2m } }",
            "dns.max_ttl",
        ),
        (
            "{ dns: { name: shop, port: 80, server: '127.0.0.1:0' } }",
            "dns.server",
        ),
        (
            "{ balance: { consistent-hash: { header: 'x user' } } }",
            "balance.consistent-hash.header",
        ),
        (
            "{ balance: { consistent-hash: { header: a } }, slow_start: 1s }",
            "slow_start",
        ),
        ("{ slow_start: 0s }", "slow_start"),
        ("{ connect_timeout: 0s }", "connect_timeout"),
        ("{ idle_timeout: 0s }", "idle_timeout"),
        ("{ idle_timeout: 9999years }", "idle_timeout"),
        ("{ max_connection_age: 0s }", "max_connection_age"),
        ("{ keep_alive: 0s }", "keep_alive"),
        ("{ max_connections: 0 }", "max_connections"),
        ("{ max_ejection: 9999years }", "max_ejection"),
        ("{ health_check: { http: health } }", "health_check.http"),
        ("{ health_check: { tcp: false } }", "health_check.tcp"),
        (
            "{ health_check: { tcp: true, interval: 0s } }",
            "health_check.interval",
        ),
        (
            "{ health_check: { tcp: true, healthy_after: 0 } }",
            "health_check.healthy_after",
        ),
        ("{ failure_share: { share: 1.5 } }", "failure_share.share"),
        (
            "{ failure_share: { share: 0.5, minimum: 0 } }",
            "failure_share.minimum",
        ),
        (
            "{ success_rate: { deviations: 0 } }",
            "success_rate.deviations",
        ),
        (
            "{ success_rate: { deviations: 1.9, minimum_endpoints: 3 } }",
            "success_rate.deviations",
        ),
        ("{ max_ejection: 10ms }", "max_ejection"),
    ] {
        assert_eq!(keys(settings), [key], "{settings}");
    }
}

#[test]
fn a_health_check_asks_one_thing() {
    for wrong in [
        "{ http: /, tcp: true }",
        "{ tcp: true, pth: / }",
        "{ interval: 1s }",
    ] {
        let policy = format!("clusters: {{ a: {{ health_check: {wrong} }} }}");
        assert!(
            serde_saphyr::from_str::<Policy>(&policy).is_err(),
            "{wrong}"
        );
    }
}
