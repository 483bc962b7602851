//! `.airflowignore`: which files below the DAG folder are none of ours. Both of Airflow's syntaxes: `glob` (the default
//! since Airflow 3, the rules of `.gitignore`) and `regexp`.

use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use regex::Regex;

/// The name of the files that hold patterns; each holds for its own folder and what is below.
pub(crate) const IGNORE_FILE: &str = ".airflowignore";

/// How ignore files are read (Airflow's `[core] dag_ignore_file_syntax`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IgnoreSyntax {
    /// As `.gitignore`.
    #[default]
    Glob,
    /// Regular expressions, searched in the path below the ignore file's folder.
    Regexp,
}

impl std::str::FromStr for IgnoreSyntax {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "glob" => Ok(Self::Glob),
            "regexp" => Ok(Self::Regexp),
            other => Err(format!("\"{other}\" is no syntax of ignore files: glob or regexp")),
        }
    }
}

enum Pattern {
    Glob { matcher: GlobMatcher, negated: bool, folders_only: bool },
    Regexp(Regex),
}

/// The patterns of one ignore file.
pub(crate) struct IgnoreRules {
    folder: PathBuf,
    patterns: Vec<Pattern>,
}

impl IgnoreRules {
    /// Reads patterns; those that are wrong are left out and named in the second part.
    pub(crate) fn parse(folder: &Path, text: &str, syntax: IgnoreSyntax) -> (Self, Vec<String>) {
        let mut warnings = Vec::new();
        let mut patterns = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let pattern = match syntax {
                IgnoreSyntax::Glob => glob(line),
                IgnoreSyntax::Regexp => regexp(line),
            };
            match pattern {
                Ok(pattern) => patterns.extend(pattern),
                Err(why) => warnings.push(format!(
                    "{}:{}: the pattern is left out: {why}",
                    folder.join(IGNORE_FILE).display(),
                    index + 1
                )),
            }
        }
        let folder = folder.to_owned();
        (Self { folder, patterns }, warnings)
    }
}

/// A line as `.gitignore` reads it.
fn glob(line: &str) -> Result<Option<Pattern>, String> {
    let line = line.trim_end();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (line, negated) = match line.strip_prefix('!') {
        Some(rest) => (rest, true),
        None => (line.strip_prefix('\\').unwrap_or(line), false),
    };
    let (line, folders_only) = match line.strip_suffix('/') {
        Some(rest) => (rest, true),
        None => (line, false),
    };
    // A slash before the end ties the pattern to the folder of the file.
    let pattern = match line.strip_prefix('/') {
        Some(rest) => rest.to_owned(),
        None if line.contains('/') => line.to_owned(),
        None => format!("**/{line}"),
    };
    let matcher = GlobBuilder::new(&pattern)
        .literal_separator(true)
        .backslash_escape(true)
        .build()
        .map_err(|error| error.to_string())?
        .compile_matcher();
    Ok(Some(Pattern::Glob { matcher, negated, folders_only }))
}

/// A line as Airflow reads a regular expression: a comment may follow it.
fn regexp(line: &str) -> Result<Option<Pattern>, String> {
    let pattern = line.split('#').next().unwrap_or_default().trim();
    if pattern.is_empty() {
        return Ok(None);
    }
    Regex::new(pattern)
        .map(|regex| Some(Pattern::Regexp(regex)))
        .map_err(|error| error.to_string().lines().last().unwrap_or_default().to_owned())
}

/// Whether a path is ignored by the rules of the folders above it, the outermost first. The last pattern that fits decides.
pub(crate) fn is_ignored(rules: &[IgnoreRules], path: &Path, is_folder: bool) -> bool {
    let mut ignored = false;
    for rules in rules {
        let Ok(below) = path.strip_prefix(&rules.folder) else {
            continue;
        };
        for pattern in &rules.patterns {
            match pattern {
                Pattern::Glob { matcher, negated, folders_only } => {
                    if (is_folder || !folders_only) && matcher.is_match(below) {
                        ignored = !negated;
                    }
                }
                Pattern::Regexp(regex) => ignored |= regex.is_match(&below.to_string_lossy()),
            }
        }
    }
    ignored
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ignored(syntax: IgnoreSyntax, patterns: &str, path: &str) -> bool {
        let (rules, warnings) = IgnoreRules::parse(Path::new("/dags"), patterns, syntax);
        assert!(warnings.is_empty(), "{warnings:?}");
        let is_folder = path.ends_with('/');
        is_ignored(&[rules], &Path::new("/dags").join(path.trim_end_matches('/')), is_folder)
    }

    #[test]
    fn globs_work_as_in_gitignore() {
        for (patterns, path, expected) in [
            ("*.tmp.py", "a/b.tmp.py", true),
            ("*.tmp.py", "a/b.py", false),
            ("/top.py", "top.py", true),
            ("/top.py", "a/top.py", false),
            ("a/*.py", "a/x.py", true),
            ("a/*.py", "a/b/x.py", false),
            ("a/**/x.py", "a/b/c/x.py", true),
            ("tests/", "tests/", true),
            ("tests/", "tests", false),
            ("tests/", "a/tests/", true),
            ("*.py\n!keep.py", "keep.py", false),
            ("*.py\n!keep.py", "other.py", true),
            ("# comment\n\n", "x.py", false),
            ("\\#odd.py", "#odd.py", true),
            ("[ab].py", "b.py", true),
        ] {
            assert_eq!(ignored(IgnoreSyntax::Glob, patterns, path), expected, "{patterns:?} {path}");
        }
    }

    #[test]
    fn regular_expressions_are_searched_in_the_path() {
        for (patterns, path, expected) in [
            ("project_a", "x/project_a/d.py", true),
            ("tenant_[\\d]", "tenant_1.py", true),
            ("^x", "a/x.py", false),
            ("old # of last year", "old.py", true),
            ("# all of it", "old.py", false),
        ] {
            assert_eq!(ignored(IgnoreSyntax::Regexp, patterns, path), expected, "{patterns:?} {path}");
        }
    }

    #[test]
    fn inner_files_win_over_outer_ones_and_bad_patterns_are_named() {
        let (outer, _) = IgnoreRules::parse(Path::new("/dags"), "*.py", IgnoreSyntax::Glob);
        let (inner, _) = IgnoreRules::parse(Path::new("/dags/a"), "!x.py", IgnoreSyntax::Glob);
        let rules = [outer, inner];
        assert!(!is_ignored(&rules, Path::new("/dags/a/x.py"), false));
        assert!(is_ignored(&rules, Path::new("/dags/b/x.py"), false));
        let (_, warnings) = IgnoreRules::parse(Path::new("/dags"), "ok\n(", IgnoreSyntax::Regexp);
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].starts_with("/dags/.airflowignore:2: "), "{warnings:?}");
    }
}
