//! Everything a mesh leaves on disk: databases, logs, the resolved mesh file.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use mesh_console::mesh_file::MeshFile;

use crate::failure::Failure;

/// Where `glassmesh up` keeps its files unless told otherwise.
pub(crate) const DEFAULT: &str = "./.glassmesh";

/// The mesh file with all addresses chosen, as the console reads it.
pub(crate) fn resolved_mesh_file(data_dir: &Path) -> PathBuf {
    data_dir.join("run/mesh.yaml")
}

/// A data directory that belongs to this process until it ends.
pub(super) struct DataDir {
    path: PathBuf,
    /// Locked; the lock goes with the process, however that ends.
    _lock: File,
}

impl DataDir {
    /// Makes the directory and takes it; refused while another mesh runs in it.
    pub(super) fn take(path: &Path) -> Result<Self, Failure> {
        for part in ["db", "logs", "run"] {
            let part = path.join(part);
            fs::create_dir_all(&part).with_context(|| {
                format!(
                    "cannot make {}; choose another place with --data-dir",
                    part.display()
                )
            })?;
        }
        // Children get absolute paths: nothing then hangs on a working directory.
        let path = path.canonicalize()?;
        let lock = take_lock(&path)?;
        Ok(Self { path, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// Writes the resolved file, whole or not at all.
    pub(super) fn write_mesh_file(&self, mesh: &MeshFile) -> anyhow::Result<PathBuf> {
        let file = resolved_mesh_file(&self.path);
        let draft = file.with_extension("yaml.new");
        let text = serde_saphyr::to_string(mesh).context("cannot write the mesh file as YAML")?;
        fs::write(&draft, text)
            .and_then(|()| fs::rename(&draft, &file))
            .with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    }
}

impl Drop for DataDir {
    /// The command line looks for a running mesh here: none is left behind.
    fn drop(&mut self) {
        let _ = fs::remove_file(resolved_mesh_file(&self.path));
    }
}

/// Process id of the supervisor whose mesh runs in a data directory; none: no mesh does.
pub(crate) fn running(data_dir: &Path) -> Option<i32> {
    let mut file = File::open(data_dir.join("run/lock")).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => {}
        // Nobody holds it: what stands in it is of a mesh that has ended.
        Ok(()) | Err(TryLockError::Error(_)) => return None,
    }
    let mut pid = String::new();
    file.read_to_string(&mut pid).ok()?;
    pid.trim().parse().ok().filter(|pid| *pid > 0)
}

fn take_lock(data_dir: &Path) -> Result<File, Failure> {
    let path = data_dir.join("run/lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(taken(data_dir, &mut file)),
        Err(TryLockError::Error(error)) => {
            return Err(Failure::Failed(
                anyhow::Error::new(error).context(format!("cannot lock {}", path.display())),
            ));
        }
    }
    write_pid(&mut file).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(file)
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn taken(data_dir: &Path, lock: &mut File) -> Failure {
    let mut pid = String::new();
    let _ = lock.read_to_string(&mut pid);
    let pid = match pid.trim() {
        "" => "an unknown id".to_owned(),
        pid => format!("id {pid}"),
    };
    Failure::Invalid(format!(
        "a mesh runs in {} already (process {pid}); stop it with Ctrl-C or `kill`, or start this one with another --data-dir and other ports",
        data_dir.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_mesh_in_the_same_place_is_refused_with_the_pid() {
        let place = std::env::temp_dir().join(format!("glassmesh-lock-{}", std::process::id()));
        let first = DataDir::take(&place).unwrap();
        let Err(Failure::Invalid(why)) = DataDir::take(&place) else {
            panic!("taken twice");
        };
        assert!(why.contains(&std::process::id().to_string()), "{why}");
        assert_eq!(running(&place), i32::try_from(std::process::id()).ok());
        drop(first);
        assert_eq!(
            running(&place),
            None,
            "a mesh that has ended is told nothing"
        );
        assert!(DataDir::take(&place).is_ok());
        fs::remove_dir_all(place).unwrap();
    }
}
