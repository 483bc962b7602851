//! From the nodes of one document to a `DagSpec`, collecting everything that is wrong on the way.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{civil, tz::TimeZone};
use tradewind_types::{
    Asset, AssetKey, DagSource, DagSpec, SourceKind, TaskId, TaskSpec, Timestamp, Timetable, check_key, did_you_mean,
};

use super::{
    YamlSettings,
    decode::{Fault, decode, decode_entries, field_names, unknown_field},
    fields::{DAG_PARTS, DagFields, TASK_PARTS, TaskFields, TaskOnlyFields},
    group::Group,
    node::{Entry, Node, Place, Yaml},
    schedule::read_schedule,
};
use crate::{
    check::{Mapped, mapping_faults},
    order::{Order, cycle_words, in_order},
};

pub(super) fn dag_field_names() -> Vec<&'static str> {
    let mut names = field_names::<DagFields>().to_vec();
    names.extend(DAG_PARTS);
    names
}

pub(super) fn default_field_names() -> Vec<&'static str> {
    field_names::<TaskFields>().to_vec()
}

pub(super) fn task_field_names() -> Vec<&'static str> {
    let mut names = field_names::<TaskOnlyFields>().to_vec();
    names.extend(TASK_PARTS);
    names.extend(field_names::<TaskFields>());
    names
}

/// Builds one DAG.
pub(super) struct Builder<'n> {
    rel_path: &'n str,
    pub(super) root: &'n Node,
    settings: &'n YamlSettings,
    pub(super) faults: Vec<Fault>,
    /// Assets as they are named on the way.
    pub(super) assets: Vec<Asset>,
}

/// A task with places, for messages.
pub(super) struct Read {
    pub(super) spec: TaskSpec,
    /// Of its id.
    pub(super) at: Place,
    pub(super) depends_at: Place,
    pub(super) expand_at: Place,
    pub(super) group: Option<String>,
    pub(super) group_at: Place,
}

impl<'n> Builder<'n> {
    pub(super) fn new(rel_path: &'n str, root: &'n Node, settings: &'n YamlSettings) -> Self {
        Self { rel_path, root, settings, faults: Vec::new(), assets: Vec::new() }
    }

    /// The id as the document gives it, for messages.
    pub(super) fn dag_id(&self) -> Option<&str> {
        self.root.entry("dag_id")?.node.as_text()
    }

    pub(super) fn fault(&mut self, at: Place, path: &str, message: impl Into<String>) {
        self.faults.push(Fault::new(at, path, message));
    }

    /// Keeps a fault that arose below `step`.
    pub(super) fn keep<T>(&mut self, result: Result<T, Fault>, at: Place, step: &str) -> Option<T> {
        result.map_err(|fault| self.faults.push(fault.within(at, step))).ok()
    }

    /// The DAG, if nothing is wrong with it.
    pub(super) fn build(&mut self) -> Option<DagSpec> {
        let Yaml::Map(entries) = &self.root.value else {
            let message = format!("expects a mapping with dag_id and tasks, found {}", self.root.described());
            self.fault(self.root.at, "", message);
            return None;
        };
        let known = dag_field_names();
        let mut own = Vec::new();
        for entry in entries {
            if DAG_PARTS.contains(&entry.key.as_str()) {
                continue;
            }
            if known.contains(&entry.key.as_str()) {
                own.push(entry);
            } else {
                self.fault(entry.key_at, "", unknown_field(&entry.key, &known));
            }
        }
        let fields = decode_entries::<DagFields>(self.root.at, own);
        let fields = self.keep(fields, self.root.at, "").unwrap_or_default();
        self.check_dag_id(&fields.dag_id);
        let zone = self.zone(&fields);
        let spec = DagSpec {
            dag_id: fields.dag_id.as_str().into(),
            display_name: fields.display_name,
            description: fields.description,
            doc_md: fields.doc_md,
            timetable: Timetable::None,
            schedule_text: None,
            timezone: zone.0,
            start_date: self.instant(self.root, "", "start_date", fields.start_date.as_deref(), &zone.1),
            end_date: self.instant(self.root, "", "end_date", fields.end_date.as_deref(), &zone.1),
            catchup: fields.catchup.unwrap_or(false),
            max_active_runs: fields.max_active_runs.unwrap_or(16),
            max_active_tasks: fields.max_active_tasks.unwrap_or(16),
            max_consecutive_failed_dag_runs: fields.max_consecutive_failed_dag_runs.unwrap_or(0),
            dagrun_timeout: fields.dagrun_timeout.map(|span| span.0),
            fail_fast: fields.fail_fast.unwrap_or(false),
            is_paused_upon_creation: fields.is_paused_upon_creation,
            tags: fields.tags.unwrap_or_default().0,
            owners: Vec::new(),
            params: self.params(),
            task_limit: fields.task_limit,
            on_success_callback: false,
            on_failure_callback: false,
            deadlines: Vec::new(),
            assets: Vec::new(),
            tasks: Vec::new(),
            task_groups: Vec::new(),
            source: DagSource { kind: SourceKind::Yaml, rel_path: self.rel_path.to_owned() },
            environment: None,
        };
        self.finish(spec, &zone.1)
    }

    fn finish(&mut self, mut spec: DagSpec, zone: &TimeZone) -> Option<DagSpec> {
        if let Some(entry) = self.root.entry("schedule") {
            let schedule = read_schedule(&entry.node, &spec.timezone, self.settings, &mut self.assets);
            if let Some((timetable, text)) = self.keep(schedule, entry.node.at, "schedule") {
                spec.timetable = timetable;
                spec.schedule_text = text;
            }
        }
        for (field, limit) in [
            ("max_active_runs", Some(spec.max_active_runs)),
            ("max_active_tasks", Some(spec.max_active_tasks)),
            ("task_limit", spec.task_limit),
        ] {
            if limit == Some(0) {
                self.fault(self.root.place_of(field), field, "needs to be at least 1");
            }
        }
        if spec.timetable == Timetable::Continuous && self.root.entry("max_active_runs").is_none() {
            spec.max_active_runs = 1;
        }
        let groups = self.read_groups();
        let mut tasks = self.tasks(zone, &groups);
        let places: BTreeMap<String, Place> =
            tasks.iter().map(|task| (task.spec.task_id.to_string(), task.at)).collect();
        spec.task_groups = self.settle_groups(&groups, &mut tasks);
        self.check_mapping(&tasks);
        spec.tasks = self.ordered(tasks);
        spec.assets = declared(std::mem::take(&mut self.assets));
        let owners: BTreeSet<&String> = spec.tasks.iter().filter_map(|task| task.owner.as_ref()).collect();
        spec.owners = owners.into_iter().cloned().collect();
        if self.faults.is_empty()
            && let Err(problems) = tradewind_engine::check_spec(&spec)
        {
            for problem in problems {
                self.place_problem(problem, &places);
            }
        }
        self.faults.is_empty().then_some(spec)
    }

    /// Gives a problem of the engine the place of the task, or of the field, that it names.
    fn place_problem(&mut self, problem: String, places: &BTreeMap<String, Place>) {
        let task = places.iter().find(|(id, _)| problem.contains(&format!("\"{id}\""))).map(|(_, at)| *at);
        let field =
            dag_field_names().into_iter().find(|field| problem.contains(*field)).map(|field| self.root.place_of(field));
        let at = task.or(field).unwrap_or(self.root.at);
        self.fault(at, "", problem);
    }

    fn check_dag_id(&mut self, dag_id: &str) {
        match self.root.entry("dag_id") {
            None => self.fault(self.root.at, "", "the field \"dag_id\" is missing"),
            Some(entry) => {
                // A wrong type was reported already.
                if let Err(message) = check_key("DAG id", dag_id)
                    && entry.node.as_text().is_some()
                {
                    self.fault(entry.node.at, "dag_id", message);
                }
            }
        }
    }

    fn zone(&mut self, fields: &DagFields) -> (String, TimeZone) {
        let name = fields.timezone.as_ref().unwrap_or(&self.settings.default_timezone);
        match jiff::tz::TimeZoneDatabase::bundled().get(name) {
            Ok(zone) => (name.clone(), zone),
            Err(_) => {
                let message = format!("\"{name}\" is no IANA time zone, e.g. UTC or Europe/London");
                self.fault(self.root.place_of("timezone"), "timezone", message);
                ("UTC".to_owned(), TimeZone::UTC)
            }
        }
    }

    pub(super) fn instant(
        &mut self,
        node: &Node,
        path: &str,
        field: &str,
        text: Option<&str>,
        zone: &TimeZone,
    ) -> Option<Timestamp> {
        let text = text?.trim();
        let instant = text.parse::<Timestamp>().ok().or_else(|| {
            let local: civil::DateTime = text.parse().ok()?;
            // As Airflow: a time that the clocks pass twice is the later one.
            zone.to_ambiguous_timestamp(local).later().ok()
        });
        if instant.is_none() {
            let message = format!(
                "\"{text}\" is no date: write 2026-01-31, 2026-01-31T09:30 (in the DAG's timezone) or \
                 2026-01-31T09:30:00Z"
            );
            self.fault(node.place_of(field), &format!("{path}{field}"), message);
        }
        instant
    }

    fn tasks(&mut self, zone: &TimeZone, groups: &[Group]) -> Vec<Read> {
        let defaults = match self.root.entry("default_args") {
            None => TaskFields::default(),
            Some(entry) => {
                let fields = decode(&entry.node);
                self.keep(fields, entry.node.at, "default_args").unwrap_or_default()
            }
        };
        let Some(entry) = self.root.entry("tasks") else {
            self.fault(self.root.at, "", "the field \"tasks\" is missing");
            return Vec::new();
        };
        let nodes: Vec<(Option<&Entry>, &Node)> = match &entry.node.value {
            Yaml::List(items) => items.iter().map(|item| (None, item)).collect(),
            Yaml::Map(entries) => entries.iter().map(|entry| (Some(entry), &entry.node)).collect(),
            _ => {
                let message =
                    format!("expects a list of tasks, or a mapping from their ids, found {}", entry.node.described());
                self.fault(entry.node.at, "tasks", message);
                return Vec::new();
            }
        };
        if nodes.is_empty() {
            self.fault(entry.node.at, "tasks", "a DAG has at least one task");
        }
        let mut first: BTreeMap<String, u32> = BTreeMap::new();
        let mut tasks = Vec::new();
        for (index, (entry, node)) in nodes.into_iter().enumerate() {
            let Some(task) = self.task(index, entry, node, &defaults, zone) else {
                continue;
            };
            let id = task.spec.task_id.to_string();
            match first.get(&id) {
                Some(line) => {
                    let message = format!(
                        "the task id \"{id}\" is used twice, first in line {line}; task ids are unique in a DAG"
                    );
                    self.fault(task.at, "tasks", message);
                }
                None => {
                    first.insert(id, task.at.line);
                    tasks.push(task);
                }
            }
        }
        self.check_upstreams(&mut tasks, &first, groups);
        tasks
    }

    /// Checks what tasks depend on, and has them depend on what they are mapped over.
    fn check_upstreams(&mut self, tasks: &mut [Read], known: &BTreeMap<String, u32>, groups: &[Group]) {
        // When a task could not be read, what depends on it would be blamed, too.
        let all_read = self.faults.is_empty();
        let group_ids = || groups.iter().map(Group::id);
        for task in tasks {
            let id = task.spec.task_id.clone();
            for upstream in &task.spec.upstream {
                let is_known = known.contains_key(upstream.as_str()) || group_ids().any(|id| id == upstream.as_str());
                let message = if *upstream == id {
                    "a task cannot depend on itself".to_owned()
                } else if !is_known && all_read {
                    let near = did_you_mean(upstream.as_str(), known.keys().map(String::as_str).chain(group_ids()));
                    format!("there is no task \"{upstream}\"{near}")
                } else {
                    continue;
                };
                self.faults.push(Fault::new(task.depends_at, format!("tasks.{id}.depends_on"), message));
            }
            let over: Vec<TaskId> = task.spec.expand.iter().flat_map(|expand| expand.dependencies()).cloned().collect();
            for upstream in over {
                let message = if upstream == id {
                    "a task cannot be mapped over its own result".to_owned()
                } else if !known.contains_key(upstream.as_str()) && all_read {
                    let near = did_you_mean(upstream.as_str(), known.keys().map(String::as_str));
                    format!("there is no task \"{upstream}\" to map over{near}")
                } else {
                    if !task.spec.upstream.contains(&upstream) {
                        task.spec.upstream.push(upstream);
                    }
                    continue;
                };
                self.faults.push(Fault::new(task.expand_at, format!("tasks.{id}.expand"), message));
            }
        }
    }

    fn check_mapping(&mut self, tasks: &[Read]) {
        if !self.faults.is_empty() {
            return;
        }
        let specs: Vec<TaskSpec> = tasks.iter().map(|task| task.spec.clone()).collect();
        for (mapped, message) in mapping_faults(&specs, &[]) {
            let Mapped::Task(id) = mapped else { continue };
            let at = tasks.iter().find(|task| task.spec.task_id == id).map_or(self.root.at, |task| task.expand_at);
            self.fault(at, &format!("tasks.{id}.expand"), message);
        }
    }

    /// The tasks, upstream first; ties in the order of the file.
    fn ordered(&mut self, tasks: Vec<Read>) -> Vec<TaskSpec> {
        let places: BTreeMap<TaskId, Place> =
            tasks.iter().map(|task| (task.spec.task_id.clone(), task.depends_at)).collect();
        match in_order(tasks.into_iter().map(|task| task.spec).collect()) {
            Order::Sorted(tasks) => tasks,
            Order::Cycle(path) => {
                let at = path.first().and_then(|id| places.get(id)).copied();
                if self.faults.is_empty() {
                    let message = cycle_words("the tasks wait for each other", &path);
                    self.fault(at.unwrap_or(self.root.at), "tasks", message);
                }
                Vec::new()
            }
        }
    }
}

/// Each asset once; a mention that says more counts more.
fn declared(assets: Vec<Asset>) -> Vec<Asset> {
    let mut found: BTreeMap<AssetKey, Asset> = BTreeMap::new();
    for asset in assets {
        let says_more = |known: &Asset| known.extra == serde_json::json!({}) && asset.extra != known.extra;
        if found.get(&asset.key).is_none_or(says_more) {
            found.insert(asset.key.clone(), asset);
        }
    }
    found.into_values().collect()
}
