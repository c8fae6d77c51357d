//! A real OTLP/gRPC receiver on a free port.

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use tokio::{net::TcpListener, sync::mpsc};
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

/// A span as it arrived.
pub(crate) struct Arrived {
    pub(crate) resource: Vec<KeyValue>,
    pub(crate) scope: String,
    pub(crate) span: Span,
}

impl Arrived {
    pub(crate) fn id(&self) -> String {
        hex(&self.span.span_id)
    }

    pub(crate) fn trace(&self) -> String {
        hex(&self.span.trace_id)
    }

    pub(crate) fn parent(&self) -> String {
        hex(&self.span.parent_span_id)
    }

    pub(crate) fn attribute(&self, key: &str) -> Option<String> {
        text(&self.span.attributes, key)
    }

    pub(crate) fn of_resource(&self, key: &str) -> Option<String> {
        text(&self.resource, key)
    }

    /// 0 unset, 1 ok, 2 error.
    pub(crate) fn status(&self) -> i32 {
        self.span.status.as_ref().map_or(0, |status| status.code)
    }
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let pair = attributes.iter().find(|pair| pair.key == key)?;
    match pair.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        Value::DoubleValue(number) => Some(number.to_string()),
        Value::BoolValue(truth) => Some(truth.to_string()),
        other => Some(format!("{other:?}")),
    }
}

struct Collector(mpsc::UnboundedSender<Arrived>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for group in request.into_inner().resource_spans {
            let resource = group.resource.unwrap_or_default().attributes;
            for scoped in group.scope_spans {
                let scope = scoped.scope.unwrap_or_default().name;
                for span in scoped.spans {
                    let (resource, scope) = (resource.clone(), scope.clone());
                    self.0
                        .send(Arrived {
                            resource,
                            scope,
                            span,
                        })
                        .expect("the test listens");
                }
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// Starts it; what arrives comes out of the channel.
pub(crate) async fn start() -> (String, mpsc::UnboundedReceiver<Arrived>) {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("loopback has free ports");
    let address = listener.local_addr().expect("it is bound");
    let (sender, receiver) = mpsc::unbounded_channel();
    let service = TraceServiceServer::new(Collector(sender));
    let server = Server::builder()
        .add_service(service)
        .serve_with_incoming(TcpIncoming::from(listener));
    mesh_telemetry::task::spawn("receiver", server);
    (format!("http://{address}"), receiver)
}

/// Takes as many spans as are expected, by name.
pub(crate) async fn take(
    from: &mut mpsc::UnboundedReceiver<Arrived>,
    spans: usize,
) -> Vec<Arrived> {
    let mut taken = Vec::new();
    while taken.len() < spans {
        taken.push(from.recv().await.expect("the receiver runs"));
    }
    taken
}

pub(crate) fn named<'a>(spans: &'a [Arrived], name: &str) -> &'a Arrived {
    let names: Vec<_> = spans.iter().map(|it| it.span.name.as_str()).collect();
    let found = spans.iter().find(|it| it.span.name == name);
    found.unwrap_or_else(|| panic!("no `{name}` in {names:?}"))
}
