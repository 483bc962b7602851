//! What a `tradewind.toml` of a DAG folder says.

use std::time::Duration;

use globset::{GlobBuilder, GlobMatcher};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};
use tradewind_types::did_you_mean;

use crate::{Problem, yaml::parse_span};

/// Sections of the process's configuration, which has a file of the same name.
const PROCESS_SECTIONS: [&str; 13] = [
    "home",
    "store",
    "queue",
    "scheduler",
    "core",
    "dags",
    "worker",
    "python",
    "client",
    "security",
    "tls",
    "logs",
    "telemetry",
];
/// The sections of this file.
const SECTIONS: [&str; 2] = ["environments", "reload"];
const KEYS: [&str; 4] = ["requirements", "project", "files", "python"];
/// The oldest Python that Airflow 3 runs on.
const OLDEST: (u32, u32) = (3, 10);

/// A whole file.
#[derive(Debug, Default)]
pub(crate) struct Declared {
    pub(crate) environments: Vec<Declaration>,
    pub(crate) reloads: Vec<Reload>,
    /// What is wrong with the file, not with one environment of it: which files it means is not known then.
    pub(crate) problems: Vec<Problem>,
    /// What is wrong with `[reload]`.
    pub(crate) reload_problems: Vec<Problem>,
}

/// One line of `[reload]`.
#[derive(Debug)]
pub(crate) struct Reload {
    pub(crate) files: Files,
    /// How long what these files gave holds.
    pub(crate) every: Duration,
}

/// One `[environments.NAME]`.
#[derive(Debug)]
pub(crate) struct Declaration {
    pub(crate) name: String,
    /// Its line.
    pub(crate) line: u32,
    pub(crate) packages: Option<Packages>,
    pub(crate) python: Option<String>,
    /// The DAG files that it is for; none when that is not known.
    pub(crate) files: Option<Files>,
    pub(crate) problems: Vec<Problem>,
}

/// What `requirements` or `project` names, as it is written.
#[derive(Debug)]
pub(crate) struct Packages {
    pub(crate) is_project: bool,
    pub(crate) path: String,
    pub(crate) line: u32,
}

/// What `files` matches; everything without it.
#[derive(Debug, Default)]
pub(crate) struct Files {
    patterns: Vec<(String, Vec<GlobMatcher>)>,
    line: u32,
}

impl Files {
    /// Whether a file is meant; `below` is its path below the folder of the `tradewind.toml`.
    pub(crate) fn matches(&self, below: &str) -> bool {
        self.patterns.is_empty() || self.patterns.iter().any(|(_, globs)| globs.iter().any(|glob| glob.is_match(below)))
    }

    /// The patterns that match none of `files`, and the line they are in.
    pub(crate) fn idle<'s>(&'s self, files: &[&str]) -> Vec<(&'s str, u32)> {
        let is_idle = |globs: &[GlobMatcher]| !files.iter().any(|file| globs.iter().any(|glob| glob.is_match(file)));
        self.patterns
            .iter()
            .filter(|(_, globs)| is_idle(globs))
            .map(|(pattern, _)| (pattern.as_str(), self.line))
            .collect()
    }
}

/// Reads the text of a file.
pub(crate) fn read(text: &str) -> Declared {
    let lines = Lines(text);
    let mut declared = Declared::default();
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            let line = lines.at(error.span().map_or(0, |span| span.start));
            declared.problems.push(problem(line, format!("it is not TOML: {}", error.message())));
            return declared;
        }
    };
    for (section, value) in table.get_ref() {
        let (name, line) = (section.get_ref().as_ref(), lines.at(section.span().start));
        if name == "environments" {
            match value.get_ref() {
                DeValue::Table(entries) => {
                    declared.environments.extend(entries.iter().map(|(name, value)| environment(&lines, name, value)));
                }
                _ => declared.problems.push(problem(line, "write each environment as a section: [environments.NAME]")),
            }
        } else if name == "reload" {
            match value.get_ref() {
                DeValue::Table(entries) => {
                    for (pattern, every) in entries {
                        match reload(&lines, pattern, every) {
                            Ok(reload) => declared.reloads.push(reload),
                            Err(problem) => declared.reload_problems.push(problem),
                        }
                    }
                }
                _ => declared.reload_problems.push(problem(line, RELOAD_FORM)),
            }
        } else if PROCESS_SECTIONS.contains(&name) {
            declared.problems.push(problem(
                line,
                format!(
                    "[{name}] belongs to the configuration of a process, and this file lies in the DAG folder, where \
                     tradewind.toml is about DAG files: keep that configuration in a file outside of the DAG \
                     folder and name it with --config or TRADEWIND_CONFIG"
                ),
            ));
        } else {
            let near = did_you_mean(name, SECTIONS);
            let message =
                format!("there is no section \"{name}\"{near}: this file has [environments.NAME] and [reload]");
            declared.problems.push(problem(line, message));
        }
    }
    // The parser sorts by name; people read from the top.
    declared.environments.sort_by_key(|environment| environment.line);
    declared
}

const RELOAD_FORM: &str =
    "reload: write a section of files and times: [reload], and below it \"tenants/*.py\" = \"5m\"";

fn reload(
    lines: &Lines<'_>,
    pattern: &Spanned<std::borrow::Cow<'_, str>>,
    every: &Spanned<DeValue<'_>>,
) -> Result<Reload, Problem> {
    let (line, written) = (lines.at(pattern.span().start), pattern.get_ref());
    let wrong = |message: String| problem(line, format!("reload.\"{written}\": {message}"));
    let every =
        text(every).ok_or_else(|| wrong("expects a time as text, e.g. \"30s\", \"5m\" or \"1h\"".to_owned()))?;
    let every = parse_span(every).map_err(wrong)?;
    if every < Duration::from_secs(1) {
        return Err(wrong("a file is not loaded again more often than each second".to_owned()));
    }
    let files = Files { patterns: vec![(written.to_string(), globs(written).map_err(wrong)?)], line };
    Ok(Reload { files, every })
}

fn environment(
    lines: &Lines<'_>,
    name: &Spanned<std::borrow::Cow<'_, str>>,
    value: &Spanned<DeValue<'_>>,
) -> Declaration {
    let line = lines.at(name.span().start);
    let name: &str = name.get_ref();
    let mut declaration = Declaration {
        name: name.to_owned(),
        line,
        packages: None,
        python: None,
        files: Some(Files::default()),
        problems: Vec::new(),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || !name.chars().all(is_name) {
        let message = format!("environments.\"{name}\": a name is made of letters, digits, \"-\", \"_\" and \".\"");
        declaration.problems.push(problem(line, message));
    }
    let DeValue::Table(entries) = value.get_ref() else {
        let message =
            format!("environments.{name}: write a section [environments.{name}] with requirements or project");
        declaration.problems.push(problem(line, message));
        return declaration;
    };
    let mut sources = Vec::new();
    for (key, value) in entries {
        let (key, line) = (key.get_ref().as_ref(), lines.at(key.span().start));
        let mut wrong = |message: String| {
            declaration.problems.push(problem(line, format!("environments.{name}.{key}: {message}")));
        };
        match key {
            "requirements" | "project" => match text(value).filter(|path| !path.trim().is_empty()) {
                Some(path) => {
                    sources.push(Packages { is_project: key == "project", path: path.to_owned(), line });
                }
                None if key == "project" => wrong("expects the folder of a pyproject.toml, e.g. \".\"".to_owned()),
                None => wrong("expects the path of a file, e.g. \"requirements.txt\"".to_owned()),
            },
            "python" => match python_version(text(value)) {
                Ok(version) => declaration.python = Some(version),
                Err(message) => wrong(message),
            },
            "files" => match files(value, line) {
                Ok(files) => declaration.files = Some(files),
                Err(message) => {
                    wrong(message);
                    declaration.files = None;
                }
            },
            key => {
                let near = did_you_mean(key, KEYS);
                wrong(format!("there is no such key{near}; there are {}", KEYS.join(", ")));
            }
        }
    }
    sources.sort_by_key(|packages: &Packages| packages.line);
    declaration.problems.sort_by_key(|problem| problem.line);
    match <[Packages; 1]>::try_from(sources) {
        Ok([packages]) => declaration.packages = Some(packages),
        Err(sources) if !sources.is_empty() => declaration.problems.push(problem(
            sources[1].line,
            format!("environments.{name}: it names both requirements and project; keep one of them"),
        )),
        // A slip in the key has been named; that it is missing needs not be said as well.
        Err(_) if declaration.problems.is_empty() => declaration.problems.push(problem(
            line,
            format!(
                "environments.{name}: it names no packages: add requirements = \"requirements.txt\" or project = \".\""
            ),
        )),
        Err(_) => {}
    }
    declaration
}

fn text<'v>(value: &'v Spanned<DeValue<'_>>) -> Option<&'v str> {
    match value.get_ref() {
        DeValue::String(text) => Some(text),
        _ => None,
    }
}

fn python_version(version: Option<&str>) -> Result<String, String> {
    let expected = "expects a version as text, e.g. \"3.12\"";
    let version = version.ok_or(expected)?;
    let parts: Option<Vec<u32>> = version.split('.').map(|part| part.parse().ok()).collect();
    match parts.as_deref() {
        Some([major, minor] | [major, minor, _]) if (*major, *minor) >= OLDEST && *major == OLDEST.0 => {
            Ok(version.to_owned())
        }
        Some([_, _] | [_, _, _]) => {
            Err(format!("\"{version}\": Airflow 3 runs on Python {}.{} and newer", OLDEST.0, OLDEST.1))
        }
        _ => Err(format!("\"{version}\": {expected}")),
    }
}

fn files(value: &Spanned<DeValue<'_>>, line: u32) -> Result<Files, String> {
    let expected = "expects a list of files, folders or patterns, e.g. [\"forecast/**\", \"weekly.py\"]";
    let patterns: Vec<&str> = match value.get_ref() {
        DeValue::Array(items) => items.iter().map(text).collect::<Option<_>>().ok_or(expected)?,
        DeValue::String(pattern) => vec![pattern],
        _ => return Err(expected.to_owned()),
    };
    if patterns.is_empty() {
        return Err(format!("it is empty, so that no DAG would use the environment; it {expected}"));
    }
    let mut files = Files { patterns: Vec::new(), line };
    for written in patterns {
        files.patterns.push((written.to_owned(), globs(written)?));
    }
    Ok(files)
}

/// What a path or pattern means; a folder means what is in it.
fn globs(written: &str) -> Result<Vec<GlobMatcher>, String> {
    let pattern = written.trim_start_matches("./").trim_end_matches('/');
    if pattern.is_empty() || pattern.starts_with('/') || pattern.split('/').any(|part| part == "..") {
        return Err(format!("\"{written}\": a pattern is a path below the folder of this file"));
    }
    [pattern.to_owned(), format!("{pattern}/**")]
        .iter()
        .map(|pattern| GlobBuilder::new(pattern).literal_separator(true).build().map(|glob| glob.compile_matcher()))
        .collect::<Result<_, _>>()
        .map_err(|error| format!("\"{written}\" is no pattern: {}", error.kind()))
}

pub(crate) fn problem(line: u32, message: impl Into<String>) -> Problem {
    Problem { line: Some(line), ..Problem::new(message) }
}

struct Lines<'t>(&'t str);

impl Lines<'_> {
    fn at(&self, offset: usize) -> u32 {
        let before = &self.0.as_bytes()[..offset.min(self.0.len())];
        u32::try_from(before.iter().filter(|&&byte| byte == b'\n').count() + 1).unwrap_or(u32::MAX)
    }
}
