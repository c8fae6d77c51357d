//! The flags every service takes.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use http::Uri;

/// How one instance of a service is started: where it listens, where its
/// database lies and how it reaches its peers.
#[derive(Clone, Debug, clap::Args)]
pub struct ServiceArgs {
    /// Name of this instance, shown in traces and logs, as `payments-2`.
    /// Left out: the service's name with `-1`.
    #[arg(long, env = "GLASSMESH_INSTANCE")]
    pub instance: Option<String>,

    /// Where the service's own API listens. In a mesh this is a loopback
    /// address: only the sidecar calls it.
    #[arg(long, env = "GLASSMESH_LISTEN", value_name = "ADDR")]
    pub listen: SocketAddr,

    /// Where `/metrics` and `/health/*` listen; port 0 takes a free one.
    #[arg(long, env = "GLASSMESH_METRICS", value_name = "ADDR", default_value_t = any_port())]
    pub metrics: SocketAddr,

    /// Folder for the database (`db/<service>.db`); instances of one service share it.
    #[arg(
        long,
        env = "GLASSMESH_DATA_DIR",
        value_name = "DIR",
        default_value = "./.glassmesh"
    )]
    pub data_dir: PathBuf,

    /// Base address of the sidecar's outbound listener. Every peer is called
    /// there, by name, in the `Host` header.
    #[arg(long, env = "GLASSMESH_OUTBOUND", value_name = "URL")]
    pub outbound: Option<Uri>,

    /// Address of one peer without a sidecar, as `payments=http://127.0.0.1:9004`.
    /// Repeat it, or separate several by commas. Wins over `--outbound`.
    #[arg(
        long = "peer",
        env = "GLASSMESH_PEERS",
        value_name = "NAME=URL",
        value_delimiter = ',',
        value_parser = parse_peer
    )]
    pub peers: Vec<PeerAddress>,

    /// Where spans go, OTLP over gRPC. Left out: none are exported.
    #[arg(long, env = "GLASSMESH_OTLP", value_name = "URL")]
    pub otlp: Option<String>,

    /// Share of traces that begin here and are kept, from 0 to 1. A caller's
    /// decision is always followed.
    #[arg(
        long,
        env = "GLASSMESH_SAMPLE_RATIO",
        default_value_t = 1.0,
        value_parser = parse_ratio
    )]
    pub sample_ratio: f64,
}

/// A peer's name and the base address it is called at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAddress {
    /// Service name, as `payments`.
    pub name: String,
    /// Base address, as `http://127.0.0.1:9004`.
    pub base: Uri,
}

impl ServiceArgs {
    /// Arguments with only an API address and a data folder set.
    #[must_use]
    pub fn new(listen: SocketAddr, data_dir: impl Into<PathBuf>) -> Self {
        Self {
            instance: None,
            listen,
            metrics: any_port(),
            data_dir: data_dir.into(),
            outbound: None,
            peers: Vec::new(),
            otlp: None,
            sample_ratio: 1.0,
        }
    }
}

fn any_port() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

fn parse_peer(text: &str) -> Result<PeerAddress, String> {
    let expected = "expected NAME=URL, as payments=http://127.0.0.1:9004";
    let (name, url) = text.split_once('=').ok_or(expected)?;
    let base: Uri = url.parse().map_err(|_| expected)?;
    if name.is_empty() || base.scheme_str() != Some("http") || base.authority().is_none() {
        return Err(expected.to_owned());
    }
    Ok(PeerAddress {
        name: name.to_owned(),
        base,
    })
}

fn parse_ratio(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
        _ => Err("expected a number from 0 to 1, as 0.25".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: ServiceArgs,
    }

    #[test]
    fn peers_are_read_as_name_and_address() {
        let cli = Cli::try_parse_from([
            "service",
            "--listen",
            "127.0.0.1:0",
            "--peer",
            "payments=http://127.0.0.1:9004,users=http://127.0.0.1:9001",
        ])
        .unwrap();
        let names: Vec<_> = cli.args.peers.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["payments", "users"]);
    }

    #[test]
    fn a_peer_without_http_address_is_refused_with_an_example() {
        for bad in ["payments", "=http://x", "payments=/x", "payments=https://x"] {
            assert!(parse_peer(bad).unwrap_err().contains("payments=http://"));
        }
    }

    #[test]
    fn a_ratio_outside_zero_to_one_is_refused() {
        assert!(parse_ratio("1.5").is_err());
        assert!(parse_ratio("0.5").is_ok());
    }
}
