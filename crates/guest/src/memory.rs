//! Whether the kernel killed a process for lack of memory, as far as it can be known from its counters.

use std::{path::PathBuf, sync::OnceLock};

/// How often the kernel has killed for lack of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OutOfMemory {
    /// In the control group that limits this process and its children.
    group: Option<u64>,
    /// On this machine, that group included.
    machine: Option<u64>,
}

impl OutOfMemory {
    /// The counters as they are now; what cannot be read is left open.
    pub(crate) fn count() -> Self {
        static EVENTS: OnceLock<Option<PathBuf>> = OnceLock::new();
        let events = EVENTS.get_or_init(|| {
            let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
            candidates(&groups).into_iter().find(|path| counter(path).is_some())
        });
        Self { group: events.as_ref().and_then(counter), machine: counter(&"/proc/vmstat".into()) }
    }

    /// Why a process was killed that ran since then, and that nobody here killed.
    pub(crate) fn explain(self, now: Self, peak_bytes: u64) -> String {
        let peak = peak_bytes.div_ceil(1 << 20);
        let risen = |before: Option<u64>, now: Option<u64>| Some(now? > before?);
        match (risen(self.group, now.group), risen(self.machine, now.machine)) {
            (Some(true), _) => format!(
                "the task's process was killed by the kernel: out of memory, peak {peak} MiB (SIGKILL; the memory of \
                 this worker's control group was used up)"
            ),
            (_, Some(true)) => format!(
                "the task's process was killed by the kernel: out of memory, peak {peak} MiB (SIGKILL; meanwhile the \
                 kernel killed for lack of memory on this machine, and Tradewind did not)"
            ),
            (Some(false), _) | (_, Some(false)) => format!(
                "the task's process was killed (SIGKILL), peak {peak} MiB: not by Tradewind, and the kernel counts no \
                 lack of memory, so somebody or something else did it"
            ),
            (None, None) => format!(
                "the task's process was killed (SIGKILL), peak {peak} MiB: from outside, or by the kernel for lack of \
                 memory, whose count cannot be read here"
            ),
        }
    }
}

/// Where the count of this process's control group may be. In a container its own group often shows as the root.
fn candidates(groups: &str) -> Vec<PathBuf> {
    let of = |root: &str, path: &str, file: &str| {
        [format!("{root}{}/{file}", path.trim_end_matches('/')).into(), format!("{root}/{file}").into()]
    };
    let mut found = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
        if controllers.is_empty() {
            found.extend(of("/sys/fs/cgroup", path, "memory.events"));
        } else if controllers.split(',').any(|controller| controller == "memory") {
            found.extend(of("/sys/fs/cgroup/memory", path, "memory.oom_control"));
        }
    }
    found
}

fn counter(path: &PathBuf) -> Option<u64> {
    count_in(&std::fs::read_to_string(path).ok()?)
}

/// The line that all these files have.
fn count_in(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found_in_each_kind_of_file() {
        assert_eq!(count_in("low 0\noom 3\noom_kill 2\noom_group_kill 0\n"), Some(2));
        assert_eq!(count_in("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"), Some(1));
        assert_eq!(count_in("nr_free_pages 1\n"), None);
    }

    #[test]
    fn the_group_is_looked_for_under_both_versions() {
        let paths = candidates("4:memory:/a/b\n1:cpu,cpuacct:/\n0::/c\n");
        let paths: Vec<_> = paths.iter().filter_map(|path| path.to_str()).collect();
        assert_eq!(
            paths,
            [
                "/sys/fs/cgroup/memory/a/b/memory.oom_control",
                "/sys/fs/cgroup/memory/memory.oom_control",
                "/sys/fs/cgroup/c/memory.events",
                "/sys/fs/cgroup/memory.events",
            ]
        );
    }

    #[test]
    fn only_a_count_that_rose_accuses_the_kernel() {
        let count = |group, machine| OutOfMemory { group, machine };
        let says = |before: OutOfMemory, now| before.explain(now, 100 << 20);
        assert!(
            says(count(Some(1), Some(1)), count(Some(2), Some(2)))
                .contains("out of memory, peak 100 MiB (SIGKILL; the")
        );
        assert!(says(count(Some(1), Some(1)), count(Some(1), Some(2))).contains("on this machine"));
        assert!(says(count(None, Some(1)), count(None, Some(1))).contains("somebody or something else"));
        assert!(says(count(None, None), count(None, None)).contains("cannot be read"));
    }
}
