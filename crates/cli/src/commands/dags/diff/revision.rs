//! From words to folders: a path as it is, or a git revision of a folder, written to a temporary place without touching the
//! repository, its index or its working tree.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::errors::CliError;

/// One state of a DAG folder.
pub(super) struct Source {
    /// Where it lies.
    pub(super) folder: PathBuf,
    /// Only these files of it; all when empty.
    pub(super) only: Vec<String>,
    /// As people called it.
    pub(super) shown: String,
    /// Kept while it is loaded.
    _temporary: Option<TempDir>,
}

/// Finds both states.
///
/// # Errors
/// A word is neither a path nor a revision; what it could be is not in a git repository.
pub(super) fn sources(
    old: &str,
    new: Option<&str>,
    folder: Option<&str>,
    configured: &Path,
) -> Result<(Source, Source), CliError> {
    let (old, new) = match (old.split_once(".."), new) {
        // A path such as `../dags` has dots, too.
        (Some((from, to)), None) if !Path::new(old).exists() => {
            let or_head = |revision: &str| if revision.is_empty() { "HEAD".to_owned() } else { revision.to_owned() };
            (or_head(from), Some(or_head(to.trim_start_matches('.'))))
        }
        _ => (old.to_owned(), new.map(ToOwned::to_owned)),
    };
    let is_path = |word: &str| Path::new(word).exists();
    let folder = match folder {
        Some(folder) => PathBuf::from(folder),
        None => [Some(&old), new.as_ref()]
            .into_iter()
            .flatten()
            .find(|word| is_path(word))
            .map_or_else(|| configured.to_owned(), PathBuf::from),
    };
    let new = match new {
        Some(word) => source(&word, &folder)?,
        None => path(&folder.display().to_string())?,
    };
    Ok((source(&old, &folder)?, new))
}

fn source(word: &str, folder: &Path) -> Result<Source, CliError> {
    if Path::new(word).exists() { path(word) } else { revision(word, folder) }
}

fn path(word: &str) -> Result<Source, CliError> {
    let absolute = std::fs::canonicalize(word).map_err(|error| CliError::file("read", Path::new(word), &error))?;
    let shown = word.to_owned();
    let (Some(parent), Some(name), true) = (absolute.parent(), absolute.file_name(), absolute.is_file()) else {
        return Ok(Source { folder: absolute, only: Vec::new(), shown, _temporary: None });
    };
    let only = vec![name.to_string_lossy().into_owned()];
    Ok(Source { folder: parent.to_owned(), only, shown, _temporary: None })
}

/// Writes a revision of a folder to a temporary one.
fn revision(word: &str, folder: &Path) -> Result<Source, CliError> {
    let neither = |why: String| {
        CliError::usage(format!("\"{word}\" is neither a file or folder nor a git revision: {why}"))
            .with_hint("name two folders, or run this in a git repository with the DAG folder (--folder)")
    };
    if word.starts_with('-') {
        return Err(neither("a revision does not begin with \"-\"".to_owned()));
    }
    let (dir, only) = if folder.is_file() {
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
        (folder.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new(".")), name)
    } else {
        (folder, None)
    };
    if !dir.is_dir() {
        return Err(neither(format!("and there is no DAG folder {} that it could be of", dir.display())));
    }
    let prefix = git(dir, &[], &["rev-parse", "--show-prefix"])
        .map_err(|why| neither(format!("{} is in no git repository ({why})", dir.display())))?;
    let commit = git(dir, &[], &["rev-parse", "--verify", "--quiet", &format!("{word}^{{commit}}")])
        .map_err(|_| neither(format!("the repository of {} has none of this name", dir.display())))?;
    let temporary = tempfile::Builder::new().prefix("tradewind-diff.").tempdir()?;
    let (index, out) = (temporary.path().join("index"), temporary.path().join("dags"));
    std::fs::create_dir(&out)?;
    let tree = format!("{commit}:{}", prefix.trim_end_matches('/'));
    let has_folder = git(dir, &[], &["cat-file", "-e", &tree]).is_ok();
    if !has_folder {
        crate::output::note(&format!("{word} has no folder {}: it counts as empty.", dir.display()));
    } else {
        let broken = |why: String| CliError::usage(format!("cannot read {} at {word}: {why}", dir.display()));
        // An index of its own: that of the repository stays as it is.
        let env = [("GIT_INDEX_FILE", index.as_path())];
        git(dir, &env, &["read-tree", &tree]).map_err(broken)?;
        let to = format!("--prefix={}/", out.display());
        let top = git(dir, &[], &["rev-parse", "--show-toplevel"]).map_err(broken)?;
        git(Path::new(&top), &env, &["checkout-index", "--all", "--quiet", &to]).map_err(broken)?;
    }
    Ok(Source { folder: out, only: only.into_iter().collect(), shown: word.to_owned(), _temporary: Some(temporary) })
}

/// What git prints, or why it failed.
fn git(dir: &Path, env: &[(&str, &Path)], args: &[&str]) -> Result<String, String> {
    let done = Command::new("git").arg("-C").arg(dir).args(args).envs(env.iter().copied()).output();
    let done = done.map_err(|error| format!("git cannot be run: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if done.status.success() { Ok(text(&done.stdout)) } else { Err(text(&done.stderr)) }
}
