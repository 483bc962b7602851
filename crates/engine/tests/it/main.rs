//! Tests of the engine, by area.

mod attempts;
mod clear;
mod limits;
mod reload;
mod retries;
mod rules;
mod runs;
mod spec;
mod support;
mod timetables;
