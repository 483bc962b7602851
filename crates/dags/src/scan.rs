//! What lies below the DAG folder: every file with the hash of its content and what it may be.
//!
//! A scan reads only files that changed since the scan before; what a file *means* is found out by parsing, not here.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use tradewind_types::{BlobHash, sha256_hex};

use crate::{
    ignore::{IGNORE_FILE, IgnoreRules, IgnoreSyntax, is_ignored},
    yaml::is_dag_yaml,
};

/// Folders deeper than this are taken for a mistake.
const MAX_DEPTH: usize = 64;

/// What a file may be, by its name and a look at its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// Python that mentions both "dag" and "airflow", as Airflow's safe mode asks for.
    PythonDag,
    /// Other Python: a module at most.
    PythonModule,
    /// YAML that means to be a DAG file.
    YamlDag,
    /// Anything else.
    Data,
}

impl FileKind {
    pub(crate) const fn may_define_dags(self) -> bool {
        matches!(self, Self::PythonDag | Self::YamlDag)
    }
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScannedFile {
    pub(crate) path: PathBuf,
    pub(crate) blob: BlobHash,
    pub(crate) size: u64,
    pub(crate) executable: bool,
    pub(crate) kind: FileKind,
}

/// A file that cannot be taken along but must not go unnoticed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeftOut {
    pub(crate) rel_path: String,
    pub(crate) why: String,
}

/// What one scan found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    /// The folder, links resolved: each scan anew, since a deployment may turn a link to another folder.
    pub(crate) root: PathBuf,
    /// By path below the folder, with `/`.
    pub(crate) files: BTreeMap<String, ScannedFile>,
    /// Python and YAML files that are too large or unreadable: import errors.
    pub(crate) left_out: Vec<LeftOut>,
    /// Remarks for the log.
    pub(crate) warnings: Vec<String>,
    /// False when a folder could not be read: what was not seen may still be there.
    pub(crate) complete: bool,
}

/// Tells an unchanged file without reading it. The change time makes a rewrite within one tick of the modification time, or
/// one that sets it back, show.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Scans one folder again and again.
pub(crate) struct Scanner {
    root: PathBuf,
    max_file_bytes: u64,
    syntax: IgnoreSyntax,
    known: HashMap<PathBuf, (Stamp, BlobHash, FileKind)>,
}

impl Scanner {
    pub(crate) fn new(root: PathBuf, max_file_bytes: u64, syntax: IgnoreSyntax) -> Self {
        Self { root, max_file_bytes, syntax, known: HashMap::new() }
    }

    /// Looks at the whole folder.
    ///
    /// # Errors
    /// The folder itself is not there or cannot be read: nothing is known then, least of all that its files are gone.
    pub(crate) fn scan(&mut self) -> io::Result<Scan> {
        let root = fs::canonicalize(&self.root)?;
        let mut walk = Walk {
            scanner: self,
            root: root.clone(),
            scan: Scan { root: root.clone(), complete: true, ..Scan::default() },
            rules: Vec::new(),
            visited: HashSet::new(),
            seen: HashMap::new(),
        };
        fs::read_dir(&root)?;
        walk.folder(&root, "", 0);
        let Walk { scan, seen, .. } = walk;
        self.known = seen;
        Ok(scan)
    }
}

struct Walk<'s> {
    scanner: &'s mut Scanner,
    root: PathBuf,
    scan: Scan,
    rules: Vec<IgnoreRules>,
    visited: HashSet<(u64, u64)>,
    seen: HashMap<PathBuf, (Stamp, BlobHash, FileKind)>,
}

impl Walk<'_> {
    fn folder(&mut self, path: &Path, rel: &str, depth: usize) {
        let entered = fs::metadata(path).map(|metadata| self.visited.insert((metadata.dev(), metadata.ino())));
        match entered {
            // A link that leads to a folder above or beside: its files are listed there.
            Ok(false) => return,
            Ok(true) if depth <= MAX_DEPTH => {}
            Ok(true) => {
                self.scan.warnings.push(format!("{}: more than {MAX_DEPTH} folders deep, left out", path.display()));
                return;
            }
            Err(error) => return self.unreadable(path, &error),
        }
        let mut entries = match fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
            Ok(entries) => entries,
            Err(error) => return self.unreadable(path, &error),
        };
        entries.sort_by_key(fs::DirEntry::file_name);
        let rules_before = self.rules.len();
        self.read_ignore_file(path);
        for entry in entries {
            let name = entry.file_name();
            let Some(name) = name.to_str().filter(|name| !name.contains('\\')) else {
                self.scan.warnings.push(format!(
                    "{}: left out, since its name is not UTF-8 or holds a backslash",
                    entry.path().display()
                ));
                continue;
            };
            if name.starts_with('.') || name == "__pycache__" || name.ends_with(".pyc") {
                continue;
            }
            let rel = if rel.is_empty() { name.to_owned() } else { format!("{rel}/{name}") };
            self.entry(&entry.path(), rel, depth);
        }
        self.rules.truncate(rules_before);
    }

    fn unreadable(&mut self, path: &Path, error: &io::Error) {
        // Gone between two looks is gone; anything else may be there still.
        if error.kind() != io::ErrorKind::NotFound {
            self.scan.complete = false;
            self.scan.warnings.push(format!("{}: cannot be read: {error}", path.display()));
        }
    }

    fn read_ignore_file(&mut self, folder: &Path) {
        match fs::read_to_string(folder.join(IGNORE_FILE)) {
            Ok(text) => {
                let (rules, warnings) = IgnoreRules::parse(folder, &text, self.scanner.syntax);
                self.rules.push(rules);
                self.scan.warnings.extend(warnings);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.unreadable(&folder.join(IGNORE_FILE), &error),
        }
    }

    fn entry(&mut self, path: &Path, rel: String, depth: usize) {
        let is_link = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            // A link to nowhere or to itself is an oddity of one file, not a folder that we failed to see.
            Err(error) if is_link => {
                self.scan.warnings.push(format!("{rel}: left out, since the link leads nowhere: {error}"));
                return;
            }
            Err(error) => return self.unreadable(path, &error),
        };
        if is_ignored(&self.rules, path, metadata.is_dir()) {
            return;
        }
        if is_link && !fs::canonicalize(path).is_ok_and(|target| target.starts_with(&self.root)) {
            self.scan.warnings.push(format!(
                "{rel}: left out, since the link leads out of the DAG folder; put the file itself there"
            ));
            return;
        }
        if metadata.is_dir() {
            self.folder(path, &rel, depth + 1);
        } else if metadata.is_file() {
            self.file(path, rel, &metadata);
        }
        // Sockets, pipes and devices are no files of a bundle.
    }

    fn file(&mut self, path: &Path, rel: String, metadata: &Metadata) {
        let may_define = has_ending(&rel, &["py", "yaml", "yml"]);
        if metadata.len() > self.scanner.max_file_bytes {
            let why = format!(
                "{} MiB is over the limit of {} MiB (dags.bundle_file_max_mib), so the file is not taken along",
                metadata.len().div_ceil(1 << 20),
                self.scanner.max_file_bytes >> 20
            );
            if has_ending(&rel, &["py"]) {
                self.scan.left_out.push(LeftOut { rel_path: rel, why });
            } else {
                self.scan.warnings.push(format!("{rel}: {why}"));
            }
            return;
        }
        let stamp = Stamp::of(metadata);
        let known = self
            .scanner
            .known
            .get(path)
            .filter(|(before, _, _)| *before == stamp)
            .map(|(_, blob, kind)| (blob.clone(), *kind));
        let (blob, kind) = match known {
            Some(known) => known,
            None => match fs::read(path) {
                Ok(bytes) => (BlobHash::from(sha256_hex(&bytes)), kind_of(&rel, &bytes)),
                Err(error) => {
                    if may_define && error.kind() != io::ErrorKind::NotFound {
                        let why = format!("the file cannot be read: {error}");
                        self.scan.left_out.push(LeftOut { rel_path: rel, why });
                    } else {
                        self.unreadable(path, &error);
                    }
                    return;
                }
            },
        };
        self.seen.insert(path.to_owned(), (stamp, blob.clone(), kind));
        let file = ScannedFile {
            path: path.to_owned(),
            blob,
            size: metadata.len(),
            executable: metadata.mode() & 0o111 != 0,
            kind,
        };
        self.scan.files.insert(rel, file);
    }
}

fn has_ending(rel: &str, endings: &[&str]) -> bool {
    rel.rsplit_once('.').is_some_and(|(_, ending)| endings.contains(&ending))
}

/// Airflow's safe mode for Python (`might_contain_dag_via_default_heuristic`), [`is_dag_yaml`] for YAML.
fn kind_of(rel: &str, bytes: &[u8]) -> FileKind {
    if has_ending(rel, &["py"]) {
        let text = bytes.to_ascii_lowercase();
        let mentions = |word: &[u8]| text.windows(word.len()).any(|window| window == word);
        if mentions(b"dag") && mentions(b"airflow") { FileKind::PythonDag } else { FileKind::PythonModule }
    } else if has_ending(rel, &["yaml", "yml"]) && is_dag_yaml(&String::from_utf8_lossy(bytes)) {
        FileKind::YamlDag
    } else {
        FileKind::Data
    }
}
