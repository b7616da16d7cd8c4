//! `/sys/health`: what the daemon finds when it looks at its disk and at every workspace's files, awake or
//! not. One finding a line, for `skep doctor` and for whoever reads it:
//!
//! ```text
//! disk HOME ok TEXT
//! workspace NAME ok TEXT
//! workspace NAME bad TEXT <tab> WHAT TO DO
//! mount WORKSPACE/NAME bad TEXT <tab> WHAT TO DO    it is not attached
//! directory NAME bad TEXT <tab> WHAT TO DO          beside the workspaces, but none of them
//! ```
//!
//! Bounded in rows and in bytes of pages that are checked. Looks only; what is damaged stays as it is.

use crate::{cell::Cell, guard::guard, node::Node, registry::Registry};
use abi::limits::{HEALTH_PAGES_BYTES_MAX, HEALTH_ROWS_MAX};
use std::{collections::BTreeMap, fs, path::Path, sync::Arc};
use store::{Depth, Inspection, Trouble, node::WorkspaceRow};

/// One line of the file; what is between two tabs or on two lines elsewhere stands on one here.
pub(crate) fn line(kind: &str, name: &str, word: &str, text: &str, hint: Option<&str>) -> String {
    let flat = |text: &str| text.replace(['\n', '\t'], " ");
    let hint = hint.map(|hint| format!("\t{}", flat(hint))).unwrap_or_default();
    format!("{kind} {} {word} {}{hint}\n", name.replace(char::is_whitespace, "_"), flat(text))
}

impl Node {
    /// The whole file.
    pub(crate) fn health(&self, cells: &BTreeMap<String, Arc<Cell>>) -> String {
        let mut text = self.ballast.line();
        let rows = match self.registry.rows() {
            Ok(rows) => rows,
            Err(trouble) => return text + &refused("node", "node.db", &trouble),
        };
        let place = self.home.join("workspaces");
        let mut left = HEALTH_PAGES_BYTES_MAX;
        for row in rows.iter().take(HEALTH_ROWS_MAX) {
            let looked = look(&self.registry, row, &place.join(&row.dir), &mut left);
            let failed = cells.get(&row.name).and_then(|cell| down(cell));
            text.push_str(&match (looked, failed) {
                (Err(trouble), _) => refused("workspace", &row.name, &trouble),
                (Ok(_), Some(error)) => {
                    line("workspace", &row.name, "bad", &error.message, Some(&error.hint))
                }
                (Ok(found), None) => line("workspace", &row.name, "ok", &sound(&found), None),
            });
        }
        if rows.len() > HEALTH_ROWS_MAX {
            let more = format!("{} more were not looked at", rows.len() - HEALTH_ROWS_MAX);
            text.push_str(&line("workspace", "-", "ok", &more, None));
        }
        cells.values().for_each(|cell| text.push_str(&detached(cell)));
        text + &strangers(&rows, &place)
    }
}

/// Mounts of a workspace that is awake and that nothing stands behind.
fn detached(cell: &Cell) -> String {
    let mounts = guard(&cell.mounts);
    let hint = "unmount it, and mount it again to accept what it declares now";
    let told = |(name, why): (&String, &String)| {
        line("mount", &format!("{}/{name}", cell.name), "bad", &format!("not attached: {why}"), Some(hint))
    };
    mounts.detached.iter().take(HEALTH_ROWS_MAX).map(told).collect()
}

/// Why it is not loaded, if it failed.
fn down(cell: &Cell) -> Option<abi::Error> {
    guard(&cell.state).down.as_ref().map(|down| down.error.clone())
}

/// Looks at one; its pages while there are bytes left for that.
fn look(registry: &Registry, row: &WorkspaceRow, dir: &Path, left: &mut u64) -> Result<Inspection, Trouble> {
    let found = store::inspect(dir, *left)?;
    if found.depth == Depth::Pages {
        *left = left.saturating_sub(found.bytes);
    }
    if let Some(id) = found.id {
        registry.recognise(&row.name, id, dir)?;
    }
    Ok(found)
}

fn sound(found: &Inspection) -> String {
    let pages = match found.depth {
        Depth::Pages => "every page is sound",
        Depth::Ends => "too large to check every page while it is served",
    };
    format!("{} records; {pages}", found.seq)
}

fn refused(kind: &str, name: &str, trouble: &Trouble) -> String {
    line(kind, name, "bad", &trouble.to_string(), Some(&trouble.hint()))
}

/// Directories beside the workspaces that are none of them: copies, and what was moved there by hand.
fn strangers(rows: &[WorkspaceRow], place: &Path) -> String {
    let Ok(found) = fs::read_dir(place) else { return String::new() };
    let known = |name: &str| rows.iter().any(|row| row.dir == name);
    let names = found.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| !known(name)).take(HEALTH_ROWS_MAX).collect();
    names.sort();
    names.iter().map(|name| stranger(rows, &place.join(name), name)).collect()
}

fn stranger(rows: &[WorkspaceRow], dir: &Path, name: &str) -> String {
    let id = store::inspect(dir, 0).ok().and_then(|found| found.id);
    let of = rows.iter().find(|row| row.id.is_some() && row.id == id);
    let (text, hint) = match of {
        Some(row) => (
            format!("{} is a copy of workspace {} and is not served", dir.display(), row.name),
            "move it away from here; to keep a copy that is whole: skep backup FILE",
        ),
        None => (
            format!("{} is no workspace of this node and is not served", dir.display()),
            "move it away, or to where it came from",
        ),
    };
    line("directory", name, "bad", &text, Some(hint))
}
