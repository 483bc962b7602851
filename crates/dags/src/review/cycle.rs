//! Cycles drawn in characters that every terminal and log has.

/// Columns that a drawing in one row may take.
const WIDTH: usize = 90;

/// Draws a way round (the first task repeated at the end): in one row where it fits, else one task a row.
pub fn draw(way: &[String]) -> String {
    let tasks = match way {
        [first, rest @ ..] if rest.last() == Some(first) => &way[..way.len() - 1],
        _ => way,
    };
    let row = tasks.join(" -> ");
    let Some(last) = tasks.last() else { return String::new() };
    let columns = row.chars().count();
    if columns > WIDTH {
        return column(tasks);
    }
    // The way back leaves under the middle of the last task and arrives under the middle of the first.
    let middle = |text: &str| text.chars().count().saturating_sub(1) / 2;
    let from = middle(&tasks[0]);
    let to = columns - last.chars().count() + middle(last);
    if to <= from {
        return format!("{row}\n{0}^ |\n{0}+-+", " ".repeat(from));
    }
    let gap = to - from - 1;
    format!("{row}\n{0}^{1}|\n{0}+{2}+", " ".repeat(from), " ".repeat(gap), "-".repeat(gap))
}

fn column(tasks: &[String]) -> String {
    let mut lines = Vec::new();
    for (at, task) in tasks.iter().enumerate() {
        let is_last = at + 1 == tasks.len();
        if at == 0 {
            lines.push(format!("+-> {task}"));
        } else if is_last {
            lines.push(format!("+-- {task}"));
        } else {
            lines.push(format!("|   {task}"));
        }
        if !is_last {
            lines.push("|    |".to_owned());
            lines.push("|    v".to_owned());
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(way: &[&str]) -> String {
        draw(&way.iter().map(|&task| task.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_short_way_round_is_a_row() {
        assert_eq!(drawn(&["a", "b", "c", "a"]), "a -> b -> c\n^         |\n+---------+");
        assert_eq!(drawn(&["extract", "load", "extract"]), "extract -> load\n   ^        |\n   +--------+");
        assert_eq!(drawn(&["a", "a"]), "a\n^ |\n+-+");
    }

    #[test]
    fn a_long_one_is_a_column() {
        let (a, b, c) = ("a".repeat(40), "b".repeat(40), "c".repeat(40));
        let expected = format!("+-> {a}\n|    |\n|    v\n|   {b}\n|    |\n|    v\n+-- {c}");
        assert_eq!(drawn(&[&a, &b, &c, &a]), expected);
    }
}
