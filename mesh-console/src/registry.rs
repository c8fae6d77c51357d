//! Which sidecars there are, which hold a stream, and what each acknowledged.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use mesh_proxy::config::{Ack, Problem, Registration, Report};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    ConsoleError,
    activity::ActivityLog,
    chaos,
    mesh_file::{Guest, bad_name},
    roster::Roster,
};

/// Most sidecars that are remembered.
const MOST: usize = 1024;

/// Longest name of an instance, and longest version.
const LONGEST_NAME: usize = 63;

/// Longest text in a report, bytes.
const LONGEST_TEXT: usize = 200;

/// Problems of a refusal that are told in the activity; all show in the overview.
const TOLD: usize = 3;

/// Service and instance: what a sidecar is known by.
pub(crate) type Key = (String, String);

/// A sidecar that registered at least once.
#[derive(Clone, Debug)]
pub(crate) struct Sidecar {
    /// Where its `/metrics` is reached from here.
    pub(crate) metrics: SocketAddr,
    /// Its process; another one counts from zero.
    pub(crate) pid: u32,
    /// Holds a stream now.
    pub(crate) connected: bool,
    /// Revision it acknowledged last on this stream.
    pub(crate) acknowledged: Option<u64>,
    /// Why it refused the revision it answered last.
    pub(crate) problems: Vec<Problem>,
    /// What it reported last on this stream.
    report: Option<Arc<Report>>,
    /// Ends the stream, for one that takes its place.
    replaced: CancellationToken,
    stream: u64,
}

/// All sidecars; `changed` counts up at every change.
pub(crate) struct Registry {
    roster: Roster,
    activity: Arc<ActivityLog>,
    sidecars: Mutex<Sidecars>,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct Sidecars {
    by_key: BTreeMap<Key, Sidecar>,
    streams: u64,
}

/// A sidecar's hold on its stream: dropped with it.
pub(crate) struct Hold {
    registry: Arc<Registry>,
    key: Key,
    stream: u64,
    /// Cancelled when another stream of the same sidecar takes over.
    pub(crate) replaced: CancellationToken,
}

impl Sidecar {
    /// What it reported last, if it is there.
    pub(crate) fn reported(&self) -> Option<&Report> {
        self.report.as_deref().filter(|_| self.connected)
    }

    /// Whether chaos was halted there alone.
    pub(crate) fn is_halted(&self) -> bool {
        self.reported().is_some_and(|report| report.halted)
    }
}

impl Registry {
    pub(crate) fn new(roster: Roster, activity: Arc<ActivityLog>) -> Self {
        Self {
            roster,
            activity,
            sidecars: Mutex::default(),
            changed: watch::Sender::new(0),
        }
    }

    /// Takes a sidecar in. One of the same name that still holds a stream loses
    /// it: it was restarted, and its old connection has not been missed yet.
    pub(crate) fn register(
        self: &Arc<Self>,
        registration: Registration,
        peer: IpAddr,
    ) -> Result<Hold, ConsoleError> {
        self.check(&registration)?;
        let guest = self.guest(&registration, peer);
        let replaced = CancellationToken::new();
        let text = format!(
            "the sidecar of {} connected{} (pid {}, version {})",
            registration.instance,
            if guest.is_some() { " as a guest" } else { "" },
            registration.pid,
            registration.version
        );
        let mut sidecar = Sidecar {
            metrics: reachable(registration.metrics, peer),
            pid: registration.pid,
            connected: true,
            acknowledged: None,
            problems: Vec::new(),
            report: None,
            replaced: replaced.clone(),
            stream: 0,
        };
        let key = (registration.service, registration.instance);
        let stream = {
            let mut all = self.lock();
            all.make_room(&key)?;
            all.streams += 1;
            sidecar.stream = all.streams;
            if let Some(old) = all.by_key.insert(key.clone(), sidecar) {
                old.replaced.cancel();
            }
            // Inside the lock: else the end of its last stream, which comes at the same
            // time, would take out the guest that has just come back.
            match guest {
                Some(guest) => self.roster.welcome(guest),
                None => self.roster.part(&key.0, &key.1),
            }
            all.streams
        };
        self.activity.add("sidecar", text);
        self.bump();
        Ok(Hold {
            registry: Arc::clone(self),
            key,
            stream,
            replaced,
        })
    }

    fn check(&self, registration: &Registration) -> Result<(), ConsoleError> {
        let file = self.roster.file();
        let known = file.services.contains_key(&registration.service);
        if !known && !registration.guest {
            return Err(ConsoleError::UnknownService {
                service: registration.service.clone(),
                known: file.known_services(),
            });
        }
        if let Some(message) = bad_name(&registration.service).filter(|_| !known) {
            return Err(ConsoleError::BadRequest(message));
        }
        if !is_name(&registration.instance) || !is_name(&registration.version) {
            return Err(ConsoleError::BadRequest(format!(
                "`instance` and `version` are 1 to {LONGEST_NAME} letters, digits, `-`, `_`, `.` or `+`"
            )));
        }
        Ok(())
    }

    /// The guest that registers; none: an instance that the mesh file lists.
    fn guest(&self, registration: &Registration, peer: IpAddr) -> Option<Guest> {
        let Registration {
            service, instance, ..
        } = registration;
        let is_guest = registration.guest && !self.roster.file().lists(service, instance);
        is_guest.then(|| Guest {
            service: service.clone(),
            instance: instance.clone(),
            inbound: registration
                .inbound
                .map(|addr| reachable(addr, peer).to_string()),
        })
    }

    /// Takes a sidecar's answer to a snapshot.
    pub(crate) fn acknowledge(&self, ack: Ack) -> Result<(), ConsoleError> {
        let refused = (!ack.problems.is_empty()).then(|| {
            let problems: Vec<String> = ack
                .problems
                .iter()
                .take(TOLD)
                .map(ToString::to_string)
                .collect();
            format!(
                "the sidecar of {} refused revision {}: {}",
                ack.instance,
                ack.revision,
                problems.join("; ")
            )
        });
        let key = (ack.service, ack.instance);
        {
            let mut all = self.lock();
            let sidecar = all.by_key.get_mut(&key).filter(|one| one.connected);
            let Some(sidecar) = sidecar else {
                let (service, instance) = key;
                return Err(ConsoleError::UnknownSidecar { service, instance });
            };
            if ack.problems.is_empty() {
                sidecar.acknowledged = Some(ack.revision);
            }
            sidecar.problems = ack.problems;
        }
        if let Some(text) = refused {
            self.activity.add("policy", text);
        }
        self.bump();
        Ok(())
    }

    /// Takes what a sidecar reports of its chaos rules.
    pub(crate) fn report(&self, report: Report) -> Result<Arc<Report>, ConsoleError> {
        check_report(&report)?;
        let report = Arc::new(report);
        let key = (report.service.clone(), report.instance.clone());
        let halted_anew = {
            let mut all = self.lock();
            let sidecar = all.by_key.get_mut(&key).filter(|one| one.connected);
            let Some(sidecar) = sidecar else {
                let (service, instance) = key;
                return Err(ConsoleError::UnknownSidecar { service, instance });
            };
            let was_halted = sidecar.is_halted();
            sidecar.report = Some(Arc::clone(&report));
            (report.halted != was_halted).then_some(report.halted)
        };
        if halted_anew == Some(true) {
            let text = format!(
                "chaos is halted at {} alone, by its admin API or a signal",
                report.instance
            );
            self.activity.add("chaos", text);
        }
        if halted_anew.is_some() {
            self.bump(); // what changes beside that is told each second
        }
        Ok(report)
    }

    /// All sidecars as they are now.
    pub(crate) fn list(&self) -> BTreeMap<Key, Sidecar> {
        self.lock().by_key.clone()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn disconnect(&self, key: &Key, stream: u64) {
        let gone = {
            let mut all = self.lock();
            let current = all.by_key.get_mut(key).filter(|one| one.stream == stream);
            let gone = current.map(|sidecar| sidecar.connected = false).is_some();
            if gone {
                self.roster.part(&key.0, &key.1);
            }
            gone
        };
        if gone {
            let text = format!("the sidecar of {} disconnected", key.1);
            self.activity.add("sidecar", text);
            self.bump();
        }
    }

    fn bump(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    fn lock(&self) -> MutexGuard<'_, Sidecars> {
        self.sidecars.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sidecars {
    /// Forgets sidecars that are gone when there are too many.
    fn make_room(&mut self, key: &Key) -> Result<(), ConsoleError> {
        if self.by_key.len() >= MOST && !self.by_key.contains_key(key) {
            self.by_key.retain(|_, sidecar| sidecar.connected);
            if self.by_key.len() >= MOST {
                return Err(ConsoleError::TooManySidecars { most: MOST });
            }
        }
        Ok(())
    }
}

impl Hold {
    pub(crate) fn service(&self) -> &str {
        &self.key.0
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.registry.disconnect(&self.key, self.stream);
    }
}

fn check_report(report: &Report) -> Result<(), ConsoleError> {
    let too_long = report.rules.iter().any(|rule| {
        let nearest = rule.nearest.iter();
        let texts = nearest.flat_map(|miss| [&miss.request, &miss.key]);
        texts
            .chain([&rule.id])
            .any(|text| text.len() > LONGEST_TEXT)
    });
    if report.rules.len() > chaos::MOST || too_long {
        return Err(ConsoleError::BadRequest(format!(
            "a report has at most {} rules, and texts of at most {LONGEST_TEXT} bytes",
            chaos::MOST
        )));
    }
    Ok(())
}

fn is_name(text: &str) -> bool {
    (1..=LONGEST_NAME).contains(&text.len())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.+".contains(c))
}

/// A sidecar that binds every interface is reached where it called from.
fn reachable(addr: SocketAddr, peer: IpAddr) -> SocketAddr {
    if addr.ip().is_unspecified() {
        SocketAddr::new(peer, addr.port())
    } else {
        addr
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::{clock::Clock, mesh_file::MeshFile};

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn guest() -> Registration {
        Registration {
            service: "reviews".to_owned(),
            instance: "reviews-1".to_owned(),
            guest: true,
            inbound: Some(SocketAddr::new(HERE, 7001)),
            metrics: SocketAddr::new(HERE, 7002),
            admin: SocketAddr::new(HERE, 7003),
            pid: 1,
            version: "1".to_owned(),
        }
    }

    #[test]
    fn a_guest_that_comes_back_while_its_old_stream_ends_stays() {
        let file = MeshFile::parse("mesh: m\nservices: { a: {} }").unwrap();
        let roster = Roster::new(Arc::new(file));
        let activity = Arc::new(ActivityLog::new(Clock::default()));
        let registry = Arc::new(Registry::new(roster.clone(), activity));
        let mut hold = registry.register(guest(), HERE).unwrap();
        for round in 0..2000 {
            let end = std::thread::spawn(move || drop(hold));
            hold = registry.register(guest(), HERE).unwrap();
            end.join().unwrap();
            assert!(roster.mesh().services.contains_key("reviews"), "{round}");
        }
        drop(hold);
        assert!(!roster.mesh().services.contains_key("reviews"));
    }
}
