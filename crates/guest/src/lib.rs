//! The supervisor side of the Airflow Task SDK.
//!
//! Owns the zygote (a warm Python process that forks a process per task and per parsed file), the wire protocol with
//! the task, its log streams and its end. It must never decide what a task's outcome means for a DAG run, and user
//! code never runs in this process.

mod api;
mod host;

pub use api::*;

// Being written, in this shape:
//
// impl Zygote {
//     pub async fn start(env: GuestEnv) -> Result<Zygote, GuestError>;
//     pub fn is_alive(&self) -> bool;
//     pub async fn run(&self, task: TaskLaunch, host: Arc<dyn TaskHost>, control: TaskControl)
//         -> Result<TaskExit, GuestError>;
//     pub async fn shutdown(self);
// }
// impl Parser {                                   // keeps a zygote of its own, restarts it when it died
//     pub fn new(env: GuestEnv) -> Parser;        // cheap to clone; starts on first use
//     pub async fn parse(&self, request: ParseRequest) -> Result<ParsedFile, GuestError>;
//     pub async fn shutdown(&self);
// }
