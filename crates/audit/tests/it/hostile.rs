//! Files that are none, or were made to hurt: an answer every time, and never a panic.

use crate::tamper::Bench;
use audit::{Options, verify};
use proptest::{prelude::*, sample::Index};
use std::{fs, path::Path};

#[test]
fn what_is_no_workspace_is_said_so() {
    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().join("text");
    fs::write(&text, "hello").unwrap();
    let empty = dir.path().join("empty");
    fs::write(&empty, "").unwrap();
    for path in [Path::new("/nowhere/at/all"), dir.path(), &text, &empty, Path::new("/dev/null")] {
        let report = verify(path, &Options::default());
        assert_eq!((report.holds(), report.findings.len()), (false, 1), "{report}");
    }
}

#[test]
fn segments_do_not_lead_out_of_their_directory() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path(), 8).unwrap();
    for name in ["../workspace.db", "/etc/passwd", "", ".", "nothing"] {
        bench
            .edit(&format!(
                "CREATE TABLE IF NOT EXISTS segments(first INTEGER, last INTEGER, name TEXT, hash BLOB) STRICT;
                 INSERT INTO segments VALUES(1, 2, '{name}', zeroblob(32))"
            ))
            .unwrap();
        let report = bench.verify(None);
        let first = report.findings.first().unwrap();
        assert!(first.what.contains("of records 1 to 2 cannot be read"), "{report}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Bytes of the raw file, anywhere: pages, headers, free room.
    #[test]
    fn raw_bytes_never_panic(edits in prop::collection::vec((any::<Index>(), any::<u8>()), 1..20)) {
        let dir = tempfile::tempdir().unwrap();
        let bench = Bench::new(dir.path(), 12).unwrap();
        let mut bytes = bench.whole.clone();
        for (at, to) in edits {
            *at.get_mut(&mut bytes) = to;
        }
        fs::write(&bench.file, &bytes).unwrap();
        let report = bench.verify(Some(&bench.checkpoint));
        prop_assert!(report.findings.len() <= 101);
        // Room that holds nothing may hold anything.
        prop_assert!(!report.holds() || (report.records, report.versions, report.blobs) == (12, 11, 22));
    }

    /// A file that ends early.
    #[test]
    fn short_files_never_panic(cut in any::<Index>()) {
        let dir = tempfile::tempdir().unwrap();
        let bench = Bench::new(dir.path(), 12).unwrap();
        fs::write(&bench.file, &bench.whole[..cut.index(bench.whole.len())]).unwrap();
        let report = bench.verify(Some(&bench.checkpoint));
        prop_assert!(!report.holds() || (report.records, report.versions, report.blobs) == (12, 11, 22));
    }
}
