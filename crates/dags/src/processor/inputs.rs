//! What parsing a DAG file depends on.

use std::{collections::BTreeSet, sync::Arc};

use tradewind_types::sha256_hex;

use crate::{
    environments::{Claim, Layout},
    scan::{FileKind, Scan, ScannedFile},
};

/// Hashes over parts of a scan, computed once.
pub(crate) struct Inputs<'s> {
    scan: &'s Scan,
    /// Over the files that are neither Python nor DAGs: a DAG file may read them while it is loaded.
    data: String,
    /// Over all files: what a broken file lacks may come from anywhere.
    pub(crate) all: String,
    /// Whether each file may depend on any other.
    any_file_counts: bool,
}

impl<'s> Inputs<'s> {
    pub(crate) fn new(scan: &'s Scan) -> Self {
        Self { scan, data: String::new(), all: hash_over(scan, |_, _| true), any_file_counts: false }
    }

    /// Once it is known which files concern environments only. Notes for authors are about modules, too, that functions
    /// import only while they run: with them each file may depend on any other.
    pub(crate) fn without(self, layout: &Layout, with_notes: bool) -> Self {
        let is_data = |rel: &str, file: &ScannedFile| file.kind == FileKind::Data && !layout.is_special(rel);
        Self { data: hash_over(self.scan, is_data), any_file_counts: with_notes, ..self }
    }

    /// The key of what a file depends on, given its environment and the local modules that it `imported`; with
    /// `is_broken`, what it lacks may come from anywhere.
    pub(crate) fn key(
        &self,
        rel: &str,
        file: &ScannedFile,
        claim: Option<&Claim>,
        imported: &BTreeSet<String>,
        is_broken: bool,
    ) -> String {
        if file.kind == FileKind::YamlDag {
            return file.blob.to_string();
        }
        let mut text = format!("{rel}\n{}\n{}\n", file.blob, self.data);
        match claim {
            Some(Claim::Uses(environment)) => text.push_str(&format!("{environment:?}\n")),
            Some(Claim::Wrong(problem)) => text.push_str(&format!("wrong: {}\n", problem.message)),
            None => {}
        }
        if is_broken || self.any_file_counts {
            text.push_str(&self.all);
        }
        for module in imported {
            let blob = self.scan.files.get(module).map_or("", |file| file.blob.as_str());
            text.push_str(module);
            text.push('\0');
            text.push_str(blob);
            text.push('\n');
        }
        sha256_hex(text.as_bytes())
    }
}

fn hash_over(scan: &Scan, keep: impl Fn(&str, &ScannedFile) -> bool) -> String {
    let mut text = String::new();
    for (rel, file) in scan.files.iter().filter(|(rel, file)| keep(rel, file)) {
        text.push_str(rel);
        text.push('\0');
        text.push_str(file.blob.as_str());
        text.push('\n');
    }
    sha256_hex(text.as_bytes())
}

/// The environments of the folder, read again when a file changed.
#[derive(Default)]
pub(crate) struct KnownLayout {
    /// Over all files.
    key: String,
    layout: Arc<Layout>,
}

impl KnownLayout {
    pub(crate) async fn of(&mut self, scan: &Arc<Scan>, key: &str) -> Arc<Layout> {
        if self.key != key {
            let scan = Arc::clone(scan);
            match tokio::task::spawn_blocking(move || Layout::of(&scan)).await {
                Ok(layout) => *self = Self { key: key.to_owned(), layout: Arc::new(layout) },
                Err(error) => tracing::error!("reading the declared environments panicked: {error}"),
            }
        }
        Arc::clone(&self.layout)
    }
}
