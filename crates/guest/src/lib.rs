//! The supervisor side of the Airflow Task SDK.
//!
//! Owns the zygote (a warm Python process that forks a process per task and per parsed file), the wire protocol with
//! the task, its log streams and its end. It must never decide what a task's outcome means for a DAG run, and user
//! code never runs in this process.

mod api;
mod callback;
mod channels;
#[cfg(test)]
mod contract;
mod control;
mod further;
mod host;
mod logs;
mod memory;
mod notes;
mod parse;
mod parse_asks;
mod questions;
mod report;
mod requests;
mod startup;
mod strays;
mod task;
mod timetable;
mod triggers;
mod warm;
mod wire;
mod zygote;

pub use api::*;
pub use callback::{CallbackExit, CallbackLaunch};
pub use parse::{Parser, parse_file};
pub use timetable::{TimetableAnswer, TimetableQuestion, TimetableRequest, TimetableRun, evaluate_timetable};
pub use triggers::{TriggerEnd, TriggerLaunch, TriggerProcess, TriggerProcessSettings};
pub use wire::LARGEST_REQUEST;
pub use zygote::{Zygote, hide_from_guests};
