//! What each service's sidecars are told, revision by revision.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use mesh_proxy::config::{Policy, Rule, Snapshot};

use crate::{mesh_file::MeshFile, scenarios::Stage};

/// What is in force now. Replaced as a whole at every change.
#[derive(Clone, Debug, Default)]
pub(crate) struct Published {
    /// Newest revision.
    pub(crate) revision: u64,
    /// Chaos rules, in the order they were made.
    pub(crate) rules: Arc<[Rule]>,
    /// The scenario that runs.
    pub(crate) stage: Arc<Stage>,
    services: BTreeMap<String, Arc<Compiled>>,
}

/// What may be changed before it is published.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft {
    pub(crate) rules: Vec<Rule>,
    pub(crate) stage: Stage,
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
    pub(crate) fn next(&self, mesh: &MeshFile, revision: u64, draft: Draft) -> Self {
        let Draft { rules, stage } = draft;
        let changed = stage.over(mesh);
        let mesh = changed.as_ref().unwrap_or(mesh);
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
            stage: Arc::new(stage),
            services,
        }
    }

    pub(crate) fn draft(&self) -> Draft {
        Draft {
            rules: self.rules.to_vec(),
            stage: Stage::clone(&self.stage),
        }
    }

    /// When what is in force ends, milliseconds since the Unix epoch.
    pub(crate) fn ends(&self) -> impl Iterator<Item = u64> {
        let rules = self.rules.iter().filter(|rule| rule.enabled);
        let running = self.stage.running.as_ref();
        rules
            .filter_map(|rule| rule.expires_at_ms)
            .chain(running.map(|running| running.ends_at_ms))
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
        let first = Published::default().next(&mesh, 1, Draft::default());
        let second = first.next(&mesh, 2, Draft::default());
        assert_eq!(second.revision, 2);
        assert_eq!(second.of("a").unwrap().revision, 1);
    }
}
