//! How long the guest takes, on this machine: `cargo run --release -p tradewind-guest --example figures`.
//!
//! Uses the interpreter of `TRADEWIND_TEST_PYTHON`, or of `.venv` in the repository.

#![allow(missing_docs)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde_json::Value;
use tradewind_guest::*;
use uuid::Uuid;

const RUNS: usize = 25;

/// Takes everything, has nothing, and notes when the task reported.
#[derive(Default)]
struct Sink {
    reported: std::sync::OnceLock<Instant>,
}

#[async_trait]
impl TaskHost for Sink {
    async fn log(&self, _: Vec<LogLine>) {}
    async fn outcome_reported(&self, _: &TaskOutcome, _: &[(String, i32)]) {
        let _ = self.reported.set(Instant::now());
    }
    async fn get_xcom(&self, _: &XComAddress, _: bool) -> Result<Option<Value>, HostError> {
        Ok(None)
    }
    async fn get_xcom_slice(&self, _: &XComAddress, _: XComSlice) -> Result<Vec<Value>, HostError> {
        Ok(Vec::new())
    }
    async fn get_xcom_item(&self, _: &XComAddress, _: i64) -> Result<Option<Value>, HostError> {
        Ok(None)
    }
    async fn count_xcoms(&self, _: &XComAddress) -> Result<u64, HostError> {
        Ok(0)
    }
    async fn set_xcom(&self, _: &XComAddress, _: Value, _: Option<u64>) -> Result<(), HostError> {
        Ok(())
    }
    async fn delete_xcom(&self, _: &XComAddress) -> Result<(), HostError> {
        Ok(())
    }
    async fn get_variable(&self, _: &str) -> Result<Option<String>, HostError> {
        Ok(None)
    }
    async fn set_variable(&self, _: &str, _: Option<&str>, _: Option<&str>) -> Result<(), HostError> {
        Ok(())
    }
    async fn delete_variable(&self, _: &str) -> Result<(), HostError> {
        Ok(())
    }
    async fn get_connection(&self, _: &str) -> Result<Option<ConnectionInfo>, HostError> {
        Ok(None)
    }
    async fn set_rendered_fields(&self, _: Value) -> Result<(), HostError> {
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let scratch = tempfile::tempdir()?;
    let env = |name: &str| GuestEnv {
        python: std::env::var_os("TRADEWIND_TEST_PYTHON")
            .map_or_else(|| repository.join(".venv/bin/python"), PathBuf::from),
        guest_package_dir: repository.join("python"),
        home: scratch.path().join(name),
        extra_env: Vec::new(),
        warm_dags: Duration::from_secs(60),
    };
    let dags = scratch.path().join("dags");
    std::fs::create_dir(&dags)?;
    std::fs::write(
        dags.join("simple.py"),
        "from airflow.sdk import DAG\n\
         from airflow.providers.standard.operators.bash import BashOperator\n\
         from airflow.providers.standard.operators.python import PythonOperator\n\
         with DAG('simple', schedule='@daily'):\n\
         \x20   PythonOperator(task_id='python', python_callable=lambda: None) >> BashOperator(task_id='bash', bash_command='true')\n",
    )?;

    let started = Instant::now();
    let zygote = Zygote::start(env("tasks")).await?;
    println!("zygote start          {:>7.0} ms", ms(started.elapsed()));
    println!("zygote memory (PSS)   {:>7} MiB", pss_mib(zygote.pid()));

    for task_id in ["python", "bash"] {
        let (mut wall, mut early, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..RUNS {
            let started = Instant::now();
            let exit = run(&zygote, &dags, task_id).await?;
            wall.push(started.elapsed());
            early.push(exit.0);
            cpu.push(exit.1.usage.user + exit.1.usage.system);
        }
        println!(
            "{task_id:<7} task, median   {:>7.1} ms wall, {:.1} ms until reported, {:.1} ms CPU",
            median(&mut wall),
            median(&mut early),
            median(&mut cpu)
        );
    }

    let started = Instant::now();
    let total = 100;
    let one_lane = || async {
        for _ in 0..total / 2 {
            run(&zygote, &dags, "python").await?;
        }
        Ok::<_, GuestError>(())
    };
    tokio::try_join!(one_lane(), one_lane())?;
    println!("python tasks, 2 lanes {:>7.1} a second", f64::from(total) / started.elapsed().as_secs_f64());
    zygote.shutdown().await;

    let parser = Parser::new(env("parser"));
    let mut times = Vec::new();
    for _ in 0..=RUNS {
        let parsed = parser.parse(ParseRequest::new(&dags, "simple.py")).await?;
        assert_eq!(parsed.import_error, None);
        times.push(parsed.duration);
    }
    times.remove(0);
    println!("parse, median         {:>7.1} ms", median(&mut times));
    parser.shutdown().await;
    Ok(())
}

/// Runs a task; returns the time until its report reached us, and its end.
async fn run(zygote: &Zygote, dags: &Path, task_id: &str) -> Result<(Duration, TaskExit), GuestError> {
    let host = Arc::new(Sink::default());
    let (_stopper, control) = TaskControl::new();
    let task = TaskLaunch {
        bundle_dir: dags.to_owned(),
        bundle_version: "v1".to_owned(),
        dag_rel_path: "simple.py".to_owned(),
        logical_date: Some(jiff::Timestamp::UNIX_EPOCH),
        ..TaskLaunch::new(Uuid::new_v4(), "simple", task_id, "run", jiff::Timestamp::now())
    };
    let started = Instant::now();
    let exit = zygote.run(task, host.clone(), control).await?;
    assert!(matches!(exit.outcome, TaskOutcome::Success { .. }), "{exit:?}");
    let reported = host.reported.get().map_or(Duration::ZERO, |at| *at - started);
    Ok((reported, exit))
}

fn median(times: &mut [Duration]) -> f64 {
    times.sort();
    ms(times[times.len() / 2])
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn pss_mib(pid: u32) -> u64 {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let kib = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).and_then(|rest| rest.split_whitespace().next());
    kib.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024
}
