//! Addresses of a native run: who listens where, chosen in one place.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
};

use super::{Instance, Instances, LocalAddresses, MeshFile};
use crate::ConsoleError;

/// Ports that one instance takes from `ports.internal` on.
const BLOCK: u16 = 10;

/// Places within an instance's block.
const APPLICATION: u16 = 0;
const INBOUND: u16 = 1;
const OUTBOUND: u16 = 2;
const ADMIN: u16 = 3;
const METRICS: u16 = 4;
const APPLICATION_METRICS: u16 = 5;

/// An address of a native run, and the setting that moves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Whose it is, as `payments-2: sidecar inbound`.
    pub purpose: String,
    /// Key of the mesh file, as `ports.internal`.
    pub setting: String,
    /// Where it listens.
    pub addr: SocketAddr,
}

impl MeshFile {
    /// Gives every counted instance its addresses, and every port that is 0 a
    /// free one. Instance number `i` (services by name, then instances) takes
    /// the ten ports from `internal + 10·i` on. Listed instances stay as they are.
    ///
    /// Nothing is reserved: only with `ports.internal: 0` does it look which
    /// ports are free now.
    pub fn resolve(&self) -> Result<Self, ConsoleError> {
        let mut free = FreePorts::new(self.ports.host);
        let mut mesh = self.clone();
        for port in [
            &mut mesh.ports.console,
            &mut mesh.ports.otlp_grpc,
            &mut mesh.ports.otlp_http,
        ] {
            free.fill(port)?;
        }
        let mut block = 0;
        for (name, service) in &mut mesh.services {
            if let Some(port) = &mut service.expose {
                free.fill(port)?;
            }
            let Instances::Count(count) = service.instances else {
                continue;
            };
            let mut listed = Vec::new();
            for number in 1..=count {
                let local = self.local(block, service.expose, &mut free)?;
                listed.push(instance(name, number, local));
                block += 1;
            }
            service.instances = Instances::Listed(listed);
        }
        Ok(mesh)
    }

    fn local(
        &self,
        block: u16,
        expose: Option<u16>,
        free: &mut FreePorts,
    ) -> Result<LocalAddresses, ConsoleError> {
        let mut at = |place: u16| -> Result<SocketAddr, ConsoleError> {
            let port = match self.ports.internal {
                0 => free.pick()?,
                first => block
                    .checked_mul(BLOCK)
                    .and_then(|offset| first.checked_add(offset)?.checked_add(place))
                    .ok_or(ConsoleError::PortsExhausted { first })?,
            };
            Ok(SocketAddr::new(self.ports.host, port))
        };
        Ok(LocalAddresses {
            application: at(APPLICATION)?,
            application_metrics: at(APPLICATION_METRICS)?,
            inbound: match expose {
                Some(port) => SocketAddr::new(self.ports.host, port),
                None => at(INBOUND)?,
            },
            outbound: at(OUTBOUND)?,
            admin: at(ADMIN)?,
            metrics: at(METRICS)?,
        })
    }

    /// Everything that a native run of this resolved file listens on, so that
    /// ports can be tried, and collisions named, before anything starts.
    #[must_use]
    pub fn listeners(&self) -> Vec<Listener> {
        let console = [
            ("console: page and API", "console", self.ports.console),
            ("console: OTLP over gRPC", "otlp_grpc", self.ports.otlp_grpc),
            ("console: OTLP over HTTP", "otlp_http", self.ports.otlp_http),
        ]
        .map(|(purpose, key, port)| Listener {
            purpose: purpose.to_owned(),
            setting: format!("ports.{key}"),
            addr: SocketAddr::new(self.ports.host, port),
        });
        let mut all = Vec::from(console);
        for (name, service) in &self.services {
            let Instances::Listed(listed) = &service.instances else {
                continue;
            };
            for instance in listed {
                all.extend(instance_listeners(name, service.expose.is_some(), instance));
            }
        }
        all
    }
}

fn instance(service: &str, number: u16, local: LocalAddresses) -> Instance {
    Instance {
        name: instance_name(service, number),
        inbound: reachable(local.inbound).to_string(),
        local: Some(local),
    }
}

/// Name of a counted instance, from 1 on.
pub(super) fn instance_name(service: &str, number: u16) -> String {
    format!("{service}-{number}")
}

/// Where a listener is reached from the same machine: one that binds every
/// interface is called at loopback.
fn reachable(addr: SocketAddr) -> SocketAddr {
    if addr.ip().is_unspecified() {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), addr.port())
    } else {
        addr
    }
}

fn instance_listeners(service: &str, exposed: bool, instance: &Instance) -> Vec<Listener> {
    let Some(local) = &instance.local else {
        return Vec::new();
    };
    let inbound_setting = if exposed {
        format!("services.{service}.expose")
    } else {
        "ports.internal".to_owned()
    };
    [
        ("application", None, local.application),
        ("sidecar inbound", Some(inbound_setting), local.inbound),
        ("sidecar outbound", None, local.outbound),
        ("sidecar admin", None, local.admin),
        ("sidecar metrics", None, local.metrics),
        ("application metrics", None, local.application_metrics),
    ]
    .into_iter()
    .map(|(what, setting, addr)| Listener {
        purpose: format!("{}: {what}", instance.name),
        setting: setting.unwrap_or_else(|| "ports.internal".to_owned()),
        addr,
    })
    .collect()
}

/// Free ports, all different: the sockets stay bound until all are picked.
struct FreePorts {
    host: IpAddr,
    held: Vec<TcpListener>,
}

impl FreePorts {
    fn new(host: IpAddr) -> Self {
        Self {
            host,
            held: Vec::new(),
        }
    }

    fn fill(&mut self, port: &mut u16) -> Result<(), ConsoleError> {
        if *port == 0 {
            *port = self.pick()?;
        }
        Ok(())
    }

    fn pick(&mut self) -> Result<u16, ConsoleError> {
        let bound = TcpListener::bind((self.host, 0));
        let mut port = |bound: io::Result<TcpListener>| {
            let listener = bound?;
            let port = listener.local_addr()?.port();
            self.held.push(listener);
            Ok(port)
        };
        port(bound).map_err(|source| ConsoleError::NoFreePort {
            host: self.host,
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn shop() -> MeshFile {
        MeshFile::parse(include_str!("../../../mesh.yaml")).unwrap()
    }

    fn local(mesh: &MeshFile, service: &str, index: usize) -> LocalAddresses {
        let Instances::Listed(listed) = &mesh.services[service].instances else {
            panic!("not resolved");
        };
        listed[index].local.clone().unwrap()
    }

    #[test]
    fn instances_take_blocks_of_ten_in_the_order_of_names() {
        let mesh = shop().resolve().unwrap();
        let second = local(&mesh, "payments", 1);
        assert_eq!(second.application.port(), 14150);
        assert_eq!(second.outbound.port(), 14152);
        assert_eq!(local(&mesh, "gateway", 0).inbound.port(), 4080);
    }

    #[test]
    fn resolving_twice_changes_nothing() {
        let once = shop().resolve().unwrap();
        let twice = once.resolve().unwrap();
        assert_eq!(once.listeners(), twice.listeners());
    }

    #[test]
    fn free_ports_are_all_different() {
        let mut mesh = shop();
        mesh.ports.internal = 0;
        mesh.ports.console = 0;
        mesh.services.get_mut("gateway").unwrap().expose = Some(0);
        let listeners = mesh.resolve().unwrap().listeners();
        let ports: BTreeSet<u16> = listeners.iter().map(|one| one.addr.port()).collect();
        assert_eq!(ports.len(), listeners.len());
        assert!(!ports.contains(&0));
    }

    #[test]
    fn collisions_can_be_named_by_setting() {
        let listeners = shop().resolve().unwrap().listeners();
        let gateway = listeners.iter().find(|one| one.addr.port() == 4080);
        assert_eq!(gateway.unwrap().setting, "services.gateway.expose");
        assert_eq!(gateway.unwrap().purpose, "gateway-1: sidecar inbound");
        assert_eq!(listeners.len(), 3 + 9 * 6);
    }

    #[test]
    fn a_block_beyond_the_last_port_is_an_error() {
        let mut mesh = shop();
        mesh.ports.internal = 65_500;
        assert!(mesh.resolve().is_err());
    }
}
