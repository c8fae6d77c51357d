//! Calls to other services.

mod http_client;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Method, Request, Response, Uri};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceExt};

use crate::args::ServiceArgs;
use crate::deadline;
use crate::error::{Error, ErrorBody};
use http_client::HttpClient;

/// Longest a call may take when nothing else ends it. The sidecar's deadline
/// (2 s by default) comes first; this is the backstop for the direct form.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Largest answer that is read into memory, bytes.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// Another service, as a function from request to response. Behind it is a
/// sidecar, the service's own address, or its router in this process: the
/// caller cannot tell.
#[derive(Clone, Debug)]
pub struct Peer {
    name: Arc<str>,
    service: BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>,
    timeout: Duration,
}

impl Peer {
    /// A peer in this process.
    #[must_use]
    pub fn in_process(name: &str, router: Router) -> Self {
        let service = ServiceExt::<Request<Body>>::map_err(router, |never| match never {});
        Self::new(name, service)
    }

    fn new<S>(name: &str, service: S) -> Self
    where
        S: tower::Service<Request<Body>, Response = Response<Body>, Error = BoxError>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        Self {
            name: name.into(),
            service: BoxCloneSyncService::new(service),
            timeout: CALL_TIMEOUT,
        }
    }

    /// The same peer with another backstop.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Name of the service.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sends a request, origin form, and returns the response whatever its
    /// status. The trace goes along, and what is left of the caller's time.
    pub async fn send(&self, mut request: Request<Body>) -> Result<Response<Body>, Error> {
        deadline::pass_on(request.headers_mut());
        mesh_telemetry::service::client_call(&self.name, request, |request| async {
            let answer = self.service.clone().oneshot(request);
            match tokio::time::timeout(self.timeout, answer).await {
                Ok(Ok(response)) => Ok(response),
                Ok(Err(error)) => Err(self.unreachable(error.as_ref())),
                Err(_) => Err(self.too_late()),
            }
        })
        .await
    }

    /// GET, with the JSON answer as `T`.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.call(Call::new(Method::GET, path)).await
    }

    /// A call with the JSON answer as `T`; any status but 2xx is an error.
    pub async fn call<T: DeserializeOwned>(&self, call: Call) -> Result<T, Error> {
        let bytes = self.exchange(call).await?;
        serde_json::from_slice(&bytes).map_err(|error| self.unreadable(&error))
    }

    /// A call of which only the success matters.
    pub async fn tell(&self, call: Call) -> Result<(), Error> {
        self.exchange(call).await.map(drop)
    }

    async fn exchange(&self, call: Call) -> Result<bytes::Bytes, Error> {
        let request = call.into_request().map_err(|e| self.unreachable(&e))?;
        let response = self.send(request).await?;
        let (parts, body) = response.into_parts();
        let reading = axum::body::to_bytes(body, MAX_ANSWER);
        let bytes = match tokio::time::timeout(self.timeout, reading).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(error)) => return Err(self.unreachable(&error)),
            Err(_) => return Err(self.too_late()),
        };
        if parts.status.is_success() {
            return Ok(bytes);
        }
        Err(self.refusal(&parts, &bytes))
    }

    fn refusal(&self, parts: &http::response::Parts, bytes: &[u8]) -> Error {
        let told = serde_json::from_slice::<ErrorBody>(bytes).unwrap_or_else(|_| {
            // A sidecar answered in the peer's place and says why in a header.
            let reason = parts.headers.get("x-mesh-reason");
            let reason = reason.and_then(|value| value.to_str().ok());
            ErrorBody {
                code: reason.unwrap_or_default().to_owned(),
                message: reason.unwrap_or("no further words").to_owned(),
            }
        });
        Error::PeerStatus {
            peer: self.name.to_string(),
            status: parts.status,
            code: told.code,
            message: told.message,
        }
    }

    fn too_late(&self) -> Error {
        Error::PeerTimeout {
            peer: self.name.to_string(),
            milliseconds: self.timeout.as_millis(),
        }
    }

    fn unreachable(&self, error: &(dyn std::error::Error + 'static)) -> Error {
        Error::PeerUnreachable {
            peer: self.name.to_string(),
            problem: with_causes(error),
        }
    }

    fn unreadable(&self, error: &serde_json::Error) -> Error {
        Error::PeerAnswer {
            peer: self.name.to_string(),
            problem: error.to_string(),
        }
    }
}

/// `client error (Connect)` alone helps nobody: its causes are put behind it.
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// A request to a peer.
#[derive(Clone, Debug)]
pub struct Call {
    method: Method,
    path: String,
    headers: Vec<(HeaderName, String)>,
    body: Option<Vec<u8>>,
}

impl Call {
    /// A call without a body; `path` begins with `/` and may have a query.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            headers: Vec::new(),
            body: None,
        }
    }

    /// Adds a JSON body.
    pub fn json(mut self, body: &impl Serialize) -> Result<Self, Error> {
        self.body = Some(serde_json::to_vec(body)?);
        Ok(self)
    }

    /// Adds a body that is JSON already.
    #[must_use]
    pub fn raw_json(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers
            .push((HeaderName::from_static(name), value.into()));
        self
    }

    /// Makes the call safe to repeat, by the peer's promise to do it once.
    #[must_use]
    pub fn idempotency_key(self, key: impl Into<String>) -> Self {
        self.header("idempotency-key", key)
    }

    fn into_request(self) -> Result<Request<Body>, http::Error> {
        let mut request = Request::builder().method(self.method).uri(self.path);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        match self.body {
            Some(body) => request
                .header(CONTENT_TYPE, "application/json")
                .body(Body::from(body)),
            None => request.body(Body::empty()),
        }
    }
}

/// Finds peers by name.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    known: HashMap<String, Peer>,
    outbound: Option<Uri>,
    client: HttpClient,
}

impl Peers {
    /// From the arguments: addresses of single peers first, else the sidecar.
    #[must_use]
    pub fn from_args(args: &ServiceArgs) -> Self {
        let mut peers = Self {
            outbound: args.outbound.clone(),
            ..Self::default()
        };
        for address in &args.peers {
            let service = peers.client.service(address.base.clone(), None);
            let peer = Peer::new(&address.name, service);
            peers.known.insert(address.name.clone(), peer);
        }
        peers
    }

    /// Adds or replaces a peer.
    #[must_use]
    pub fn with(mut self, peer: Peer) -> Self {
        self.known.insert(peer.name.to_string(), peer);
        self
    }

    /// The peer of this name.
    pub fn get(&self, name: &str) -> Result<Peer, Error> {
        if let Some(peer) = self.known.get(name) {
            return Ok(peer.clone());
        }
        let unknown = || Error::UnknownPeer(name.to_owned());
        let base = self.outbound.clone().ok_or_else(unknown)?;
        let host = HeaderValue::from_str(name).map_err(|_| unknown())?;
        Ok(Peer::new(name, self.client.service(base, Some(host))))
    }
}
