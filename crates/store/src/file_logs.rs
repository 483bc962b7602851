//! Logs in files: `<folder>/<run>/<task instance>/<attempt>.log`. Paths are made of numbers and ids alone, never of text
//! that users choose. The length of a file is the length of the log.

use std::{
    fs::{File, OpenOptions},
    io::{ErrorKind, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use rustix::fs::{FlockOperation, flock};
use tradewind_ports::{LogChunk, LogStore, StoreError};
use tradewind_types::{AttemptKey, RunNo, TiId};

use crate::logs::gap;

/// Logs in a folder. Several processes may share it.
#[derive(Clone, Debug)]
pub struct FileLogs {
    folder: PathBuf,
}

impl FileLogs {
    /// Keeps logs in `folder`, which is made if it is missing.
    ///
    /// # Errors
    /// [`StoreError::Config`] when it cannot be made or is not a folder.
    pub fn new(folder: &Path) -> Result<Self, StoreError> {
        std::fs::create_dir_all(folder).map_err(|error| {
            StoreError::Config(format!("the log folder {} cannot be made: {error}", folder.display()))
        })?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// The folder of a task instance. Its id begins with the number of its run.
    fn folder_of(&self, ti: TiId) -> PathBuf {
        let bytes = ti.0.as_bytes();
        let run = bytes[..6].iter().fold(0_u64, |run, byte| (run << 8) | u64::from(*byte));
        self.folder.join(run.to_string()).join(ti.0.to_string())
    }

    fn file_of(&self, key: AttemptKey) -> PathBuf {
        self.folder_of(key.ti).join(format!("{}.log", key.attempt))
    }
}

fn failed(path: &Path, error: &std::io::Error) -> StoreError {
    let message = format!("{}: {error}", path.display());
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StoreError::Full(message),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem | ErrorKind::NotADirectory => {
            StoreError::Config(message)
        }
        _ => StoreError::Unavailable(message),
    }
}

fn open_to_append(path: &Path) -> std::io::Result<File> {
    let open = || OpenOptions::new().create(true).append(true).open(path);
    match open() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            open()
        }
        result => result,
    }
}

/// Appends what is new of a chunk. The lock keeps writers of other threads and processes away between the look at the
/// length and the write; it ends with `file`.
fn append(path: &Path, key: AttemptKey, chunk: &LogChunk) -> Result<(), StoreError> {
    let io = |error: std::io::Error| failed(path, &error);
    let mut file = open_to_append(path).map_err(io)?;
    flock(&file, FlockOperation::LockExclusive).map_err(|error| failed(path, &error.into()))?;
    let length = file.metadata().map_err(io)?.len();
    if length < chunk.offset {
        return Err(gap(key, chunk.offset, length));
    }
    let there = usize::try_from(length - chunk.offset).unwrap_or(usize::MAX);
    let Some(new) = chunk.data.get(there..).filter(|new| !new.is_empty()) else {
        return Ok(());
    };
    file.write_all(new).map_err(|error| {
        // A part of a record would be taken for a whole one. If it cannot be cut off, the repeated append completes it.
        if let Err(error) = file.set_len(length) {
            tracing::warn!(path = %path.display(), %error, "a partly written log chunk stays");
        }
        failed(path, &error)
    })
}

fn read(path: &Path, offset: u64, max: usize) -> Result<Vec<u8>, StoreError> {
    // No file is that long, and seeking there would be an error.
    if i64::try_from(offset).is_err() {
        return Ok(Vec::new());
    }
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        let mut data = Vec::new();
        file.take(max as u64).read_to_end(&mut data)?;
        Ok(data)
    };
    match read() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        result => result.map_err(|error| failed(path, &error)),
    }
}

fn attempts(folder: &Path) -> Result<Vec<u32>, StoreError> {
    let list = || -> std::io::Result<Vec<u32>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".log"));
            if let Some(Ok(attempt)) = number.map(str::parse) {
                found.push(attempt);
            }
        }
        found.sort_unstable();
        Ok(found)
    };
    match list() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        result => result.map_err(|error| failed(folder, &error)),
    }
}

/// Runs file work off the runtime's threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| StoreError::Unavailable(error.to_string()))?
}

#[async_trait]
impl LogStore for FileLogs {
    async fn append_log(&self, _run: RunNo, key: AttemptKey, chunk: &LogChunk) -> Result<(), StoreError> {
        let path = self.file_of(key);
        let chunk = chunk.clone();
        blocking(move || append(&path, key, &chunk)).await
    }

    async fn read_log(&self, key: AttemptKey, offset: u64, max: usize) -> Result<Vec<u8>, StoreError> {
        let path = self.file_of(key);
        blocking(move || read(&path, offset, max)).await
    }

    async fn log_attempts(&self, ti: TiId) -> Result<Vec<u32>, StoreError> {
        let folder = self.folder_of(ti);
        blocking(move || attempts(&folder)).await
    }
}
