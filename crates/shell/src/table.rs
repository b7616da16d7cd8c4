//! Aligned columns. Every cell is escaped to one line here, so no table can be broken by what stands in it.

use crate::escape;

/// On which side a column is filled up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// Rows under a head.
#[derive(Clone, Debug)]
pub struct Table {
    head: Vec<(&'static str, Side)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty one; a head that ends in `>` is a column of numbers.
    pub fn new(head: &[&'static str]) -> Self {
        let column = |name: &&'static str| match name.strip_suffix('>') {
            Some(name) => (name, Side::Right),
            None => (*name, Side::Left),
        };
        Self { head: head.iter().map(column).collect(), rows: Vec::new() }
    }

    /// One more row.
    pub fn row<const N: usize>(&mut self, cells: [&str; N]) {
        self.rows.push(cells.iter().map(|cell| escape::line(cell)).collect());
    }

    /// Whether it has no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The text: head, rows, columns two spaces apart, empty cells as `-`.
    pub fn print(&self) -> String {
        let width = |ix: usize, name: &str| {
            let cells = self.rows.iter().filter_map(|row| row.get(ix));
            cells.map(|cell| cell.chars().count().max(1)).max().unwrap_or(0).max(name.chars().count())
        };
        let widths: Vec<usize> =
            self.head.iter().enumerate().map(|(ix, (name, _))| width(ix, name)).collect();
        let mut out = String::new();
        let names: Vec<String> = self.head.iter().map(|(name, _)| (*name).to_owned()).collect();
        for row in std::iter::once(&names).chain(&self.rows) {
            let mut line = String::new();
            for ((cell, width), (_, side)) in row.iter().zip(&widths).zip(&self.head) {
                line.push_str(&fill(if cell.is_empty() { "-" } else { cell }, *width, *side));
                line.push_str("  ");
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

/// The cell filled up with spaces.
pub fn fill(cell: &str, width: usize, side: Side) -> String {
    let space = " ".repeat(width.saturating_sub(cell.chars().count()));
    match side {
        Side::Left => format!("{cell}{space}"),
        Side::Right => format!("{space}{cell}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_stands_in_them() {
        let mut table = Table::new(&["PID>", "AGENT", "TASK"]);
        table.row(["7", "triage", "Größe"]);
        table.row(["12", "", "two\nlines\u{1b}[2J"]);
        let want = "PID  AGENT   TASK\n  7  triage  Größe\n 12  -       two\\nlines\\u{1b}[2J\n";
        assert_eq!(table.print(), want);
    }
}
