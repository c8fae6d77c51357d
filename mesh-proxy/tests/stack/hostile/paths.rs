//! Ways round a deny rule.

use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::rest;
use crate::support::{App, Proxy, policy};

#[tokio::test(start_paused = true)]
async fn no_spelling_of_a_path_leads_round_a_deny_rule() {
    let app = App::fine().await;
    let node = Proxy::inbound(
        app.address,
        policy("inbound: { deny: [{ path_prefix: /admin }] }", &[]),
    );
    for path in [
        "/admin",
        "//admin",
        "/%61dmin",
        "/%2561dmin",
        "/x%2f..%2fadmin",
        "/x/../admin",
        "/x/%2e%2e/admin",
        "/admin;v=1/users",
        "/;/admin",
        "/x/..;/admin",
        "/admin%00.html",
        "/admin%2fusers",
        "/ADMIN",
        "/./admin",
        "/admin/..%2fx",
        "/admin?x=1",
        "http://payments/admin",
    ] {
        let mut stream = TcpStream::connect(node.inn()).await.unwrap();
        let text = format!("GET {path} HTTP/1.1\r\nhost: payments\r\nconnection: close\r\n\r\n");
        stream.write_all(text.as_bytes()).await.unwrap();
        let answer = rest(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{path}: {answer}");
    }
    assert_eq!(app.count(), 0);
    for path in ["/administer", "/x/admin", "/orders/7"] {
        let mut stream = TcpStream::connect(node.inn()).await.unwrap();
        let text = format!("GET {path} HTTP/1.1\r\nhost: payments\r\nconnection: close\r\n\r\n");
        stream.write_all(text.as_bytes()).await.unwrap();
        let answer = rest(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
}
