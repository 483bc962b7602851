//! The environments that are there, and who uses them.
//!
//! ```text
//! DIR/<key>/        an environment, whole
//! DIR/<key>.lock    held alone by who builds or removes it, shared by who uses it; its time is that of the last use
//! DIR/.build-<key>/ one that is being built
//! ```

use std::{
    collections::HashMap,
    ffi::OsString,
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant, SystemTime},
};

use serde::{Deserialize, Serialize};
use tokio::sync::{OnceCell, Semaphore};
use tradewind_guest::GuestEnv;
use tradewind_types::{Environment, sha256_hex};

use crate::{EnvironmentError, EnvironmentOptions, base::Base, build::Build, messages, uv};

/// How long a build that failed is not tried again.
const PAUSE: Duration = Duration::from_secs(60);
/// Builds at once in this process.
const BUILDS: usize = 2;
/// Time between two looks at a lock that somebody holds.
const LOCK_PAUSE: Duration = Duration::from_millis(100);
/// What makes an environment whole.
const MANIFEST: &str = "tradewind-environment.json";

/// What is known of an environment on disk.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    name: String,
    hash: String,
    bytes: u64,
}

/// An environment in use. It is not removed for as long as this lives.
#[derive(Debug)]
pub struct Prepared {
    key: String,
    name: String,
    guest: GuestEnv,
    /// Shared with all who use it, in other processes, too.
    _lock: File,
}

impl Prepared {
    /// Its address in the folder of environments.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The name by which it was asked for first.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The guest in it.
    pub fn guest(&self) -> &GuestEnv {
        &self.guest
    }
}

/// The environments of one process. Clones of the `Arc` share what is in use.
#[derive(Debug)]
pub struct Environments {
    options: EnvironmentOptions,
    /// The guest of the installation.
    guest: GuestEnv,
    dir: PathBuf,
    base: OnceCell<Base>,
    /// One entry an environment that was asked for: whoever comes first builds, the others wait.
    slots: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Slot>>>>,
    builds: Semaphore,
}

#[derive(Debug, Default)]
struct Slot {
    prepared: Weak<Prepared>,
    failed: Option<(Instant, EnvironmentError)>,
}

impl Environments {
    /// The environments for a process whose own guest is `guest`. Nothing is made yet.
    pub fn new(options: EnvironmentOptions, guest: GuestEnv) -> Arc<Self> {
        let dir = options.dir.clone().unwrap_or_else(|| guest.home.join("environments"));
        Arc::new(Self {
            options,
            guest,
            dir,
            base: OnceCell::new(),
            slots: Mutex::default(),
            builds: Semaphore::new(BUILDS),
        })
    }

    /// What this process was told.
    pub fn options(&self) -> &EnvironmentOptions {
        &self.options
    }

    /// The environment, built from the files of its definition below `root` if it is not there yet. A build goes on when
    /// nobody waits for it any more; one that failed fails at once for a while.
    ///
    /// # Errors
    /// It cannot be built: says why, and how to mend it.
    pub async fn prepare(
        self: &Arc<Self>,
        environment: &Environment,
        root: &Path,
    ) -> Result<Arc<Prepared>, EnvironmentError> {
        let base = self.base.get_or_try_init(|| Base::of(&self.guest)).await;
        let base = base.map_err(|error| EnvironmentError(messages::whole(environment, &error.0)))?;
        let key = sha256_hex(format!("{}\n{}", environment.hash, base.hash).as_bytes())[..32].to_owned();
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry(key.clone()).or_default())
        };
        let mut slot = slot.lock().await;
        if let Some(prepared) = slot.prepared.upgrade() {
            return Ok(prepared);
        }
        if let Some((at, error)) = &slot.failed
            && at.elapsed() < PAUSE
        {
            return Err(error.clone());
        }
        let (this, environment, root, base) = (Arc::clone(self), environment.clone(), root.to_owned(), base.clone());
        let work = tokio::spawn(async move { this.open_or_build(&environment, &key, &base, &root).await });
        let done = work.await.unwrap_or_else(|error| Err(EnvironmentError(format!("building it failed: {error}"))));
        match done {
            Ok(prepared) => {
                let prepared = Arc::new(prepared);
                *slot = Slot { prepared: Arc::downgrade(&prepared), failed: None };
                Ok(prepared)
            }
            Err(error) => {
                slot.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    async fn open_or_build(
        &self,
        environment: &Environment,
        key: &str,
        base: &Base,
        root: &Path,
    ) -> Result<Prepared, EnvironmentError> {
        let failed = |error: io::Error| {
            let dir = self.dir.display();
            EnvironmentError(messages::whole(environment, &format!("{dir} (python.environments_dir): {error}")))
        };
        loop {
            if let Some(lock) = self.open(key).await.map_err(failed)? {
                return Ok(self.prepared(environment, key, lock));
            }
            let _slot = self.builds.acquire().await;
            let lock = self.lock(key, File::try_lock).await.map_err(failed)?;
            // Another process may have built it while we waited for the lock.
            if !is_whole(&self.dir.join(key)) {
                self.build(environment, key, base, root).await?;
            }
            drop(lock);
        }
    }

    /// The environment with its lock shared, if it is whole.
    async fn open(&self, key: &str) -> io::Result<Option<File>> {
        let lock = self.lock(key, File::try_lock_shared).await?;
        if !is_whole(&self.dir.join(key)) {
            return Ok(None);
        }
        lock.set_modified(SystemTime::now())?;
        Ok(Some(lock))
    }

    /// Takes the lock of an environment, as soon as nobody is in the way. It waits here and not in the system, where it
    /// could not be given up.
    async fn lock(&self, key: &str, how: fn(&File) -> Result<(), TryLockError>) -> io::Result<File> {
        std::fs::create_dir_all(&self.dir)?;
        let file = lock_file(&self.dir, key)?;
        let until = Instant::now() + self.options.build_timeout + LOCK_PAUSE;
        loop {
            match how(&file) {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if Instant::now() >= until => {
                    let waited = self.options.build_timeout.as_secs_f64();
                    return Err(io::Error::other(format!(
                        "another process has held {key}.lock for {waited} s; if its environment was removed by hand, \
                         restart the processes that use it"
                    )));
                }
                Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_PAUSE).await,
            }
        }
    }

    fn prepared(&self, environment: &Environment, key: &str, lock: File) -> Prepared {
        let bin = self.dir.join(key).join("bin");
        let mut guest = self.guest.clone();
        guest.python = bin.join("python");
        guest.home = self.guest.home.join("environment-homes").join(key);
        // What a task starts by name is looked for in its environment first.
        let path =
            guest.extra_env.iter().rev().find(|(name, _)| name == "PATH").map(|(_, value)| OsString::from(value));
        let mut folders = vec![bin];
        folders.extend(std::env::split_paths(&path.or_else(|| std::env::var_os("PATH")).unwrap_or_default()));
        if let Some(path) = std::env::join_paths(folders).ok().and_then(|path| path.into_string().ok()) {
            guest.extra_env.push(("PATH".to_owned(), path));
        }
        Prepared { key: key.to_owned(), name: environment.name.clone(), guest, _lock: lock }
    }

    /// Builds it; its lock is held alone.
    async fn build(
        &self,
        environment: &Environment,
        key: &str,
        base: &Base,
        root: &Path,
    ) -> Result<(), EnvironmentError> {
        let work = self.dir.join(format!(".build-{key}"));
        let started = Instant::now();
        let name = &environment.name;
        tracing::info!(name, key, file = environment.packages.file(), "building a Python environment");
        let result = self.build_in(&work, environment, key, base, root).await;
        remove(&work);
        match &result {
            Ok(bytes) => {
                let secs = started.elapsed().as_secs_f64();
                tracing::info!(name, key, secs, mib = bytes >> 20, "a Python environment is built");
                self.evict(key).await;
            }
            Err(error) => tracing::warn!(name, key, "{error}"),
        }
        result.map(drop)
    }

    async fn build_in(
        &self,
        work: &Path,
        environment: &Environment,
        key: &str,
        base: &Base,
        root: &Path,
    ) -> Result<u64, EnvironmentError> {
        let uv = uv::find(self.options.uv.as_deref(), &self.guest.python);
        let uv = uv.map_err(|error| EnvironmentError(messages::whole(environment, &error.0)))?;
        let limit = self.options.build_timeout;
        // What an earlier process left that did not come to its end.
        remove(work);
        let build = Build { environment, base, uv: &uv, python: &self.guest.python, root, work, limit };
        let venv = build.run().await?;
        let manifest = Manifest { name: environment.name.clone(), hash: environment.hash.clone(), bytes: 0 };
        let place = self.dir.join(key);
        let finished = tokio::task::spawn_blocking(move || finish(&venv, manifest, &place));
        finished.await.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(|error| {
            EnvironmentError(messages::whole(environment, &format!("it cannot be put in its place: {error}")))
        })
    }

    /// Removes the least recently used environments that nobody uses, until the rest fits; never `kept`.
    async fn evict(&self, kept: &str) {
        let (dir, max, kept) = (self.dir.clone(), self.options.cache_bytes, kept.to_owned());
        let removed = tokio::task::spawn_blocking(move || evict(&dir, max, &kept)).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(dir = %self.dir.display(), %error, "cannot look after the Python environments");
        }
    }
}

fn lock_path(dir: &Path, key: &str) -> PathBuf {
    dir.join(format!("{key}.lock"))
}

fn lock_file(dir: &Path, key: &str) -> io::Result<File> {
    File::options().create(true).truncate(false).write(true).open(lock_path(dir, key))
}

fn is_whole(environment: &Path) -> bool {
    // The interpreter is a link: that it leads somewhere is not a matter of course.
    environment.join(MANIFEST).is_file() && environment.join("bin/python").is_file()
}

/// Puts what was built in its place.
fn finish(venv: &Path, mut manifest: Manifest, place: &Path) -> io::Result<u64> {
    manifest.bytes = size_of(venv)?;
    std::fs::write(venv.join(MANIFEST), serde_json::to_vec(&manifest).map_err(io::Error::other)?)?;
    // What is there is not whole.
    remove(place);
    std::fs::rename(venv, place)?;
    Ok(manifest.bytes)
}

fn size_of(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { size_of(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

fn evict(dir: &Path, max: u64, kept: &str) -> io::Result<()> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if let Some(key) = name.strip_prefix(".build-") {
            // Whoever builds holds the lock; what nobody holds is left over.
            if let Some(_lock) = alone(dir, key) {
                remove(&dir.join(&name));
            }
            continue;
        }
        let manifest = std::fs::read(dir.join(&name).join(MANIFEST)).ok();
        let manifest: Option<Manifest> = manifest.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        if let Some(manifest) = manifest {
            let used = std::fs::metadata(lock_path(dir, &name)).and_then(|metadata| metadata.modified());
            found.push((used.unwrap_or(SystemTime::UNIX_EPOCH), name, manifest));
        }
    }
    found.sort_by_key(|(used, _, _)| *used);
    let mut bytes: u64 = found.iter().map(|(_, _, manifest)| manifest.bytes).sum();
    for (_, key, manifest) in found.iter().filter(|(_, key, _)| key != kept) {
        if bytes <= max {
            return Ok(());
        }
        if let Some(_lock) = alone(dir, key) {
            remove(&dir.join(key));
            bytes = bytes.saturating_sub(manifest.bytes);
            tracing::info!(name = manifest.name, key, "a Python environment left the cache");
        }
    }
    if bytes > max {
        tracing::warn!(
            bytes,
            max,
            "the Python environments in use alone are larger than python.environment_cache_bytes"
        );
    }
    Ok(())
}

/// The lock of an environment that nobody uses or builds.
fn alone(dir: &Path, key: &str) -> Option<File> {
    let file = lock_file(dir, key).ok()?;
    file.try_lock().is_ok().then_some(file)
}

fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_dir_all(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "cannot remove what is left of a Python environment");
    }
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
