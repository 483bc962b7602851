//! Records as a table, JSON, YAML or plain columns (`-o`).

use std::io::Write as _;

use clap::{Args, ValueEnum};
use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, LineStyle, Table, TableStyle};
use serde::Serialize;
use tradewind_proto::v1;

use super::{Text, Tone, note};
use crate::errors::{CliError, Exit};

/// How data is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Aligned columns for people.
    #[default]
    Table,
    /// JSON, with every field.
    Json,
    /// YAML, with every field.
    Yaml,
    /// Columns with blanks between them, without colours or lines.
    Plain,
}

impl Format {
    /// Whether programs read it.
    pub const fn is_data(self) -> bool {
        matches!(self, Self::Json | Self::Yaml)
    }
}

/// `-o`.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct OutputArgs {
    /// How to print.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
}

/// `--limit` and `-o`.
#[derive(Clone, Copy, Debug, Args)]
pub struct PageArgs {
    /// Rows at most; 0 for all.
    #[arg(long, default_value_t = 100, value_name = "ROWS")]
    pub limit: u64,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
}

/// Something that is printed as a row, or as a list of its fields. Its serialized form has every field; its cells are
/// what people want to see.
pub trait Record: Serialize {
    /// Headings of the cells.
    const HEADINGS: &'static [&'static str];

    /// One cell a heading.
    fn cells(&self) -> Vec<Text>;
}

/// Fetches pages until there are `limit` rows (0: all) or no more; answers them with how many there are in all.
///
/// # Errors
/// Those of `fetch`.
pub async fn all_pages<T>(
    limit: u64,
    fetch: impl AsyncFn(v1::Page) -> Result<(Vec<T>, u64), CliError>,
) -> Result<(Vec<T>, u64), CliError> {
    const PAGE: u64 = 1_000;
    let limit = if limit == 0 { u64::MAX } else { limit };
    let mut rows: Vec<T> = Vec::new();
    loop {
        let offset = rows.len() as u64;
        let wanted = (limit - offset).min(PAGE);
        let page = v1::Page { limit: u32::try_from(wanted).unwrap_or(1_000), offset };
        let (more, total) = fetch(page).await?;
        let is_last = more.is_empty();
        rows.extend(more);
        if is_last || rows.len() as u64 >= limit.min(total) {
            return Ok((rows, total));
        }
    }
}

/// Prints rows; says on standard error when there are more than are shown.
///
/// # Errors
/// Standard output is closed or broken.
pub fn print_listing<R: Record>(format: Format, rows: &[R], total: u64) -> Result<(), CliError> {
    match format {
        Format::Json | Format::Yaml => print_serialized(format, &rows)?,
        Format::Table | Format::Plain if rows.is_empty() => note("Nothing found."),
        Format::Table => write_out(&table(R::HEADINGS, rows.iter().map(Record::cells)))?,
        Format::Plain => write_out(&plain(R::HEADINGS, &rows.iter().map(Record::cells).collect::<Vec<_>>()))?,
    }
    let shown = rows.len() as u64;
    if shown < total {
        note(&format!("{shown} of {total} rows; show more with --limit {total}"));
    }
    Ok(())
}

/// Prints one record: its fields one below the other, or an object.
///
/// # Errors
/// Standard output is closed or broken.
pub fn print_record<R: Record>(format: Format, record: &R) -> Result<(), CliError> {
    match format {
        Format::Json | Format::Yaml => print_serialized(format, record),
        Format::Table | Format::Plain => {
            let width = R::HEADINGS.iter().map(|heading| heading.chars().count()).max().unwrap_or(0);
            let mut out = String::new();
            for (heading, cell) in R::HEADINGS.iter().zip(record.cells()) {
                if cell.text.is_empty() {
                    continue;
                }
                let heading = super::paint(
                    if format == Format::Table { Tone::Dim } else { Tone::Plain },
                    format!("{heading:width$}"),
                );
                // Continuation lines stand below the first.
                let text = cell.text.replace('\n', &format!("\n{:width$}  ", ""));
                let tone = if format == Format::Table { cell.tone } else { Tone::Plain };
                for line in format!("{heading}  {}", super::paint(tone, text.trim_end())).lines() {
                    out.push_str(line.trim_end());
                    out.push('\n');
                }
            }
            write_out(&out)
        }
    }
}

/// Prints a value as JSON or YAML (JSON for the other formats).
///
/// # Errors
/// Standard output is closed or broken.
pub fn print_serialized<T: Serialize + ?Sized>(format: Format, value: &T) -> Result<(), CliError> {
    let broken = |error: String| CliError::new(Exit::Internal, format!("cannot print the answer: {error}"));
    let mut text = match format {
        Format::Yaml => serde_saphyr::to_string(&value).map_err(|error| broken(error.to_string()))?,
        _ => serde_json::to_string_pretty(value).map_err(|error| broken(error.to_string()))?,
    };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    write_out(&text)
}

fn write_out(text: &str) -> Result<(), CliError> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

fn table(headings: &[&str], rows: impl Iterator<Item = Vec<Text>>) -> String {
    let mut table = Table::new();
    table
        .load_style(TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─')))
        // The stream removes styles where they are not wanted.
        .enforce_styling()
        .set_header(headings.iter().map(|heading| Cell::new(heading).add_attribute(Attribute::Bold)));
    match super::terminal_size() {
        Some((width, _)) if std::io::IsTerminal::is_terminal(&std::io::stdout()) => {
            table
                .set_content_arrangement(ContentArrangement::Dynamic)
                .set_width(u16::try_from(width).unwrap_or(u16::MAX));
        }
        _ => {
            // Nothing is broken into lines that a program would read.
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
    }
    for row in rows {
        table.add_row(row.into_iter().map(cell));
    }
    let last = headings.len().saturating_sub(1);
    for (position, column) in table.column_iter_mut().enumerate() {
        // The rule below the headings takes one more character between columns.
        column.set_padding((0, u16::from(position != last)));
    }
    let mut text: String = table.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    if text.is_empty() {
        text.push('\n');
    }
    text
}

fn cell(text: Text) -> Cell {
    let cell = Cell::new_owned(text.text);
    let cell = match text.tone {
        Tone::Plain => cell,
        Tone::Dim => cell.add_attribute(Attribute::Dim),
        Tone::Bold => cell.add_attribute(Attribute::Bold),
        Tone::Good => cell.fg(Color::DarkGreen),
        Tone::Bad => cell.fg(Color::DarkRed),
        Tone::Warn => cell.fg(Color::DarkYellow),
        Tone::Busy => cell.fg(Color::Green),
        Tone::Info => cell.fg(Color::DarkCyan),
        Tone::Skip => cell.fg(Color::DarkMagenta),
    };
    if text.is_number { cell.set_alignment(CellAlignment::Right) } else { cell }
}

fn plain(headings: &[&str], rows: &[Vec<Text>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.text.chars().count());
        cells.chain([headings[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let format_row = |texts: Vec<&str>| {
        let mut line = String::new();
        for (text, width) in texts.into_iter().zip(&widths) {
            // A cell with several lines stays on one.
            line.push_str(&format!("{:width$}  ", text.replace('\n', " ")));
        }
        format!("{}\n", line.trim_end())
    };
    let mut out = format_row(headings.to_vec());
    for row in rows {
        out.push_str(&format_row(row.iter().map(|cell| cell.text.as_str()).collect()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<Text>> {
        vec![
            vec![Text::plain("a"), Text::number(7), Text::toned(Tone::Good, "success")],
            vec![Text::plain("longer"), Text::number(1234), Text::default()],
        ]
    }

    #[test]
    fn tables_align_and_carry_styles() {
        let text = table(&["name", "n", "state"], rows().into_iter());
        let bare: String = anstream::adapter::strip_str(&text).to_string();
        let lines: Vec<&str> = bare.lines().map(str::trim_end).collect();
        assert_eq!(lines[0], "name    n     state");
        assert!(lines[1].chars().all(|c| c == '─'), "{lines:?}");
        assert_eq!(lines[2], "a          7  success");
        assert_eq!(lines[3], "longer  1234");
        assert!(text.contains("\u{1b}["), "styles are left to the stream");
    }

    #[test]
    fn plain_columns_have_no_styles() {
        assert_eq!(
            plain(&["name", "n", "state"], &rows()),
            "name    n     state\na       7     success\nlonger  1234\n"
        );
    }

    #[tokio::test]
    async fn pages_are_fetched_up_to_the_limit() {
        async fn fetch(page: v1::Page) -> Result<(Vec<u64>, u64), CliError> {
            let end = (page.offset + u64::from(page.limit)).min(2_500);
            Ok(((page.offset..end).collect(), 2_500))
        }
        assert_eq!(all_pages(0, fetch).await.unwrap().0.len(), 2_500);
        assert_eq!(all_pages(1_001, fetch).await.unwrap().0.len(), 1_001);
        let (rows, total) = all_pages(10, fetch).await.unwrap();
        assert_eq!((rows.len(), total), (10, 2_500));
        let none = all_pages(10, async |_| Ok((Vec::<u64>::new(), 0))).await.unwrap();
        assert_eq!(none, (Vec::new(), 0));
    }
}
