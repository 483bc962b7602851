//! Tests of the engine, by area.

mod assets;
mod attempts;
mod backfills;
mod callbacks;
mod clear;
mod limits;
mod mapping;
mod reload;
mod restarts;
mod retries;
mod rule_vectors;
mod rules;
mod runs;
mod spec;
mod support;
mod timetable_vectors;
mod timetables;
mod timetables_kinds;
mod waiting;
