//! Large XComs in file or object storage: written once under a name of their own, read by reference, checked by hash.
//!
//! The store's row holds the reference ([`XComObject`]); nobody but this crate knows what lies behind a URL.

mod encode;
mod name;

use std::{collections::BTreeMap, fmt, io::Read, path::PathBuf, pin::Pin, str::FromStr, sync::Arc};

use futures::{Stream, StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use object_store::{
    GetResultPayload, ObjectStore, ObjectStoreExt, PutMode, WriteMultipart,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    local::LocalFileSystem,
    path::Path,
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tradewind_types::XComObject;

pub use crate::name::Owner;

/// Parts of this size travel on their own; a smaller value goes in one piece.
const PART_BYTES: usize = 8 << 20;
/// Parts of one value under way at once.
const PARTS_AT_ONCE: usize = 2;
/// Pieces in which a value is handed on.
const CHUNK_BYTES: usize = 1 << 20;

/// Why a value could not be written, read or removed.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// The storage is set up wrongly.
    #[error("{0}")]
    Config(String),
    /// The value is larger than it may be.
    #[error("it has more than the {0} bytes that xcom.max_bytes allows")]
    TooLarge(u64),
    /// There is nothing under the URL.
    #[error(
        "{0} is missing: it was removed, or the folder or bucket is not the one that it was written to (xcom.storage_url \
         must name storage that the scheduler and all workers share)"
    )]
    Missing(String),
    /// What is there is not what was written.
    #[error("{url} was changed after it was written: {reason}")]
    Changed {
        /// Where.
        url: String,
        /// What does not fit.
        reason: String,
    },
    /// The storage does not answer or refuses.
    #[error("{action} {url}: {reason}")]
    Storage {
        /// What was tried.
        action: &'static str,
        /// Where.
        url: String,
        /// What the storage said.
        reason: String,
    },
}

/// A folder or a bucket. Clones share it.
#[derive(Clone)]
pub struct Storage(Arc<Inner>);

struct Inner {
    /// Without a slash at the end.
    url: String,
    /// Below which all names lie, in a bucket.
    prefix: Path,
    store: Arc<dyn ObjectStore>,
    options: BTreeMap<String, String>,
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The options may hold secrets.
        f.debug_tuple("Storage").field(&self.0.url).finish()
    }
}

/// A stored value, as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its URL.
    pub url: String,
    /// When it was written, by the storage's clock.
    pub written_at: Timestamp,
}

/// The bytes of a value; the last item is an error if they are not what was written.
pub type Bytes = Pin<Box<dyn Stream<Item = Result<Vec<u8>, ObjectError>> + Send>>;

impl Storage {
    /// Opens `file:///folder` (made when it is missing) or `s3://bucket/prefix`. The credentials of S3 come from the
    /// `AWS_*` variables, over which `options` win; nothing is asked of the server yet.
    ///
    /// # Errors
    /// The URL or an option makes no sense, or the folder cannot be made.
    pub fn open(url: &str, options: &BTreeMap<String, String>) -> Result<Self, ObjectError> {
        let url = url.trim_end_matches('/');
        let (store, prefix): (Arc<dyn ObjectStore>, Path) = if let Some(folder) = url.strip_prefix("file://") {
            (Arc::new(folder_store(url, folder, options)?), Path::default())
        } else if let Some(rest) = url.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            let prefix = Path::parse(prefix).map_err(|error| ObjectError::Config(format!("{url}: {error}")))?;
            (Arc::new(bucket_store(url, bucket, options)?), prefix)
        } else {
            let reason = format!("\"{url}\" is not storage: write it as file:///FOLDER or s3://BUCKET/PREFIX");
            return Err(ObjectError::Config(reason));
        };
        Ok(Self(Arc::new(Inner { url: url.to_owned(), prefix, store, options: options.clone() })))
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// Whether an object lies here.
    pub fn holds(&self, url: &str) -> bool {
        let name = url.strip_prefix(self.url()).and_then(|rest| rest.strip_prefix('/'));
        name.is_some_and(|name| Path::parse(name).is_ok())
    }

    /// Writes a value under a new name, in parts: never more than a few of them are in memory besides the value itself.
    ///
    /// # Errors
    /// It is larger than `max_bytes` as JSON, or the storage fails. Nothing is left behind then.
    pub async fn put(&self, owner: &Owner<'_>, value: Value, max_bytes: u64) -> Result<XComObject, ObjectError> {
        let name = name::new_name(owner);
        let url = format!("{}/{name}", self.0.url);
        let location = Path::from_iter(self.0.prefix.parts().chain(Path::from(name.as_str()).parts()));
        let (mut parts, encoded) = encode::encode(value, max_bytes, PART_BYTES);
        let written = self.write(&location, &mut parts).await;
        drop(parts);
        // The encoder's word comes first: it says why the parts broke off.
        let (size, sha256) = encoded.await?;
        written.map_err(|error| storage("write", &url, &error))?;
        Ok(XComObject { url, size, sha256 })
    }

    async fn write(&self, location: &Path, parts: &mut encode::Parts) -> object_store::Result<()> {
        let store = &self.0.store;
        let (Some(first), second) = (parts.next().await, parts.next().await) else { return Ok(()) };
        let Some(second) = second else {
            if parts.is_broken() {
                return Ok(());
            }
            return store.put(location, first.into()).await.map(drop);
        };
        let mut upload = WriteMultipart::new_with_chunk_size(store.put_multipart(location).await?, PART_BYTES);
        let mut next = vec![second, first];
        while let Some(part) = match next.pop() {
            Some(part) => Some(part),
            None => parts.next().await,
        } {
            if let Err(error) = upload.wait_for_capacity(PARTS_AT_ONCE).await {
                let _ = upload.abort().await;
                return Err(error);
            }
            upload.put(part.into());
        }
        if parts.is_broken() {
            return upload.abort().await;
        }
        upload.finish().await.map(drop)
    }

    /// Marks the storage as that of an installation, where nobody has marked it yet. Answers whose it is.
    ///
    /// # Errors
    /// The storage fails, or has a mark that is no text.
    pub async fn claim(&self, installation: &str) -> Result<String, ObjectError> {
        let url = format!("{}/{}", self.0.url, name::CLAIM);
        let location = Path::from_iter(self.0.prefix.parts().chain(Path::from(name::CLAIM).parts()));
        let mark = installation.to_owned().into_bytes().into();
        match self.0.store.put_opts(&location, mark, PutMode::Create.into()).await {
            Ok(_) => return Ok(installation.to_owned()),
            Err(object_store::Error::AlreadyExists { .. }) => {}
            Err(error) => return Err(storage("write", &url, &error)),
        }
        let found = self.0.store.get(&location).await.map_err(|error| storage("read", &url, &error))?;
        let bytes = found.bytes().await.map_err(|error| storage("read", &url, &error))?;
        String::from_utf8(bytes.to_vec())
            .map(|text| text.trim().to_owned())
            .map_err(|error| ObjectError::Changed { url, reason: error.to_string() })
    }

    /// Reads a value back.
    ///
    /// # Errors
    /// It is missing, it was changed, or the storage fails.
    pub async fn get(&self, object: &XComObject) -> Result<Value, ObjectError> {
        let mut stream = self.read(object).await?;
        let mut bytes = Vec::with_capacity(usize::try_from(object.size).unwrap_or_default());
        while let Some(chunk) = stream.try_next().await? {
            bytes.extend_from_slice(&chunk);
        }
        let url = object.url.clone();
        let parsed = tokio::task::spawn_blocking(move || serde_json::from_slice(&bytes)).await;
        match parsed {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(ObjectError::Changed { url, reason: error.to_string() }),
            Err(error) => Err(ObjectError::Storage { action: "read", url, reason: error.to_string() }),
        }
    }

    /// The bytes of a value as they come, checked at the end.
    ///
    /// # Errors
    /// It is missing, or the storage fails.
    pub async fn read(&self, object: &XComObject) -> Result<Bytes, ObjectError> {
        let (storage, location) = self.locate(&object.url)?;
        let found = storage.0.store.get(&location).await.map_err(|error| missing_or("read", &object.url, &error))?;
        if found.meta.size != object.size {
            let reason = format!("it has {} bytes, {} were written", found.meta.size, object.size);
            return Err(ObjectError::Changed { url: object.url.clone(), reason });
        }
        let url = object.url.clone();
        let chunks: Bytes = match found.payload {
            GetResultPayload::File(file, _) => file_chunks(file, url),
            GetResultPayload::Stream(chunks) => chunks
                .map(move |chunk| {
                    chunk.map(|chunk| chunk.to_vec()).map_err(|error| self::storage("read", &url, &error))
                })
                .boxed(),
        };
        Ok(checked(chunks, object.clone()))
    }

    /// Removes an object. One that is gone already is no error.
    ///
    /// # Errors
    /// The storage fails.
    pub async fn remove(&self, url: &str) -> Result<(), ObjectError> {
        let (storage, location) = self.locate(url)?;
        match storage.0.store.delete(&location).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self::storage("remove", url, &error)),
        }
    }

    /// All values here, as they come. What is not named as values are is left out.
    pub fn list(&self) -> Pin<Box<dyn Stream<Item = Result<Found, ObjectError>> + Send>> {
        let prefix = (!self.0.prefix.as_ref().is_empty()).then(|| self.0.prefix.clone());
        let root = self.clone();
        self.0
            .store
            .list(prefix.as_ref())
            .filter_map(move |found| {
                let found = match found {
                    Ok(found) => {
                        let name = found.location.prefix_match(&root.0.prefix).map(Path::from_iter).unwrap_or_default();
                        let written_at =
                            Timestamp::from_second(found.last_modified.timestamp()).unwrap_or(Timestamp::MAX);
                        name::is_ours(name.as_ref())
                            .then(|| Ok(Found { url: format!("{}/{name}", root.0.url), written_at }))
                    }
                    Err(error) => Some(Err(storage("list", root.url(), &error))),
                };
                std::future::ready(found)
            })
            .boxed()
    }

    /// The storage of a URL and the location in it: mostly here, else where the storage was before it was moved.
    fn locate(&self, url: &str) -> Result<(Self, Path), ObjectError> {
        let storage = if self.holds(url) {
            self.clone()
        } else {
            let root = match url.strip_prefix("s3://") {
                Some(rest) => format!("s3://{}", rest.split('/').next().unwrap_or_default()),
                None => url.rsplit_once('/').map_or(url, |(folder, _)| folder).to_owned(),
            };
            if root.strip_prefix("file://").is_some_and(|folder| !PathBuf::from(folder).is_dir()) {
                return Err(ObjectError::Missing(url.to_owned()));
            }
            Self::open(&root, &self.0.options)?
        };
        let name = url.get(storage.url().len() + 1..).unwrap_or_default();
        let name = Path::parse(name).map_err(|error| ObjectError::Config(format!("{url}: {error}")))?;
        let location = Path::from_iter(storage.0.prefix.parts().chain(name.parts()));
        Ok((storage, location))
    }
}

fn folder_store(url: &str, folder: &str, options: &BTreeMap<String, String>) -> Result<LocalFileSystem, ObjectError> {
    if !folder.starts_with('/') {
        return Err(ObjectError::Config(format!("\"{url}\" is not a path from the root on: write file:///FOLDER")));
    }
    if let Some(option) = options.keys().next() {
        return Err(ObjectError::Config(format!("a folder takes no options, and there is \"{option}\"")));
    }
    std::fs::create_dir_all(folder)
        .map_err(|error| ObjectError::Config(format!("make the folder {folder}: {error}")))?;
    let store = LocalFileSystem::new_with_prefix(folder)
        .map_err(|error| ObjectError::Config(format!("open the folder {folder}: {error}")))?;
    // A reference is committed right after: it must not outlive the bytes.
    Ok(store.with_fsync(true).with_automatic_cleanup(true))
}

fn bucket_store(
    url: &str,
    bucket: &str,
    options: &BTreeMap<String, String>,
) -> Result<object_store::aws::AmazonS3, ObjectError> {
    // The HTTP client takes whatever this process uses; set by now in all our programs, not in tests.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
    for (name, value) in options {
        let key = AmazonS3ConfigKey::from_str(&name.to_lowercase()).map_err(|_| {
            ObjectError::Config(format!(
                "there is no option \"{name}\": those of S3 are endpoint, region, access_key_id, secret_access_key, \
                 session_token, virtual_hosted_style_request, allow_http and others of the object_store library"
            ))
        })?;
        if key == AmazonS3ConfigKey::Endpoint && value.starts_with("http://") {
            // Nobody names such an endpoint by mistake.
            builder = builder.with_allow_http(true);
        }
        builder = builder.with_config(key, value);
    }
    builder.build().map_err(|error| ObjectError::Config(format!("{url}: {error}")))
}

fn file_chunks(file: std::fs::File, url: String) -> Bytes {
    let chunks = stream::try_unfold(file, move |mut file| {
        let url = url.clone();
        async move {
            let read = tokio::task::spawn_blocking(move || {
                let mut chunk = Vec::with_capacity(CHUNK_BYTES);
                Read::by_ref(&mut file).take(CHUNK_BYTES as u64).read_to_end(&mut chunk).map(|_| (chunk, file))
            });
            let failed = |reason: String| ObjectError::Storage { action: "read", url, reason };
            match read.await {
                Ok(Ok((chunk, _))) if chunk.is_empty() => Ok(None),
                Ok(Ok(more)) => Ok(Some(more)),
                Ok(Err(error)) => Err(failed(error.to_string())),
                Err(error) => Err(failed(error.to_string())),
            }
        }
    });
    Box::pin(chunks)
}

/// Adds an error to the end of a stream whose bytes are not those of the object.
fn checked(chunks: Bytes, object: XComObject) -> Bytes {
    let state = (chunks, Sha256::new(), Some(object));
    Box::pin(stream::unfold(state, |(mut chunks, mut hash, object)| async move {
        let expected = object.as_ref()?;
        match chunks.next().await {
            Some(Ok(chunk)) => {
                hash.update(&chunk);
                Some((Ok(chunk), (chunks, hash, object)))
            }
            Some(Err(error)) => Some((Err(error), (chunks, hash, None))),
            None => {
                let sha256 = hex(&hash.finalize());
                if sha256 == expected.sha256 {
                    return None;
                }
                let reason = format!("its SHA-256 is {sha256}, {} was written", expected.sha256);
                Some((Err(ObjectError::Changed { url: expected.url.clone(), reason }), (chunks, Sha256::new(), None)))
            }
        }
    }))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn storage(action: &'static str, url: &str, error: &object_store::Error) -> ObjectError {
    ObjectError::Storage { action, url: url.to_owned(), reason: error.to_string() }
}

fn missing_or(action: &'static str, url: &str, error: &object_store::Error) -> ObjectError {
    match error {
        object_store::Error::NotFound { .. } => ObjectError::Missing(url.to_owned()),
        error => storage(action, url, error),
    }
}
