//! Scripts of several writers against the model, broken off anywhere: what was acknowledged is there, what
//! was not has left nothing, and the work goes on from there.
//!
//! ```text
//! Drop    half an operation is written, then all is dropped and the workspace opened anew
//! Kill    half an operation is written, then the files as they lie are copied, and the copy goes on
//! Empty   the log beside the file is written back first, then as Kill
//! ```

use crate::story::{QUICK, Story, other, path, scripts};
use abi::{
    Content, Hash, Seq, VersionId,
    fact::{Fact, Lookup},
    path::TreePath,
    record::Record,
};
use proptest::prelude::*;
use rusqlite::Connection;
use std::fs;
use store::Workspace;
use tempfile::TempDir;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Break {
    Drop,
    Kill,
    Empty,
}

/// What is written when it breaks off: a record that makes a version, and a blob; never committed.
const HALF: &[u8] = b"half of something";

impl Story {
    /// Breaks off, and goes on with what is there.
    fn crash(mut self, how: Break) -> Self {
        if how == Break::Empty {
            let file = Connection::open(self.dir.path().join("workspace.db")).unwrap();
            file.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
        }
        let seq = self.workspace.head().0.next();
        let mut half = self.workspace.begin().unwrap();
        half.put_blob(HALF).unwrap();
        half.append(&other(seq.0, 1)).unwrap();
        half.append(&other(seq.0 + 1, 2)).unwrap();
        if how == Break::Drop {
            drop(half);
            drop(self.workspace);
            self.workspace = Workspace::open(self.dir.path(), &QUICK).unwrap();
            return self;
        }
        let copy = TempDir::new().unwrap();
        for name in ["workspace.db", "workspace.db-wal"] {
            let from = self.dir.path().join(name);
            if from.exists() {
                fs::copy(from, copy.path().join(name)).unwrap();
            }
        }
        drop(half);
        self.workspace = Workspace::open(copy.path(), &QUICK).unwrap();
        self.dir = copy;
        self
    }

    /// Everything acknowledged, and nothing else.
    fn check(&mut self, records: &[Record]) {
        let mut read = Vec::new();
        self.workspace.replay(Seq(0), &mut |record| read.push(record)).unwrap();
        assert_eq!(read, records);
        assert_eq!(self.workspace.blob(&Hash::of(HALF)).unwrap(), None, "half of an operation is there");
        let all = self.model.now().below(&TreePath::root(), abi::ROOT);
        let root = self.model.now().heads[&abi::ROOT].clone();
        let below = [vec![(TreePath::root(), abi::ROOT, root)], all].concat();
        let got = self.ask(Lookup::Below { path: path("/") });
        assert_eq!(got, Fact::Below(Ok(below)));
        for (id, version) in self.model.versions.clone() {
            assert_eq!(self.workspace.begin().unwrap().version(id).unwrap(), Some(version.clone()));
            if version.content != Content::default() {
                let bytes = self.workspace.blob(&version.content.hash).unwrap().unwrap();
                assert_eq!(Content::of(&bytes), version.content);
            }
        }
        let next = VersionId(self.model.versions.len() as u64);
        assert_eq!(self.workspace.begin().unwrap().version(next).unwrap(), None);
    }
}

fn records(workspace: &Workspace) -> Vec<Record> {
    let mut all = Vec::new();
    workspace.replay(Seq(0), &mut |record| all.push(record)).unwrap();
    all
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn a_script_broken_off_anywhere_keeps_what_was_acknowledged(
        script in scripts(),
        breaks in prop::collection::vec((0..16_usize, prop_oneof![
            Just(Break::Drop), Just(Break::Kill), Just(Break::Empty),
        ]), 1..5),
    ) {
        let mut story = Story::new();
        for (at, line) in script.iter().enumerate() {
            story.line(line);
            for (_, how) in breaks.iter().filter(|(point, _)| *point == at % 16) {
                let acknowledged = records(&story.workspace);
                prop_assert_eq!(acknowledged.len() + 1, story.model.past.len());
                story = story.crash(*how);
                story.check(&acknowledged);
            }
        }
        let acknowledged = records(&story.workspace);
        story.check(&acknowledged);
    }
}
