//! What each service's sidecars are told, revision by revision.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use mesh_proxy::config::{Policy, Rule, Snapshot};

use crate::mesh_file::MeshFile;

/// What is in force now. Replaced as a whole at every change.
#[derive(Clone, Debug, Default)]
pub(crate) struct Published {
    /// Newest revision.
    pub(crate) revision: u64,
    /// Chaos rules, in the order they were made.
    pub(crate) rules: Arc<[Rule]>,
    services: BTreeMap<String, Arc<Compiled>>,
}

/// Snapshot of one service's sidecars.
#[derive(Debug)]
pub(crate) struct Compiled {
    /// Revision in which the policy last changed.
    pub(crate) revision: u64,
    /// The snapshot as a line of the stream.
    pub(crate) line: Bytes,
    policy: Vec<u8>,
}

impl Published {
    /// Compiles every service's policy. One that says what it said before keeps
    /// its revision, so that its sidecars hear nothing.
    pub(crate) fn next(&self, mesh: &MeshFile, revision: u64, rules: Vec<Rule>) -> Self {
        let services = mesh
            .services
            .keys()
            .map(|service| {
                let policy = mesh.policy_for(service, &rules);
                let before = self.services.get(service);
                (service.clone(), compile(before, revision, policy))
            })
            .collect();
        Self {
            revision,
            rules: rules.into(),
            services,
        }
    }

    pub(crate) fn of(&self, service: &str) -> Option<&Arc<Compiled>> {
        self.services.get(service)
    }
}

fn compile(before: Option<&Arc<Compiled>>, revision: u64, policy: Policy) -> Arc<Compiled> {
    let json = to_json(&policy);
    if let Some(same) = before.filter(|before| before.policy == json) {
        return Arc::clone(same);
    }
    let mut line = to_json(&Snapshot { revision, policy });
    line.push(b'\n');
    Arc::new(Compiled {
        revision,
        line: line.into(),
        policy: json,
    })
}

fn to_json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("policies are plain data with string keys")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_did_not_change_keeps_its_revision() {
        let mesh = MeshFile::parse("mesh: m\nservices: { a: { calls: [b] }, b: {} }").unwrap();
        let first = Published::default().next(&mesh, 1, Vec::new());
        let second = first.next(&mesh, 2, Vec::new());
        assert_eq!(second.revision, 2);
        assert_eq!(second.of("a").unwrap().revision, 1);
    }
}
