//! Python environments of DAG files.

use serde::{Deserialize, Serialize};

use crate::{BlobHash, sha256_hex};

/// The Python environment that a DAG's file is loaded and its tasks run in, when it is not that of the installation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Its name in the file that declares it.
    pub name: String,
    /// Over everything that defines it ([`Environment::hash_of`]): equal hashes are the same environment, whatever it is
    /// called.
    pub hash: String,
    /// The `tradewind.toml` that declares it, below the DAG folder.
    pub declared_in: String,
    /// Where its packages are named.
    pub packages: PackageSource,
    /// The Python version that it asks for, e.g. `3.12`; that of the installation when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python: Option<String>,
    /// The files that define it, below the DAG folder and below the bundle, sorted.
    pub files: Vec<String>,
}

/// What names the packages of an [`Environment`]; paths are below the DAG folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PackageSource {
    /// A `requirements.txt`.
    Requirements {
        /// The file.
        file: String,
    },
    /// A `pyproject.toml`, whose dependencies count.
    Project {
        /// The `pyproject.toml`.
        file: String,
        /// The `uv.lock` beside it, which pins all of them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lock: Option<String>,
    },
}

impl PackageSource {
    /// The file that a person edits to change the packages.
    pub fn file(&self) -> &str {
        match self {
            Self::Requirements { file } | Self::Project { file, .. } => file,
        }
    }
}

impl Environment {
    /// The hash over a definition: the kind of `packages` and where its files lie to each other, their contents, and the
    /// Python version that is asked for. Where in the DAG folder they lie does not count, so that two copies of one
    /// definition are one environment.
    pub fn hash_of<'f>(
        packages: &PackageSource,
        python: Option<&str>,
        files: impl IntoIterator<Item = (&'f str, &'f BlobHash)>,
    ) -> String {
        let mut files: Vec<_> = files.into_iter().collect();
        files.sort_unstable();
        let above = common_folder(files.iter().map(|(path, _)| *path));
        let below = |path: &str| path.get(above..).unwrap_or(path).to_owned();
        let (kind, lock) = match packages {
            PackageSource::Requirements { .. } => ("requirements", None),
            PackageSource::Project { lock, .. } => ("project", lock.as_deref()),
        };
        let mut text = format!(
            "{kind}\n{}\n{}\n{}\n",
            below(packages.file()),
            lock.map(below).unwrap_or_default(),
            python.unwrap_or_default()
        );
        for (path, blob) in files {
            text.push_str(&format!("{}\0{blob}\n", below(path)));
        }
        sha256_hex(text.as_bytes())
    }
}

/// Length of the longest folder, with its `/`, that all paths lie below.
fn common_folder<'p>(mut paths: impl Iterator<Item = &'p str>) -> usize {
    let Some(first) = paths.next() else { return 0 };
    let folder = |path: &str| path.rfind('/').map_or(0, |at| at + 1);
    let mut common = &first[..folder(first)];
    for path in paths {
        while !path.starts_with(common) {
            common = &common[..folder(common.trim_end_matches('/'))];
        }
    }
    common.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(file: &str, files: &[(&str, &str)], python: Option<&str>) -> String {
        let blobs: Vec<(&str, BlobHash)> =
            files.iter().map(|(path, text)| (*path, BlobHash::from(sha256_hex(text.as_bytes())))).collect();
        let packages = PackageSource::Requirements { file: file.to_owned() };
        Environment::hash_of(&packages, python, blobs.iter().map(|(path, blob)| (*path, blob)))
    }

    #[test]
    fn the_place_does_not_count_but_everything_else_does() {
        let one = hash("a/b/r.txt", &[("a/b/r.txt", "x==1"), ("a/c.txt", "y<2")], None);
        assert_eq!(one, hash("z/b/r.txt", &[("z/c.txt", "y<2"), ("z/b/r.txt", "x==1")], None));
        assert_ne!(one, hash("a/b/r.txt", &[("a/b/r.txt", "x==2"), ("a/c.txt", "y<2")], None), "a content");
        assert_ne!(one, hash("a/b/r.txt", &[("a/b/r.txt", "x==1"), ("a/d.txt", "y<2")], None), "a name");
        assert_ne!(one, hash("a/c.txt", &[("a/b/r.txt", "x==1"), ("a/c.txt", "y<2")], None), "the first file");
        assert_ne!(one, hash("a/b/r.txt", &[("a/b/r.txt", "x==1"), ("a/c.txt", "y<2")], Some("3.12")), "the version");
    }

    #[test]
    fn the_common_folder_is_a_whole_folder() {
        assert_eq!(common_folder(["ab/c/x", "ab/cd/x"].into_iter()), "ab/".len());
        assert_eq!(common_folder(["x", "ab/x"].into_iter()), 0);
        assert_eq!(common_folder(["ab/x"].into_iter()), 3);
    }
}
