//! gRPC passes both sidecars: all four kinds of calls, between real peers of tonic.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::{Buf as _, BufMut as _, Bytes};
use futures_util::{Stream, stream};
use http::{StatusCode, uri::PathAndQuery};
use hyper::body::Incoming;
use tokio::sync::{Semaphore, mpsc};
use tonic::{
    Code, Request, Response, Status, Streaming,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    server,
    transport::{Channel, Endpoint},
};
use tower::service_fn;

use crate::{
    peers::Http2,
    support::{Proxy, policy, within},
};

/// Messages as they are.
#[derive(Clone, Copy, Default)]
pub(crate) struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

type Answers = std::pin::Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;

fn answers(
    stream: impl Stream<Item = Result<Bytes, Status>> + Send + 'static,
) -> Response<Answers> {
    Response::new(Box::pin(stream))
}

async fn unary(request: Request<Bytes>) -> Result<Response<Bytes>, Status> {
    match &request.get_ref()[..] {
        b"fail" => Err(Status::resource_exhausted("no more of it, ä")),
        b"hang" => std::future::pending().await,
        _ => Ok(Response::new(request.into_inner())),
    }
}

async fn countdown(request: Request<Bytes>) -> Result<Response<Answers>, Status> {
    let text = String::from_utf8(request.into_inner().to_vec()).unwrap();
    let number: u32 = text.parse().unwrap();
    let numbers = (1..=number).rev().map(|n| Ok(Bytes::from(n.to_string())));
    let end = Err(Status::aborted("lift-off"));
    Ok(answers(stream::iter(numbers.chain([end]))))
}

async fn join(request: Request<Streaming<Bytes>>) -> Result<Response<Bytes>, Status> {
    let mut messages = request.into_inner();
    let mut all = Vec::new();
    while let Some(message) = messages.message().await? {
        all.extend_from_slice(&message);
    }
    Ok(Response::new(all.into()))
}

async fn echo(request: Request<Streaming<Bytes>>) -> Result<Response<Answers>, Status> {
    Ok(answers(request.into_inner()))
}

/// A server of the four kinds; `taken` counts what an endless answer gave away.
pub(crate) async fn talker(taken: Arc<Semaphore>) -> Http2 {
    Http2::serve(100, move |request: http::Request<Incoming>| {
        let taken = Arc::clone(&taken);
        async move {
            let mut grpc = server::Grpc::new(Raw);
            let path = request.uri().path().to_owned();
            let request = request.map(tonic::body::Body::new);
            match path.as_str() {
                "/talk.Talk/Unary" => grpc.unary(service_fn(unary), request).await,
                "/talk.Talk/Countdown" => {
                    grpc.server_streaming(service_fn(countdown), request).await
                }
                "/talk.Talk/Join" => grpc.client_streaming(service_fn(join), request).await,
                "/talk.Talk/Echo" => grpc.streaming(service_fn(echo), request).await,
                "/talk.Talk/Endless" => {
                    let endless = move |_: Request<Bytes>| {
                        let taken = Arc::clone(&taken);
                        let chunks = stream::repeat_with(move || {
                            taken.add_permits(1);
                            Ok(Bytes::from(vec![7; 16 * 1024]))
                        });
                        async move { Ok::<_, Status>(answers(chunks)) }
                    };
                    grpc.server_streaming(service_fn(endless), request).await
                }
                _ => Status::unimplemented("nobody knows this").into_http(),
            }
        }
    })
    .await
}

/// Both sidecars before the server, and a client at the outer one.
struct Talk {
    client: Grpc<Channel>,
    caller: Proxy,
    _node: Proxy,
    taken: Arc<Semaphore>,
}

async fn talk(route: &str) -> Talk {
    let taken = Arc::new(Semaphore::new(0));
    let app = talker(Arc::clone(&taken)).await;
    let node = Proxy::inbound(app.address, policy("{}", &[]));
    let yaml = format!(
        "
clusters: {{ talk: {{ endpoints: [$node], consecutive_failures: 0 }} }}
routes:
  - {{ name: talk, match: {{ authority: talk, path_prefix: /talk.Talk }}, cluster: talk, {route} }}
"
    );
    let caller = Proxy::outbound(policy(&yaml, &[("node", node.inn())]));
    Talk {
        client: client(caller.out()).await,
        caller,
        _node: node,
        taken,
    }
}

pub(crate) async fn client(address: SocketAddr) -> Grpc<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let endpoint = endpoint.origin("http://talk".parse().unwrap());
    let mut client = Grpc::new(endpoint.connect().await.unwrap());
    client.ready().await.unwrap();
    client
}

pub(crate) fn path(name: &str) -> PathAndQuery {
    format!("/talk.Talk/{name}").parse().unwrap()
}

pub(crate) fn text(text: &str) -> Request<Bytes> {
    Request::new(Bytes::copy_from_slice(text.as_bytes()))
}

impl Talk {
    async fn unary(&mut self, message: &str) -> Result<Bytes, Status> {
        self.client.ready().await.unwrap();
        let answer = self.client.unary(text(message), path("Unary"), Raw);
        Ok(within(answer).await?.into_inner())
    }
}

#[tokio::test]
async fn a_unary_call_and_its_failure_come_back_as_they_are() {
    let mut talk = talk("deadline: 10s").await;
    assert_eq!(talk.unary("hello").await.unwrap(), "hello");
    let status = talk.unary("fail").await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::ResourceExhausted, "no more of it, ä")
    );
    let records = talk.caller.records(2).await;
    assert!(
        records[0].contains("rpc.response.status_code=OK"),
        "{records:#?}"
    );
    assert!(
        records[1].contains("rpc.response.status_code=RESOURCE_EXHAUSTED"),
        "{records:#?}"
    );
}

#[tokio::test]
async fn a_stream_of_answers_arrives_whole_with_its_trailers() {
    let mut talk = talk("deadline: 10s").await;
    let answer = talk
        .client
        .server_streaming(text("3"), path("Countdown"), Raw);
    let mut answers = within(answer).await.unwrap().into_inner();
    for wanted in ["3", "2", "1"] {
        assert_eq!(within(answers.message()).await.unwrap().unwrap(), wanted);
    }
    let status = within(answers.message()).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Aborted, "lift-off")
    );
    let record = &talk.caller.records(1).await[0];
    assert!(
        record.contains("rpc.response.status_code=ABORTED"),
        "{record}"
    );
}

#[tokio::test]
async fn a_stream_of_questions_arrives_whole() {
    let mut talk = talk("deadline: 10s").await;
    let questions = stream::iter(["one ", "two ", "three"].map(Bytes::from));
    let answer = talk
        .client
        .client_streaming(Request::new(questions), path("Join"), Raw);
    assert_eq!(within(answer).await.unwrap().into_inner(), "one two three");
}

#[tokio::test]
async fn questions_and_answers_take_turns() {
    let mut talk = talk("deadline: 10s").await;
    let (say, heard) = mpsc::channel::<Bytes>(1);
    let questions = stream::unfold(heard, |mut heard| async move {
        Some((heard.recv().await?, heard))
    });
    let answer = talk
        .client
        .streaming(Request::new(questions), path("Echo"), Raw);
    let mut answers = within(answer).await.unwrap().into_inner();
    for number in 0..10 {
        let message = Bytes::from(number.to_string());
        say.send(message.clone()).await.unwrap();
        assert_eq!(within(answers.message()).await.unwrap().unwrap(), message);
    }
    drop(say);
    assert!(within(answers.message()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_slow_reader_holds_the_server_back_through_both_sidecars() {
    let mut talk = talk("deadline: 60s").await;
    let answer = talk.client.server_streaming(text(""), path("Endless"), Raw);
    let mut answers = within(answer).await.unwrap().into_inner();
    let mut before = usize::MAX;
    while before != talk.taken.available_permits() {
        before = talk.taken.available_permits();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let kibibytes = before * 16;
    assert!(
        kibibytes < 16 * 1024,
        "{kibibytes} KiB were taken from the server unread"
    );
    for _ in 0..before + 10 {
        assert_eq!(
            within(answers.message()).await.unwrap().unwrap().len(),
            16 * 1024
        );
    }
}

#[tokio::test]
async fn what_a_sidecar_answers_itself_is_an_answer_of_grpc() {
    let mut talk = talk("deadline: 300ms, rate_limit: { per_second: 1, burst: 2 }").await;
    let status = talk.unary("hang").await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    assert_eq!(status.metadata().get("x-mesh-reason").unwrap(), "deadline");
    let shed = loop {
        if let Err(status) = talk.unary("hello").await {
            break status;
        }
    };
    assert_eq!(shed.code(), Code::Unavailable, "{shed:?}");
    assert_eq!(
        shed.metadata().get("x-mesh-reason").unwrap(),
        "rate_limited"
    );
    talk.client.ready().await.unwrap();
    let nowhere = PathAndQuery::from_static("/nobody.Knows/This");
    let status = within(talk.client.unary::<_, Bytes, _>(text(""), nowhere, Raw))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    assert!(status.message().contains("no route matches"), "{status:?}");
    let record = &talk.caller.records(1).await[0];
    assert!(
        record.contains("mesh.reason=deadline")
            && record.contains("rpc.response.status_code=DEADLINE_EXCEEDED"),
        "{record}"
    );
}

#[tokio::test]
async fn a_dead_server_is_unavailable() {
    let caller = Proxy::outbound(policy(
        "
clusters: { talk: { endpoints: ['127.0.0.1:1'] } }
routes: [{ name: talk, match: {}, cluster: talk }]
",
        &[],
    ));
    let mut client = client(caller.out()).await;
    let answer = client.unary::<_, Bytes, _>(text(""), path("Unary"), Raw);
    let status = within(answer).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(
        status.metadata().get("x-mesh-reason").unwrap(),
        "connection_refused"
    );
    let plain = crate::support::post("talk", "/talk.Talk/Unary", "");
    let plain = crate::support::send(caller.out(), plain).await;
    assert_eq!(
        plain.status,
        StatusCode::SERVICE_UNAVAILABLE,
        "others get an answer of HTTP"
    );
}
