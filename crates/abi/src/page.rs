//! Pages of what is shown to who decides. The kernel counts them and a face turns them, so both cut here: at
//! line ends, and where a line is wider than a page.
//!
//! ```text
//! "to: a\nbody: …100 columns…\n"  →  "to: a" · "body: …" (76 columns) · "…" (the rest, goes on)
//! ```
//!
//! Never here: what is shown, or a terminal.

use crate::limits::{PAGE_COLUMNS, PAGE_LINES};

/// One row of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// Without a line end.
    pub text: &'a str,
    /// Whether it goes on with the line of the row before.
    pub goes_on: bool,
}

/// The rows of a text. Whatever is not ASCII counts as two columns: some of it is that wide, and a page too
/// many hides nothing.
pub fn rows(text: &str) -> impl Iterator<Item = Row<'_>> {
    text.lines().flat_map(|line| {
        let mut rest = Some(line);
        core::iter::from_fn(move || {
            let now = rest.take()?;
            let (text, after) = now.split_at_checked(cut(now)).unwrap_or((now, ""));
            rest = (!after.is_empty()).then_some(after);
            let goes_on = now.len() < line.len();
            Some(Row { text, goes_on })
        })
    })
}

/// Bytes of a line that fit into a row.
fn cut(line: &str) -> usize {
    let mut columns = 0;
    for (at, c) in line.char_indices() {
        columns += if c.is_ascii() { 1 } else { 2 };
        if columns > PAGE_COLUMNS {
            return at;
        }
    }
    line.len()
}

/// How many pages a text takes; one that is empty takes one.
pub fn count(text: &str) -> usize {
    rows(text).count().div_ceil(PAGE_LINES).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{string::String, vec::Vec};

    #[test]
    fn long_lines_take_more_rows_and_nothing_is_lost() {
        let wide = "w".repeat(PAGE_COLUMNS);
        let east = "東".repeat(PAGE_COLUMNS);
        for (text, want) in [
            ("", 0),
            ("a\n\nb", 3),
            (wide.as_str(), 1),
            (alloc::format!("{wide}x\ny").as_str(), 3),
            (east.as_str(), 2),
        ] {
            let rows: Vec<Row<'_>> = rows(text).collect();
            assert_eq!(rows.len(), want, "{text:.20}");
            let whole: String = rows.iter().map(|row| row.text).collect();
            assert_eq!(whole, text.replace('\n', ""));
            assert_eq!(rows.iter().filter(|row| !row.goes_on).count(), text.lines().count());
        }
    }

    #[test]
    fn one_line_can_be_many_pages() {
        let rows = [(0, 1), (PAGE_LINES * PAGE_COLUMNS, 1), (PAGE_LINES * PAGE_COLUMNS + 1, 2)];
        for (columns, pages) in rows {
            assert_eq!(count(&"x".repeat(columns)), pages);
        }
        assert_eq!((count(&"x\n".repeat(PAGE_LINES)), count(&"x\n".repeat(2 * PAGE_LINES + 1))), (1, 3));
    }
}
