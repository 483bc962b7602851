//! `file_sensor`: waits for a file, or for a folder with a file in it, as Airflow's `FileSensor`.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use globset::{GlobBuilder, GlobMatcher};
use tradewind_types::FileSensorOptions;

use crate::{
    LogLevel, Operator, OperatorError, OperatorIo, OperatorResult, Renderer, TaskContext,
    sensor::{Condition, Poke, wait_for},
};

#[async_trait]
impl Operator for FileSensorOptions {
    async fn run(&self, ctx: &TaskContext, io: &dyn OperatorIo) -> OperatorResult {
        let mut renderer = Renderer::new(ctx, io);
        let path = renderer.text("path", &self.path).await?;
        renderer.report().await?;
        if !Path::new(&path).is_absolute() {
            return Err(OperatorError::Fatal(format!(
                "path: \"{path}\" is relative, and a worker has no fixed folder; write an absolute path"
            )));
        }
        let pattern = Pattern::parse(&path).map_err(OperatorError::Fatal)?;
        wait_for(&Files { pattern }, &self.sensor, ctx, io).await
    }
}

struct Files {
    pattern: Pattern,
}

#[async_trait]
impl Condition for Files {
    async fn poke(&self, io: &dyn OperatorIo) -> Result<Poke, OperatorError> {
        let pattern = self.pattern.clone();
        let found = tokio::task::spawn_blocking(move || pattern.find())
            .await
            .map_err(|error| OperatorError::Failed(format!("the look-up failed: {error}")))?;
        Ok(match found {
            Some(path) => {
                let line = format!("found {}", path.display());
                io.log(LogLevel::Info, "tradewind.sensor", vec![line]).await;
                Poke::Done
            }
            None => Poke::Wait(None),
        })
    }
}

/// A path whose parts may be globs.
#[derive(Clone, Debug)]
struct Pattern(Vec<Part>);

#[derive(Clone, Debug)]
enum Part {
    Plain(String),
    Glob {
        matcher: GlobMatcher,
        dots: bool,
    },
    /// `**`: any number of folders, none included.
    Deep,
}

impl Pattern {
    fn parse(path: &str) -> Result<Self, String> {
        let parts = path
            .split('/')
            .filter(|part| !part.is_empty() && *part != ".")
            .map(|part| {
                if part == "**" {
                    return Ok(Part::Deep);
                }
                if !part.contains(['*', '?', '[']) {
                    return Ok(Part::Plain(part.to_owned()));
                }
                let glob = GlobBuilder::new(part)
                    .literal_separator(true)
                    .backslash_escape(false)
                    .build()
                    .map_err(|error| format!("path: \"{part}\" is not a glob: {error}"))?;
                Ok(Part::Glob { matcher: glob.compile_matcher(), dots: part.starts_with('.') })
            })
            .collect::<Result<_, String>>()?;
        Ok(Self(parts))
    }

    /// The first file that fits, or folder that holds a file.
    fn find(&self) -> Option<PathBuf> {
        walk(PathBuf::from("/"), &self.0)
    }
}

fn walk(at: PathBuf, parts: &[Part]) -> Option<PathBuf> {
    let Some((part, rest)) = parts.split_first() else {
        return satisfies(&at).then_some(at);
    };
    match part {
        Part::Plain(name) => walk(at.join(name), rest),
        Part::Glob { matcher, dots } => children(&at).into_iter().find_map(|(name, path)| {
            // As in a shell, a star does not stand for the dot of a hidden file.
            if (name.starts_with('.') && !dots) || !matcher.is_match(&name) {
                return None;
            }
            walk(path, rest)
        }),
        Part::Deep => walk(at.clone(), rest).or_else(|| {
            children(&at).into_iter().find_map(|(name, path)| {
                // Symbolic links are not followed: they may lead in circles.
                let folder = path.symlink_metadata().is_ok_and(|meta| meta.is_dir());
                (folder && !name.starts_with('.')).then(|| walk(path, parts))?
            })
        }),
    }
}

/// The children of a folder by name; none when it cannot be read.
fn children(folder: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut children: Vec<_> = entries
        .flatten()
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, entry.path())
        })
        .collect();
    children.sort();
    children
}

fn satisfies(path: &Path) -> bool {
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => holds_file(path),
        Ok(_) => true,
        Err(_) => false,
    }
}

fn holds_file(folder: &Path) -> bool {
    children(folder).into_iter().any(|(_, path)| match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() => holds_file(&path),
        Ok(_) => true,
        Err(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(root: &Path, pattern: &str) -> Option<String> {
        let pattern = Pattern::parse(&format!("{}/{pattern}", root.display())).unwrap();
        let found = pattern.find()?;
        Some(found.strip_prefix(root).unwrap().display().to_string())
    }

    #[test]
    fn paths_and_globs_find_files() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        std::fs::create_dir_all(root.join("2026/01")).unwrap();
        std::fs::create_dir_all(root.join("empty/inner")).unwrap();
        std::fs::write(root.join("2026/01/part-1.csv"), "x").unwrap();
        std::fs::write(root.join("2026/.hidden.csv"), "x").unwrap();
        std::fs::write(root.join("2026/[x].txt"), "x").unwrap();

        assert_eq!(find(root, "2026/01/part-1.csv").as_deref(), Some("2026/01/part-1.csv"));
        assert_eq!(find(root, "2026/*/part-?.csv").as_deref(), Some("2026/01/part-1.csv"));
        assert_eq!(find(root, "**/*.csv").as_deref(), Some("2026/01/part-1.csv"));
        assert_eq!(find(root, "2026/.h*.csv").as_deref(), Some("2026/.hidden.csv"));
        assert_eq!(find(root, "2026/*.csv"), None, "a star hides dot files");
        assert_eq!(find(root, "2026/[[]x].txt").as_deref(), Some("2026/[x].txt"));
        assert_eq!(find(root, "2026"), Some("2026".to_owned()), "a folder with a file");
        assert_eq!(find(root, "empty"), None, "a folder without one");
        assert_eq!(find(root, "2026/02/*"), None);
    }
}
