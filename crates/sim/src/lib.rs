//! The seeded simulator: drives the real engine through virtual time with leaders that die or will not stop, workers that
//! die, freeze and repeat themselves, and a queue that loses, repeats and delays hints, and checks numbered invariants
//! after every step. The same seed does the same, always.
//!
//! | invariant | what it says |
//! |---|---|
//! | I1 | once the faults stop, every run ends |
//! | I2 | an attempt is granted to one token only |
//! | I3 | attempts of one task instance do not overlap, unless a worker froze past its lease or a person stopped one |
//! | I4 | a task starts only after what its trigger rule asks for |
//! | I5 | pools and limits hold at all times |
//! | I6 | one run per run id and per logical date, one past attempt per number |
//! | I7 | terminal is final, attempts and tries only rise, states follow the table |
//! | I8 | after a commit the store's rows are the engine's |
//! | I9 | an engine made of the rows equals the one that wrote them |
//! | I10 | the engine's own counters are right |
//! | I11 | the XComs of an instance are those of its last attempt |
//! | I12 | what a worker says of an attempt that is not the current one changes nothing |
//! | I13 | a mapped task has one instance for each index, without a gap |
//! | I14 | an asset event is consumed at most once by a DAG, and no event that a DAG listens to is lost |
//! | I15 | a callback is never lost, runs to its end once, and follows each outcome that asks for it |
//! | I16 | the event of a trigger resumes its task instance at most once, a question is answered at most once |
//! | I17 | a backfill is completed exactly when its runs are over, and runs no more of them than it may |

mod checks;
mod dags;
pub mod forecast;
mod leader;
mod outcomes;
mod people;
mod queue;
mod rng;
mod store;
mod timetables;
mod worker;
mod world;

use std::fmt;

/// What a simulation does and how much of it goes wrong.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Steps with faults; then the world heals and must finish.
    pub steps: u32,
    /// Faults out of a thousand opportunities.
    pub faults: u32,
    /// The store refuses writes of an old term. Off only to show that the checks notice.
    pub term_guard: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { steps: 250, faults: 30, term_guard: true }
    }
}

/// What happened in a simulation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Steps made.
    pub steps: u32,
    /// Commits that the store took.
    pub commits: u32,
    /// Commits that the store refused because of their term.
    pub stale_commits: u32,
    /// Claims granted.
    pub claims: u32,
    /// Claims refused.
    pub refused_claims: u32,
    /// Reports taken.
    pub reports: u32,
    /// Reports refused as stale.
    pub stale_reports: u32,
    /// Attempts that ended because their worker was lost.
    pub lost_attempts: u32,
    /// Take-overs by a new leader.
    pub takeovers: u32,
    /// Hints lost, repeated or delayed.
    pub hint_faults: u32,
    /// Workers killed or frozen.
    pub worker_faults: u32,
    /// Runs that ended.
    pub runs: u32,
    /// Waits that ended.
    pub resumes: u32,
    /// Asset events that runs consumed.
    pub consumed_events: u32,
    /// Callbacks that came to an end.
    pub callbacks: u32,
    /// Backfills that were completed.
    pub backfills: u32,
    /// Answers of custom timetables that reached a leader.
    pub timetable_answers: u32,
    /// Task instances of mapped tasks.
    pub mapped: u32,
}

impl Stats {
    /// Adds another simulation's figures.
    pub fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.commits += other.commits;
        self.stale_commits += other.stale_commits;
        self.claims += other.claims;
        self.refused_claims += other.refused_claims;
        self.reports += other.reports;
        self.stale_reports += other.stale_reports;
        self.lost_attempts += other.lost_attempts;
        self.takeovers += other.takeovers;
        self.hint_faults += other.hint_faults;
        self.worker_faults += other.worker_faults;
        self.runs += other.runs;
        self.resumes += other.resumes;
        self.consumed_events += other.consumed_events;
        self.callbacks += other.callbacks;
        self.backfills += other.backfills;
        self.timetable_answers += other.timetable_answers;
        self.mapped += other.mapped;
    }
}

/// An invariant that did not hold.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed: run it again to see the same.
    pub seed: u64,
    /// The step.
    pub step: u32,
    /// Which invariant and how it was broken.
    pub invariant: String,
    /// What happened before, oldest first.
    pub trace: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}, step {}: {}", self.seed, self.step, self.invariant)?;
        for line in &self.trace {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// Runs one simulation.
///
/// # Errors
/// The first invariant that did not hold.
pub fn run_seed(seed: u64, options: Options) -> Result<Stats, Failure> {
    let mut world = world::World::new(seed, options);
    match world.run() {
        Ok(()) => Ok(world.stats),
        Err(invariant) => Err(Failure {
            seed,
            step: world.stats.steps,
            invariant,
            trace: {
                let dump = world.dump();
                world.trace.into_iter().chain(dump).collect()
            },
        }),
    }
}
