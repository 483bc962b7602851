//! From the nodes of one document to a `DagSpec`, collecting everything that is wrong on the way.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{civil, tz::TimeZone};
use tradewind_types::{
    DagSource, DagSpec, Operator, Param, RetrySpec, SourceKind, TaskId, TaskSpec, Timestamp, Timetable, TriggerRule,
    check_key, did_you_mean,
};

use super::{
    YamlSettings,
    decode::{Fault, decode, decode_entries, field_names, unknown_field},
    fields::{DAG_PARTS, DagFields, TaskFields, TaskOnlyFields},
    node::{Entry, Node, Place, Yaml},
    operators::{find_kind, read_operator},
    schedule::read_schedule,
};
use crate::order::{Order, in_order};

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
    names.push("operator");
    names.extend(field_names::<TaskFields>());
    names
}

/// Builds one DAG.
pub(super) struct Builder<'n> {
    rel_path: &'n str,
    root: &'n Node,
    settings: &'n YamlSettings,
    pub(super) faults: Vec<Fault>,
}

/// A task with the place of its id, for messages.
struct Read {
    spec: TaskSpec,
    at: Place,
    depends_at: Place,
}

impl<'n> Builder<'n> {
    pub(super) fn new(rel_path: &'n str, root: &'n Node, settings: &'n YamlSettings) -> Self {
        Self { rel_path, root, settings, faults: Vec::new() }
    }

    /// The id as the document gives it, for messages.
    pub(super) fn dag_id(&self) -> Option<&str> {
        self.root.entry("dag_id")?.node.as_text()
    }

    fn fault(&mut self, at: Place, path: &str, message: impl Into<String>) {
        self.faults.push(Fault::new(at, path, message));
    }

    /// Keeps a fault that arose below `step`.
    fn keep<T>(&mut self, result: Result<T, Fault>, at: Place, step: &str) -> Option<T> {
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
            tasks: Vec::new(),
            task_groups: Vec::new(),
            source: DagSource { kind: SourceKind::Yaml, rel_path: self.rel_path.to_owned() },
        };
        self.finish(spec, &zone.1)
    }

    fn finish(&mut self, mut spec: DagSpec, zone: &TimeZone) -> Option<DagSpec> {
        if let Some(entry) = self.root.entry("schedule") {
            let schedule = read_schedule(&entry.node, &spec.timezone, self.settings);
            if let Some((timetable, text)) = self.keep(schedule, entry.node.at, "schedule") {
                spec.timetable = timetable;
                spec.schedule_text = text;
            }
        }
        for (field, limit) in [("max_active_runs", spec.max_active_runs), ("max_active_tasks", spec.max_active_tasks)] {
            if limit == 0 {
                self.fault(self.root.place_of(field), field, "needs to be at least 1");
            }
        }
        if spec.timetable == Timetable::Continuous && self.root.entry("max_active_runs").is_none() {
            spec.max_active_runs = 1;
        }
        let tasks = self.tasks(zone);
        let places: BTreeMap<String, Place> =
            tasks.iter().map(|task| (task.spec.task_id.to_string(), task.at)).collect();
        spec.tasks = self.ordered(tasks);
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

    fn instant(
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

    /// `name: value`, or `name:` with `default` and the keywords of a JSON Schema, as Airflow's `Param`.
    fn params(&mut self) -> BTreeMap<String, Param> {
        let Some(entry) = self.root.entry("params") else {
            return BTreeMap::new();
        };
        let Yaml::Map(params) = &entry.node.value else {
            let message = format!("expects a mapping of names, found {}", entry.node.described());
            self.fault(entry.node.at, "params", message);
            return BTreeMap::new();
        };
        params.iter().map(|entry| (entry.key.clone(), read_param(&entry.node))).collect()
    }

    fn tasks(&mut self, zone: &TimeZone) -> Vec<Read> {
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
        self.check_upstreams(&tasks, &first);
        tasks
    }

    fn task(
        &mut self,
        index: usize,
        named: Option<&Entry>,
        node: &'n Node,
        defaults: &TaskFields,
        zone: &TimeZone,
    ) -> Option<Read> {
        let id_entry = node.entry("id");
        let name = named.map(|entry| entry.key.as_str()).or_else(|| id_entry.and_then(|entry| entry.node.as_text()));
        let path = name.map_or_else(|| format!("tasks[{}]", index + 1), |name| format!("tasks.{name}"));
        let before = self.faults.len();
        let Yaml::Map(entries) = &node.value else {
            let message = format!("expects a mapping with id and operator, found {}", node.described());
            self.fault(node.at, &path, message);
            return None;
        };
        let kind = match node.entry("operator") {
            None => {
                self.fault(node.at, &path, "the field \"operator\" is missing, e.g. operator: bash");
                None
            }
            Some(entry) => {
                let kind = decode::<String>(&entry.node)
                    .and_then(|name| find_kind(&name).map_err(|message| Fault::new(entry.node.at, "", message)));
                self.keep(kind, entry.node.at, &format!("{path}.operator"))
            }
        };
        let (common, only) = (field_names::<TaskFields>(), field_names::<TaskOnlyFields>());
        let options = kind.map(|kind| kind.fields()).unwrap_or_default();
        let (mut of_common, mut of_only, mut of_operator) = (Vec::new(), Vec::new(), Vec::new());
        for entry in entries.iter().filter(|entry| entry.key != "operator") {
            let key = entry.key.as_str();
            if common.contains(&key) {
                of_common.push(entry);
            } else if only.contains(&key) {
                of_only.push(entry);
            } else if options.contains(&key) {
                of_operator.push(entry);
            } else if kind.is_some() {
                let known: Vec<&str> = options.iter().chain(only).chain(common).copied().collect();
                self.fault(entry.key_at, &path, unknown_field(key, &known));
            }
        }
        let common: Result<TaskFields, _> = decode_entries(node.at, of_common);
        let common = self.keep(common, node.at, &path);
        let only: Result<TaskOnlyFields, _> = decode_entries(node.at, of_only);
        let only = self.keep(only, node.at, &path);
        let operator = kind.and_then(|kind| {
            let operator = read_operator(kind, node, of_operator);
            self.keep(operator, node.at, &path)
        });
        let (common, only, operator) = (common?, only?, operator?);
        let id = match (named, only.id.as_deref()) {
            (Some(entry), Some(id)) if id != entry.key => {
                let at = node.place_of("id");
                self.fault(at, &path, format!("the id \"{id}\" differs from the key \"{}\"; leave it out", entry.key));
                return None;
            }
            (Some(entry), _) => entry.key.clone(),
            (None, Some(id)) => id.to_owned(),
            (None, None) => {
                self.fault(node.at, &path, "the field \"id\" is missing");
                return None;
            }
        };
        let at = named.map_or_else(|| node.place_of("id"), |entry| entry.key_at);
        if let Err(message) = check_key("task id", &id) {
            self.fault(at, &path, message);
        }
        let depends_at = node.place_of("depends_on");
        let spec = self.assemble(id, operator, &common, only, defaults, node, &path, zone);
        (self.faults.len() == before).then_some(Read { spec, at, depends_at })
    }

    #[expect(clippy::too_many_arguments, reason = "one call, with everything that a task is made of")]
    fn assemble(
        &mut self,
        id: String,
        operator: Operator,
        own: &TaskFields,
        only: TaskOnlyFields,
        defaults: &TaskFields,
        node: &Node,
        path: &str,
        zone: &TimeZone,
    ) -> TaskSpec {
        macro_rules! pick {
            ($field:ident) => {
                own.$field.clone().or_else(|| defaults.$field.clone())
            };
        }
        let mut spec = TaskSpec::new(id, operator);
        let retry = RetrySpec::default();
        spec.upstream = only.depends_on.0.into_iter().map(TaskId::from).collect();
        spec.trigger_rule = pick!(trigger_rule).unwrap_or(if only.teardown {
            TriggerRule::AllDoneSetupSuccess
        } else {
            TriggerRule::AllSuccess
        });
        if let Some(pool) = pick!(pool) {
            spec.pool = pool.into();
        }
        spec.pool_slots = pick!(pool_slots).unwrap_or(spec.pool_slots);
        if let Some(queue) = pick!(queue) {
            spec.queue = queue.into();
        }
        spec.priority_weight = pick!(priority_weight).map_or(spec.priority_weight, i64::from);
        spec.weight_rule = pick!(weight_rule).unwrap_or(spec.weight_rule);
        spec.retry = RetrySpec {
            retries: pick!(retries).unwrap_or(retry.retries),
            delay: pick!(retry_delay).map_or(retry.delay, |span| span.0),
            exponential_backoff: pick!(exponential_backoff).map_or(0.0, |backoff| backoff.0),
            max_delay: pick!(max_retry_delay).map(|span| span.0),
        };
        spec.execution_timeout = pick!(execution_timeout).map(|span| span.0);
        spec.wait_for_downstream = pick!(wait_for_downstream).unwrap_or(false);
        // As in Airflow, the one implies the other.
        spec.depends_on_past = pick!(depends_on_past).unwrap_or(false) || spec.wait_for_downstream;
        spec.ignore_first_depends_on_past = pick!(ignore_first_depends_on_past).unwrap_or(false);
        spec.max_active_tis_per_dag = pick!(max_active_tis_per_dag);
        spec.max_active_tis_per_dagrun = pick!(max_active_tis_per_dagrun);
        spec.is_setup = only.setup;
        spec.is_teardown = only.teardown;
        spec.on_failure_fail_dagrun = only.on_failure_fail_dagrun;
        spec.owner = pick!(owner);
        spec.do_xcom_push = pick!(do_xcom_push).unwrap_or(true);
        let start = pick!(start_date);
        spec.start_date = self.instant(node, &format!("{path}."), "start_date", start.as_deref(), zone);
        let end = pick!(end_date);
        spec.end_date = self.instant(node, &format!("{path}."), "end_date", end.as_deref(), zone);
        self.check_task(&spec, node, path);
        spec
    }

    fn check_task(&mut self, spec: &TaskSpec, node: &Node, path: &str) {
        let mut fault = |field: &str, message: String| {
            self.fault(node.place_of(field), &format!("{path}.{field}"), message);
        };
        if spec.pool_slots == 0 {
            fault("pool_slots", "needs to be at least 1".to_owned());
        }
        for (field, limit) in [
            ("max_active_tis_per_dag", spec.max_active_tis_per_dag),
            ("max_active_tis_per_dagrun", spec.max_active_tis_per_dagrun),
        ] {
            if limit == Some(0) {
                fault(field, "needs to be at least 1".to_owned());
            }
        }
        if spec.execution_timeout.is_some_and(|timeout| timeout.is_zero()) {
            fault("execution_timeout", "needs to be longer than 0".to_owned());
        }
        if spec.is_setup && spec.is_teardown {
            fault("teardown", "a task is a setup or a teardown, not both".to_owned());
        }
        if spec.on_failure_fail_dagrun && !spec.is_teardown {
            fault("on_failure_fail_dagrun", "goes with teardown only".to_owned());
        }
        for (field, what, name) in
            [("pool", "pool name", spec.pool.as_str()), ("queue", "queue name", spec.queue.as_str())]
        {
            if let Err(message) = check_key(what, name) {
                fault(field, message);
            }
        }
    }

    fn check_upstreams(&mut self, tasks: &[Read], known: &BTreeMap<String, u32>) {
        // When a task could not be read, what depends on it would be blamed, too.
        let all_read = self.faults.is_empty();
        for task in tasks {
            let id = &task.spec.task_id;
            for upstream in &task.spec.upstream {
                let message = if upstream == id {
                    "a task cannot depend on itself".to_owned()
                } else if !known.contains_key(upstream.as_str()) && all_read {
                    let near = did_you_mean(upstream.as_str(), known.keys().map(String::as_str));
                    format!("there is no task \"{upstream}\"{near}")
                } else {
                    continue;
                };
                self.fault(task.depends_at, &format!("tasks.{id}.depends_on"), message);
            }
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
                let path: Vec<&str> = path.iter().map(TaskId::as_str).collect();
                if self.faults.is_empty() {
                    let message = format!("the tasks wait for each other: {}", path.join(" → "));
                    self.fault(at.unwrap_or(self.root.at), "tasks", message);
                }
                Vec::new()
            }
        }
    }
}

fn read_param(node: &Node) -> Param {
    let plain = || Param { value: node.to_json(), description: None, schema: serde_json::json!({}) };
    let Yaml::Map(entries) = &node.value else {
        return plain();
    };
    let Some(default) = node.entry("default") else {
        return plain();
    };
    Param {
        value: default.node.to_json(),
        description: node.entry("description").and_then(|entry| entry.node.as_text()).map(ToOwned::to_owned),
        schema: entries
            .iter()
            .filter(|entry| !matches!(entry.key.as_str(), "default" | "description"))
            .map(|entry| (entry.key.clone(), entry.node.to_json()))
            .collect(),
    }
}
