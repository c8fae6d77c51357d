//! Peers that mean no good, over raw sockets.

mod bodies;
mod framing;
mod headers;
mod http2;
mod limits;
mod paths;
mod tunnel;

use std::time::Duration;

use mesh_proxy::config::ListenerLimits;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::support::{App, Proxy, config, policy};

const OUT: &str = "
clusters: { payments: { endpoints: [$app], protocol: http1 } }
routes: [{ name: payments, match: {}, cluster: payments, deadline: 5s }]
";

/// The outbound side of `orders`, in front of this application.
fn orders(app: &App) -> Proxy {
    Proxy::outbound(policy(OUT, &[("app", app.address)]))
}

/// The same, with limits.
fn limited(app: &App, limits: ListenerLimits) -> Proxy {
    let mut config = config("orders", None, policy(OUT, &[("app", app.address)]));
    config.outbound.as_mut().unwrap().limits = limits;
    Proxy::start(config)
}

/// Writes bytes as they are.
async fn connect(proxy: &Proxy, bytes: impl AsRef<[u8]>) -> TcpStream {
    let mut stream = TcpStream::connect(proxy.out()).await.unwrap();
    stream.write_all(bytes.as_ref()).await.unwrap();
    stream
}

/// All that comes until the sidecar closes; a reset ends it, too.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    timeout(Duration::from_mins(5), async {
        let mut space = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut space).await {
            bytes.extend_from_slice(&space[..count]);
        }
    })
    .await
    .expect("the sidecar does not close");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Writes bytes as they are, and reads until the sidecar closes.
async fn raw(proxy: &Proxy, bytes: impl AsRef<[u8]>) -> String {
    rest(&mut connect(proxy, bytes).await).await
}

/// Reads until `wanted` has come.
async fn until(stream: &mut TcpStream, wanted: &str) -> String {
    let text = until_or_end(stream, wanted).await;
    assert!(text.contains(wanted), "closed before `{wanted}`: {text}");
    text
}

/// Reads until `wanted` has come, or the sidecar closes.
async fn until_or_end(stream: &mut TcpStream, wanted: &str) -> String {
    let mut bytes = Vec::new();
    timeout(Duration::from_mins(5), async {
        let mut space = [0; 4096];
        while !String::from_utf8_lossy(&bytes).contains(wanted) {
            let Ok(count @ 1..) = stream.read(&mut space).await else {
                break;
            };
            bytes.extend_from_slice(&space[..count]);
        }
    })
    .await
    .expect("it does not come");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Writes `drop` again and again until the sidecar has said all it says. Returns that.
async fn drip(stream: TcpStream, drop: &[u8], pause: Duration) -> String {
    let (mut read, mut write) = stream.into_split();
    let mut said = Vec::new();
    let listen = async {
        let mut space = [0; 4096];
        while let Ok(count @ 1..) = read.read(&mut space).await {
            said.extend_from_slice(&space[..count]);
        }
    };
    let speak = async {
        while write.write_all(drop).await.is_ok() {
            tokio::time::sleep(pause).await;
        }
        std::future::pending::<()>().await;
    };
    timeout(Duration::from_mins(2), async {
        tokio::select! {
            () = listen => {}
            () = speak => {}
        }
    })
    .await
    .expect("the sidecar still takes it");
    String::from_utf8_lossy(&said).into_owned()
}
