//! A second process that kills this worker's tasks when the worker itself cannot: because it was killed, or is paused
//! for longer than its leases last.
//!
//! It is a shell with two rules. When its standard input ends, the worker is gone: it kills every process group that
//! it was told of and everything that carries the worker's mark. When no sign of life comes for four fifths of a lease,
//! it kills the groups: their leases are about to run out, and a live worker would have done so itself.

use std::{process::Stdio, sync::Mutex, time::Duration};

use tokio::{io::AsyncWriteExt, process::Command, sync::mpsc};
use uuid::Uuid;

use crate::session::WORKER_MARK;

const SCRIPT: &str = r#"
trap '' TERM INT HUP
declare -A groups=()
mark=$1 limit=$2
kill_groups() {
    local group
    for group in "${!groups[@]}"; do kill -KILL -- "-$group" 2>/dev/null; done
    groups=()
}
kill_marked() {
    local round process variable found
    for round in 1 2 3 4 5; do
        found=
        for process in /proc/[0-9]*; do
            [[ ${process#/proc/} == "$$" ]] && continue
            { while IFS= read -r -d '' variable; do
                if [[ $variable == "$mark" ]]; then
                    kill -KILL "${process#/proc/}" 2>/dev/null && found=1
                    break
                fi
            done <"$process/environ"; } 2>/dev/null
        done
        [[ -n $found ]] || break
    done
}
while :; do
    if IFS=' ' read -r -t "$limit" word value; then
        case $word in
            started) groups[$value]=1 ;;
            ended) unset "groups[$value]" ;;
            limit) limit=$value ;;
        esac
    elif (( $? > 128 )); then
        kill_groups
    else
        kill_groups
        kill_marked
        exit 0
    fi
done
"#;

/// The worker's end. Dropping it ends the shell, which kills what is still there.
#[derive(Debug)]
pub(crate) struct Watchdog {
    orders: Option<mpsc::UnboundedSender<String>>,
    /// The limit that the shell has, in milliseconds.
    limit: Mutex<Duration>,
}

impl Watchdog {
    /// Starts the shell. Without bash there is no watchdog, which the log says.
    pub(crate) fn start(incarnation: Uuid, lease: Duration) -> Self {
        let limit = limit(lease);
        let spawned = Command::new("bash")
            .args(["-c", SCRIPT, "tradewind-watchdog"])
            .arg(format!("{WORKER_MARK}={incarnation}"))
            .arg(seconds(limit))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Signals for our group, such as Ctrl-C, are not for it.
            .process_group(0)
            .spawn();
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) => {
                tracing::warn!(%error, "no watchdog without bash: tasks of a killed or paused worker are not killed");
                return Self { orders: None, limit: Mutex::new(limit) };
            }
        };
        let (orders, mut receiver) = mpsc::unbounded_channel::<String>();
        let input = child.stdin.take();
        tokio::spawn(async move {
            if let Some(mut input) = input {
                while let Some(order) = receiver.recv().await {
                    if input.write_all(order.as_bytes()).await.is_err() {
                        tracing::error!("the watchdog is gone: tasks of a killed or paused worker are not killed");
                        break;
                    }
                }
            }
            // Its input has ended; it does its work and goes.
            let _ = child.wait().await;
        });
        Self { orders: Some(orders), limit: Mutex::new(limit) }
    }

    fn order(&self, order: String) {
        if let Some(orders) = &self.orders {
            // A watchdog that is gone has been reported.
            let _ = orders.send(order);
        }
    }

    /// The leader has just acknowledged that this worker lives.
    pub(crate) fn alive(&self) {
        self.order("alive\n".to_owned());
    }

    /// Leases have another length now.
    pub(crate) fn set_lease(&self, lease: Duration) {
        let limit = limit(lease);
        let mut current = self.limit.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if *current != limit {
            *current = limit;
            self.order(format!("limit {}\n", seconds(limit)));
        }
    }

    /// A process group of a task exists.
    pub(crate) fn started(&self, group: u32) {
        self.order(format!("started {group}\n"));
    }

    /// It is gone.
    pub(crate) fn ended(&self, group: u32) {
        self.order(format!("ended {group}\n"));
    }
}

fn limit(lease: Duration) -> Duration {
    lease * 4 / 5
}

fn seconds(limit: Duration) -> String {
    format!("{:.3}", limit.as_secs_f64().max(0.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process in a group of its own, and in a session of its own, both with the mark.
    fn family(mark: &Uuid) -> std::process::Child {
        use std::os::unix::process::CommandExt;
        std::process::Command::new("bash")
            .args(["-c", "setsid sleep 1000 & echo; wait"])
            .env(WORKER_MARK, mark.to_string())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap()
    }

    fn marked(mark: &Uuid) -> usize {
        let entry = format!("{WORKER_MARK}={mark}");
        let processes = std::fs::read_dir("/proc").unwrap();
        processes
            .flatten()
            .filter(|process| {
                std::fs::read(process.path().join("environ"))
                    .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|variable| variable == entry.as_bytes()))
            })
            .count()
    }

    async fn until(what: &str, mut holds: impl FnMut() -> bool) {
        let limit = std::time::Instant::now() + Duration::from_secs(20);
        while !holds() {
            assert!(std::time::Instant::now() < limit, "{what} did not come about");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn the_end_of_the_worker_ends_its_tasks() {
        let mark = Uuid::new_v4();
        let mut family = family(&mark);
        until("the family is there", || marked(&mark) == 2).await;
        let watchdog = Watchdog::start(mark, Duration::from_secs(3600));
        watchdog.started(family.id());
        drop(watchdog);
        until("nothing is left", || marked(&mark) == 0).await;
        family.wait().unwrap();
    }

    #[tokio::test]
    async fn silence_ends_the_groups_and_signs_of_life_do_not() {
        let mark = Uuid::new_v4();
        let mut family = family(&mark);
        until("the family is there", || marked(&mark) == 2).await;
        let watchdog = Watchdog::start(mark, Duration::from_secs(3600));
        watchdog.started(family.id());
        watchdog.alive();
        assert!(family.try_wait().unwrap().is_none());
        watchdog.set_lease(Duration::from_millis(500));
        until("the group is gone", || family.try_wait().unwrap().is_some()).await;
        // What left the group ends with the worker.
        drop(watchdog);
        until("nothing is left", || marked(&mark) == 0).await;
    }

    #[tokio::test]
    async fn a_group_that_ended_is_not_touched() {
        let mark = Uuid::new_v4();
        // Not marked: only the group could give it away.
        let mut family = family(&Uuid::new_v4());
        let watchdog = Watchdog::start(mark, Duration::from_secs(3600));
        watchdog.started(family.id());
        watchdog.ended(family.id());
        let pid = marker_of_watchdog(&mark).await;
        drop(watchdog);
        until("the watchdog is gone", || !std::path::Path::new(&format!("/proc/{pid}")).exists()).await;
        assert!(family.try_wait().unwrap().is_none());
        tradewind_operators::kill_marked(WORKER_MARK, &read_mark(family.id()));
        family.wait().unwrap();
    }

    fn read_mark(pid: u32) -> String {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
        let prefix = format!("{WORKER_MARK}=");
        environ
            .split(|byte| *byte == 0)
            .find_map(|variable| String::from_utf8_lossy(variable).strip_prefix(&prefix).map(str::to_owned))
            .unwrap()
    }

    async fn marker_of_watchdog(mark: &Uuid) -> String {
        let argument = format!("{WORKER_MARK}={mark}");
        let mut found = None;
        until("the watchdog is there", || {
            found = std::fs::read_dir("/proc").unwrap().flatten().find_map(|process| {
                let line = std::fs::read(process.path().join("cmdline")).ok()?;
                line.split(|byte| *byte == 0)
                    .any(|part| part == argument.as_bytes())
                    .then(|| process.file_name().to_string_lossy().into_owned())
            });
            found.is_some()
        })
        .await;
        found.unwrap()
    }
}
