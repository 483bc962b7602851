//! `task_groups` of a YAML DAG: names around tasks. A group can be depended on, and depend on others, like a task.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tradewind_types::{TaskGroupSpec, TaskId, check_key, did_you_mean};

use super::{
    build::{Builder, Read},
    decode::decode,
    fields::GroupFields,
    node::{Place, Yaml},
};

/// A group as the file has it.
pub(super) struct Group {
    id: String,
    fields: GroupFields,
    at: Place,
    depends_at: Place,
    parent_at: Place,
}

impl Group {
    pub(super) fn id(&self) -> &str {
        &self.id
    }
}

impl Builder<'_> {
    /// The groups, in the order of the file.
    pub(super) fn read_groups(&mut self) -> Vec<Group> {
        let Some(entry) = self.root.entry("task_groups") else {
            return Vec::new();
        };
        let Yaml::Map(entries) = &entry.node.value else {
            let message = format!("expects a mapping from ids of groups, found {}", entry.node.described());
            self.fault(entry.node.at, "task_groups", message);
            return Vec::new();
        };
        let mut groups = Vec::new();
        for entry in entries {
            let path = format!("task_groups.{}", entry.key);
            if let Err(message) = check_key("task group id", &entry.key) {
                self.fault(entry.key_at, &path, message);
            }
            let fields = if entry.node.value == Yaml::Null { Ok(GroupFields::default()) } else { decode(&entry.node) };
            groups.push(Group {
                id: entry.key.clone(),
                // One that could not be read is there all the same: who names it is not to blame.
                fields: self.keep(fields, entry.node.at, &path).unwrap_or_default(),
                at: entry.key_at,
                depends_at: entry.node.place_of("depends_on"),
                parent_at: entry.node.place_of("parent"),
            });
        }
        groups
    }

    /// Puts tasks into their groups and has the names of groups in `depends_on` stand for tasks: the last ones of a group
    /// that is depended on, the first ones of a group that depends.
    pub(super) fn settle_groups(&mut self, groups: &[Group], tasks: &mut [Read]) -> Vec<TaskGroupSpec> {
        self.check_groups(groups, tasks);
        if !self.faults.is_empty() {
            return Vec::new();
        }
        let graph = Graph::new(groups, tasks);
        let mut upstream = HashMap::new();
        let mut memo = Memo::default();
        for task in tasks.iter() {
            match graph.upstream(&task.spec.task_id, &mut memo) {
                Ok(found) => {
                    upstream.insert(task.spec.task_id.clone(), found);
                }
                Err(group) => {
                    let at = groups.iter().find(|other| other.id == group).map_or(self.root.at, |group| group.at);
                    let message = format!("the task group \"{group}\" waits for itself");
                    self.fault(at, "task_groups", message);
                    return Vec::new();
                }
            }
        }
        let specs = in_tree_order(groups)
            .into_iter()
            .map(|group| TaskGroupSpec {
                group_id: group.id.clone(),
                parent: group.fields.parent.clone(),
                tasks: graph.direct(&group.id),
                tooltip: group.fields.tooltip.clone(),
                expand: None,
            })
            .collect();
        for task in tasks {
            task.spec.upstream = upstream.remove(&task.spec.task_id).unwrap_or_default();
        }
        specs
    }

    fn check_groups(&mut self, groups: &[Group], tasks: &[Read]) {
        let known: BTreeSet<&str> = groups.iter().map(|group| group.id.as_str()).collect();
        let near = |name: &str| did_you_mean(name, known.iter().copied());
        let mut faults = Vec::new();
        for task in tasks {
            let id = &task.spec.task_id;
            if let Some(group) = task.group.as_deref().filter(|group| !known.contains(group)) {
                let message = format!("there is no task group \"{group}\"{}", near(group));
                faults.push((task.group_at, format!("tasks.{id}.group"), message));
            }
            if known.contains(id.as_str()) {
                let message = format!("the id \"{id}\" is a task group's, too; give one of them another id");
                faults.push((task.at, "tasks".to_owned(), message));
            }
        }
        for group in groups {
            let path = |field: &str| format!("task_groups.{}.{field}", group.id);
            if let Some(parent) = group.fields.parent.as_deref().filter(|parent| !known.contains(parent)) {
                faults.push((
                    group.parent_at,
                    path("parent"),
                    format!("there is no task group \"{parent}\"{}", near(parent)),
                ));
            }
            for name in &group.fields.depends_on.0 {
                if !known.contains(name.as_str()) && !tasks.iter().any(|task| task.spec.task_id.as_str() == name) {
                    let all = known.iter().copied().chain(tasks.iter().map(|task| task.spec.task_id.as_str()));
                    let message = format!("there is no task or task group \"{name}\"{}", did_you_mean(name, all));
                    faults.push((group.depends_at, path("depends_on"), message));
                }
            }
            if around(groups, &group.id).is_none() {
                faults.push((group.parent_at, path("parent"), "the group is inside of itself".to_owned()));
            }
        }
        for (at, path, message) in faults {
            self.fault(at, &path, message);
        }
    }
}

/// A group and those around it, the inner before the outer; none when they go round.
fn around<'g>(groups: &'g [Group], id: &str) -> Option<Vec<&'g Group>> {
    let mut found: Vec<&Group> = Vec::new();
    let mut next = groups.iter().find(|group| group.id == id);
    while let Some(group) = next {
        if found.iter().any(|other| other.id == group.id) {
            return None;
        }
        found.push(group);
        next = group.fields.parent.as_ref().and_then(|parent| groups.iter().find(|other| other.id == *parent));
    }
    Some(found)
}

/// Parents before children, else in the order of the file.
fn in_tree_order(groups: &[Group]) -> Vec<&Group> {
    let mut sorted: Vec<&Group> = groups.iter().collect();
    sorted.sort_by_key(|group| around(groups, &group.id).map_or(0, |around| around.len()));
    sorted
}

/// The last tasks of each group, while and after they are looked for.
#[derive(Default)]
struct Memo {
    last: HashMap<String, Option<Vec<TaskId>>>,
}

struct Graph<'g> {
    groups: &'g [Group],
    tasks: BTreeMap<TaskId, &'g Read>,
    order: Vec<TaskId>,
}

impl<'g> Graph<'g> {
    fn new(groups: &'g [Group], tasks: &'g [Read]) -> Self {
        let order = tasks.iter().map(|task| task.spec.task_id.clone()).collect();
        Self { groups, tasks: tasks.iter().map(|task| (task.spec.task_id.clone(), task)).collect(), order }
    }

    fn direct(&self, group: &str) -> Vec<TaskId> {
        self.order.iter().filter(|id| self.tasks[*id].group.as_deref() == Some(group)).cloned().collect()
    }

    fn around(&self, task: &TaskId) -> Vec<&'g Group> {
        let group = self.tasks.get(task).and_then(|task| task.group.as_deref());
        group.and_then(|group| around(self.groups, group)).unwrap_or_default()
    }

    fn members(&self, group: &str) -> Vec<&TaskId> {
        self.order.iter().filter(|task| self.around(task).iter().any(|other| other.id == group)).collect()
    }

    /// The tasks that a task waits for; the error is a group that waits for itself.
    fn upstream(&self, task: &TaskId, memo: &mut Memo) -> Result<Vec<TaskId>, String> {
        let own = self.tasks[task].spec.upstream.iter().map(ToString::to_string).collect::<Vec<_>>();
        let mut found = self.resolved(&own, memo)?;
        for group in self.around(task) {
            let is_first = !found.iter().any(|up| self.around(up).iter().any(|other| other.id == group.id));
            if is_first {
                for up in self.resolved(&group.fields.depends_on.0, memo)? {
                    if !found.contains(&up) {
                        found.push(up);
                    }
                }
            }
        }
        Ok(found)
    }

    fn resolved(&self, names: &[String], memo: &mut Memo) -> Result<Vec<TaskId>, String> {
        let mut found = Vec::new();
        for name in names {
            let ids = match self.groups.iter().any(|group| group.id == *name) {
                true => self.last(name, memo)?,
                false => vec![TaskId::from(name.as_str())],
            };
            for id in ids {
                if !found.contains(&id) {
                    found.push(id);
                }
            }
        }
        Ok(found)
    }

    /// The tasks of a group after which nothing comes in it; teardowns do not count, as in Airflow.
    fn last(&self, group: &str, memo: &mut Memo) -> Result<Vec<TaskId>, String> {
        match memo.last.get(group) {
            Some(Some(known)) => return Ok(known.clone()),
            Some(None) => return Err(group.to_owned()),
            None => {}
        }
        memo.last.insert(group.to_owned(), None);
        let (teardowns, members): (Vec<&TaskId>, Vec<&TaskId>) =
            self.members(group).into_iter().partition(|id| self.tasks[*id].spec.is_teardown);
        let mut followed = BTreeSet::new();
        for member in &members {
            followed.extend(self.upstream(member, memo)?);
        }
        let last: Vec<TaskId> = members.iter().filter(|id| !followed.contains(**id)).map(|id| (*id).clone()).collect();
        let last = if last.is_empty() { teardowns.into_iter().cloned().collect() } else { last };
        memo.last.insert(group.to_owned(), Some(last.clone()));
        Ok(last)
    }
}
