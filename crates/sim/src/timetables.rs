//! The DAG processors of the simulation, as far as custom timetables go: they fetch a leader's questions and answer them,
//! late, twice, or to the leader after it.

use jiff::SignedDuration;
use tradewind_engine::{Event, TimetableQuestion, timetable::DagRunInfo};
use tradewind_types::Timestamp;

use crate::world::World;

/// Seconds between two runs of the timetable.
const STEP: i64 = 45;

/// An answer on its way.
pub(crate) struct TimetableAnswer {
    at: Timestamp,
    term: u64,
    event: Event,
}

impl World {
    /// Fetches questions, and brings answers that are due.
    pub(crate) fn evaluate_timetables(&mut self) {
        for at in 0..self.leaders.len() {
            if self.leaders[at].frozen_until > self.now || self.leaders[at].questions.is_empty() {
                continue;
            }
            if !self.rng.chance(500) {
                continue;
            }
            let questions = match self.faults() && self.rng.chance(100) {
                // It dies with them in its hand, or another one fetches them, too.
                true => self.leaders[at].questions.clone(),
                false => std::mem::take(&mut self.leaders[at].questions),
            };
            let term = self.leaders[at].term;
            for question in questions.into_values() {
                let answer =
                    if self.rng.chance(20) { Err("ZeroDivisionError".to_owned()) } else { Ok(next_of(&question)) };
                let event = Event::TimetableAnswer { dag_id: question.dag_id, question: question.question, answer };
                let at = self.later(3_000);
                self.timetable_answers.push(TimetableAnswer { at, term, event });
            }
        }
        let now = self.now;
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.timetable_answers).into_iter().partition(|answer| answer.at <= now);
        self.timetable_answers = later;
        for answer in due {
            // A DAG processor finds the leader anew for each call: the answer may reach the next one.
            let asker = self.leaders.iter().position(|leader| leader.term == answer.term);
            let to = if self.rng.chance(300) { 0 } else { asker.unwrap_or(0) };
            if let Some(leader) = self.leaders.get_mut(to) {
                leader.answered.push(answer.event);
                self.stats.timetable_answers += 1;
            }
        }
    }
}

/// The run after the last one: each 45 seconds.
fn next_of(question: &TimetableQuestion) -> Option<DagRunInfo> {
    let first = question.earliest.unwrap_or(question.now);
    let after = question.last.map_or(first, |(_, end)| end);
    let from = if question.catchup { after } else { after.max(question.now) };
    let at = ticks(from).find(|at| question.last.is_none_or(|(_, end)| *at > end))?;
    question.latest.is_none_or(|latest| at <= latest).then_some(info(at))
}

/// The runs of the timetable in a range.
pub(crate) fn dates(from: Timestamp, to: Timestamp) -> Vec<DagRunInfo> {
    ticks(from).take_while(|at| *at <= to).map(info).collect()
}

fn ticks(from: Timestamp) -> impl Iterator<Item = Timestamp> {
    let first = from.as_second().div_euclid(STEP) * STEP;
    (0..)
        .map_while(move |place: i64| {
            Timestamp::UNIX_EPOCH.checked_add(SignedDuration::from_secs(first + place * STEP)).ok()
        })
        .filter(move |at| *at >= from)
}

const fn info(at: Timestamp) -> DagRunInfo {
    DagRunInfo { logical_date: at, interval_start: at, interval_end: at, run_after: at }
}
