//! The mesh as it is now: the mesh file, and the guests that are there.

use std::sync::Arc;

use tokio::sync::watch;

use crate::mesh_file::{Guest, MeshFile};

/// See the module. Clones share one roster.
#[derive(Clone)]
pub(crate) struct Roster {
    file: Arc<MeshFile>,
    now: watch::Sender<Now>,
}

/// Guests and the mesh with them.
pub(crate) struct Now {
    guests: Vec<Guest>,
    mesh: Arc<MeshFile>,
}

impl Roster {
    pub(crate) fn new(file: Arc<MeshFile>) -> Self {
        let now = Now {
            guests: Vec::new(),
            mesh: Arc::clone(&file),
        };
        Self {
            file,
            now: watch::Sender::new(now),
        }
    }

    /// What the file says.
    pub(crate) fn file(&self) -> &Arc<MeshFile> {
        &self.file
    }

    /// With the guests.
    pub(crate) fn mesh(&self) -> Arc<MeshFile> {
        Arc::clone(&self.now.borrow().mesh)
    }

    /// Takes a guest in; one of the same name, or at the same address, makes room: it
    /// is gone, and only not missed yet.
    pub(crate) fn welcome(&self, guest: Guest) {
        self.change(|guests| {
            if guests.contains(&guest) {
                return false;
            }
            guests.retain(|old| {
                let elsewhere = old.service != guest.service
                    || old.inbound.is_none()
                    || old.inbound != guest.inbound;
                elsewhere && !same(old, &guest.service, &guest.instance)
            });
            guests.push(guest);
            true
        });
    }

    /// Forgets a guest, if it is one.
    pub(crate) fn part(&self, service: &str, instance: &str) {
        self.change(|guests| {
            let before = guests.len();
            guests.retain(|old| !same(old, service, instance));
            guests.len() != before
        });
    }

    /// Tells of changes.
    pub(crate) fn watch(&self) -> watch::Receiver<Now> {
        self.now.subscribe()
    }

    fn change(&self, apply: impl FnOnce(&mut Vec<Guest>) -> bool) {
        self.now.send_if_modified(|now| {
            let changed = apply(&mut now.guests);
            if changed {
                now.mesh = Arc::new(self.file.with_guests(&now.guests));
            }
            changed
        });
    }
}

fn same(guest: &Guest, service: &str, instance: &str) -> bool {
    guest.service == service && guest.instance == instance
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest(instance: &str, inbound: Option<&str>) -> Guest {
        Guest {
            service: "reviews".to_owned(),
            instance: instance.to_owned(),
            inbound: inbound.map(ToOwned::to_owned),
        }
    }

    #[test]
    fn a_guest_at_the_address_of_another_takes_its_place() {
        let file = MeshFile::parse("mesh: m\nservices: { a: {} }").unwrap();
        let roster = Roster::new(Arc::new(file));
        for instance in ["reviews-1", "reviews-2"] {
            roster.welcome(guest(instance, Some("127.0.0.1:7001")));
        }
        roster.welcome(guest("reviews-3", None));
        roster.welcome(guest("reviews-4", None));
        roster.part("reviews", "reviews-1");
        let endpoints = &roster.mesh().policy_for("a", &[]).clusters["reviews"].endpoints;
        assert_eq!(*endpoints, ["127.0.0.1:7001"]);
        assert_eq!(roster.now.borrow().guests.len(), 3);
    }
}
