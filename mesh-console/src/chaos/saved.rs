//! Chaos rules on disk, so that a restart of the console changes nothing.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use mesh_proxy::config::Rule;
use serde::{Deserialize, Serialize};

use crate::{
    ConsoleError, activity::ActivityLog, mesh_file::MeshFile, scenarios::Stage, snapshots::Draft,
};

/// What the file holds.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Saved {
    /// Revision that was published last.
    pub(super) revision: u64,
    /// Rules, with their state.
    rules: Vec<Rule>,
    /// The scenario that runs.
    #[serde(default)]
    stage: Stage,
    /// Rules of the mesh file at that time: what differs now was edited since.
    mesh: Vec<Rule>,
}

impl Saved {
    pub(super) fn new(revision: u64, mesh: &MeshFile, draft: &Draft) -> Self {
        Self {
            revision,
            rules: draft.rules.clone(),
            stage: draft.stage.clone(),
            mesh: mesh.chaos.clone(),
        }
    }

    pub(super) fn into_draft(self) -> Draft {
        Draft {
            rules: self.rules,
            stage: self.stage,
        }
    }

    /// Writes beside the file and renames, so that a crash leaves the old or the new.
    pub(super) async fn write(&self, file: &Path) -> io::Result<()> {
        let json = serde_json::to_vec_pretty(self)?;
        let beside = file.with_extension("json.new");
        tokio::fs::write(&beside, json).await?;
        tokio::fs::rename(&beside, file).await
    }

    /// Takes over what was edited in the mesh file since: rules that are new or
    /// different there win, rules that are gone there go. A scenario that would be
    /// another one now ends.
    fn merge(mut self, mesh: &MeshFile, activity: &ActivityLog) -> Self {
        if !self.stage.is_current(mesh)
            && let Some(ended) = self.stage.end(&mut self.rules)
        {
            let text = format!(
                "scenario `{}` ended: it was edited in the mesh file",
                ended.id
            );
            activity.add("chaos", text);
        }
        let unchanged = |rule: &Rule| mesh.chaos.contains(rule);
        let stale: Vec<String> = self
            .mesh
            .iter()
            .filter(|rule| !unchanged(rule))
            .map(|rule| rule.id.clone())
            .collect();
        self.rules.retain(|rule| !stale.contains(&rule.id));
        for rule in &mesh.chaos {
            if !self.mesh.contains(rule) {
                self.rules.retain(|old| old.id != rule.id);
                self.rules.push(rule.clone());
            }
        }
        self.rules.retain(|rule| mesh.check_rule(rule).is_empty());
        self
    }
}

/// Path of the file, with its folder made.
pub(super) fn file_in(data_dir: &Path) -> Result<PathBuf, ConsoleError> {
    let folder = data_dir.join("console");
    match fs::create_dir_all(&folder) {
        Ok(()) => Ok(folder.join("chaos.json")),
        Err(source) => Err(ConsoleError::DataDir {
            path: folder,
            source,
        }),
    }
}

/// What was saved, or the mesh file's rules where nothing was. A file that
/// cannot be read is put aside and said: it must not keep the mesh from starting.
pub(super) fn open(file: Option<&Path>, mesh: &MeshFile, activity: &ActivityLog) -> Saved {
    let fresh = Saved::new(
        0,
        mesh,
        &Draft {
            rules: mesh.chaos.clone(),
            stage: Stage::default(),
        },
    );
    let Some(file) = file else { return fresh };
    let text = match fs::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return fresh,
        Err(error) => {
            complain(file, &error.to_string(), activity);
            return fresh;
        }
    };
    match serde_json::from_slice::<Saved>(&text) {
        Ok(saved) => saved.merge(mesh, activity),
        Err(error) => {
            let aside = file.with_extension("json.unreadable");
            let kept = fs::rename(file, &aside).is_ok();
            let place = if kept {
                aside.display().to_string()
            } else {
                String::from("its place")
            };
            complain(file, &format!("{error}; it is kept at {place}"), activity);
            fresh
        }
    }
}

fn complain(file: &Path, why: &str, activity: &ActivityLog) {
    let text = format!(
        "saved chaos rules in {} cannot be read: {why}; the mesh file's rules are used",
        file.display()
    );
    activity.add("chaos", text);
}
