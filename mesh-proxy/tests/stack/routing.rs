//! Which request goes where, and what is changed on the way.

use http::{Request, StatusCode};

use crate::support::{AnyBody, App, Proxy, full, get, policy, send};

async fn two(yaml: &str) -> (Proxy, App, App) {
    let (one, other) = (App::fine().await, App::fine().await);
    let clusters = "
clusters:
  stable: { endpoints: [$stable] }
  canary: { endpoints: [$canary] }
";
    let addresses = [("stable", one.address), ("canary", other.address)];
    let proxy = Proxy::outbound(policy(&format!("{clusters}{yaml}"), &addresses));
    (proxy, one, other)
}

fn with(mut request: Request<AnyBody>, name: &'static str, value: &str) -> Request<AnyBody> {
    request.headers_mut().append(name, value.parse().unwrap());
    request
}

#[tokio::test(start_paused = true)]
async fn the_first_route_whose_conditions_all_hold_is_taken() {
    let (proxy, _stable, canary) = two(
        "
routes:
  - { name: beta, match: { authority: shop, headers: [{ name: x-beta, exact: 'yes' }] }, cluster: canary }
  - { name: search, match: { path: /search, query: [{ name: v, regex: '2.*' }] }, cluster: canary }
  - { name: order, match: { authority: '*.mesh', path_template: '/orders/{id}', methods: [GET] }, cluster: canary }
  - { name: report, match: { path_regex: '/reports/[0-9]{4}' }, cluster: canary }
  - { name: rest, match: {}, cluster: stable }
",
    )
    .await;
    for (request, wanted) in [
        (with(get("shop", "/"), "x-beta", "yes"), "beta"),
        (with(get("shop", "/"), "x-beta", "no"), "rest"),
        (get("shop", "/search?v=2.1"), "search"),
        (get("shop", "/search/?v=2.1"), "search"),
        (get("shop", "/search?v=1"), "rest"),
        (get("shop.MESH:80", "/orders/7"), "order"),
        (get("shop.mesh", "//orders/%37"), "order"),
        (get("mesh", "/orders/7"), "rest"),
        (get("shop.mesh", "/orders/7/items"), "rest"),
        (get("shop", "/reports/2026"), "report"),
        (get("shop", "/reports/2026/x"), "rest"),
    ] {
        let text = format!("{request:?}");
        assert_eq!(send(proxy.out(), request).await.status, StatusCode::OK);
        let record = &proxy.records(1).await[0];
        assert!(
            record.contains(&format!("mesh.route={wanted} ")),
            "{text}: {record}"
        );
    }
    assert_eq!(canary.seen()[4].uri, "//orders/%37", "goes on as it came");
}

#[tokio::test(start_paused = true)]
async fn a_template_is_told_on_the_spans_of_its_route() {
    let (proxy, ..) =
        two("routes: [{ name: order, match: { path_template: '/orders/{id}' }, cluster: stable }]")
            .await;
    send(proxy.out(), get("shop", "/orders/7")).await;
    let record = &proxy.records(1).await[0];
    assert_eq!(
        record.matches("http.route=/orders/{id}").count(),
        1,
        "{record}"
    );
    assert_eq!(
        record.matches("url.template=/orders/{id}").count(),
        1,
        "{record}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_split_shares_by_weight_and_keeps_a_pinned_value_at_one_cluster() {
    let (proxy, stable, canary) = two("
routes:
  - { name: shop, match: {}, split: { clusters: { stable: 3, canary: 1 }, pin: x-user } }
")
    .await;
    for _ in 0..200 {
        send(proxy.out(), get("shop", "/")).await;
    }
    assert_eq!(stable.count() + canary.count(), 200);
    // Four standard deviations (6.1 each) around the 50 that the weights promise.
    assert!((25..=75).contains(&canary.count()), "{}", canary.count());
    let record = &proxy.records(200).await.join("");
    assert!(record.contains("mesh.destination=stable mesh.route=shop"));
    assert!(record.contains("mesh.destination=canary mesh.route=shop"));

    let mut users_at_canary = 0;
    for user in 0..20 {
        let before = canary.count();
        for _ in 0..3 {
            let request = with(get("shop", "/"), "x-user", &format!("user-{user}"));
            send(proxy.out(), request).await;
        }
        let there = canary.count() - before;
        assert!(
            there == 0 || there == 3,
            "user {user} was {there} of 3 times there"
        );
        users_at_canary += there / 3;
    }
    assert!((1..=12).contains(&users_at_canary), "{users_at_canary}");
}

#[tokio::test(start_paused = true)]
async fn limits_of_a_split_route_hold_for_all_its_clusters_together() {
    let (proxy, ..) = two(
        "
routes:
  - { name: shop, match: {}, split: { clusters: { stable: 1, canary: 1 } }, rate_limit: { per_second: 1, burst: 4 } }
",
    )
    .await;
    let mut fine = 0;
    for _ in 0..20 {
        let status = send(proxy.out(), get("shop", "/")).await.status;
        fine += usize::from(status == StatusCode::OK);
    }
    assert!((4..=6).contains(&fine), "{fine}");
}

#[tokio::test(start_paused = true)]
async fn answers_of_the_policy_are_given_counted_and_no_failures() {
    let (proxy, stable, _canary) = two(
        "
routes:
  - name: teapot
    match: { path: /tea }
    respond: { status: 418, body: '{\"short\":true}', content_type: application/json }
    response_headers: { set: { cache-control: no-store } }
  - { name: moved, match: { path_prefix: /old }, redirect: { scheme: https, path: /new, status: 308 } }
",
    )
    .await;
    let tea = send(proxy.out(), get("shop", "/tea")).await;
    assert_eq!(
        (tea.status.as_u16(), tea.reason()),
        (418, "direct_response")
    );
    assert_eq!(tea.headers["content-type"], "application/json");
    assert_eq!(tea.headers["cache-control"], "no-store");
    assert_eq!(tea.body, "{\"short\":true}");
    let moved = send(proxy.out(), get("shop:80", "/old/x?y=1")).await;
    assert_eq!(moved.status, StatusCode::PERMANENT_REDIRECT);
    assert_eq!(moved.headers["location"], "https://shop/new?y=1");
    assert_eq!(moved.reason(), "redirect");
    assert_eq!(stable.count(), 0);
    let records = proxy.records(2).await;
    assert!(
        records[0].contains("mesh.destination=none mesh.route=teapot"),
        "{records:#?}"
    );
    assert!(
        records[0].contains("mesh.reason=direct_response"),
        "{records:#?}"
    );
    assert!(!records[0].contains("ERROR"), "{records:#?}");
}

#[tokio::test(start_paused = true)]
async fn authority_path_and_headers_are_changed_on_the_way() {
    let (proxy, stable, canary) = two(
        "
routes:
  - name: api
    match: { path_prefix: /api }
    cluster: stable
    rewrite: { authority: 'legacy:8080', path_prefix: /v2 }
    request_headers: { set: { x-api: '2' }, add: { x-tag: b }, remove: [x-debug] }
    response_headers: { add: { x-served-by: mesh } }
    mirror: { cluster: canary, percent: 100 }
  - { name: order, match: { path_template: '/orders/{id}' }, cluster: stable, rewrite: { path: '/o/{id}/full' } }
",
    )
    .await;
    let mut request = with(get("shop", "/api/users/?q=1"), "x-debug", "1");
    request = with(with(request, "x-tag", "a"), "x-api", "1");
    let answer = send(proxy.out(), request).await;
    assert_eq!(answer.headers["x-served-by"], "mesh");
    for seen in [&stable.seen()[0], &canary.seen()[0]] {
        assert_eq!(seen.uri, "/v2/users/?q=1");
        assert_eq!(seen.headers["host"], "legacy:8080");
        assert_eq!(seen.headers["x-api"], "2");
        let tags: Vec<_> = seen.headers.get_all("x-tag").iter().collect();
        assert_eq!(tags, ["a", "b"]);
        assert!(!seen.headers.contains_key("x-debug"));
    }
    let record = proxy.records(1).await.concat();
    assert!(
        record.contains("mesh.rewritten_path=/v2/users/"),
        "{record}"
    );
    assert!(record.contains("/v2/users/ "), "{record}");

    let absolute = Request::get("http://shop/orders/a%20b?x=1")
        .body(full(""))
        .unwrap();
    send(proxy.out(), absolute).await;
    assert_eq!(stable.seen()[1].uri, "/o/a%20b/full?x=1");
    assert_eq!(stable.seen()[1].headers["host"], "shop");
}
