//! Commands of Airflow that are called otherwise here, or are not needed: what to type instead.

use clap::CommandFactory;

use crate::args::Cli;

/// Words of an Airflow command line, and what to say about them. The longest match counts.
const WORDS: &[(&[&str], &str)] = &[
    (&["webserver"], NO_PAGES),
    (&["api-server"], NO_PAGES),
    (&["triggerer"], "triggers run in the workers: `tradewind worker`"),
    (&["celery"], "a worker is started with `tradewind worker --queues default`, and needs no Celery"),
    (&["flower"], "`tradewind workers list` and `tradewind queues list` show workers and queues"),
    (&["db", "init"], MIGRATE),
    (&["db", "upgrade"], MIGRATE),
    (&["db", "reset"], "`tradewind db migrate` makes the tables of an empty database; empty it by its own means"),
    (&["initdb"], MIGRATE),
    (&["upgradedb"], MIGRATE),
    (&["users"], NO_USERS),
    (&["roles"], NO_USERS),
    (&["create_user"], NO_USERS),
    (&["backfill"], BACKFILL),
    (&["dags", "backfill"], BACKFILL),
    (&["dags", "reserialize"], "nothing is to be done: DAG files are read again when they change"),
    (&["list_dags"], "it is `tradewind dags list`"),
    (&["trigger_dag"], "it is `tradewind dags trigger DAG`"),
    (&["pause"], "it is `tradewind dags pause DAG`"),
    (&["unpause"], "it is `tradewind dags unpause DAG`"),
    (&["list_tasks"], "it is `tradewind tasks list DAG`"),
    (&["test"], "it is `tradewind tasks test DAG TASK DATE`, or `tradewind dags test DAG` for a whole run"),
    (&["jobs"], "it is `tradewind scheduler status`, and `tradewind workers list` for workers"),
    (&["providers"], "providers are Python packages: ask `pip list` of the environment in python.interpreter"),
    (&["info"], "`tradewind config show` and `tradewind scheduler status` tell how this installation is set up"),
    (&["cheat-sheet"], "it is `tradewind --help`"),
];

const NO_PAGES: &str = "there is no web server to start; `tradewind standalone` runs everything in one process, and the \
                        commands of `tradewind --help` show what runs";
const MIGRATE: &str = "the database is made and brought up to date by `tradewind db migrate`; `tradewind standalone` does \
                       it by itself";
const NO_USERS: &str = "there are no users: who has the admin token (security.admin_token) may do everything, and \
                        `tradewind standalone` needs none (docs/deploy.md)";
const BACKFILL: &str = "it is `tradewind backfill create DAG --from-date START --to-date END`";

/// What to type instead of a command line that was not understood, if it is one of Airflow's.
pub fn instead(arguments: &[String]) -> Option<&'static str> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).take_while(|word| !word.starts_with('-')).collect();
    // A slip in a command of ours is none of Airflow's.
    if let [first, second, ..] = words[..]
        && Cli::command().find_subcommand(first).is_some_and(|group| group.find_subcommand(second).is_some())
    {
        return None;
    }
    WORDS
        .iter()
        .filter(|(known, _)| words.starts_with(known))
        .max_by_key(|(known, _)| known.len())
        .map(|(_, advice)| *advice)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn advice(line: &str) -> Option<&'static str> {
        let arguments: Vec<String> = line.split(' ').map(ToOwned::to_owned).collect();
        Cli::try_parse_from(std::iter::once("tradewind".to_owned()).chain(arguments.clone())).unwrap_err();
        instead(&arguments)
    }

    #[test]
    fn what_tutorials_type_is_answered() {
        for (line, says) in [
            ("webserver --port 8080", "standalone"),
            ("db init", "db migrate"),
            ("users create --username ann --role Admin", "admin_token"),
            ("backfill -s 2026-01-01 -e 2026-01-02 my_dag", "backfill create DAG --from-date"),
            ("dags backfill my_dag -s 2026-01-01", "backfill create DAG"),
            ("celery worker -q default", "tradewind worker --queues"),
            ("trigger_dag my_dag", "dags trigger"),
        ] {
            assert!(advice(line).is_some_and(|advice| advice.contains(says)), "{line}: {:?}", advice(line));
        }
        for slip in ["dags lst", "db migrat", "backfill create my_dag --from-dat 2026-01-01"] {
            assert_eq!(advice(slip), None, "{slip}");
        }
    }

    #[test]
    fn what_is_advised_exists() {
        let tree = Cli::command();
        for (words, advice) in WORDS {
            let quoted = advice.split('`').skip(1).step_by(2);
            for quoted in quoted.filter(|quoted| quoted.starts_with("tradewind ")) {
                let mut at = &tree;
                for word in quoted.split(' ').skip(1).take_while(|word| word.chars().all(|c| c.is_ascii_lowercase())) {
                    match at.find_subcommand(word) {
                        Some(command) => at = command,
                        None => assert!(!at.has_subcommands(), "{words:?}: `{quoted}`: there is no {word}"),
                    }
                }
            }
        }
    }
}
