//! The rows of a workspace, written once more by a program that does nothing else: what SQLite alone does.
//!
//! All rows are in memory and in their order before the clock starts; tables, indexes and pragmas are those
//! of the workspace; so many events share a transaction as there are writers, which is the most that a batch
//! of theirs can hold. No hashing, no kernel, no socket.

use rusqlite::{Connection, OpenFlags, types::Value};
use std::{path::Path, time::Instant};

/// A table's statement and its rows, each with the part of the whole (0 to 1) at which it is written.
struct Table {
    sql: String,
    rows: Vec<Vec<Value>>,
}

/// Writes of a second that SQLite alone makes of the rows that so many writes left in `from`.
pub fn rate(from: &Path, dir: &Path, writes: u64, batch: u64) -> Result<f64, String> {
    let of = |error: rusqlite::Error| format!("bare SQLite: {error}");
    let (schema, tables) = read(from).map_err(of)?;
    let mut to = Connection::open(dir.join("bare.db")).map_err(of)?;
    to.execute_batch(&format!(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-1024; PRAGMA temp_store=MEMORY;
         PRAGMA wal_autocheckpoint=1000; PRAGMA cell_size_check=ON; {schema}"
    ))
    .map_err(of)?;
    let batches = writes.div_ceil(batch) as usize;
    let begun = Instant::now();
    for ix in 0..batches {
        let transaction = to.transaction().map_err(of)?;
        for table in &tables {
            let share = |ix: usize| table.rows.len() * ix / batches;
            let mut insert = transaction.prepare_cached(&table.sql).map_err(of)?;
            for row in &table.rows[share(ix)..share(ix + 1)] {
                insert.execute(rusqlite::params_from_iter(row)).map_err(of)?;
            }
        }
        transaction.commit().map_err(of)?;
    }
    Ok(writes as f64 / begun.elapsed().as_secs_f64())
}

/// Statements that make the tables, and all rows.
fn read(file: &Path) -> rusqlite::Result<(String, Vec<Table>)> {
    let from = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let sql = "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'";
    let mut statement = from.prepare(sql)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let all = rows.collect::<rusqlite::Result<Vec<(String, String, String)>>>()?;
    let schema: String = all.iter().map(|(_, _, sql)| format!("{sql};\n")).collect();
    let mut tables = Vec::new();
    for (_, name, _) in all.iter().filter(|(kind, name, _)| kind == "table" && name != "snapshots") {
        tables.push(table(&from, name)?);
    }
    Ok((schema, tables))
}

fn table(from: &Connection, name: &str) -> rusqlite::Result<Table> {
    // A head is written with every version, and all but the last have been overwritten since.
    let (select, conflict) = match name {
        "heads" => ("SELECT file, id FROM versions WHERE diverged = 0 ORDER BY id".to_owned(), " OR REPLACE"),
        _ => (format!("SELECT * FROM {name} ORDER BY rowid"), ""),
    };
    let mut statement = from.prepare(&select)?;
    let columns = statement.column_count();
    let row = |row: &rusqlite::Row<'_>| (0..columns).map(|ix| row.get(ix)).collect();
    let rows = statement.query_map([], row)?.collect::<rusqlite::Result<Vec<Vec<Value>>>>()?;
    let marks = vec!["?"; columns].join(",");
    Ok(Table { sql: format!("INSERT{conflict} INTO {name} VALUES({marks})"), rows })
}
