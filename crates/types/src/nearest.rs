//! "Did you mean": the known word nearest to one that is not known.

/// The candidate that `word` is most likely a slip of: at most a third of its characters off, counting an insertion, a
/// deletion, a replacement and a swap of neighbours as one each; case, `-` and `_` do not count.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let word = plain(word);
    let limit = (word.len() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(&word, &plain(candidate)), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// ` (did you mean "…"?)` or nothing, to end a message with.
pub fn did_you_mean<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> String {
    nearest(word, candidates).map_or_else(String::new, |near| format!(" (did you mean \"{near}\"?)"))
}

fn plain(word: &str) -> Vec<char> {
    word.chars().filter(|c| !matches!(c, '-' | '_' | ' ')).flat_map(char::to_lowercase).take(64).collect()
}

/// Optimal string alignment distance.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i + 1);
        for (j, y) in b.iter().enumerate() {
            let mut cost = (last[j] + usize::from(x != y)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                cost = cost.min(before[j - 1] + 1);
            }
            row.push(cost);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_their_word_and_strangers_none() {
        let known = ["retries", "retry_delay", "pool", "queue", "trigger_rule"];
        for (slip, word) in [
            ("retires", "retries"),
            ("retry-delay", "retry_delay"),
            ("RetryDelay", "retry_delay"),
            ("pol", "pool"),
            ("triger_rule", "trigger_rule"),
        ] {
            assert_eq!(nearest(slip, known), Some(word), "{slip}");
        }
        assert_eq!(nearest("executor", known), None);
        assert_eq!(nearest("", known), None);
        assert_eq!(did_you_mean("quue", known), " (did you mean \"queue\"?)");
    }
}
