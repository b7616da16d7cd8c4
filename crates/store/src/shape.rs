//! Whether a file's own description of itself is one of ours: tables and indexes of plain columns.
//!
//! A database brings its schema along, and SQLite believes it: a view in a table's place, a trigger, a column
//! or an index that computes can run for ever or do what nobody asked for, and the first question runs it. So
//! before any: only tables and indexes, and in what defines them no parenthesis but the one around the
//! columns and those of a key.
//!
//! ```text
//! CREATE TABLE a(x INTEGER, PRIMARY KEY(x))  ▸ plain       CREATE VIEW a AS …            ▸ damage
//! CREATE INDEX i ON a(x) WHERE x IS NULL     ▸ plain       CREATE INDEX i ON a(abs(x))   ▸ damage
//! ```
//!
//! Never here: which tables there are; what is lacking, the first statement that needs it says.

use crate::Trouble;
use rusqlite::{Connection, Row};
use std::path::Path;

/// Definitions a file may hold: several times those of any format.
const DEFINITIONS_MAX: i64 = 200;

/// See the module.
pub(crate) fn check(file: &Path, connection: &Connection) -> Result<(), Trouble> {
    let read = |row: &Row<'_>| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, Option<String>>(2)?))
    };
    let ask = || -> rusqlite::Result<Vec<_>> {
        let mut statement = connection.prepare("SELECT type, name, sql FROM sqlite_schema LIMIT ?")?;
        statement.query_map([DEFINITIONS_MAX + 1], read)?.collect()
    };
    let all = ask().map_err(|error| Trouble::of(file, error))?;
    if all.len() as i64 > DEFINITIONS_MAX {
        return Err(Trouble::corrupt(file, "it describes more tables than this program has"));
    }
    for (kind, name, sql) in all {
        // An index that a key makes has no text.
        let plain = match (kind.as_str(), sql) {
            ("index", None) => name.starts_with("sqlite_autoindex_"),
            ("table", Some(sql)) => opens(&sql, &["CREATE", "TABLE"]) && plain(&sql),
            ("index", Some(sql)) => {
                (opens(&sql, &["CREATE", "INDEX"]) || opens(&sql, &["CREATE", "UNIQUE", "INDEX"]))
                    && plain(&sql)
            }
            _ => false,
        };
        if !plain {
            let name: String = name.chars().take(64).collect();
            let what = format!("it holds a {kind:.16} {name:?} that is none of this program's");
            return Err(Trouble::corrupt(file, what));
        }
    }
    Ok(())
}

fn opens(sql: &str, words: &[&str]) -> bool {
    let mut found = sql.split_whitespace();
    words.iter().all(|word| found.next() == Some(*word))
}

/// Whether the one outer parenthesis is around columns, and all inner ones are a key's.
fn plain(sql: &str) -> bool {
    let (mut depth, mut outer) = (0_usize, 0_usize);
    let mut word = String::new();
    // Comments and quotes could hide a parenthesis or a word; none of ours has any but text defaults.
    if sql.contains("--") || sql.contains("/*") || sql.contains(['"', '`', '[']) {
        return false;
    }
    for c in sql.chars() {
        match c {
            '(' if depth == 0 => (depth, outer) = (1, outer + 1),
            '(' if depth == 1 && ["KEY", "UNIQUE"].contains(&word.as_str()) => depth = 2,
            '(' => return false,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        match c {
            c if c.is_ascii_alphanumeric() || c == '_' => word.push(c),
            // A space between a word and its parenthesis changes nothing.
            ' ' => {}
            _ => word.clear(),
        }
        if c == ' ' && word != "KEY" && word != "UNIQUE" {
            word.clear();
        }
    }
    // `AS` begins what is computed, and may do without parentheses after `GENERATED ALWAYS`.
    let computes = sql
        .split(|c: char| !c.is_ascii_alphanumeric())
        .any(|word| ["AS", "GENERATED", "CHECK", "SELECT"].iter().any(|bad| word.eq_ignore_ascii_case(bad)));
    outer == 1 && depth == 0 && !computes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_computes_nothing_is_plain() {
        let rows = [
            ("CREATE TABLE a(x INTEGER PRIMARY KEY, y BLOB NOT NULL UNIQUE) STRICT", true),
            ("CREATE TABLE a(x INTEGER, y TEXT DEFAULT '', PRIMARY KEY (x, y)) WITHOUT ROWID", true),
            ("CREATE UNIQUE INDEX i ON a(x, y) WHERE to_seq IS NULL", true),
            ("CREATE TABLE a(x INTEGER CHECK (x > 1))", false),
            ("CREATE TABLE a(x INTEGER, y AS (hex(x)))", false),
            ("CREATE TABLE a(x INTEGER DEFAULT (randomblob(9)))", false),
            ("CREATE INDEX i ON a(abs(x))", false),
            ("CREATE INDEX i ON a(x) WHERE abs(x) > 1", false),
            ("CREATE TABLE a(x INTEGER) -- (", false),
            ("CREATE TABLE \"a(\"(x INTEGER)", false),
            ("CREATE TABLE a", false),
        ];
        for (sql, want) in rows {
            assert_eq!(plain(sql), want, "{sql}");
        }
    }
}
