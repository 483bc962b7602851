//! Notices changes below the folder at once, where the system tells of them. The periodic scan does not depend on it.

use std::path::{Component, Path, PathBuf};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

/// Wakes when something changed.
pub(crate) struct Watch {
    /// Kept for its threads.
    watcher: Option<RecommendedWatcher>,
    changes: mpsc::Receiver<()>,
    /// Keeps the channel open when there is no watcher.
    _sender: mpsc::Sender<()>,
}

impl Watch {
    /// Watches a folder; without the system's help it never wakes, and says so in the log.
    pub(crate) fn new(folder: &Path) -> Self {
        let (sender, changes) = mpsc::channel(1);
        let watcher = start(folder, sender.clone())
            .map_err(|error| {
                tracing::warn!(
                    folder = %folder.display(),
                    "changes are noticed by the periodic scan only (dags.scan_secs): {error}"
                );
            })
            .ok();
        Self { watcher, changes, _sender: sender }
    }

    /// Whether the system tells of changes.
    pub(crate) const fn is_live(&self) -> bool {
        self.watcher.is_some()
    }

    /// Waits for a change. Changes while nobody waited count once.
    pub(crate) async fn changed(&mut self) {
        // The sender above keeps the channel open.
        let _ = self.changes.recv().await;
    }
}

fn start(folder: &Path, sender: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let root = PathBuf::from(folder);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        let matters = match event {
            Ok(event) => is_change(&root, &event),
            // Events were lost: look.
            Err(_) => true,
        };
        if matters {
            // Full means that a wake-up is on its way already.
            let _ = sender.try_send(());
        }
    })?;
    watcher.watch(folder, RecursiveMode::Recursive)?;
    Ok(watcher)
}

/// Our own reading raises events, too; and what a scan skips need not wake it.
fn is_change(root: &Path, event: &Event) -> bool {
    if matches!(event.kind, EventKind::Access(_)) {
        return false;
    }
    event.need_rescan() || event.paths.is_empty() || event.paths.iter().any(|path| !is_skipped(root, path))
}

fn is_skipped(root: &Path, path: &Path) -> bool {
    let below = path.strip_prefix(root).unwrap_or(path);
    below.components().any(|part| match part {
        Component::Normal(name) => name
            .to_str()
            .is_some_and(|name| (name.starts_with('.') && name != ".airflowignore") || name == "__pycache__"),
        _ => false,
    })
}
