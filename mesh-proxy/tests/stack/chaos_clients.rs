//! What a client sees of each kind of fault: a raw one of HTTP/1.1 and HTTP/2, curl as
//! people start it, and one of gRPC; on an edge and at a node.
//!
//! The clock is the real one: curl has another. What is waited for is never bounded
//! from above but by a hang.

mod curl;
mod fuzz;
mod grpc;
mod raw;

use std::net::SocketAddr;

use http::{Response, StatusCode};

use crate::support::{AnyBody, App, Proxy, full, policy};

/// What the application answers: JSON, as the shop's do.
const PRODUCTS: &str =
    r#"[{"id":1,"name":"Glass","price":1250},{"id":2,"name":"Mesh","price":990}]"#;

const OUT: &str = "
clusters: { payments: { endpoints: [$app], consecutive_failures: 0 } }
routes: [{ name: payments, match: {}, cluster: payments, deadline: 30s }]
chaos: [$rule]
";

/// One place where a rule strikes, with an application behind it.
struct Struck {
    proxy: Proxy,
    app: App,
    address: SocketAddr,
}

/// A faulty edge: the client is the application beside the caller's sidecar.
async fn edge(faults: &str) -> Struck {
    let app = products().await;
    let rule = format!("{{ id: bad, where: orders -> payments, for: 1h, {faults} }}");
    let yaml = OUT.replace("$rule", &rule);
    let proxy = Proxy::outbound(policy(&yaml, &[("app", app.address)]));
    let address = proxy.out();
    Struck {
        proxy,
        app,
        address,
    }
}

/// A faulty node: the client calls its sidecar.
async fn node(faults: &str) -> Struck {
    let app = products().await;
    let rule = format!("chaos: [{{ id: bad, where: payments, for: 1h, {faults} }}]");
    let proxy = Proxy::inbound(app.address, policy(&rule, &[]));
    let address = proxy.inn();
    Struck {
        proxy,
        app,
        address,
    }
}

/// An application that answers with JSON, and says which tag it was sent.
async fn products() -> App {
    App::answering(|_, seen| {
        let mut answer: Response<AnyBody> = Response::new(full(PRODUCTS));
        *answer.status_mut() = StatusCode::OK;
        let headers = answer.headers_mut();
        headers.insert("content-type", "application/json".parse().unwrap());
        headers.insert("x-version", "1".parse().unwrap());
        if let Some(echoed) = seen.headers.get("x-tag") {
            headers.insert("x-tag", echoed.clone());
        }
        answer
    })
    .await
}

/// A client at its own sidecar, and a node that refuses connections: the rule reaches
/// both, as a console would send it.
async fn refusing_node() -> Struck {
    let rule = "{ id: bad, where: payments, refuse: true }";
    let app = products().await;
    let yaml = OUT.replace("$rule", rule);
    let proxy = Proxy::outbound(policy(&yaml, &[("app", app.address)]));
    let address = proxy.out();
    Struck {
        proxy,
        app,
        address,
    }
}
