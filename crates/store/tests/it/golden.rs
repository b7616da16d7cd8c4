//! Workspaces of every format, made by the program of that format and committed: each is opened, migrated and
//! read to its last byte, from now on.
//!
//! ```text
//! tests/golden/format-N/workspace.db      its sealed segments beside it in log/
//! ```
//!
//! That of the present format is made by `cargo nextest run -p machine -E 'test(golden)'` when it is not
//! there: delete it, run that, commit what it made. An older one is never made again.

use crate::story::{QUICK, path};
use abi::{
    EffectId, Hash, ProposalId, Seq, VersionId,
    call::Subject,
    fact::{Fact, Lookup, View},
    path::{Pattern, TreePath},
    record::{Entry, Record},
};
use rusqlite::Connection;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
use store::Workspace;
use tempfile::TempDir;

/// Head of the workspace of format 1.
const HEAD_1: (u64, &str) = (324, "8cfb7f27f9e6e9300dc2b7f689baf6763e3d54eb8ddc92a3efbda57339e08ca1");

fn golden(format: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/format-{format}"))
}

/// A copy of it, to be opened.
fn copied(format: u32) -> TempDir {
    let dir = TempDir::new().unwrap();
    let from = golden(format);
    fs::copy(from.join("workspace.db"), dir.path().join("workspace.db")).unwrap();
    if let Ok(sealed) = fs::read_dir(from.join("log")) {
        fs::create_dir(dir.path().join("log")).unwrap();
        for file in sealed.map(|entry| entry.unwrap().path()) {
            fs::copy(&file, dir.path().join("log").join(file.file_name().unwrap())).unwrap();
        }
    }
    dir
}

fn records(workspace: &Workspace) -> Vec<Record> {
    let mut all = Vec::new();
    workspace.replay(Seq(0), &mut |record| all.push(record)).unwrap();
    all
}

fn all() -> View {
    View { shown: vec![Pattern::parse("/**").unwrap()], ..View::default() }
}

/// Path, version and content of all that stands.
fn tree(workspace: &mut Workspace) -> Vec<(String, VersionId, Hash)> {
    let mut batch = workspace.begin().unwrap();
    let Fact::Below(Ok(all)) = batch.answer(&Lookup::Below { path: TreePath::root() }).unwrap() else {
        panic!("another fact")
    };
    all.into_iter().map(|(path, _, head)| (path.to_string(), head.id, head.content.hash)).collect()
}

/// The same of a file of format 1, by its own tables: directory, name, version and content.
fn tree_of_1(file: &Path) -> Vec<(i64, String, i64, Vec<u8>)> {
    let db = Connection::open(file).unwrap();
    let mut rows = db
        .prepare(
            "SELECT e.parent, e.name, v.id, v.hash FROM entries e JOIN heads h ON h.file = e.file
             JOIN versions v ON v.id = h.version WHERE e.to_seq IS NULL ORDER BY v.id",
        )
        .unwrap();
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
    rows.query_map([], read).unwrap().map(Result::unwrap).collect()
}

#[test]
fn format_1_is_migrated_and_means_what_it_meant() {
    let dir = copied(1);
    let file = dir.path().join("workspace.db");
    let before = tree_of_1(&file);
    let mut workspace = Workspace::open(dir.path(), &QUICK).unwrap();
    let (seq, hash) = workspace.head();
    assert_eq!((seq.0, hash.to_string().as_str()), HEAD_1);
    let log = records(&workspace);
    assert_eq!(log.len(), 324);
    assert_eq!(tree_of_1(&file), before);
    let stands = tree(&mut workspace);
    // The root stands in no directory.
    let mut ids: Vec<i64> = stands.iter().skip(1).map(|(_, id, _)| id.0.cast_signed()).collect();
    ids.sort_unstable();
    assert_eq!(ids, before.iter().map(|row| row.2).collect::<Vec<_>>());
    for (at, id, hash) in &stands {
        let version = workspace.begin().unwrap().version(*id).unwrap().unwrap();
        let bytes = workspace.blob(hash).unwrap();
        assert!(bytes.is_some() || version.content.bytes == 0, "{at} has no bytes");
    }
    let mut batch = workspace.begin().unwrap();
    let open = batch.conflicts(&all()).unwrap();
    let diverged: Vec<bool> = open.iter().map(|(_, ours, _)| ours.diverged).collect();
    assert_eq!(diverged, [true, true]);
    check_mentions(&mut batch, &log);
    drop(batch);
    // The copy that was kept is what was there; it is of format 1 still.
    let kept = dir.path().join("workspace.db.format-1");
    assert_eq!(dump(&kept), dump(&golden(1).join("workspace.db")));
    drop(workspace);
    let again = Workspace::open(dir.path(), &QUICK).unwrap();
    assert_eq!((again.head(), records(&again)), ((seq, hash), log));
}

/// `why` finds each effect and proposal by the records that name it.
fn check_mentions(batch: &mut store::Batch<'_>, log: &[Record]) {
    let mut asked = 0;
    for record in log {
        let (effect, proposal): (Option<EffectId>, Option<ProposalId>) = match &record.body {
            Entry::Proposed { proposal, effect, .. } => (Some(*effect), Some(*proposal)),
            Entry::ModelIntended { effect, .. } => (Some(*effect), None),
            _ => (None, None),
        };
        let subjects = effect.map(Subject::Effect).into_iter().chain(proposal.map(Subject::Proposal));
        for subject in subjects {
            let found = batch.why(subject).unwrap().unwrap();
            assert!(
                found.records.iter().any(|(found, _)| found == record),
                "{subject:?} {found:?}",
                found = record.seq
            );
            asked += 1;
        }
    }
    assert!(asked > 5, "{asked} questions only");
}

/// Every row of every table of a file.
fn dump(file: &Path) -> Vec<String> {
    let db = Connection::open(file).unwrap();
    let mut tables = db.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").unwrap();
    let tables: Vec<(String, Option<String>)> =
        tables.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
    let mut all = vec![format!("{tables:?}")];
    for (name, sql) in tables {
        if !sql.is_some_and(|sql| sql.starts_with("CREATE TABLE")) {
            continue;
        }
        let mut rows = db.prepare(&format!("SELECT * FROM {name} ORDER BY 1")).unwrap();
        let columns = rows.column_count();
        let mut rows = rows.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let values: Vec<_> =
                (0..columns).map(|ix| row.get::<_, rusqlite::types::Value>(ix).unwrap()).collect();
            all.push(format!("{name} {values:?}"));
        }
    }
    all
}

/// Whatever a migration that was cut off left: a copy that is half there, an unfinished transaction.
#[test]
fn a_migration_that_is_cut_off_begins_again() {
    let want = {
        let dir = copied(1);
        drop(Workspace::open(dir.path(), &QUICK).unwrap());
        dump(&dir.path().join("workspace.db"))
    };
    let whole = fs::read(golden(1).join("workspace.db")).unwrap();
    for cut in [0, 1, 4096, whole.len() / 2, whole.len()] {
        let dir = copied(1);
        fs::write(dir.path().join("workspace.db.format-1"), &whole[..cut]).unwrap();
        drop(Workspace::open(dir.path(), &QUICK).unwrap());
        assert_eq!(dump(&dir.path().join("workspace.db")), want, "the copy was cut at {cut}");
        assert_eq!(dump(&dir.path().join("workspace.db.format-1")), dump(&golden(1).join("workspace.db")));
    }
    // No room on the way: whatever was written then, nothing of it is there, and with room it is done.
    let pages = u32::try_from(whole.len() / 4096).unwrap();
    let mut refused = 0;
    for more in 0..24 {
        let dir = copied(1);
        let tight = store::Options { pages_max: Some(pages + more), ..QUICK };
        refused += u32::from(Workspace::open(dir.path(), &tight).is_err());
        drop(Workspace::open(dir.path(), &QUICK).unwrap());
        assert_eq!(dump(&dir.path().join("workspace.db")), want, "{more} pages of room");
    }
    assert!(refused > 3, "it was cut off {refused} times only");
}

/// What calls came to, by day, agent and model: by the table, and from the log by another way.
type Sums = BTreeMap<(u64, String, String), [i64; 8]>;

fn check_costs(workspace: &mut Workspace, log: &[Record]) -> usize {
    let mut due = Sums::new();
    for record in log {
        let (charged, bill, failed, lost) = match &record.body {
            Entry::ModelAnswered { charged, bill, .. } => (charged, bill, 0, 0),
            Entry::ModelFailed { charged, bill, .. } => (charged, bill, 1, 0),
            Entry::ModelLost { charged, bill, .. } => (charged, bill, 0, 1),
            _ => continue,
        };
        let day = record.at / 86_400_000_000;
        let sum = due.entry((day, bill.agent.clone(), bill.model.clone())).or_default();
        let more = [
            1,
            failed,
            lost,
            charged.tokens_in,
            charged.tokens_out,
            charged.tokens_cached,
            charged.tokens_written,
            charged.money.0,
        ];
        sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
    }
    let mut stands = Sums::new();
    for row in workspace.begin().unwrap().costs((0, u64::MAX), u32::MAX).unwrap() {
        let counts = [row.calls, row.failed, row.lost].map(u64::cast_signed);
        let charged = row.charged;
        let amounts = [
            charged.tokens_in,
            charged.tokens_out,
            charged.tokens_cached,
            charged.tokens_written,
            charged.money.0,
        ];
        let sum: Vec<i64> = counts.into_iter().chain(amounts).collect();
        stands.insert((row.day, row.agent, row.model), sum.try_into().unwrap());
    }
    assert_eq!(stands, due);
    due.len()
}

#[test]
fn what_calls_came_to_is_known_in_every_format() {
    let rows = [1, 2, 3].map(|format| {
        let dir = copied(format);
        let mut workspace = Workspace::open(dir.path(), &QUICK).unwrap();
        let log = records(&workspace);
        check_costs(&mut workspace, &log)
    });
    assert_eq!(rows, [1, 0, 1]);
}

/// Its old records are gone: what stands is opened as before, and what is left of the log is counted.
#[test]
fn a_lost_segment_does_not_keep_an_old_workspace_closed() {
    let dir = copied(2);
    let lost = fs::read_dir(dir.path().join("log")).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(lost).unwrap();
    let mut workspace = Workspace::open(dir.path(), &QUICK).unwrap();
    assert!(tree(&mut workspace).iter().any(|(at, ..)| at == "/data/kept.md"));
    assert_eq!(workspace.begin().unwrap().costs((0, u64::MAX), 10).unwrap(), []);
}

#[test]
fn formats_2_and_3_are_opened_and_read() {
    [2, 3].into_iter().for_each(opened_and_read);
}

fn opened_and_read(format: u32) {
    let dir = copied(format);
    let mut workspace = Workspace::open(dir.path(), &QUICK).unwrap();
    let log = records(&workspace);
    assert_eq!(workspace.head().0.0, log.len() as u64);
    assert!(dir.path().join("log").is_dir(), "its old records are sealed");
    let words: std::collections::BTreeSet<&str> = log.iter().map(|record| record.body.word()).collect();
    for word in ["genesis", "wrote", "purged", "retain", "thinned"] {
        assert!(words.contains(word), "it has no record {word}: {words:?}");
    }
    assert!(tree(&mut workspace).iter().any(|(at, ..)| at == "/data/kept.md"));
    let mut batch = workspace.begin().unwrap();
    assert_eq!(batch.conflicts(&all()).unwrap().len(), 1);
    let gone = batch.history(&path("/data/secret.txt"), (None, 10), &View::everything()).unwrap().versions;
    let lost = gone.iter().filter(|version| version.content.bytes > 0);
    let lost: Vec<_> =
        lost.map(|version| batch.gone(&version.content.hash).unwrap().unwrap().body.word()).collect();
    assert_eq!(lost, ["purged", "purged"]);
}
