//! TLS of a listener.

use std::{
    io,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderValue};
use mesh_telemetry::proxy::{Direction, ProcessEvent, Secured, emit};
use rustls::{
    HandshakeKind, ServerConfig, ServerConnection,
    crypto::ring::Ticketer,
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::SingleCertAndKey,
    version::TLS13,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::{
    Alpn, Failure, Stream, Unusable, VERSION,
    failure::Kind,
    files::{self, Own},
    identity::{Identity, still_valid},
    provider,
    refresh::Fresh,
};
use crate::{config::ListenerTls, names};

/// First byte of every TLS connection: a record of type handshake.
const HANDSHAKE: u8 = 0x16;

/// For those who speak HTTP to a port that speaks TLS.
const TLS_REQUIRED: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    content-type: text/plain\r\nx-mesh-reason: tls_required\r\n\
    connection: close\r\n\r\n\
    this port speaks TLS only: connect with TLS 1.3, as `https://`\n";

/// TLS of one listener.
#[derive(Debug)]
pub(crate) struct ServerTls {
    settings: ListenerTls,
    loaded: Fresh<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    config: Arc<ServerConfig>,
    ends: SystemTime,
}

/// A connection that can be served.
pub(crate) struct Accepted {
    pub(crate) stream: Stream,
    /// None: plain text.
    pub(crate) peer: Option<Arc<Peer>>,
    /// What was agreed on; none: nothing, the first bytes will tell.
    pub(crate) alpn: Option<Alpn>,
}

impl Accepted {
    /// A connection to a listener without TLS.
    pub(crate) fn plain(stream: TcpStream) -> Self {
        Self {
            stream: Stream::Plain(stream),
            peer: None,
            alpn: None,
        }
    }
}

impl ServerTls {
    /// Reads the files.
    pub(crate) fn load(settings: ListenerTls) -> Result<Self, Unusable> {
        let mut watched = vec![settings.certificate.clone(), settings.key.clone()];
        watched.extend(settings.client_ca.clone());
        let (loaded, read) = Fresh::read(watched, || Loaded::read(&settings));
        read.map(|()| Self { settings, loaded })
    }

    /// Reads changed files again.
    pub(crate) fn refresh(&self) {
        self.loaded.refresh(|| Loaded::read(&self.settings));
    }

    /// When the certificate ends.
    pub(crate) fn ends(&self) -> Option<SystemTime> {
        Some(self.loaded.load()?.ends)
    }

    /// Shakes hands, or lets plain text pass where that is permitted. None: the caller
    /// left without a word.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
        within: Duration,
    ) -> Result<Option<Accepted>, Failure> {
        let opened = timeout(within, self.open(stream)).await;
        let result = opened.unwrap_or_else(|_| Err(Failure::timeout()));
        let told = match &result {
            Ok(Some(Accepted { peer: Some(_), .. })) => Some("ok"),
            Ok(_) => None,
            Err(failure) => Some(failure.kind.result()),
        };
        if let Some(result) = told {
            let direction = Direction::Inbound;
            emit(&ProcessEvent::TlsHandshake { direction, result });
        }
        result
    }

    async fn open(&self, mut stream: TcpStream) -> Result<Option<Accepted>, Failure> {
        let mut first = [0];
        if stream.peek(&mut first).await? == 0 {
            return Ok(None);
        }
        if first == [HANDSHAKE] {
            return self.handshake(stream).await.map(Some);
        }
        if self.settings.permissive {
            return Ok(Some(Accepted::plain(stream)));
        }
        turn_away(&mut stream).await?;
        let what = "plain text on a port that speaks TLS only";
        Err(Failure::new(Kind::Other, what))
    }

    async fn handshake(&self, stream: TcpStream) -> Result<Accepted, Failure> {
        let loaded = self.loaded.load().ok_or_else(Failure::no_certificate)?;
        let acceptor = TlsAcceptor::from(Arc::clone(&loaded.config));
        let stream = acceptor.accept(stream).await?;
        let (_, session) = stream.get_ref();
        let peer = Peer::of(session)?;
        let alpn = Alpn::read(session.alpn_protocol());
        Ok(Accepted {
            stream: Stream::Tls(Box::new(stream.into())),
            peer: Some(Arc::new(peer)),
            alpn,
        })
    }
}

/// Answers what was asked in plain text; closing with the question unread would lose
/// the answer on the way.
async fn turn_away(stream: &mut TcpStream) -> io::Result<()> {
    let mut question = Vec::with_capacity(4096);
    stream.read_buf(&mut question).await?;
    stream.write_all(TLS_REQUIRED).await?;
    stream.shutdown().await
}

impl Loaded {
    fn read(settings: &ListenerTls) -> Result<Self, Unusable> {
        let own = files::own(&settings.certificate, &settings.key)?;
        let ends = own.ends;
        Ok(Self {
            config: Arc::new(config(settings, own)?),
            ends,
        })
    }
}

fn config(settings: &ListenerTls, own: Own) -> Result<ServerConfig, Unusable> {
    let refused = |error: rustls::Error| Unusable::new("certificate", error.to_string());
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(refused)?;
    let builder = match &settings.client_ca {
        Some(path) => builder.with_client_cert_verifier(callers_of(path)?),
        None => builder.with_no_client_auth(),
    };
    let resolver = SingleCertAndKey::from(own.certified);
    let mut config = builder.with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = Alpn::both();
    // Sessions live with their callers, not in a table here. Their keys are this
    // configuration's: what was begun with older certificates is not resumed.
    config.ticketer = Ticketer::new().map_err(refused)?;
    Ok(config)
}

fn callers_of(path: &Path) -> Result<Arc<dyn ClientCertVerifier>, Unusable> {
    let roots = files::roots("client_ca", path)?;
    match WebPkiClientVerifier::builder_with_provider(roots, provider()).build() {
        Ok(verifier) => Ok(verifier),
        Err(error) => Err(Unusable::new("client_ca", error.to_string())),
    }
}

/// What the handshake showed about the caller; in the extensions of its requests.
#[derive(Debug)]
pub(crate) struct Peer {
    secured: Arc<Secured>,
    service: Option<HeaderValue>,
}

impl Peer {
    fn of(session: &ServerConnection) -> Result<Self, Failure> {
        let shown = session.peer_certificates().and_then(<[_]>::first);
        let identity = shown.and_then(|certificate| Identity::read(certificate));
        if session.handshake_kind() == Some(HandshakeKind::Resumed) {
            still_valid(identity.as_ref())?;
        }
        let name = identity.as_ref().and_then(Identity::name);
        let service = identity.as_ref().and_then(Identity::service);
        Ok(Self {
            secured: Arc::new(Secured {
                mutual: shown.is_some(),
                version: VERSION,
                peer: name.map(Into::into),
            }),
            service: service.and_then(|service| HeaderValue::from_str(service).ok()),
        })
    }

    /// For the records of its requests.
    pub(crate) fn secured(&self) -> &Arc<Secured> {
        &self.secured
    }

    /// Replaces what the caller says about itself by what its certificate says.
    pub(crate) fn correct(&self, headers: &mut HeaderMap) {
        if !self.secured.mutual {
            return;
        }
        match &self.service {
            Some(service) => headers.insert(names::SOURCE, service.clone()),
            None => headers.remove(names::SOURCE),
        };
    }
}
