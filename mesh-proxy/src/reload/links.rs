//! Where a change of a file can happen: in its folder, and in the folder of every
//! link on the way to it. A `ConfigMap` swaps a link beside the file, a release the
//! link to a whole folder above it.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    path::{Path, PathBuf},
};

/// Links that are followed before a path counts as a circle; the kernel's limit.
const MOST: usize = 40;

/// Folders to watch, and the names in them whose change is of interest.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    /// As the kernel names them, without links.
    pub(super) folders: BTreeSet<PathBuf>,
    pub(super) names: BTreeSet<OsString>,
}

impl Places {
    /// Of this file, which may be missing at the moment.
    pub(super) fn of(file: &Path) -> Self {
        let mut places = Self::default();
        let mut todo = vec![std::path::absolute(file).unwrap_or_else(|_| file.to_owned())];
        for _ in 0..MOST {
            let Some(path) = todo.pop() else { break };
            places.add(&path);
            for above in path.ancestors() {
                let Ok(target) = above.read_link() else {
                    continue; // no link, or not there
                };
                places.add(above);
                let beside = above.parent().unwrap_or(above).join(target);
                todo.push(match path.strip_prefix(above) {
                    Ok(rest) if !rest.as_os_str().is_empty() => beside.join(rest),
                    _ => beside,
                });
            }
        }
        places
    }

    fn add(&mut self, path: &Path) {
        self.names.extend(path.file_name().map(ToOwned::to_owned));
        let folder = path.parent().map(Path::canonicalize);
        self.folders.extend(folder.and_then(Result::ok));
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::Places;

    #[test]
    fn every_link_on_the_way_is_watched() {
        let root = std::env::temp_dir().join(format!("mesh-links-{}", std::process::id()));
        let (map, release) = (root.join("map"), root.join("release"));
        fs::create_dir_all(map.join("..one")).unwrap();
        fs::create_dir_all(&release).unwrap();
        fs::write(map.join("..one/sidecar.yaml"), "").unwrap();
        symlink("..one", map.join("..data")).unwrap();
        symlink("..data/sidecar.yaml", map.join("sidecar.yaml")).unwrap();
        symlink("../map", release.join("current")).unwrap();
        let places = Places::of(&release.join("current/sidecar.yaml"));
        for folder in [&release, &map, &map.join("..one")] {
            let folder = folder.canonicalize().unwrap();
            assert!(places.folders.contains(&folder), "{folder:?} {places:?}");
        }
        for name in ["current", "..data", "sidecar.yaml"] {
            assert!(
                places.names.contains(std::ffi::OsStr::new(name)),
                "{places:?}"
            );
        }
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_circle_of_links_ends() {
        let root = std::env::temp_dir().join(format!("mesh-circle-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        symlink("b", root.join("a")).unwrap();
        symlink("a", root.join("b")).unwrap();
        assert_eq!(Places::of(&root.join("a")).folders.len(), 1);
        fs::remove_dir_all(root).unwrap();
    }
}
