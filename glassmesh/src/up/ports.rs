//! Are all ports free? Asked before anything is started, and answered for all
//! ports at once.

use std::{fmt::Write as _, io, net::TcpListener, time::Duration};

use mesh_console::mesh_file::{Listener, MeshFile};
use tokio::time::Instant;

use super::holder::{self, Holder};
use crate::failure::Failure;

/// Children of a mesh whose supervisor was killed end by themselves within this time.
const ORPHANS_LEAVE: Duration = Duration::from_secs(2);

/// Times that ports are chosen before it is given up.
const CHOICES: u32 = 5;

struct Collision<'a> {
    port: &'a Listener,
    error: io::Error,
    holder: Option<Holder>,
}

/// Chooses the ports that are 0, and makes sure that all can be had.
pub(super) async fn resolve(mesh: &MeshFile) -> Result<MeshFile, Failure> {
    let mut tries = 1..=CHOICES;
    loop {
        let resolved = mesh.resolve()?;
        match check(&resolved).await {
            Ok(()) => return Ok(resolved),
            // Somebody took a port that was free a moment ago: others will do.
            Err(_) if tries.next().is_some() && has_choice(mesh, &resolved) => {}
            Err(failure) => return Err(failure),
        }
    }
}

/// Is none of the ports that cannot be had set by somebody?
fn has_choice(mesh: &MeshFile, resolved: &MeshFile) -> bool {
    let Ok(other) = mesh.resolve() else {
        return false;
    };
    // A port that is chosen anew each time was not set.
    let set = other.listeners();
    let listeners = resolved.listeners();
    collisions(&listeners).iter().all(|collision| {
        set.iter()
            .all(|listener| listener.addr != collision.port.addr)
    })
}

/// Fails with every port that cannot be had.
async fn check(mesh: &MeshFile) -> Result<(), Failure> {
    let ports = mesh.listeners();
    let patience = Instant::now() + ORPHANS_LEAVE;
    loop {
        let collisions = collisions(&ports);
        if collisions.is_empty() {
            return Ok(());
        }
        let may_be_orphans = collisions.iter().all(Collision::is_held_by_glassmesh);
        if !may_be_orphans || Instant::now() > patience {
            return Err(Failure::Invalid(report(&collisions)));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The flag that sets the same as a key of the mesh file.
fn flag(setting: &str) -> &'static str {
    match setting {
        "ports.console" => " or --console-port",
        "ports.otlp_grpc" => " or --otlp-grpc-port",
        "ports.otlp_http" => " or --otlp-http-port",
        "ports.internal" => " or --internal-port",
        expose if expose.ends_with(".expose") => " or --shop-port",
        _ => "",
    }
}

/// All ports are held until the last was tried: so a port that the file names
/// twice collides with itself.
fn collisions(ports: &[Listener]) -> Vec<Collision<'_>> {
    let mut held = Vec::new();
    let mut collisions = Vec::new();
    for port in ports {
        match TcpListener::bind(port.addr) {
            Ok(listener) => held.push(listener),
            Err(error) => collisions.push(Collision {
                port,
                holder: holder::of(port.addr.port()),
                error,
            }),
        }
    }
    collisions
}

impl Collision<'_> {
    fn is_held_by_glassmesh(&self) -> bool {
        let me = std::process::id();
        let ours = |holder: &Holder| holder.name == env!("CARGO_PKG_NAME") && holder.pid != me;
        self.holder.as_ref().is_some_and(ours)
    }

    fn reason(&self) -> String {
        let port = self.port.addr.port();
        if self.error.kind() != io::ErrorKind::AddrInUse {
            return format!("cannot be bound ({})", self.error);
        }
        match &self.holder {
            Some(holder) if holder.pid == std::process::id() => {
                "is wanted twice in this mesh".to_owned()
            }
            Some(holder) => format!("is held by {holder}"),
            None => {
                format!("is in use; `lsof -nP -iTCP:{port} -sTCP:LISTEN` (as root) shows by whom")
            }
        }
    }
}

/// Collisions of one setting that are listed; when another mesh runs there, the rest
/// would say the same fifty times.
const LISTED: usize = 3;

fn report(collisions: &[Collision<'_>]) -> String {
    let mut text = match collisions.len() {
        1 => "a port is not free; nothing was started".to_owned(),
        several => format!("{several} ports are not free; nothing was started"),
    };
    let mut settings: Vec<&str> = Vec::new();
    for collision in collisions {
        if !settings.contains(&collision.port.setting.as_str()) {
            settings.push(&collision.port.setting);
        }
    }
    for setting in settings {
        let same: Vec<_> = collisions
            .iter()
            .filter(|collision| collision.port.setting == setting)
            .collect();
        report_setting(&mut text, setting, &same);
    }
    if collisions.len() > 1 && collisions.iter().all(Collision::is_held_by_glassmesh) {
        text.push_str("\n  Another mesh runs there. To run this one beside it, let it find ports of its own:\n      --console-port 0 --shop-port 0 --otlp-grpc-port 0 --otlp-http-port 0 --internal-port 0");
    }
    text
}

fn report_setting(text: &mut String, setting: &str, same: &[&Collision<'_>]) {
    // Writing to a string cannot fail.
    for collision in same.iter().take(LISTED) {
        let Listener { addr, purpose, .. } = collision.port;
        let _ = write!(text, "\n  {addr} for {purpose} {}", collision.reason());
    }
    if same.len() > LISTED {
        let last = same[same.len() - 1].port.addr;
        let _ = write!(text, "\n  … and {} more, up to {last}", same.len() - LISTED);
    }
    let _ = write!(text, "\n      to move it, set `{setting}`{}", flag(setting));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(listener: &TcpListener, purpose: &str) -> Listener {
        Listener {
            addr: listener.local_addr().unwrap(),
            purpose: purpose.to_owned(),
            setting: "ports.console".to_owned(),
        }
    }

    #[test]
    fn every_collision_is_named_with_its_setting_and_holder() {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let second = TcpListener::bind("127.0.0.1:0").unwrap();
        let ports = [port(&first, "console"), port(&second, "OTLP over gRPC")];
        let text = report(&collisions(&ports));
        assert!(text.starts_with("2 ports"), "{text}");
        for wanted in ["console", "OTLP over gRPC", "--console-port"] {
            assert!(text.contains(wanted), "{text}");
        }
    }

    #[test]
    fn a_port_that_is_wanted_twice_collides_with_itself() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let ports = [port(&free, "console"), port(&free, "OTLP over HTTP")];
        drop(free);
        assert_eq!(collisions(&ports).len(), 1);
    }
}
