//! Simulations of every kind, and that the checks notice a missing guard.

use tradewind_sim::{Options, Stats, run_seed};

fn run(seeds: std::ops::Range<u64>, options: Options) -> Stats {
    let mut total = Stats::default();
    for seed in seeds {
        match run_seed(seed, options) {
            Ok(stats) => total.add(&stats),
            Err(failure) => panic!("{failure}"),
        }
    }
    total
}

#[test]
fn three_hundred_seeds_keep_every_invariant() {
    let total = run(0..300, Options::default());
    // The faults that the seeds are for did happen.
    assert!(total.takeovers > 300, "{total:?}");
    assert!(total.stale_commits > 50, "{total:?}");
    assert!(total.stale_reports > 50, "{total:?}");
    assert!(total.refused_claims > 300, "{total:?}");
    assert!(total.lost_attempts > 300, "{total:?}");
    assert!(total.hint_faults > 300, "{total:?}");
    assert!(total.runs > 1_000, "{total:?}");
    // So did what the engine does beside plain tasks.
    assert!(total.resumes > 1_000, "{total:?}");
    assert!(total.mapped > 1_000, "{total:?}");
    assert!(total.callbacks > 1_000, "{total:?}");
    assert!(total.consumed_events > 500, "{total:?}");
    assert!(total.backfills > 100, "{total:?}");
    assert!(total.timetable_answers > 100, "{total:?}");
}

#[test]
fn a_world_without_faults_loses_nothing() {
    let options = Options { faults: 0, ..Options::default() };
    let total = run(1_000..1_040, options);
    assert_eq!(total.takeovers, 40, "{total:?}");
    assert_eq!((total.stale_commits, total.lost_attempts), (0, 0), "{total:?}");
}

#[test]
fn the_same_seed_does_the_same() {
    let stats = run_seed(7, Options::default()).unwrap();
    assert_eq!(run_seed(7, Options::default()).unwrap(), stats);
}

#[test]
fn without_the_term_guard_two_leaders_break_the_rows() {
    let options = Options { term_guard: false, ..Options::default() };
    let broken = (0..40).filter(|&seed| run_seed(seed, options).is_err()).count();
    assert!(broken > 10, "{broken} of 40 seeds noticed");
}
