//! OTLP in: gRPC and HTTP (protobuf and JSON), on either port.

mod clean;
mod json;

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, State},
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
    trace_service_server::{TraceService, TraceServiceServer},
};
use prost::Message;
use serde_json::json;
use tonic::{Request, Response as GrpcResponse, Status, service::Routes};

use crate::{clock::Clock, tap::Tap, traces::TraceStore};

/// Largest export, bytes. The default of gRPC receivers, and far beyond what
/// the usual 512 spans of a batch take.
const LARGEST_EXPORT: usize = 4 * 1024 * 1024;

/// Where exports go.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) traces: Arc<TraceStore>,
    pub(crate) tap: Arc<Tap>,
    pub(crate) clock: Clock,
}

impl Receiver {
    fn take(&self, request: ExportTraceServiceRequest) -> ExportTraceServiceResponse {
        let cleaned = clean::clean(request, self.clock.now_ms().saturating_mul(1_000_000));
        self.tap.offer(&cleaned.spans);
        self.traces.insert(cleaned.spans);
        let partial_success = (cleaned.rejected > 0).then(|| ExportTracePartialSuccess {
            rejected_spans: cleaned.rejected,
            error_message: format!(
                "{} spans were rejected: a span needs a trace id of 16 bytes and a span id of 8 bytes, not all zero",
                cleaned.rejected
            ),
        });
        ExportTraceServiceResponse { partial_success }
    }
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<GrpcResponse<ExportTraceServiceResponse>, Status> {
        Ok(GrpcResponse::new(self.take(request.into_inner())))
    }
}

/// gRPC service and HTTP path together: a sender that mixes up the two ports
/// is understood all the same.
pub(crate) fn router(receiver: Receiver) -> Router {
    let grpc = TraceServiceServer::new(receiver.clone()).max_decoding_message_size(LARGEST_EXPORT);
    let http = Router::new()
        .route("/v1/traces", post(export))
        .layer(DefaultBodyLimit::max(LARGEST_EXPORT))
        .with_state(receiver);
    Routes::new(grpc).into_axum_router().merge(http)
}

async fn export(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(coding) = headers.get(header::CONTENT_ENCODING)
        && coding != "identity"
    {
        let text = "compressed exports are not read; set OTEL_EXPORTER_OTLP_COMPRESSION=none";
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, text);
    }
    match media_type(&headers) {
        "application/x-protobuf" => match ExportTraceServiceRequest::decode(body) {
            Ok(request) => protobuf(&receiver.take(request)),
            Err(error) => refuse(
                StatusCode::BAD_REQUEST,
                &format!("the body is no ExportTraceServiceRequest: {error}"),
            ),
        },
        "application/json" => match json::read(&body) {
            Ok(request) => as_json(receiver.take(request)),
            Err(error) => refuse(
                StatusCode::BAD_REQUEST,
                &format!("the body is no OTLP/JSON export: {error}"),
            ),
        },
        other => refuse(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            &format!(
                "`{other}` is not understood; send application/x-protobuf or application/json"
            ),
        ),
    }
}

fn media_type(headers: &HeaderMap) -> &str {
    let value = headers.get(header::CONTENT_TYPE);
    let value = value.and_then(|value| value.to_str().ok()).unwrap_or("");
    value.split(';').next().unwrap_or("").trim()
}

fn protobuf(response: &ExportTraceServiceResponse) -> Response {
    let mut answer = Body::from(response.encode_to_vec()).into_response();
    let kind = HeaderValue::from_static("application/x-protobuf");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}

fn as_json(response: ExportTraceServiceResponse) -> Response {
    let body = match response.partial_success {
        None => json!({}),
        Some(partial) => json!({ "partialSuccess": {
            "rejectedSpans": partial.rejected_spans.to_string(),
            "errorMessage": partial.error_message,
        }}),
    };
    axum::Json(body).into_response()
}

/// A refusal in the shape of `google.rpc.Status`, as OTLP/HTTP asks.
fn refuse(status: StatusCode, message: &str) -> Response {
    (status, axum::Json(json!({ "message": message }))).into_response()
}
