//! A value as JSON, in parts, on a thread of its own.

use std::{
    future::Future,
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use crate::{ObjectError, hex};

/// The parts as they come.
pub(crate) struct Parts {
    receiver: mpsc::Receiver<Vec<u8>>,
    broken: Arc<AtomicBool>,
}

impl Parts {
    pub(crate) async fn next(&mut self) -> Option<Vec<u8>> {
        self.receiver.recv().await
    }

    /// Whether what came before the end is not all: to be asked after the end.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }
}

/// Begins to encode; the future answers with size and SHA-256 of all parts.
pub(crate) fn encode(
    value: Value,
    max_bytes: u64,
    part_bytes: usize,
) -> (Parts, impl Future<Output = Result<(u64, String), ObjectError>>) {
    let (sender, receiver) = mpsc::channel(1);
    let broken = Arc::new(AtomicBool::new(false));
    let mut writer = PartWriter {
        sender,
        part: Vec::new(),
        part_bytes,
        hash: Sha256::new(),
        size: 0,
        max_bytes,
        broken: Arc::clone(&broken),
    };
    let done = tokio::task::spawn_blocking(move || {
        let written = serde_json::to_writer(&mut writer, &value).map_err(io::Error::from).and_then(|()| writer.send());
        if written.is_err() {
            writer.broken.store(true, Ordering::Release);
        }
        match written {
            Ok(()) => Ok((writer.size, hex(&writer.hash.finalize()))),
            Err(_) if writer.size > max_bytes => Err(ObjectError::TooLarge(max_bytes)),
            // The parts are not taken any more; whoever stopped knows why.
            Err(_) => Ok((0, String::new())),
        }
    });
    let result = async move {
        done.await.unwrap_or_else(|error| Err(ObjectError::Config(format!("the value could not be encoded: {error}"))))
    };
    (Parts { receiver, broken }, result)
}

struct PartWriter {
    sender: mpsc::Sender<Vec<u8>>,
    part: Vec<u8>,
    part_bytes: usize,
    hash: Sha256,
    size: u64,
    max_bytes: u64,
    broken: Arc<AtomicBool>,
}

impl PartWriter {
    fn send(&mut self) -> io::Result<()> {
        if self.part.is_empty() {
            return Ok(());
        }
        self.hash.update(&self.part);
        let part = std::mem::take(&mut self.part);
        self.sender.blocking_send(part).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for PartWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A text of 100 MB comes in one piece.
        let bytes = bytes.get(..bytes.len().min(self.part_bytes - self.part.len())).unwrap_or(bytes);
        self.size += bytes.len() as u64;
        if self.size > self.max_bytes {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.part.extend_from_slice(bytes);
        if self.part.len() >= self.part_bytes {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
