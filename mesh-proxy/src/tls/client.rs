//! TLS towards the endpoints of a cluster.

use std::{path::PathBuf, sync::Arc, time::SystemTime};

use mesh_telemetry::proxy::{Direction, ProcessEvent, Secured, emit};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, client::danger::ServerCertVerifier,
    pki_types::ServerName, sign::SingleCertAndKey, version::TLS13,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{
    Alpn, Failure, Stream, Unusable, VERSION,
    failure::Kind,
    files::{self, Own},
    identity::{Identity, still_valid},
    provider,
    refresh::Fresh,
    verify,
};
use crate::config::{Cluster, UpstreamTls};

/// What a connection may become (ALPN).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// Either; the upstream chooses.
    Both,
    /// This alone.
    Only(Alpn),
}

/// TLS of one cluster.
#[derive(Debug)]
pub(crate) struct ClientTls {
    settings: UpstreamTls,
    /// Name that certificates must carry; none: the host of the endpoint.
    name: Option<String>,
    secured: Arc<Secured>,
    loaded: Fresh<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    config: Arc<ClientConfig>,
    /// None: it shows no certificate.
    ends: Option<SystemTime>,
}

/// Connections that were verified for the one are verified for the other, too.
impl PartialEq for ClientTls {
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings && self.name == other.name
    }
}

impl ClientTls {
    /// Reads the files of a cluster that has TLS. Files that cannot be used make every
    /// connection fail until they can.
    pub(crate) fn load(cluster: &Cluster) -> Option<Arc<Self>> {
        let settings = cluster.tls.clone()?;
        let (loaded, read) = Fresh::read(watched(&settings), || Loaded::read(&settings));
        if let Err(error) = read {
            tracing::error!(%error, "no connection to a cluster can be made with these files");
        }
        // Addresses that were found by a name are nothing that a certificate carries.
        let found_by = cluster.dns.as_ref().map(|dns| dns.name.clone());
        let name = settings.server_name.clone().or(found_by);
        let peer = settings.identity.as_ref().or(name.as_ref());
        let secured = Arc::new(Secured {
            mutual: settings.certificate.is_some(),
            version: VERSION,
            peer: peer.map(|peer| peer.as_str().into()),
        });
        Some(Arc::new(Self {
            settings,
            name,
            secured,
            loaded,
        }))
    }

    /// Reads changed files again.
    pub(crate) fn refresh(&self) {
        self.loaded.refresh(|| Loaded::read(&self.settings));
    }

    /// When the certificate that is shown ends.
    pub(crate) fn ends(&self) -> Option<SystemTime> {
        self.loaded.load()?.ends
    }

    /// What holds for every connection, for the records of attempts.
    pub(crate) fn secured(&self) -> &Arc<Secured> {
        &self.secured
    }

    /// Shakes hands over a connection to `host`. Returns what was agreed on; none: the
    /// upstream said nothing.
    pub(crate) async fn connect(
        &self,
        stream: TcpStream,
        host: &str,
        offer: Offer,
    ) -> Result<(Stream, Option<Alpn>), Failure> {
        let connected = self.handshake(stream, host, offer).await;
        let result = match &connected {
            Ok(_) => "ok",
            Err(failure) => failure.kind.result(),
        };
        let direction = Direction::Outbound;
        emit(&ProcessEvent::TlsHandshake { direction, result });
        connected
    }

    async fn handshake(
        &self,
        stream: TcpStream,
        host: &str,
        offer: Offer,
    ) -> Result<(Stream, Option<Alpn>), Failure> {
        let loaded = self.loaded.load().ok_or_else(Failure::no_certificate)?;
        let name = self.server_name(host)?;
        let connector = TlsConnector::from(Arc::clone(&loaded.config));
        let connecting = match offer {
            Offer::Both => connector.connect(name, stream),
            Offer::Only(alpn) => {
                let alpn = connector.with_alpn(vec![alpn.wire().to_vec()]);
                alpn.connect(name, stream)
            }
        };
        let stream = connecting.await?;
        let (_, session) = stream.get_ref();
        check_resumed(session)?;
        let alpn = Alpn::read(session.alpn_protocol());
        Ok((Stream::Tls(Box::new(stream.into())), alpn))
    }

    fn server_name(&self, host: &str) -> Result<ServerName<'static>, Failure> {
        let name = self.name.as_deref().unwrap_or(host);
        ServerName::try_from(name.to_owned()).map_err(|_| {
            let what =
                format!("`{name}` is no name that a certificate can carry: set `tls.server_name`");
            Failure::new(Kind::Other, what)
        })
    }
}

fn watched(settings: &UpstreamTls) -> Vec<PathBuf> {
    let own = settings.certificate.iter().chain(&settings.key);
    std::iter::once(&settings.ca).chain(own).cloned().collect()
}

fn check_resumed(session: &ClientConnection) -> Result<(), Failure> {
    if session.handshake_kind() != Some(HandshakeKind::Resumed) {
        return Ok(());
    }
    let shown = session.peer_certificates().and_then(<[_]>::first);
    still_valid(shown.and_then(|der| Identity::read(der)).as_ref())
}

impl Loaded {
    fn read(settings: &UpstreamTls) -> Result<Self, Unusable> {
        let own = match (&settings.certificate, &settings.key) {
            (Some(certificate), Some(key)) => Some(files::own(certificate, key)?),
            _ => None,
        };
        let ends = own.as_ref().map(|own| own.ends);
        Ok(Self {
            config: Arc::new(config(settings, own)?),
            ends,
        })
    }
}

fn config(settings: &UpstreamTls, own: Option<Own>) -> Result<ClientConfig, Unusable> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| Unusable::new("ca", error.to_string()))?
        .dangerous() // rustls's word for a verifier of one's own
        .with_custom_certificate_verifier(verifier(settings)?);
    let mut config = match own {
        Some(own) => {
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own.certified)))
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = Alpn::both();
    Ok(config)
}

fn verifier(settings: &UpstreamTls) -> Result<Arc<dyn ServerCertVerifier>, Unusable> {
    let roots = files::roots("ca", &settings.ca)?;
    match &settings.identity {
        Some(identity) => Ok(verify::ByIdentity::new(identity, roots)),
        None => verify::by_name(roots),
    }
}
