//! Task groups of a serialized DAG.

use std::collections::HashMap;

use serde_json::{Map, Value};
use tradewind_types::{TaskGroupSpec, TaskId};

use super::expand::read_expand;

/// Task groups, and what they mean for the tasks in them.
#[derive(Default)]
pub(super) struct Groups {
    /// The outer before the inner.
    pub(super) specs: Vec<TaskGroupSpec>,
    /// The closest mapped group around each task that has one.
    pub(super) mapped: HashMap<TaskId, String>,
}

impl Groups {
    /// Reads the tree; the root group has no id and is left out.
    pub(super) fn read(root: Option<&Map<String, Value>>) -> Result<Self, String> {
        let mut groups = Self::default();
        if let Some(root) = root {
            groups.group(root, None, None, None)?;
        }
        Ok(groups)
    }

    fn group(
        &mut self,
        group: &Map<String, Value>,
        id: Option<&str>,
        parent: Option<&str>,
        mapped: Option<&str>,
    ) -> Result<(), String> {
        let children = group.get("children").and_then(Value::as_object).ok_or("a task group holds no \"children\"")?;
        let mut tasks = Vec::new();
        let mut inner = Vec::new();
        for (child_id, child) in children {
            match (child.get(0).and_then(Value::as_str), child.get(1)) {
                (Some("operator"), _) => tasks.push(TaskId::from(child_id.as_str())),
                (Some("taskgroup"), Some(Value::Object(group))) => inner.push((child_id, group)),
                _ => return Err(format!("the child \"{child_id}\" of a task group is of an unknown kind")),
            }
        }
        let mut mapped = mapped;
        if let Some(id) = id {
            let expand = group.get("expand_input").filter(|input| !input.is_null());
            let expand = expand
                .map(|input| read_expand(input).map_err(|message| format!("the task group \"{id}\": {message}")))
                .transpose()?;
            if expand.is_some() {
                mapped = Some(id);
            }
            self.specs.push(TaskGroupSpec {
                group_id: id.to_owned(),
                parent: parent.map(ToOwned::to_owned),
                tasks: tasks.clone(),
                tooltip: group
                    .get("tooltip")
                    .and_then(Value::as_str)
                    .filter(|tooltip| !tooltip.is_empty())
                    .map(ToOwned::to_owned),
                expand,
            });
        }
        if let Some(mapped) = mapped {
            self.mapped.extend(tasks.into_iter().map(|task| (task, mapped.to_owned())));
        }
        for (child_id, group) in inner {
            self.group(group, Some(child_id), id, mapped)?;
        }
        Ok(())
    }
}
