//! `tradewind-sim --seeds A..B [--steps N] [--faults PER_THOUSAND]`: runs seeds and prints the first failure of each.

use std::process::ExitCode;

use tradewind_sim::{Options, Stats, run_seed};

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let mut options = Options::default();
    let mut seeds = 0..100;
    while let Some(arg) = args.next() {
        let value = args.next().unwrap_or_default();
        let known = match arg.as_str() {
            "--seeds" => range(&value).map(|range| seeds = range),
            "--steps" => value.parse().ok().map(|steps| options.steps = steps),
            "--faults" => value.parse().ok().map(|faults| options.faults = faults),
            _ => None,
        };
        if known.is_none() {
            eprintln!("usage: tradewind-sim --seeds A..B [--steps N] [--faults PER_THOUSAND]");
            return ExitCode::from(2);
        }
    }
    let mut total = Stats::default();
    let mut failed = 0u32;
    let count = seeds.end.saturating_sub(seeds.start);
    for seed in seeds {
        match run_seed(seed, options) {
            Ok(stats) => total.add(&stats),
            Err(failure) => {
                failed += 1;
                print!("{failure}");
            }
        }
    }
    println!("{count} seeds, {failed} failed: {total:?}");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// `A..B`, or one seed.
fn range(text: &str) -> Option<std::ops::Range<u64>> {
    match text.split_once("..") {
        Some((from, to)) => Some(from.parse().ok()?..to.parse().ok()?),
        None => {
            let seed = text.parse().ok()?;
            Some(seed..seed + 1)
        }
    }
}
