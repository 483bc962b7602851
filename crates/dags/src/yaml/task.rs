//! One task of a YAML DAG.

use jiff::tz::TimeZone;
use tradewind_types::{NativeOperator, NoopOptions, Operator, RetrySpec, TaskId, TaskSpec, TriggerRule, check_key};

use super::{
    build::{Builder, Read},
    decode::{Fault, decode, decode_entries, field_names, unknown_field},
    fields::{TASK_PARTS, TaskFields, TaskOnlyFields},
    mapping::Draft,
    node::{Entry, Node, Yaml},
    operators::{find_kind, read_operator},
};
use crate::check::check_limit;

impl<'n> Builder<'n> {
    pub(super) fn task(
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
        for entry in entries.iter().filter(|entry| !TASK_PARTS.contains(&entry.key.as_str())) {
            let key = entry.key.as_str();
            if common.contains(&key) {
                of_common.push(entry);
            } else if only.contains(&key) {
                of_only.push(entry);
            } else if options.contains(&key) {
                of_operator.push(entry);
            } else if kind.is_some() {
                let known: Vec<&str> = options.iter().chain(only).chain(common).chain(&TASK_PARTS).copied().collect();
                self.fault(entry.key_at, &path, unknown_field(key, &known));
            }
        }
        let common: Result<TaskFields, _> = decode_entries(node.at, of_common);
        let common = self.keep(common, node.at, &path);
        let only: Result<TaskOnlyFields, _> = decode_entries(node.at, of_only);
        let only = self.keep(only, node.at, &path);
        let operator = kind.and_then(|kind| match node.entry("expand") {
            None => {
                let operator = read_operator(kind, node, of_operator);
                self.keep(operator, node.at, &path).map(|operator| (operator, None))
            }
            Some(entry) => {
                let draft = Draft { kind, task: node, options: of_operator };
                let mapped = draft.mapped(&entry.node);
                let mapped = self.keep(mapped, entry.node.at, &format!("{path}.expand"))?;
                Some((mapped.operator, Some(mapped.expand)))
            }
        });
        let (common, only, (operator, expand)) = (common?, only?, operator?);
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
        let group = only.group.clone();
        let mut spec = self.assemble(id, operator, &common, only, defaults, node, &path, zone);
        spec.expand = expand;
        for (field, refs) in [("outlets", &mut spec.outlets), ("inlets", &mut spec.inlets)] {
            if let Some(entry) = node.entry(field) {
                *refs = self.assets_of(entry, &path);
            }
        }
        // The engine passes over an empty task, which would update nothing.
        if spec.operator == Operator::Empty && !spec.outlets.is_empty() {
            spec.operator = Operator::Native(NativeOperator::Noop(NoopOptions::default()));
        }
        (self.faults.len() == before).then_some(Read {
            spec,
            at,
            depends_at: node.place_of("depends_on"),
            expand_at: node.place_of("expand"),
            group,
            group_at: node.place_of("group"),
        })
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
        spec.wait_for_past_depends_before_skipping = pick!(wait_for_past_depends_before_skipping).unwrap_or(false);
        spec.concurrency = pick!(concurrency).unwrap_or_default().0;
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
        for (index, limit) in spec.concurrency.iter().enumerate() {
            if let Err(message) = check_limit(limit, &spec.concurrency[..index]) {
                fault("concurrency", message);
            }
        }
        for (field, what, name) in
            [("pool", "pool name", spec.pool.as_str()), ("queue", "queue name", spec.queue.as_str())]
        {
            if let Err(message) = check_key(what, name) {
                fault(field, message);
            }
        }
    }
}
