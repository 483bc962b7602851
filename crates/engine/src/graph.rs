//! The shape of one version of a DAG, worked out once and shared by all its runs: adjacency as flat arrays, effective
//! priorities, leaves, setup and teardown scopes. It never changes after [`Graph::build`].

use std::{collections::HashMap, sync::Arc};

use tradewind_types::{
    ConcurrencyLimit, DagVersion, Operator, PoolName, QueueName, RunNo, TaskId, TiId, Timestamp, TriggerRule, UNMAPPED,
    WeightRule,
};

use crate::{
    expansion::{Expansion, Mapping, UNEXPANDED},
    scopes::Scopes,
    timetable::Schedule,
};

/// Lists of task positions, one after the other: `of(i)` is a slice.
#[derive(Debug, Default)]
pub(crate) struct Adjacency {
    starts: Vec<u32>,
    items: Vec<u32>,
}

impl Adjacency {
    fn new(lists: &[Vec<u32>]) -> Self {
        let mut starts = Vec::with_capacity(lists.len() + 1);
        let mut items = Vec::with_capacity(lists.iter().map(Vec::len).sum());
        starts.push(0);
        for list in lists {
            items.extend_from_slice(list);
            starts.push(index(items.len()));
        }
        Self { starts, items }
    }

    pub(crate) fn of(&self, task: u32) -> &[u32] {
        let task = task as usize;
        &self.items[self.starts[task] as usize..self.starts[task + 1] as usize]
    }
}

/// Positions fit in 32 bits: a DAG with four billion tasks does not fit in memory.
pub(crate) fn index(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

/// What the hot path asks of a task.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) rule: TriggerRule,
    pub(crate) priority: i64,
    pub(crate) upstreams: u32,
    /// Position in [`Graph::queues`].
    pub(crate) queue: u32,
    /// Position in [`Graph::groups`].
    pub(crate) group: u32,
    pub(crate) empty: bool,
    pub(crate) is_teardown: bool,
    pub(crate) depends_on_past: bool,
    pub(crate) wait_for_downstream: bool,
    /// Position in [`Graph::expansions`] of what it is mapped over, or [`UNEXPANDED`].
    pub(crate) expansion: u32,
    /// It is mapped with a task group around it, not by itself.
    pub(crate) in_mapped_group: bool,
    /// Its upstream counts depend on map indexes: they are worked out when asked for, not kept.
    pub(crate) dynamic: bool,
    /// Tasks that must be over before this teardown runs, beside its upstream.
    pub(crate) scope: u32,
    /// The instance id of run 0; only its first six bytes depend on the run.
    id: [u8; 16],
}

/// Tasks that are admitted under the same conditions: one pool, one number of slots, a task of its own where that has a
/// limit, and the same shared limits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct GroupSpec {
    pub(crate) pool: PoolName,
    pub(crate) need: u32,
    pub(crate) task: Option<u32>,
    pub(crate) shared: Vec<ConcurrencyLimit>,
}

/// One version of a DAG, ready to run.
#[derive(Debug)]
pub(crate) struct Graph {
    pub(crate) version: Arc<DagVersion>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) down: Adjacency,
    pub(crate) up: Adjacency,
    pub(crate) queues: Vec<QueueName>,
    pub(crate) groups: Vec<GroupSpec>,
    pub(crate) leaves: Vec<u32>,
    pub(crate) schedule: Schedule,
    /// First and last instant that runs may cover, over the DAG and its tasks.
    pub(crate) earliest: Option<Timestamp>,
    pub(crate) latest: Option<Timestamp>,
    /// Some task depends on the past.
    pub(crate) past: bool,
    /// Some task has a limit of its own.
    pub(crate) limited: bool,
    /// Setups above a task that are not its direct upstream but must succeed first (empty without setups).
    pub(crate) setups: Adjacency,
    /// The tasks that list one among their `setups`.
    pub(crate) setup_watchers: Adjacency,
    /// The teardowns in whose scope a task lies.
    pub(crate) scope_watchers: Adjacency,
    /// The tasks in the scope of a teardown, without its direct upstream.
    pub(crate) scopes: Adjacency,
    pub(crate) expansions: Vec<Expansion>,
    /// The mapped tasks whose length follows from a task's XCom.
    pub(crate) consumers: Adjacency,
    /// Some task is mapped.
    pub(crate) mapped: bool,
    index: HashMap<TaskId, u32>,
}

impl Graph {
    /// Works out the shape. The spec was checked by [`crate::check_spec`]; an edge to an unknown task is left out.
    pub(crate) fn build(version: Arc<DagVersion>) -> Self {
        let spec = &version.spec;
        let count = spec.tasks.len();
        let index_of: HashMap<TaskId, u32> =
            spec.tasks.iter().enumerate().map(|(position, task)| (task.task_id.clone(), index(position))).collect();
        let mut up = vec![Vec::new(); count];
        let mut down = vec![Vec::new(); count];
        // Which task named each upstream last: naming one twice means once.
        let mut named = vec![u32::MAX; count];
        for (position, task) in spec.tasks.iter().enumerate() {
            for upstream in &task.upstream {
                if let Some(&above) = index_of.get(upstream)
                    && std::mem::replace(&mut named[above as usize], index(position)) != index(position)
                {
                    up[position].push(above);
                    down[above as usize].push(index(position));
                }
            }
        }
        let order = topological(&up, &down);
        let priorities = priorities(&version, &up, &down, &order);
        let scopes = Scopes::find(&version, &up, &down);
        let mapping = Mapping::find(&version, &index_of);
        let mut queues: Vec<QueueName> = Vec::new();
        let mut groups: Vec<GroupSpec> = Vec::new();
        let mut queue_at: HashMap<QueueName, u32> = HashMap::new();
        let mut group_at: HashMap<GroupSpec, u32> = HashMap::new();
        let mut nodes = Vec::with_capacity(count);
        for (position, task) in spec.tasks.iter().enumerate() {
            let limited = task.max_active_tis_per_dag.is_some() || task.max_active_tis_per_dagrun.is_some();
            let group = GroupSpec {
                pool: task.pool.clone(),
                need: task.pool_slots.max(1),
                task: limited.then(|| index(position)),
                shared: task.concurrency.clone(),
            };
            let group = *group_at.entry(group.clone()).or_insert_with(|| {
                groups.push(group);
                index(groups.len() - 1)
            });
            let queue = *queue_at.entry(task.queue.clone()).or_insert_with(|| {
                queues.push(task.queue.clone());
                index(queues.len() - 1)
            });
            nodes.push(Node {
                rule: task.trigger_rule,
                priority: priorities[position],
                upstreams: index(up[position].len()),
                queue,
                group,
                empty: matches!(task.operator, Operator::Empty) && task.outlets.is_empty(),
                is_teardown: task.is_teardown,
                depends_on_past: task.depends_on_past || task.wait_for_downstream,
                wait_for_downstream: task.wait_for_downstream,
                expansion: mapping.of[position],
                in_mapped_group: task.expand.is_none() && mapping.of[position] != UNEXPANDED,
                dynamic: mapping.of[position] != UNEXPANDED
                    || up[position].iter().any(|&above| mapping.of[above as usize] != UNEXPANDED),
                scope: scopes.sizes.get(position).copied().unwrap_or(0),
                id: *TiId::derive(RunNo(0), &task.task_id, UNMAPPED).0.as_bytes(),
            });
        }
        let earliest = spec.tasks.iter().filter_map(|task| task.start_date).chain(spec.start_date).min();
        let ends: Vec<Timestamp> = spec.tasks.iter().filter_map(|task| task.end_date).collect();
        let latest = if !ends.is_empty() && ends.len() == count {
            ends.into_iter().chain(spec.end_date).max()
        } else {
            spec.end_date
        };
        Self {
            past: nodes.iter().any(|node| node.depends_on_past),
            limited: groups.iter().any(|group| group.task.is_some()),
            leaves: leaves(&version, &down),
            schedule: Schedule::compile(&spec.timetable).unwrap_or_default(),
            down: Adjacency::new(&down),
            up: Adjacency::new(&up),
            setups: Adjacency::new(&scopes.setups),
            setup_watchers: Adjacency::new(&scopes.setup_watchers),
            scope_watchers: Adjacency::new(&scopes.scope_watchers),
            scopes: Adjacency::new(&scopes.scopes),
            mapped: !mapping.expansions.is_empty(),
            expansions: mapping.expansions,
            consumers: Adjacency::new(&mapping.consumers),
            index: index_of,
            nodes,
            queues,
            groups,
            earliest,
            latest,
            version,
        }
    }

    /// The position of a task.
    pub(crate) fn task(&self, task_id: &str) -> Option<u32> {
        self.index.get(task_id).copied()
    }

    pub(crate) fn node(&self, task: u32) -> &Node {
        &self.nodes[task as usize]
    }

    pub(crate) fn spec(&self, task: u32) -> &tradewind_types::TaskSpec {
        &self.version.spec.tasks[task as usize]
    }

    /// The id of the unmapped instance of `task` in `run`: [`TiId::derive`] without hashing again.
    pub(crate) fn ti_id(&self, run: RunNo, task: u32) -> TiId {
        let mut bytes = self.node(task).id;
        bytes[..6].copy_from_slice(&run.0.to_be_bytes()[2..]);
        TiId(uuid::Uuid::from_bytes(bytes))
    }

    /// `from` and everything that can be reached from it.
    pub(crate) fn reach(&self, from: &[u32], along: &Adjacency) -> Vec<bool> {
        let mut seen = vec![false; self.nodes.len()];
        let mut stack = from.to_vec();
        while let Some(task) = stack.pop() {
            if !std::mem::replace(&mut seen[task as usize], true) {
                stack.extend_from_slice(along.of(task));
            }
        }
        seen
    }
}

/// Upstream before downstream; tasks in a cycle are left out.
pub(crate) fn topological(up: &[Vec<u32>], down: &[Vec<u32>]) -> Vec<u32> {
    let mut missing: Vec<usize> = up.iter().map(Vec::len).collect();
    let mut order: Vec<u32> = (0..index(up.len())).filter(|&task| missing[task as usize] == 0).collect();
    let mut next = 0;
    while next < order.len() {
        let task = order[next];
        next += 1;
        for &below in &down[task as usize] {
            missing[below as usize] -= 1;
            if missing[below as usize] == 0 {
                order.push(below);
            }
        }
    }
    order
}

/// Effective priorities (semantics E4). Airflow does not clamp the sum; here it saturates.
fn priorities(version: &DagVersion, up: &[Vec<u32>], down: &[Vec<u32>], order: &[u32]) -> Vec<i64> {
    let tasks = &version.spec.tasks;
    let own: Vec<i64> = tasks.iter().map(|task| task.priority_weight).collect();
    let mut result = own.clone();
    let mut with_rule = |rule: WeightRule, along: &[Vec<u32>], order: &[u32]| {
        if tasks.iter().any(|task| task.weight_rule == rule) {
            let sums = transitive_sums(&own, along, order);
            for (position, task) in tasks.iter().enumerate() {
                if task.weight_rule == rule {
                    result[position] = sums[position];
                }
            }
        }
    };
    let backwards: Vec<u32> = order.iter().rev().copied().collect();
    with_rule(WeightRule::Downstream, down, &backwards);
    with_rule(WeightRule::Upstream, up, order);
    result
}

/// For each task its own weight and those of everything reachable `along`, each counted once. `order` visits what is
/// reachable before what reaches it.
fn transitive_sums(own: &[i64], along: &[Vec<u32>], order: &[u32]) -> Vec<i64> {
    let mut sums = own.to_vec();
    // With at most one way on, nothing can be reached twice.
    let forks: usize = along.iter().filter(|list| list.len() > 1).count();
    if forks <= 32 {
        let mut stamp = vec![0u32; own.len()];
        let mut round = 0;
        for &task in order {
            match along[task as usize].as_slice() {
                [] => {}
                [only] => {
                    sums[task as usize] = own[task as usize].saturating_add(sums[*only as usize]);
                }
                several => {
                    round += 1;
                    let mut stack = several.to_vec();
                    let mut sum = own[task as usize];
                    while let Some(next) = stack.pop() {
                        if std::mem::replace(&mut stamp[next as usize], round) != round {
                            sum = sum.saturating_add(own[next as usize]);
                            stack.extend_from_slice(&along[next as usize]);
                        }
                    }
                    sums[task as usize] = sum;
                }
            }
        }
        return sums;
    }
    // Reachability as bitsets, a block of targets at a time so that memory stays linear in the number of tasks.
    const WORDS: usize = 16;
    for first in (0..own.len()).step_by(WORDS * 64) {
        let mut reach = vec![[0u64; WORDS]; own.len()];
        for &task in order {
            let mut bits = [0u64; WORDS];
            for &next in &along[task as usize] {
                let position = next as usize;
                for (word, more) in bits.iter_mut().zip(reach[position]) {
                    *word |= more;
                }
                if let Some(bit) = position.checked_sub(first)
                    && bit < WORDS * 64
                {
                    bits[bit / 64] |= 1 << (bit % 64);
                }
            }
            for (word, mut rest) in bits.iter().copied().enumerate() {
                while rest != 0 {
                    let target = first + word * 64 + rest.trailing_zeros() as usize;
                    sums[task as usize] = sums[task as usize].saturating_add(own[target]);
                    rest &= rest - 1;
                }
            }
            reach[task as usize] = bits;
        }
    }
    sums
}

/// The tasks that decide the state of a run (Airflow `DagRun._tis_for_dagrun_state`).
fn leaves(version: &DagVersion, down: &[Vec<u32>]) -> Vec<u32> {
    let tasks = &version.spec.tasks;
    let counts = |position: usize| {
        let task = &tasks[position];
        !task.is_teardown || task.on_failure_fail_dagrun
    };
    let leaves: Vec<u32> = (0..tasks.len())
        .filter(|&position| counts(position) && !down[position].iter().any(|&below| counts(below as usize)))
        .map(index)
        .collect();
    if leaves.is_empty() {
        // A DAG of teardowns only.
        (0..tasks.len()).filter(|&position| down[position].is_empty()).map(index).collect()
    } else {
        leaves
    }
}
