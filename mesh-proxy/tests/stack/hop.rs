//! What changes on the way through a sidecar, and what does not.

use http::{Request, StatusCode};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{App, Proxy, full, get, policy, send};

const OUT: &str = "
clusters: { payments: { endpoints: [$app] } }
routes: [{ name: payments, match: { authority: payments, path_prefix: /pay, methods: [GET, POST] }, cluster: payments, deadline: 2s }]
";

fn orders(app: &App) -> Proxy {
    Proxy::outbound(policy(OUT, &[("app", app.address)]))
}

#[tokio::test(start_paused = true)]
async fn origin_form_is_routed_by_host_path_and_method() {
    let app = App::fine().await;
    let proxy = orders(&app);
    for (host, path, wanted) in [
        ("payments", "/pay", 200),
        ("PAYMENTS:80", "/pay/7?x=1", 200),
        ("payments", "/payroll", 404),
        ("users", "/pay", 404),
    ] {
        let answer = send(proxy.out(), get(host, path)).await;
        assert_eq!(answer.status.as_u16(), wanted, "{host} {path}");
    }
    let wrong = Request::delete("/pay")
        .header("host", "payments")
        .body(full(""))
        .unwrap();
    let answer = send(proxy.out(), wrong).await;
    assert_eq!(
        (answer.status, answer.reason()),
        (StatusCode::NOT_FOUND, "no_route")
    );
    assert_eq!(app.seen()[1].uri, "/pay/7?x=1");
    assert_eq!(
        app.seen()[1].headers["host"],
        "PAYMENTS:80",
        "Host goes on as it came"
    );
}

#[tokio::test(start_paused = true)]
async fn absolute_form_is_routed_by_its_authority() {
    let app = App::fine().await;
    let proxy = orders(&app);
    let request = Request::get("http://payments:8080/pay?x=1")
        .header("host", "payments:8080")
        .header("proxy-connection", "keep-alive")
        .body(full(""))
        .unwrap();
    assert_eq!(send(proxy.out(), request).await.status, StatusCode::OK);
    let seen = &app.seen()[0];
    assert_eq!(seen.uri, "/pay?x=1");
    assert_eq!(seen.headers["host"], "payments:8080");
    assert!(!seen.headers.contains_key("proxy-connection"));
}

#[tokio::test(start_paused = true)]
async fn headers_of_one_hop_stay_on_it_in_both_directions() {
    let app = App::answering(|_, _| {
        http::Response::builder()
            .header("connection", "x-secret")
            .header("x-secret", "1")
            .header("x-public", "1")
            .body(full("ok"))
            .unwrap()
    })
    .await;
    let mut request = get("payments", "/pay");
    for (name, value) in [
        ("connection", "x-private"),
        ("x-private", "1"),
        ("x-kept", "1"),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let answer = send(orders(&app).out(), request).await;
    assert!(answer.headers.contains_key("x-public") && !answer.headers.contains_key("x-secret"));
    let sent = &app.seen()[0].headers;
    assert!(sent.contains_key("x-kept") && !sent.contains_key("x-private"));
    assert!(!sent.contains_key("connection"));
}

#[tokio::test(start_paused = true)]
async fn the_caller_is_named_and_cannot_be_forged() {
    let app = App::fine().await;
    let mut request = get("payments", "/pay");
    request
        .headers_mut()
        .insert("x-mesh-source", "gateway".parse().unwrap());
    send(orders(&app).out(), request).await;
    assert_eq!(app.seen()[0].headers["x-mesh-source"], "orders");
}

fn left(app: &App) -> u64 {
    let header = app.seen().last().unwrap().headers["x-mesh-deadline-ms"].clone();
    header.to_str().unwrap().parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_remaining_time_shrinks_hop_by_hop() {
    let app = App::fine().await;
    let node = Proxy::inbound(
        app.address,
        policy("chaos: [{ id: slow, where: payments, delay: 300ms }]", &[]),
    );
    let caller = Proxy::outbound(policy(OUT, &[("app", node.inn())]));
    assert_eq!(
        send(caller.out(), get("payments", "/pay")).await.status,
        StatusCode::OK
    );
    assert!(
        (1600..=1700).contains(&left(&app)),
        "{} of 2000 after a pause of 300",
        left(&app)
    );
    let mut hurried = get("payments", "/pay");
    hurried
        .headers_mut()
        .insert("x-mesh-deadline-ms", "500".parse().unwrap());
    assert_eq!(send(caller.out(), hurried).await.status, StatusCode::OK);
    assert!(
        (100..=200).contains(&left(&app)),
        "{} of 500 after a pause of 300",
        left(&app)
    );
    let mut late = get("payments", "/pay");
    late.headers_mut()
        .insert("x-mesh-deadline-ms", "200".parse().unwrap());
    assert_eq!(send(caller.out(), late).await.reason(), "deadline");
    assert_eq!(
        app.count(),
        2,
        "nobody works for a caller that has given up"
    );
}

#[tokio::test(start_paused = true)]
async fn strangers_at_the_edge_claim_nothing() {
    let app = App::fine().await;
    let node = Proxy::inbound(
        app.address,
        policy("inbound: { edge: true, callers: [orders] }", &[]),
    );
    let mut request = get("payments", "/pay");
    for (name, value) in [
        ("x-mesh-source", "orders"),
        ("x-mesh-deadline-ms", "0"),
        ("baggage", "mesh.rule=x,user=5"),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    assert_eq!(send(node.inn(), request).await.status, StatusCode::OK);
    let sent = &app.seen()[0].headers;
    assert!(!sent.contains_key("x-mesh-source") && sent["baggage"] == "user=5");
    let record = &node.records(1).await[0];
    assert!(record.contains("external"), "{record}");
}

#[tokio::test(start_paused = true)]
async fn inbound_traffic_is_told_apart_by_known_callers() {
    let app = App::fine().await;
    let node = Proxy::inbound(app.address, policy("inbound: { callers: [orders] }", &[]));
    for source in ["orders", "who-knows"] {
        let mut request = get("payments", "/pay");
        request
            .headers_mut()
            .insert("x-mesh-source", source.parse().unwrap());
        send(node.inn(), request).await;
    }
    let records = node.records(2).await;
    assert!(
        records[0].contains("orders") && records[1].contains("external"),
        "{records:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn denied_paths_are_denied_in_disguise_too() {
    let app = App::fine().await;
    let node = Proxy::inbound(
        app.address,
        policy("inbound: { deny: [{ path_prefix: /admin }] }", &[]),
    );
    for path in ["/admin", "/%61dmin/x", "/x/../admin"] {
        let answer = send(node.inn(), get("payments", path)).await;
        assert_eq!(
            (answer.status, answer.reason()),
            (StatusCode::FORBIDDEN, "denied"),
            "{path}"
        );
    }
    assert_eq!(app.count(), 0);
}

/// Writes bytes as they are, and reads until the sidecar closes.
async fn raw(proxy: &Proxy, text: &str) -> String {
    let mut stream = TcpStream::connect(proxy.out()).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_is_refused_with_a_reason() {
    let app = App::fine().await;
    let answer = raw(
        &orders(&app),
        "CONNECT payments:443 HTTP/1.1\r\nhost: payments:443\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert!(
        answer.starts_with("HTTP/1.1 405") && answer.contains("connect_not_supported"),
        "{answer}"
    );
}

#[tokio::test(start_paused = true)]
async fn two_hosts_are_refused() {
    let app = App::fine().await;
    let answer = raw(
        &orders(&app),
        "GET /pay HTTP/1.1\r\nhost: payments\r\nhost: users\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert!(
        answer.starts_with("HTTP/1.1 400") && answer.contains("ambiguous_request"),
        "{answer}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_length_beside_a_transfer_coding_smuggles_nothing() {
    let app = App::fine().await;
    let proxy = orders(&app);
    let smuggled = "GET /pay/smuggled HTTP/1.1\r\nhost: payments\r\n\r\n";
    for headers in [
        "content-length: 5\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 5",
    ] {
        let answer = raw(
            &proxy,
            &format!(
                "POST /pay HTTP/1.1\r\nhost: payments\r\n{headers}\r\n\r\n0\r\n\r\n{smuggled}"
            ),
        )
        .await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    }
    assert_eq!(app.count(), 0);
    let different =
        "POST /pay HTTP/1.1\r\nhost: payments\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx";
    assert!(raw(&proxy, different).await.starts_with("HTTP/1.1 400"));
}

#[tokio::test(start_paused = true)]
async fn a_refused_head_is_no_caller_that_went_away() {
    let app = App::fine().await;
    let proxy = orders(&app);
    let request = Request::head("/x").header("host", "nobody").body(full(""));
    let answer = send(proxy.out(), request.unwrap()).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    let record = &proxy.records(1).await[0];
    assert!(record.contains("NR") && !record.contains("DC"), "{record}");
}
