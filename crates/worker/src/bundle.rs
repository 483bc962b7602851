//! The cache of bundles: the files of a DAG version, unpacked once, shared by all attempts that need them.
//!
//! ```text
//! DIR/blobs/<hash>          the bytes of one file
//! DIR/bundles/<hash>.json   the manifest of an unpacked bundle
//! DIR/bundles/<hash>/       its files
//! ```
//! Everything is named by its content, appears whole or not at all (written aside, then renamed), and is checked before
//! it is trusted. The least recently used bundles go when the cache is larger than it may be; one in use never does.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use tokio::sync::{RwLock, mpsc};
use tradewind_types::{ApiError, BlobHash, Bundle, BundleHash, sha256_hex};

/// A part of a blob; the parts of one blob come in order.
#[derive(Clone, Debug)]
pub(crate) struct BlobPart {
    pub(crate) hash: BlobHash,
    pub(crate) data: Vec<u8>,
    pub(crate) last: bool,
}

/// Where bundles come from.
#[async_trait]
pub(crate) trait BundleSource: Send + Sync {
    /// What a bundle holds.
    async fn manifest(&self, hash: &BundleHash) -> Result<Bundle, ApiError>;

    /// The bytes of blobs.
    async fn blobs(&self, hashes: Vec<BlobHash>, into: mpsc::Sender<BlobPart>) -> Result<(), ApiError>;
}

/// An unpacked bundle in use. It stays where it is for as long as this lives.
#[derive(Clone, Debug)]
pub(crate) struct BundleRef(Arc<Unpacked>);

#[derive(Debug)]
struct Unpacked {
    hash: BundleHash,
    dir: PathBuf,
}

impl BundleRef {
    pub(crate) fn dir(&self) -> &Path {
        &self.0.dir
    }

    pub(crate) fn hash(&self) -> &BundleHash {
        &self.0.hash
    }
}

/// The cache.
pub(crate) struct BundleCache {
    dir: PathBuf,
    max_bytes: u64,
    source: Arc<dyn BundleSource>,
    state: Mutex<State>,
    /// Fetches share it, an eviction has it alone: it must not take blobs that a fetch has just found.
    gate: RwLock<()>,
}

#[derive(Default)]
struct State {
    /// One entry a bundle that was asked for: whoever comes first fetches, the others wait.
    slots: HashMap<BundleHash, Arc<tokio::sync::Mutex<Option<BundleRef>>>>,
    /// The unpacked bundles on disk.
    index: HashMap<BundleHash, Entry>,
    uses: u64,
}

struct Entry {
    files: Vec<(BlobHash, u64)>,
    used: u64,
}

impl BundleCache {
    /// The cache in `dir`, with what an earlier process left there.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub(crate) fn open(dir: PathBuf, max_bytes: u64, source: Arc<dyn BundleSource>) -> std::io::Result<Self> {
        std::fs::create_dir_all(dir.join("blobs"))?;
        std::fs::create_dir_all(dir.join("bundles"))?;
        let mut state = State::default();
        let mut left: Vec<(std::time::SystemTime, Bundle)> = Vec::new();
        for entry in std::fs::read_dir(dir.join("bundles"))?.flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') {
                // What a fetch left that did not come to its end.
                remove(&path);
            } else if let Some(hash) = name.strip_suffix(".json")
                && let Some(bundle) = read_manifest(&path, hash)
            {
                let modified = entry.metadata().and_then(|meta| meta.modified());
                left.push((modified.unwrap_or(std::time::UNIX_EPOCH), bundle));
            }
        }
        left.sort_by_key(|(modified, _)| *modified);
        for (_, bundle) in left {
            state.note(&bundle);
        }
        Ok(Self { dir, max_bytes, source, state: Mutex::new(state), gate: RwLock::new(()) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is sound between any two statements, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bundle, unpacked. Fetches what is missing.
    ///
    /// # Errors
    /// It does not exist, does not hold what its address says, or there is no room for it.
    pub(crate) async fn get(&self, hash: &BundleHash) -> Result<BundleRef, ApiError> {
        if !is_hash(hash.as_str()) {
            return Err(ApiError::invalid(format!("\"{hash}\" is not the address of a bundle")));
        }
        let slot = Arc::clone(self.lock().slots.entry(hash.clone()).or_default());
        let mut slot = slot.lock().await;
        if let Some(bundle) = slot.as_ref() {
            self.lock().touch(hash);
            return Ok(bundle.clone());
        }
        {
            let _fetching = self.gate.read().await;
            let bundle = match self.unpacked(hash).await {
                Some(bundle) => bundle,
                None => self.fetch(hash).await?,
            };
            self.lock().note(&bundle);
        }
        let bundle = BundleRef(Arc::new(Unpacked { hash: hash.clone(), dir: self.bundle_dir(hash) }));
        *slot = Some(bundle.clone());
        drop(slot);
        self.evict().await;
        Ok(bundle)
    }

    fn bundle_dir(&self, hash: &BundleHash) -> PathBuf {
        self.dir.join("bundles").join(hash.as_str())
    }

    /// What an earlier process unpacked, if every byte of it is as it should be.
    async fn unpacked(&self, hash: &BundleHash) -> Option<Bundle> {
        let dir = self.bundle_dir(hash);
        let manifest = manifest_path(&dir);
        let hash = hash.clone();
        blocking(move || {
            let bundle = read_manifest(&manifest, hash.as_str())?;
            let whole = bundle.files.iter().all(|file| {
                std::fs::read(dir.join(&file.path)).is_ok_and(|bytes| sha256_hex(&bytes) == file.blob.as_str())
            });
            if !whole {
                tracing::warn!(%hash, "an unpacked bundle was changed on disk; it is fetched again");
                remove(&manifest);
                remove(&dir);
            }
            whole.then_some(bundle)
        })
        .await
    }

    async fn fetch(&self, hash: &BundleHash) -> Result<Bundle, ApiError> {
        let bundle = self.source.manifest(hash).await?;
        if bundle.hash != *hash || !bundle.is_sound() {
            return Err(ApiError::internal(format!("bundle {hash}: what the scheduler sent does not fit its address")));
        }
        if let Some(file) = bundle.files.iter().find(|file| !is_hash(file.blob.as_str())) {
            return Err(ApiError::internal(format!("bundle {hash}: {} has a wrong address", file.path)));
        }
        self.fetch_blobs(&bundle).await?;
        let (blobs, dir) = (self.dir.join("blobs"), self.bundle_dir(hash));
        let unpack = bundle.clone();
        blocking(move || unpack_bundle(&unpack, &blobs, &dir))
            .await
            .map_err(|error| ApiError::internal(format!("bundle {hash}: {error}")))?;
        Ok(bundle)
    }

    /// Fetches the blobs that are not here, or not as they should be.
    async fn fetch_blobs(&self, bundle: &Bundle) -> Result<(), ApiError> {
        let blobs = self.dir.join("blobs");
        let mut wanted: HashMap<BlobHash, u64> =
            bundle.files.iter().map(|file| (file.blob.clone(), file.size)).collect();
        let (folder, mut missing) = (blobs.clone(), wanted.keys().cloned().collect::<Vec<_>>());
        missing = blocking(move || {
            missing.retain(|hash| {
                let known = std::fs::read(folder.join(hash.as_str()));
                known.map_or(true, |bytes| sha256_hex(&bytes) != hash.as_str())
            });
            missing
        })
        .await;
        if missing.is_empty() {
            return Ok(());
        }
        wanted.retain(|hash, _| missing.contains(hash));
        let (sender, mut parts) = mpsc::channel::<BlobPart>(4);
        let receive = async {
            let mut bytes: HashMap<BlobHash, Vec<u8>> = HashMap::new();
            while let Some(part) = parts.recv().await {
                let Some(size) = wanted.get(&part.hash) else {
                    return Err(ApiError::internal(format!("blob {} was not asked for", part.hash)));
                };
                let blob = bytes.entry(part.hash.clone()).or_default();
                blob.extend_from_slice(&part.data);
                if blob.len() as u64 > *size {
                    return Err(ApiError::internal(format!("blob {} is larger than its bundle says", part.hash)));
                }
                if part.last {
                    let blob = bytes.remove(&part.hash).unwrap_or_default();
                    wanted.remove(&part.hash);
                    store_blob(&blobs, part.hash, blob).await?;
                }
            }
            match wanted.keys().next() {
                None => Ok(()),
                Some(hash) => Err(ApiError::unavailable(format!("blob {hash} did not come whole"))),
            }
        };
        let (sent, received) = tokio::join!(self.source.blobs(missing, sender), receive);
        sent.and(received)
    }

    /// Removes the least recently used bundles until the cache fits, then blobs that no bundle has.
    async fn evict(&self) {
        if self.lock().bytes() <= self.max_bytes {
            return;
        }
        let _alone = self.gate.write().await;
        loop {
            let victim = {
                let mut state = self.lock();
                if state.bytes() <= self.max_bytes {
                    break;
                }
                let Some(victim) = state.victim() else {
                    tracing::warn!(
                        max_bytes = self.max_bytes,
                        "the bundles in use alone are larger than worker.bundle_cache_bytes"
                    );
                    break;
                };
                state.index.remove(&victim);
                state.slots.remove(&victim);
                victim
            };
            let dir = self.bundle_dir(&victim);
            blocking(move || {
                remove(&manifest_path(&dir));
                remove(&dir);
            })
            .await;
            tracing::debug!(hash = %victim, "a bundle left the cache");
        }
        let kept: HashSet<BlobHash> = {
            let state = self.lock();
            state.index.values().flat_map(|entry| entry.files.iter().map(|(blob, _)| blob.clone())).collect()
        };
        let blobs = self.dir.join("blobs");
        blocking(move || {
            for entry in std::fs::read_dir(blobs).into_iter().flatten().flatten() {
                if !kept.contains(entry.file_name().to_string_lossy().as_ref()) {
                    remove(&entry.path());
                }
            }
        })
        .await;
    }
}

impl State {
    fn touch(&mut self, hash: &BundleHash) {
        self.uses += 1;
        if let Some(entry) = self.index.get_mut(hash) {
            entry.used = self.uses;
        }
    }

    fn note(&mut self, bundle: &Bundle) {
        self.uses += 1;
        let files = bundle.files.iter().map(|file| (file.blob.clone(), file.size)).collect();
        let used = self.uses;
        self.index.insert(bundle.hash.clone(), Entry { files, used });
    }

    /// Bytes of all unpacked files, and of the blobs beside them.
    fn bytes(&self) -> u64 {
        let mut blobs: HashMap<&BlobHash, u64> = HashMap::new();
        let mut unpacked = 0_u64;
        for (blob, size) in self.index.values().flat_map(|entry| &entry.files) {
            unpacked = unpacked.saturating_add(*size);
            blobs.insert(blob, *size);
        }
        unpacked.saturating_add(blobs.values().sum())
    }

    /// The least recently used bundle that nobody uses.
    fn victim(&self) -> Option<BundleHash> {
        let free = |hash: &BundleHash| match self.slots.get(hash) {
            None => true,
            // A lock that is taken is a bundle on its way to a user.
            Some(slot) => {
                slot.try_lock().is_ok_and(|slot| slot.as_ref().is_none_or(|bundle| Arc::strong_count(&bundle.0) == 1))
            }
        };
        self.index
            .iter()
            .filter(|(hash, _)| free(hash))
            .min_by_key(|(_, entry)| entry.used)
            .map(|(hash, _)| hash.clone())
    }
}

/// Addresses become file names, so they are looked at first.
fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn manifest_path(dir: &Path) -> PathBuf {
    dir.with_extension("json")
}

fn read_manifest(path: &Path, hash: &str) -> Option<Bundle> {
    let bundle: Bundle = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    (bundle.hash.as_str() == hash && bundle.is_sound()).then_some(bundle)
}

async fn store_blob(blobs: &Path, hash: BlobHash, bytes: Vec<u8>) -> Result<(), ApiError> {
    let blobs = blobs.to_owned();
    blocking(move || {
        if sha256_hex(&bytes) != hash.as_str() {
            return Err(ApiError::internal(format!("blob {hash}: what came does not fit its address")));
        }
        write_aside(&blobs.join(hash.as_str()), &bytes)
            .map_err(|error| ApiError::internal(format!("blob {hash} cannot be kept: {error}")))
    })
    .await
}

/// Writes a file so that it appears whole.
fn write_aside(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let aside = aside(path);
    std::fs::write(&aside, bytes).and_then(|()| std::fs::rename(&aside, path)).inspect_err(|_| remove(&aside))
}

/// A name beside a path that nobody else uses.
fn aside(path: &Path) -> PathBuf {
    path.with_file_name(format!(".{}", uuid::Uuid::new_v4().simple()))
}

fn unpack_bundle(bundle: &Bundle, blobs: &Path, dir: &Path) -> std::io::Result<()> {
    let aside = aside(dir);
    let unpack = || -> std::io::Result<()> {
        std::fs::create_dir(&aside)?;
        for file in &bundle.files {
            let bytes = std::fs::read(blobs.join(file.blob.as_str()))?;
            if sha256_hex(&bytes) != file.blob.as_str() || bytes.len() as u64 != file.size {
                let message = format!("the bytes of {} are not those of its address", file.path);
                return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, message));
            }
            let path = aside.join(&file.path);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::write(&path, bytes)?;
            set_mode(&path, if file.executable { 0o555 } else { 0o444 })?;
        }
        // What is there without a manifest is a rest that nothing trusts.
        remove(dir);
        std::fs::rename(&aside, dir)?;
        let manifest = serde_json::to_vec(bundle).map_err(std::io::Error::other)?;
        write_aside(&manifest_path(dir), &manifest)
    };
    unpack().inspect_err(|_| remove(&aside))
}

fn set_mode(path: &Path, mode: u32) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

/// Removes a file or folder, if it is there.
fn remove(path: &Path) {
    let removed = match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(_) => return,
    };
    if let Err(error) = removed {
        tracing::warn!(path = %path.display(), %error, "cannot remove a part of the bundle cache");
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // It was never cancelled, so it panicked: go on with that where the attempt is caught.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

#[cfg(test)]
#[path = "bundle_tests.rs"]
mod tests;
