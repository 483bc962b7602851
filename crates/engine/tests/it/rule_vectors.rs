//! All small sets of upstream states under all trigger rules, compared with Airflow's own evaluator
//! (`tests/vectors/trigger_rules.py`).

use tradewind_engine::rules::{SetupCounts, UpstreamCounts, Verdict, evaluate};
use tradewind_types::{TaskState, TriggerRule};

const TABLE: &str = include_str!("../../../../tests/vectors/trigger_rules.txt");

/// `success failed upstream_failed skipped removed unfinished`.
fn counts(numbers: &[u32]) -> UpstreamCounts {
    UpstreamCounts {
        total: numbers.iter().sum(),
        success: numbers[0],
        failed: numbers[1],
        upstream_failed: numbers[2],
        skipped: numbers[3],
        removed: numbers[4],
    }
}

fn verdict(letter: char) -> Verdict {
    match letter.to_ascii_lowercase() {
        'r' => Verdict::Ready,
        'w' => Verdict::Wait,
        's' => Verdict::Become(TaskState::Skipped),
        'u' => Verdict::Become(TaskState::UpstreamFailed),
        'x' => Verdict::Become(TaskState::Removed),
        other => panic!("{other}"),
    }
}

fn numbers(words: &[&str]) -> Vec<u32> {
    words.iter().map(|word| word.parse().unwrap()).collect()
}

#[test]
fn every_rule_decides_as_airflows() {
    let mut lines = TABLE.lines().skip(1);
    let heading = |line: &'static str| line.split(' ').skip(1).collect::<Vec<_>>();
    let rules: Vec<TriggerRule> =
        heading(lines.next().unwrap()).iter().map(|name| serde_json::from_value((*name).into()).unwrap()).collect();
    let map_indexes: Vec<i32> = heading(lines.next().unwrap()).iter().map(|index| index.parse().unwrap()).collect();
    assert_eq!(rules.len(), 13);
    let mut cases = 0;
    let mut wrong = Vec::new();
    for line in lines.take_while(|line| *line != "setups") {
        let words: Vec<&str> = line.split(' ').collect();
        let counts = counts(&numbers(&words[..6]));
        for (map_index, letters) in map_indexes.iter().zip(&words[6..]) {
            for (rule, letter) in rules.iter().zip(letters.chars()) {
                cases += 1;
                let found = evaluate(*rule, &counts, *map_index, SetupCounts::default);
                if found != verdict(letter) {
                    wrong.push(format!("{rule:?} {counts:?} map index {map_index}: Airflow {letter}, here {found:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {cases} differ:\n{}", wrong.len(), wrong[..wrong.len().min(30)].join("\n"));
    assert_eq!(cases, 462 * 13 * 5);
}

#[test]
fn teardowns_look_at_their_setups_as_airflows() {
    let mut cases = 0;
    for line in TABLE.lines().skip_while(|line| *line != "setups").skip(1) {
        let words: Vec<&str> = line.split(' ').collect();
        let (plain, setups) = (numbers(&words[..6]), numbers(&words[6..12]));
        let all: Vec<u32> = plain.iter().zip(&setups).map(|(plain, setup)| plain + setup).collect();
        let setups = SetupCounts { total: setups.iter().sum(), success: setups[0], skipped: setups[3] };
        let found = evaluate(TriggerRule::AllDoneSetupSuccess, &counts(&all), -1, || setups);
        assert_eq!(found, verdict(words[12].chars().next().unwrap()), "{line}");
        cases += 1;
    }
    assert_eq!(cases, 1820);
}
