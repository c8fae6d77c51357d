//! Lookups of A, AAAA and SRV records.

use std::{
    collections::{BTreeMap, HashSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolverConfig},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::{RData, Record, RecordType, rdata::SRV},
};

use super::Found;
use crate::config::{Dns, DnsRecord};

/// Share of a target whose weight is 0 beside others: "a very small chance" (RFC 2782).
const FEATHERWEIGHT: f32 = 0.01;

/// Time for one question to one server, and how often it is asked again.
const TIMEOUT: Duration = Duration::from_secs(2);
const ATTEMPTS: usize = 2;

/// Why a lookup failed.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum LookupError {
    /// There is no such name, or it has no records of this kind.
    #[error("there are no such records")]
    Empty,
    /// No server answered, or it could not.
    #[error("{0}")]
    Failed(Arc<str>),
}

impl LookupError {
    /// Bounded code for metrics.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Failed(_) => "error",
        }
    }
}

impl From<NetError> for LookupError {
    fn from(error: NetError) -> Self {
        if error.is_no_records_found() || error.is_nx_domain() {
            Self::Empty
        } else {
            Self::Failed(error.to_string().into())
        }
    }
}

/// An answer and how long it holds.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) found: Vec<Found>,
    pub(super) ttl: Duration,
}

/// Who is asked.
pub(super) struct Names(TokioResolver);

impl Names {
    pub(super) fn of(settings: &Dns) -> Result<Self, LookupError> {
        let mut builder = match settings.server {
            Some(server) => {
                let config = ResolverConfig::from_name_servers(vec![name_server(server)]);
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
            None => TokioResolver::builder_tokio()?,
        };
        let options = builder.options_mut();
        options.cache_size = 0; // the cluster keeps the answer as long as its time says
        options.timeout = TIMEOUT;
        options.attempts = ATTEMPTS;
        Ok(Self(builder.build()?))
    }

    /// Endpoints of the name, in an order that does not depend on the server's.
    pub(super) async fn look_up(&self, settings: &Dns) -> Result<Answer, LookupError> {
        let mut answer = match settings.record {
            DnsRecord::Srv => self.services(&settings.name).await?,
            kind => {
                let port = settings.port.unwrap_or_default();
                let (addresses, ttl) = self.addresses(&settings.name, kind).await?;
                let found = addresses.into_iter().map(|ip| found(ip, port, 0, 1.0));
                Answer {
                    found: found.collect(),
                    ttl,
                }
            }
        };
        answer.found.sort_by(|a, b| a.address.cmp(&b.address));
        answer.found.dedup_by(|a, b| a.address == b.address);
        Ok(answer)
    }

    async fn addresses(
        &self,
        name: &str,
        kind: DnsRecord,
    ) -> Result<(Vec<IpAddr>, Duration), LookupError> {
        let (four, six) = match kind {
            DnsRecord::A => (self.records(name, RecordType::A).await, None),
            DnsRecord::Aaaa => (self.records(name, RecordType::AAAA).await, None),
            DnsRecord::Address | DnsRecord::Srv => {
                let both = tokio::join!(
                    self.records(name, RecordType::A),
                    self.records(name, RecordType::AAAA)
                );
                (both.0, Some(both.1))
            }
        };
        let mut records = Vec::new();
        for family in [Some(four), six].into_iter().flatten() {
            match family {
                Ok(some) => records.extend(some),
                // One family is enough.
                Err(LookupError::Empty) => {}
                // Half an answer would drop the endpoints of the other half.
                Err(failed) => return Err(failed),
            }
        }
        let addresses: Vec<IpAddr> = records.iter().filter_map(|it| it.data.ip_addr()).collect();
        if addresses.is_empty() {
            return Err(LookupError::Empty);
        }
        Ok((addresses, ttl(&records)))
    }

    async fn services(&self, name: &str) -> Result<Answer, LookupError> {
        let records = self.records(name, RecordType::SRV).await?;
        let services: Vec<&SRV> = records.iter().filter_map(service).collect();
        let mut time = ttl(&records);
        let mut hosts = BTreeMap::new();
        let targets = services.iter().map(|service| service.target.to_string());
        for target in targets.collect::<HashSet<_>>() {
            match self.addresses(&target, DnsRecord::Address).await {
                Ok((addresses, ttl)) => {
                    time = time.min(ttl);
                    hosts.insert(target, addresses);
                }
                Err(LookupError::Empty) => {
                    tracing::warn!(name, target, "the target of an SRV record has no address");
                }
                Err(failed) => return Err(failed),
            }
        }
        let found = ranked(&services, &hosts);
        if found.is_empty() {
            return Err(LookupError::Empty);
        }
        Ok(Answer { found, ttl: time })
    }

    async fn records(&self, name: &str, kind: RecordType) -> Result<Vec<Record>, LookupError> {
        let lookup = self.0.lookup(name, kind).await?;
        let records = lookup.answers().to_vec();
        if records.iter().any(|record| record.record_type() == kind) {
            Ok(records)
        } else {
            Err(LookupError::Empty)
        }
    }
}

fn name_server(server: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = server.port();
        connection
    });
    NameServerConfig::new(server.ip(), true, connections.into())
}

fn found(ip: IpAddr, port: u16, tier: u16, share: f32) -> Found {
    let address = SocketAddr::new(ip, port).to_string();
    Found {
        address,
        tier,
        share,
    }
}

/// The answer holds as long as the first of its records, aliases included.
fn ttl(records: &[Record]) -> Duration {
    let shortest = records.iter().map(|record| record.ttl).min();
    Duration::from_secs(shortest.unwrap_or(0).into())
}

fn service(record: &Record) -> Option<&SRV> {
    match &record.data {
        RData::SRV(service) => Some(service),
        _ => None,
    }
}

/// Priorities become tiers, the lowest number first; weights become shares within one.
fn ranked(services: &[&SRV], hosts: &BTreeMap<String, Vec<IpAddr>>) -> Vec<Found> {
    let mut tiers: BTreeMap<u16, Vec<(&SRV, &[IpAddr])>> = BTreeMap::new();
    for service in services {
        if let Some(addresses) = hosts.get(&service.target.to_string()) {
            let tier = tiers.entry(service.priority).or_default();
            tier.push((service, addresses));
        }
    }
    let mut all = Vec::new();
    for (tier, services) in (0..).zip(tiers.into_values()) {
        let heaviest = services.iter().map(|(service, _)| service.weight).max();
        let share = |weight: u16| match heaviest {
            Some(heaviest) if heaviest > 0 => {
                (f32::from(weight) / f32::from(heaviest)).max(FEATHERWEIGHT)
            }
            _ => 1.0,
        };
        for (service, addresses) in services {
            // A target of several addresses has its weight once.
            let share = share(service.weight) / addresses.len() as f32;
            let each = addresses.iter();
            all.extend(each.map(|&ip| found(ip, service.port, tier, share)));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, net::IpAddr};

    use hickory_resolver::proto::rr::{Name, rdata::SRV};

    use super::ranked;

    #[test]
    fn priorities_are_tiers_and_weights_are_shares_of_the_heaviest() {
        let target = |name: &str| Name::from_ascii(name).unwrap();
        let services = [
            SRV::new(20, 5, 80, target("c.")),
            SRV::new(10, 30, 80, target("a.")),
            SRV::new(10, 10, 81, target("b.")),
            SRV::new(10, 0, 82, target("gone.")),
        ];
        let host = |name: &str, ip: &str| (name.to_owned(), vec![ip.parse::<IpAddr>().unwrap()]);
        let hosts = BTreeMap::from([
            host("a.", "10.0.0.1"),
            host("b.", "10.0.0.2"),
            host("c.", "::1"),
        ]);
        let services: Vec<&SRV> = services.iter().collect();
        let found: Vec<String> = ranked(&services, &hosts)
            .iter()
            .map(|it| format!("{} {} {:.2}", it.address, it.tier, it.share))
            .collect();
        assert_eq!(
            found,
            [
                "10.0.0.1:80 0 1.00",
                "10.0.0.2:81 0 0.33",
                "[::1]:80 1 1.00"
            ]
        );
    }
}
