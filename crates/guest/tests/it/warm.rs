//! DAG files that are kept loaded.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tradewind_guest::*;

use crate::support::*;

const FILE: &str = "
import os, subprocess, time
from airflow.sdk import DAG
from airflow.providers.standard.operators.python import PythonOperator

def wait():
    child = subprocess.Popen(['sleep', '1000'], start_new_session=True)
    print('waiting', child.pid, flush=True)
    time.sleep(1000)

def nap():
    print('napping', os.getpid(), flush=True)
    time.sleep(1000)

with DAG('kept'):
    PythonOperator(task_id='parent', python_callable=os.getppid)
    PythonOperator(task_id='word', python_callable=lambda: WORD)
    PythonOperator(task_id='wait', python_callable=wait)
    PythonOperator(task_id='nap', python_callable=nap)
";

/// Files of its own.
struct World {
    dags: tempfile::TempDir,
    zygote: Arc<Zygote>,
    host: Arc<MemoryHost>,
    /// The name of its usual file, which no other test has.
    file: String,
}

/// The zygote of the tests that need none of their own.
async fn shared() -> Arc<Zygote> {
    static ZYGOTE: tokio::sync::OnceCell<Arc<Zygote>> = tokio::sync::OnceCell::const_new();
    ZYGOTE.get_or_init(|| start("warm", Duration::from_secs(60))).await.clone()
}

async fn start(name: &str, warm_dags: Duration) -> Arc<Zygote> {
    Arc::new(Zygote::start(GuestEnv { warm_dags, ..guest_env(name) }).await.unwrap())
}

impl World {
    fn new(name: &str, zygote: Arc<Zygote>) -> Self {
        let file = format!("{name}.py");
        let world = Self { dags: tempfile::tempdir().unwrap(), zygote, host: MemoryHost::new(), file };
        world.write(&world.file, "first", "");
        world
    }

    /// The warm processes of its usual file.
    fn warm_files(&self) -> Vec<u32> {
        self.zygote.warm_files().into_iter().filter(|(file, _)| *file == self.file).map(|(_, pid)| pid).collect()
    }

    fn write(&self, file: &str, word: &str, more: &str) {
        std::fs::write(self.dags.path().join(file), format!("WORD = {word:?}\n{FILE}\n{more}\n")).unwrap();
    }

    fn launch(&self, file: &str, version: &str, task_id: &str) -> TaskLaunch {
        TaskLaunch {
            bundle_dir: self.dags.path().to_owned(),
            bundle_version: version.to_owned(),
            dag_rel_path: file.to_owned(),
            ..launch("kept", task_id)
        }
    }

    /// The value that a task returns.
    async fn value(&self, file: &str, version: &str, task_id: &str) -> serde_json::Value {
        let (_stopper, control) = TaskControl::new();
        let exit = self.zygote.run(self.launch(file, version, task_id), self.host.clone(), control).await.unwrap();
        assert!(matches!(exit.outcome, TaskOutcome::Success { .. }), "{exit:?} {}", self.host.text());
        self.host.result(task_id).unwrap_or_default()
    }

    /// The process that forked the task.
    async fn parent(&self, file: &str) -> u32 {
        u32::try_from(self.value(file, "v1", "parent").await.as_u64().unwrap()).unwrap()
    }

    /// Runs tasks until they come from a warm process, and returns its id.
    async fn warm(&self, file: &str) -> u32 {
        for _ in 0..50 {
            let parent = self.parent(file).await;
            if parent != self.zygote.pid() {
                return parent;
            }
        }
        panic!("{file} does not become warm: {:?}", self.zygote.warm_files());
    }

    /// Starts a task that goes on until it is stopped; returns once it has said `line`.
    async fn begin(&self, task_id: &str, line: &str) -> (tokio::task::JoinHandle<TaskExit>, TaskStopper, String) {
        let (stopper, control) = TaskControl::new();
        let (zygote, host, launch) = (self.zygote.clone(), self.host.clone(), self.launch(&self.file, "v1", task_id));
        let running = tokio::spawn(async move { zygote.run(launch, host, control).await.unwrap() });
        let line = self.host.wait_for_line(line).await;
        (running, stopper, line)
    }

    async fn until_cold(&self) {
        while !self.warm_files().is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn the_second_task_makes_a_file_warm() {
    on_runtime(async {
        let world = World::new("warm-second", shared().await);
        assert_eq!(world.parent(&world.file).await, world.zygote.pid());
        assert!(world.warm_files().is_empty());
        let warm = world.warm(&world.file).await;
        assert_eq!(world.warm_files(), [warm]);
        assert_eq!(world.parent(&world.file).await, warm);
    });
}

#[test]
fn another_version_of_a_file_is_another_file() {
    on_runtime(async {
        let world = World::new("warm-version", shared().await);
        world.warm(&world.file).await;
        world.write(&world.file, "second", "");
        assert_eq!(world.value(&world.file, "v1", "word").await, "first");
        for _ in 0..4 {
            assert_eq!(world.value(&world.file, "v2", "word").await, "second");
        }
        // Without a version nobody can tell.
        world.write(&world.file, "third", "");
        for _ in 0..4 {
            assert_eq!(world.value(&world.file, "", "word").await, "third");
        }
    });
}

#[test]
fn no_time_means_no_warm_files() {
    on_runtime(async {
        let world = World::new("warm-never", start("warm-never", Duration::ZERO).await);
        for _ in 0..4 {
            assert_eq!(world.parent(&world.file).await, world.zygote.pid());
        }
    });
}

#[test]
fn a_warm_file_has_its_time_and_its_tasks_have_theirs() {
    on_runtime(async {
        let world = World::new("warm-time", start("warm-time", Duration::from_secs(2)).await);
        let warm = world.warm(&world.file).await;
        let (running, stopper, line) = world.begin("wait", "waiting").await;
        world.until_cold().await;
        let next = world.warm(&world.file).await;
        assert_ne!(next, warm);
        assert!(Path::new(&format!("/proc/{warm}")).exists(), "its task still runs");
        stopper.stop(StopReason::Cancelled, Duration::ZERO);
        assert_eq!(running.await.unwrap().exit, ProcessExit::Signal(9));
        wait_until_gone(last_number(&line)).await;
        wait_until_gone(warm).await;
    });
}

#[test]
fn the_death_of_a_warm_file_is_that_of_its_tasks_only() {
    on_runtime(async {
        let world = World::new("warm-death", shared().await);
        let warm = world.warm(&world.file).await;
        let (running, _stopper, line) = world.begin("wait", "waiting").await;
        kill(warm);
        assert_eq!(running.await.unwrap().exit, ProcessExit::ZygoteLost);
        wait_until_gone(last_number(&line)).await;
        // Those to come are forked as if there had been none.
        assert_eq!(world.parent(&world.file).await, world.zygote.pid());
        assert!(world.zygote.is_alive());
    });
}

#[test]
fn a_task_that_has_not_begun_when_its_warm_file_dies_is_begun_again() {
    on_runtime(async {
        let world = World::new("warm-begin", shared().await);
        let warm = world.warm(&world.file).await;
        let pid = rustix::process::Pid::from_raw(i32::try_from(warm).unwrap()).unwrap();
        // The order to fork lies in its channel when it dies.
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
        let death = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            kill(warm);
        };
        let (parent, ()) = tokio::join!(world.parent(&world.file), death);
        assert_eq!(parent, world.zygote.pid());
    });
}

#[test]
fn a_file_that_cannot_be_kept_is_loaded_for_each_task() {
    on_runtime(async {
        let world = World::new("warm-refused", shared().await);
        world.write("asks.py", "x", "from airflow.sdk import Variable\nlimit = Variable.get('limit')");
        world.host.put_variable("limit", "3");
        for _ in 0..4 {
            assert_eq!(world.parent("asks.py").await, world.zygote.pid());
        }
        assert!(world.warm_files().is_empty());
    });
}

#[test]
fn only_so_many_files_are_warm() {
    on_runtime(async {
        let world = World::new("warm-many", start("warm-many", Duration::from_secs(60)).await);
        let mut pids = Vec::new();
        for number in 0..10 {
            let file = format!("kept_{number}.py");
            world.write(&file, "x", "");
            pids.push(world.warm(&file).await);
        }
        assert_eq!(world.zygote.warm_files().len(), 8);
        wait_until_gone(pids[0]).await;
        wait_until_gone(pids[1]).await;
        let left = Arc::into_inner(world.zygote).unwrap();
        left.shutdown().await;
        for pid in pids {
            wait_until_gone(pid).await;
        }
        // Nothing of the loads' folders is left.
        assert_eq!(std::fs::read_dir(guest_env("warm-many").home.join("work")).unwrap().count(), 0);
    });
}

#[test]
fn stops_reach_the_tasks_of_a_warm_file() {
    on_runtime(async {
        let world = World::new("warm-stop", shared().await);
        world.warm(&world.file).await;
        let (running, stopper, line) = world.begin("wait", "waiting").await;
        stopper.stop(StopReason::Cancelled, Duration::from_secs(10));
        let exit = running.await.unwrap();
        assert_eq!(exit.stopped, Some(StopReason::Cancelled));
        wait_until_gone(last_number(&line)).await;
        // An attempt that nobody waits for any more dies, too.
        let (running, _stopper, line) = world.begin("nap", "napping").await;
        running.abort();
        wait_until_gone(last_number(&line)).await;
    });
}
