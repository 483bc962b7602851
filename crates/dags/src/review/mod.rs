//! What an author wants to hear about DAG files before anyone runs them: every problem at once, each with its place and how
//! to mend it, and when the DAGs will run.

mod cycle;
mod next;
mod places;
mod rules;
mod schedule;
mod texts;
mod uses;

use std::collections::{BTreeMap, BTreeSet};

use tradewind_types::{DagSpec, Timestamp};

pub use self::{
    cycle::draw as draw_cycle,
    next::{Upcoming, next_runs},
    rules::{Level, RULES, Rule, rule},
};
use self::{places::Places, texts::Said};
use crate::{LoadedFile, order};

/// What an installation has, as far as it could be asked. What is `None` is not compared.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Names of its pools.
    pub pools: Option<BTreeSet<String>>,
    /// Queues that live workers serve.
    pub queues: Option<BTreeSet<String>>,
    /// Its connections' ids.
    pub connections: Option<BTreeSet<String>>,
}

/// Something that an author should look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule that found it.
    pub rule: &'static Rule,
    /// How grave it is here.
    pub level: Level,
    /// The file, below the folder.
    pub file: String,
    /// Line, from 1, where known.
    pub line: Option<u32>,
    /// Column, from 1, where known.
    pub column: Option<u32>,
    /// The DAG that it is about.
    pub dag_id: Option<String>,
    /// The task that it is about.
    pub task_id: Option<String>,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub mend: Option<String>,
    /// A drawing, for cycles.
    pub drawing: Option<String>,
}

impl Finding {
    fn new(rule_id: &str, file: &str, message: impl Into<String>) -> Self {
        let rule = rule(rule_id);
        Self {
            rule,
            level: rule.level,
            file: file.to_owned(),
            line: None,
            column: None,
            dag_id: None,
            task_id: None,
            message: message.into(),
            mend: None,
            drawing: None,
        }
    }

    fn mend(mut self, mend: impl Into<String>) -> Self {
        self.mend = Some(mend.into());
        self
    }

    fn of_dag(mut self, dag_id: &str, places: &Places) -> Self {
        self.put(places.dag(dag_id));
        self.dag_id = Some(dag_id.to_owned());
        self
    }

    fn of_task(mut self, dag_id: &str, task_id: &str, places: &Places) -> Self {
        self.put(places.task(dag_id, task_id).or_else(|| places.dag(dag_id)));
        self.dag_id = Some(dag_id.to_owned());
        self.task_id = Some(task_id.to_owned());
        self
    }

    fn put(&mut self, place: Option<(String, u32)>) {
        if let Some((file, line)) = place {
            self.file = file;
            self.line = Some(line);
        }
    }
}

/// When a DAG runs.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The DAG.
    pub dag_id: String,
    /// Its file, below the folder.
    pub file: String,
    /// Its schedule as people read it.
    pub schedule: Option<String>,
    /// The zone of its dates.
    pub timezone: String,
    /// Its next runs.
    pub upcoming: Upcoming,
}

/// What was found in files.
#[derive(Clone, Debug, Default)]
pub struct Review {
    /// All that an author should look at, by file and line.
    pub findings: Vec<Finding>,
    /// When the DAGs run, by id.
    pub planned: Vec<Planned>,
}

/// Reviews loaded files. `problems` are what the scheduler would refuse a DAG for beyond what is checked while it is
/// loaded; `text` gives the text of a file of the folder, for places in YAML.
pub fn review(
    files: &[LoadedFile],
    known: &Known,
    now: Timestamp,
    problems: impl Fn(&DagSpec) -> Vec<String>,
    text: impl Fn(&str) -> Option<String>,
) -> Review {
    let mut review = Review::default();
    for file in files {
        let places = Places::of(file, &text);
        let findings = &mut review.findings;
        findings.extend(errors(file, &places));
        findings.extend(file.deprecations.iter().map(deprecation));
        findings.extend(twice(file, &places));
        let said: BTreeSet<String> = file.deprecations.iter().map(|name| texts::one_line(&name.to_string())).collect();
        findings.extend(
            file.warnings.iter().filter(|warning| !said.contains(*warning)).map(|line| warning(line, file, &places)),
        );
        for (_, spec) in &file.dags {
            let upcoming = next_runs(spec, file.dag_notes(spec.dag_id.as_str()), now);
            findings.extend(schedule::findings(spec, &upcoming, now).into_iter().map(|finding| {
                Finding { file: file.rel_path.clone(), ..finding }.of_dag(spec.dag_id.as_str(), &places)
            }));
            findings.extend(problems(spec).into_iter().map(|message| {
                Finding::new("bad-params", &file.rel_path, message).of_dag(spec.dag_id.as_str(), &places)
            }));
            findings.extend(uses::findings(file, spec, known, &places));
            review.planned.push(planned(file, spec, upcoming));
        }
    }
    // A module that several DAG files import says the same each time.
    let mut seen = BTreeSet::new();
    review.findings.retain(|finding| {
        let key =
            (finding.file.clone(), finding.line, finding.rule.id, finding.message.clone(), finding.dag_id.clone());
        seen.insert(key)
    });
    review.findings.sort_by(|a, b| {
        (&a.file, a.line, a.level, a.rule.id, &a.message).cmp(&(&b.file, b.line, b.level, b.rule.id, &b.message))
    });
    review.planned.sort_by(|a, b| a.dag_id.cmp(&b.dag_id));
    review
}

fn planned(file: &LoadedFile, spec: &DagSpec, upcoming: Upcoming) -> Planned {
    Planned {
        dag_id: spec.dag_id.to_string(),
        file: file.rel_path.clone(),
        schedule: spec.schedule_text.clone(),
        timezone: spec.timezone.clone(),
        upcoming,
    }
}

/// What kept a file, or a DAG of it, from being loaded.
fn errors(file: &LoadedFile, places: &Places) -> Vec<Finding> {
    let mut cycles: BTreeMap<&str, &[String]> = BTreeMap::new();
    for dag in file.notes.iter().flat_map(|notes| &notes.dags).filter(|dag| !dag.cycle.is_empty()) {
        cycles.insert(&dag.dag_id, &dag.cycle);
    }
    let mut found: Vec<Finding> = Vec::new();
    for error in &file.errors {
        // The parser joins what went wrong with several DAGs of a file by lines.
        if error.message.lines().any(|line| texts::cycle_of_airflow(line).is_some()) {
            for line in error.message.lines() {
                found.push(match texts::cycle_of_airflow(line).and_then(|id| cycles.remove(id).map(|way| (id, way))) {
                    Some((dag_id, way)) => {
                        let words = format!("the tasks of \"{dag_id}\" wait for each other");
                        cyclic(&file.rel_path, &words, way).of_dag(dag_id, places)
                    }
                    None => plain_error(file, line, None, None),
                });
            }
            continue;
        }
        if let Some((words, way)) = order::cycle_in(&error.message) {
            found.push(Finding { line: error.line, column: error.column, ..cyclic(&file.rel_path, words, &way) });
            continue;
        }
        found.push(plain_error(file, &error.message, error.line, error.column));
    }
    for (dag_id, way) in cycles {
        let words = format!("the tasks of \"{dag_id}\" wait for each other");
        found.push(cyclic(&file.rel_path, &words, way).of_dag(dag_id, places));
    }
    found
}

fn plain_error(file: &LoadedFile, message: &str, line: Option<u32>, column: Option<u32>) -> Finding {
    let Said { rule, message, mend } = texts::error(message);
    let finding = Finding::new(rule, &file.rel_path, message);
    Finding { line, column, mend, ..finding }
}

fn cyclic(file: &str, words: &str, way: &[String]) -> Finding {
    let finding = Finding::new("dependency-cycle", file, format!("{words}: {}", way.join(" -> ")));
    Finding { drawing: Some(cycle::draw(way)), ..finding }.mend("take one of these dependencies away")
}

fn deprecation(name: &tradewind_types::Deprecation) -> Finding {
    let note = name.note.as_deref().filter(|note| !note.is_empty());
    let message = match note {
        Some(note) => format!("{} is deprecated ({note})", name.old),
        None => format!("{} is deprecated", name.old),
    };
    let finding = Finding::new("deprecated-name", &name.file, message);
    let mend = Some(format!("use {}", name.new)).filter(|_| !name.new.is_empty());
    Finding { line: name.line, mend, ..finding }
}

/// One id, made in several places of a file: only one of these DAGs is kept.
fn twice(file: &LoadedFile, places: &Places) -> Vec<Finding> {
    let mut made: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
    for dag in file.notes.iter().flat_map(|notes| &notes.dags) {
        // An imported DAG file makes its own.
        if let Some(place) = dag.place.as_ref().filter(|place| place.file == file.rel_path && !dag.tasks.is_empty()) {
            made.entry(&dag.dag_id).or_default().insert(place.line);
        }
    }
    made.into_iter()
        .filter(|(_, lines)| lines.len() > 1)
        .map(|(dag_id, lines)| {
            let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
            let message = format!(
                "the DAG id \"{dag_id}\" is made {} times, in lines {}; one of them counts",
                lines.len(),
                lines.join(", ")
            );
            Finding::new("duplicate-dag-id", &file.rel_path, message)
                .mend("give each DAG an id of its own")
                .of_dag(dag_id, places)
        })
        .collect()
}

fn warning(line: &str, file: &LoadedFile, places: &Places) -> Finding {
    if let Some((dag_id, message)) = texts::of_dag(line) {
        return Finding::new("not-supported", &file.rel_path, message).of_dag(dag_id, places);
    }
    if let Some((path, number, message)) = texts::of_python(line) {
        let is_library = path.starts_with('/');
        let finding = Finding::new("python-warning", if is_library { &file.rel_path } else { path }, message);
        return Finding { line: Some(number).filter(|_| !is_library), ..finding };
    }
    Finding::new("python-warning", &file.rel_path, line)
}
