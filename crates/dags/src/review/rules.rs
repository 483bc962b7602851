//! The rules of a review, with names that stay: reports of several runs are compared by them.

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Something does not load, or cannot run.
    Error,
    /// It loads, but will probably not do what is meant.
    Warning,
    /// Good to know.
    Note,
}

impl Level {
    /// As reports write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// A rule.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name.
    pub id: &'static str,
    /// How grave its findings usually are.
    pub level: Level,
    /// What it finds.
    pub summary: &'static str,
}

/// All rules.
pub const RULES: &[Rule] = &[
    Rule { id: "import-error", level: Level::Error, summary: "A file, or a DAG of it, cannot be loaded." },
    Rule { id: "no-interpreter", level: Level::Error, summary: "No Python is set up, so Python files are not loaded." },
    Rule { id: "dependency-cycle", level: Level::Error, summary: "Tasks wait for each other." },
    Rule { id: "duplicate-dag-id", level: Level::Error, summary: "Two DAGs have one id." },
    Rule { id: "bad-params", level: Level::Error, summary: "The default of a param does not fit its own schema." },
    Rule { id: "timetable-raises", level: Level::Error, summary: "A custom timetable raises when it is asked." },
    Rule { id: "unknown-pool", level: Level::Warning, summary: "A task names a pool that does not exist." },
    Rule { id: "unknown-queue", level: Level::Warning, summary: "A task names a queue that no worker serves." },
    Rule { id: "unknown-connection", level: Level::Warning, summary: "A task names a connection that does not exist." },
    Rule {
        id: "deprecated-name",
        level: Level::Warning,
        summary: "A name that newer versions of Airflow no longer have.",
    },
    Rule {
        id: "not-supported",
        level: Level::Warning,
        summary: "Something that Tradewind does otherwise than Airflow.",
    },
    Rule { id: "python-warning", level: Level::Warning, summary: "Python warned while the file was loaded." },
    Rule { id: "no-start-date", level: Level::Warning, summary: "A DAG has a schedule and no start date." },
    Rule { id: "never-runs", level: Level::Warning, summary: "A schedule gives no run." },
    Rule { id: "catchup-backlog", level: Level::Warning, summary: "Catchup makes runs for the past at once." },
    Rule { id: "no-tasks", level: Level::Warning, summary: "A DAG has no tasks." },
    Rule { id: "no-dag", level: Level::Warning, summary: "A file that was named defines no DAG." },
    Rule { id: "folder", level: Level::Warning, summary: "Something in the folder was left out." },
];

/// A rule by name. Only names of [`RULES`] are asked for; anything else is taken for an import error.
pub fn rule(id: &str) -> &'static Rule {
    RULES.iter().find(|rule| rule.id == id).unwrap_or(&RULES[0])
}
