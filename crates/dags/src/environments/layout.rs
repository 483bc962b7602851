//! Which DAG file uses which environment.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tradewind_types::Environment;

use super::{
    FILE,
    declare::{self, Declaration, Declared, Reload, problem},
    definition::{self, Definition},
};
use crate::{
    Problem,
    scan::{FileKind, Scan},
};

/// What is known of the environment of a DAG file.
#[derive(Clone, Debug)]
pub(crate) enum Claim {
    /// It has this one.
    Uses(Arc<Environment>),
    /// It has one, but what is declared is wrong: it cannot be loaded.
    Wrong(Problem),
}

/// The environments of a DAG folder.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layout {
    /// By DAG file; one that is not there uses the environment of the installation.
    claims: BTreeMap<String, Claim>,
    /// How long what a DAG file gave holds, where that is declared.
    reloads: BTreeMap<String, Duration>,
    /// What is wrong, by `tradewind.toml`.
    pub(crate) problems: BTreeMap<String, Vec<Problem>>,
    /// Remarks for the log.
    pub(crate) warnings: Vec<String>,
    /// The files that declare and define environments: they concern only those who use them.
    special: BTreeSet<String>,
}

impl Layout {
    /// Reads all `tradewind.toml` files of a scan.
    pub(crate) fn of(scan: &Scan) -> Self {
        let mut layout = Self::default();
        let folders: BTreeMap<&str, &str> = scan
            .files
            .keys()
            .filter(|file| file.rsplit('/').next() == Some(FILE))
            .map(|file| (parent(file).unwrap_or(""), file.as_str()))
            .collect();
        let sources: BTreeMap<&str, Source> =
            folders.into_iter().map(|(folder, file)| (folder, layout.source(scan, folder, file))).collect();
        if sources.is_empty() {
            return layout;
        }
        let dags: Vec<&str> = scan
            .files
            .iter()
            .filter(|(_, file)| file.kind == FileKind::PythonDag)
            .map(|(rel, _)| rel.as_str())
            .collect();
        for dag in &dags {
            // The nearest file that says something counts.
            let above = || std::iter::successors(parent(dag), |folder| parent(folder));
            let above = || above().filter_map(|folder| Some((folder, sources.get(folder)?)));
            if let Some(claim) = above().find_map(|(folder, source)| layout.claim(source, folder, dag)) {
                layout.claims.insert((*dag).to_owned(), claim);
            }
            if let Some(every) = above().find_map(|(folder, source)| source.reload_every(below(folder, dag)?)) {
                layout.reloads.insert((*dag).to_owned(), every);
            }
        }
        for (folder, source) in &sources {
            let below: Vec<&str> = dags.iter().filter_map(|dag| below(folder, dag)).collect();
            for (pattern, line) in source.reloads.iter().flat_map(|reload| reload.files.idle(&below)) {
                layout.warnings.push(format!("{}:{line}: reload: \"{pattern}\" matches no DAG file", source.file));
            }
            for (declaration, _) in &source.environments {
                for (pattern, line) in declaration.files.iter().flat_map(|files| files.idle(&below)) {
                    layout.warnings.push(format!(
                        "{}:{line}: environments.{}.files: \"{pattern}\" matches no DAG file",
                        source.file, declaration.name
                    ));
                }
            }
        }
        layout
    }

    /// What is known of the environment of a DAG file; nothing when it uses that of the installation.
    pub(crate) fn of_file(&self, dag_file: &str) -> Option<&Claim> {
        self.claims.get(dag_file)
    }

    /// How long what a DAG file gave holds, when it depends on something that is not in the folder; without it, until the
    /// folder says otherwise.
    pub(crate) fn reload_every(&self, dag_file: &str) -> Option<Duration> {
        self.reloads.get(dag_file).copied()
    }

    /// Whether a file declares or defines environments.
    pub(crate) fn is_special(&self, file: &str) -> bool {
        self.special.contains(file)
    }

    /// The files whose environment is not that of the installation.
    pub(crate) fn claims(&self) -> &BTreeMap<String, Claim> {
        &self.claims
    }

    /// The environments in use.
    pub(crate) fn in_use(&self) -> impl Iterator<Item = &Arc<Environment>> {
        self.claims.values().filter_map(|claim| match claim {
            Claim::Uses(environment) => Some(environment),
            Claim::Wrong(_) => None,
        })
    }

    fn source(&mut self, scan: &Scan, folder: &str, file: &str) -> Source {
        self.special.insert(file.to_owned());
        let Declared { environments, reloads, problems, reload_problems } =
            match std::fs::read_to_string(scan.root.join(file)) {
                Ok(text) => declare::read(&text),
                Err(error) => {
                    let problems = vec![problem(1, format!("it cannot be read: {error}"))];
                    Declared { problems, ..Declared::default() }
                }
            };
        let wrong = problems.first().cloned();
        let mut source = Source { file: file.to_owned(), environments: Vec::new(), reloads, wrong };
        let mut all = problems;
        all.extend(reload_problems);
        for declaration in environments {
            let found = self.environment(scan, folder, file, &declaration);
            if let Err(problems) = &found {
                all.extend(problems.iter().cloned());
                if declaration.files.is_none() && source.wrong.is_none() {
                    source.wrong = problems.first().cloned();
                }
            }
            let found = found.map_err(|problems| problems.into_iter().next().unwrap_or_default());
            source.environments.push((declaration, found));
        }
        if !all.is_empty() {
            self.problems.insert(file.to_owned(), all);
        }
        source
    }

    fn environment(
        &mut self,
        scan: &Scan,
        folder: &str,
        file: &str,
        declaration: &Declaration,
    ) -> Result<Arc<Environment>, Vec<Problem>> {
        let packages = match (&declaration.packages, declaration.problems.as_slice()) {
            (Some(packages), []) => packages,
            (_, problems) => return Err(problems.to_vec()),
        };
        let Definition { packages: source, files } = definition::follow(scan, folder, packages).map_err(|fault| {
            let field = if packages.is_project { "project" } else { "requirements" };
            let at = fault.place.map_or_else(String::new, |(file, line)| format!("{file}:{line}: "));
            let message = format!("environments.{}.{field}: {at}{}", declaration.name, fault.message);
            vec![problem(packages.line, message)]
        })?;
        let blobs = files.iter().filter_map(|file| Some((file.as_str(), &scan.files.get(file)?.blob)));
        let hash = Environment::hash_of(&source, declaration.python.as_deref(), blobs);
        self.special.extend(files.iter().cloned());
        Ok(Arc::new(Environment {
            name: declaration.name.clone(),
            hash,
            declared_in: file.to_owned(),
            packages: source,
            python: declaration.python.clone(),
            files: files.into_iter().collect(),
        }))
    }

    /// What a `tradewind.toml` says about a DAG file below it.
    fn claim(&mut self, source: &Source, folder: &str, dag: &str) -> Option<Claim> {
        let below = below(folder, dag)?;
        let claims: Vec<_> = source
            .environments
            .iter()
            .filter(|(declaration, _)| declaration.files.as_ref().is_some_and(|files| files.matches(below)))
            .collect();
        match claims.as_slice() {
            [] => source.wrong.as_ref().map(|wrong| {
                Claim::Wrong(Problem::new(format!(
                    "which Python environment this file uses is not known: {}{}: {}",
                    source.file,
                    at(wrong),
                    wrong.message
                )))
            }),
            [(_, Ok(environment))] => Some(Claim::Uses(Arc::clone(environment))),
            [(declaration, Err(wrong))] => Some(Claim::Wrong(Problem::new(format!(
                "the Python environment \"{}\" of this file is declared wrongly: {}{}: {}",
                declaration.name,
                source.file,
                at(wrong),
                wrong.message
            )))),
            [(first, _), (second, _), ..] => {
                let message = format!(
                    "environments.{}.files: {dag} belongs to the environment \"{}\" (line {}) as well; a file has one \
                     environment: narrow one of the two",
                    second.name, first.name, first.line
                );
                let place = format!("{}:{}: ", source.file, second.line);
                let problems = self.problems.entry(source.file.clone()).or_default();
                problems.push(problem(second.line, message.clone()));
                Some(Claim::Wrong(Problem::new(format!("{place}{message}"))))
            }
        }
    }
}

/// A `tradewind.toml`.
struct Source {
    file: String,
    environments: Vec<(Declaration, Result<Arc<Environment>, Problem>)>,
    reloads: Vec<Reload>,
    /// What is wrong with it such that it is not known which files it means.
    wrong: Option<Problem>,
}

impl Source {
    /// How long what a file gave holds; `below` is its path below the folder of this file. Of several the shortest.
    fn reload_every(&self, below: &str) -> Option<Duration> {
        self.reloads.iter().filter(|reload| reload.files.matches(below)).map(|reload| reload.every).min()
    }
}

fn at(problem: &Problem) -> String {
    problem.line.map_or_else(String::new, |line| format!(":{line}"))
}

/// The folder that a path lies in; none above the DAG folder.
fn parent(path: &str) -> Option<&str> {
    match path.rsplit_once('/') {
        Some((folder, _)) => Some(folder),
        None if path.is_empty() => None,
        None => Some(""),
    }
}

fn below<'p>(folder: &str, path: &'p str) -> Option<&'p str> {
    if folder.is_empty() { Some(path) } else { path.strip_prefix(folder)?.strip_prefix('/') }
}
