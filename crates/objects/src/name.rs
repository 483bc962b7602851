//! Names of objects: for people to find their way, and never the same twice.

use uuid::Uuid;

/// Most bytes of one part of a name: file systems take 255.
const PART_BYTES: usize = 80;

/// Whose value it is.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// The DAG.
    pub dag_id: &'a str,
    /// The run.
    pub run_id: &'a str,
    /// The task.
    pub task_id: &'a str,
    /// The map index, -1 when not mapped.
    pub map_index: i32,
    /// The key of the XCom.
    pub key: &'a str,
}

/// A new name: what two pushes wrote is never told apart by time, so an object that no row names stays unnamed for ever.
pub(crate) fn new_name(owner: &Owner<'_>) -> String {
    let index = if owner.map_index >= 0 { format!("{}/", owner.map_index) } else { String::new() };
    let [dag, run, task, key] = [owner.dag_id, owner.run_id, owner.task_id, owner.key].map(part);
    format!("{dag}/{run}/{task}/{index}{key}-{}.json", Uuid::now_v7().simple())
}

/// The file that says whose storage this is.
pub(crate) const CLAIM: &str = "tradewind-installation";

/// Whether a name is one of those: whatever else lies in the same place is not touched.
pub(crate) fn is_ours(name: &str) -> bool {
    let id = name.strip_suffix(".json").and_then(|name| name.rsplit_once('-')).map(|(_, id)| id);
    id.is_some_and(|id| {
        id.len() == 32 && Uuid::try_parse(id).is_ok_and(|id| id.get_version() == Some(uuid::Version::SortRand))
    })
}

/// A text as a part of a path, whatever it holds.
fn part(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' };
    let part: String = text.chars().take(PART_BYTES).map(plain).collect();
    match part.starts_with('.') || part.is_empty() {
        true => format!("_{part}"),
        false => part,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_never_the_same() {
        let owner =
            Owner {
                dag_id: "..", run_id: "manual__2026-01-01T00:00:00+00:00", task_id: "a/b", map_index: 3, key: "ä"
            };
        let name = new_name(&owner);
        assert!(name.starts_with("_../manual__2026-01-01T00_00_00_00_00/a_b/3/_-"), "{name}");
        assert_ne!(name, new_name(&owner));
        assert!(is_ours(&name));
        let parquet = "a/b-01a1ff8b96ed70caa75248b1a99749ef.parquet";
        for other in ["a.json", "a-.json", "a/b-00000000000000000000000000000000.json", parquet] {
            assert!(!is_ours(other), "{other}");
        }
        assert!(part(&"x".repeat(500)).len() <= PART_BYTES);
    }
}
