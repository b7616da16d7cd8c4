//! Rows for each table, what a crash leaves, files that are refused, and a boot among 10,000 workspaces.

use super::*;
use crate::schema::Durable;
use abi::{Hash, Seq, limits::POISON_KILLS_MAX, money::Nano};
use proptest::prelude::*;
use rusqlite::Connection;
use tempfile::TempDir;

const OPTIONS: Options = Options { durable: Durable::Null, pages_max: None, segment: None };
const SEED: [u8; 32] = [7; 32];

fn open(home: &TempDir) -> Node {
    Node::open_or_create(home.path(), &OPTIONS, SEED).unwrap()
}

fn refusal(home: &TempDir) -> Trouble {
    Node::open_or_create(home.path(), &OPTIONS, SEED).err().unwrap()
}

fn asleep(name: &str) -> WorkspaceRow {
    WorkspaceRow { name: name.to_owned(), dir: format!("/w/{name}"), awake: false, next_due: None, id: None }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_home_is_made_for_its_user_alone() {
    let root = TempDir::new().unwrap();
    let home = root.path().join("a/home");
    let mut node = Node::open_or_create(&home, &Options::default(), SEED).unwrap();
    node.add_operator(1000, "ada").unwrap();
    assert_eq!((mode(&home), mode(&home.join("node.db"))), (0o700, 0o600));
    assert_eq!(mode(&home.join("node.db-wal")), 0o600);
    assert_eq!((node.secret(), node.budget_day().unwrap()), (SEED, BUDGET_DAY));
    drop(node);

    fs::set_permissions(home.join("node.db"), Permissions::from_mode(0o644)).unwrap();
    let node = Node::open_or_create(&home, &OPTIONS, [9; 32]).unwrap();
    assert_eq!(mode(&home.join("node.db")), 0o600);
    assert_eq!(node.secret(), SEED, "a later seed changes nothing");
    assert_eq!(node.operators().unwrap(), [(1000, "ada".to_owned())]);
}

#[test]
fn everything_is_there_again_after_a_reopen() {
    let home = TempDir::new().unwrap();
    let mut node = open(&home);
    node.add_operator(u32::MAX, "root").unwrap();
    node.add_operator(1000, "ada").unwrap();
    node.add_operator(1000, "ada lovelace").unwrap();
    let sealed = |byte, set| Sealed { origin: "https://a".to_owned(), set, bytes: vec![byte; 40] };
    node.set_sealed("b", &sealed(1, 10)).unwrap();
    node.set_sealed("a", &sealed(2, 20)).unwrap();
    node.set_sealed("b", &sealed(3, 30)).unwrap();
    node.set_sealed("c", &sealed(4, 40)).unwrap();
    assert_eq!((node.forget_sealed("c"), node.forget_sealed("c")), (Ok(true), Ok(false)));
    node.set_budget_day(Nano(-1)).unwrap();
    assert_eq!(node.budget_day().unwrap(), Nano(0));
    node.set_budget_day(Nano(42)).unwrap();
    drop(node);

    let node = open(&home);
    let operators = [(1000, "ada lovelace".to_owned()), (u32::MAX, "root".to_owned())];
    assert_eq!(node.operators().unwrap(), operators);
    assert_eq!(node.operator(1000).unwrap().as_deref(), Some("ada lovelace"));
    assert_eq!(node.operator(1001).unwrap(), None);
    let row = |name: &str, set| SecretRow { name: name.to_owned(), origin: "https://a".to_owned(), set };
    assert_eq!(node.secrets().unwrap(), [row("a", 20), row("b", 30)]);
    assert_eq!((node.sealed("b"), node.sealed("c")), (Ok(Some(sealed(3, 30))), Ok(None)));
    assert_eq!(node.budget_day().unwrap(), Nano(42));
}

#[test]
fn boot_reads_who_was_awake_or_is_due() {
    let home = TempDir::new().unwrap();
    let mut node = open(&home);
    for name in ["home", "cut", "due", "both", "later"] {
        node.register(name, &format!("/w/{name}")).unwrap();
    }
    for (name, due) in [("due", 100), ("both", 50), ("later", 101), ("home", u64::MAX)] {
        node.set_next_due(name, Some(due)).unwrap();
    }
    node.set_next_due("home", None).unwrap();
    for (name, to) in [
        ("cut", Awakeness::Awake),
        ("both", Awakeness::Awake),
        ("home", Awakeness::Awake),
        ("home", Awakeness::Asleep),
    ] {
        node.set_awake(name, to).unwrap();
    }
    drop(node);

    let node = open(&home);
    let both = WorkspaceRow { awake: true, next_due: Some(50), ..asleep("both") };
    let cut = WorkspaceRow { awake: true, ..asleep("cut") };
    let due = WorkspaceRow { next_due: Some(100), ..asleep("due") };
    let later = WorkspaceRow { next_due: Some(101), ..asleep("later") };
    assert_eq!(node.awake_or_due(99).unwrap(), [both.clone(), cut.clone()]);
    assert_eq!(node.awake_or_due(100).unwrap(), [both.clone(), cut.clone(), due.clone()]);
    assert_eq!(node.workspace("later").unwrap(), Some(later.clone()));
    assert_eq!(node.workspace("nobody").unwrap(), None);
    assert_eq!(node.workspaces().unwrap(), [both, cut, due, asleep("home"), later]);
}

#[test]
fn a_name_or_directory_is_taken_once_and_an_unknown_one_is_missing() {
    let home = TempDir::new().unwrap();
    let mut node = open(&home);
    let file = |name: &str| home.path().join("workspaces").join(name);
    node.register("a", "/w/a").unwrap();
    assert_eq!(node.register("a", "/w/b"), Err(Trouble::Exists { file: file("a") }));
    assert_eq!(node.register("b", "/w/a"), Err(Trouble::Exists { file: file("b") }));
    let missing = Trouble::Missing { file: file("b") };
    assert_eq!(node.set_awake("b", Awakeness::Awake), Err(missing.clone()));
    assert_eq!(node.set_next_due("b", Some(1)), Err(missing.clone()));
    assert_eq!(node.lease("b", Nano(1), 1, Mark::default()), Err(missing));
    assert_eq!(node.workspaces().unwrap(), [asleep("a")]);
}

#[test]
fn money_is_lent_once() {
    enum Do {
        Lease(&'static str, i64, u64),
        Settle(&'static str, i64),
        Crash,
        Budget(i64),
    }
    use Do::{Budget, Crash, Lease, Settle};
    let home = TempDir::new().unwrap();
    let mut node = open(&home);
    node.register("a", "/w/a").unwrap();
    node.register("b", "/w/b").unwrap();
    node.set_budget_day(Nano(100)).unwrap();
    // What is done; what is granted; then spent on day 1, on day 2, and out at a and b.
    for (row, (step, granted, after)) in [
        (Lease("a", 60, 1), Some(60), (0, 0, Some(60), None)),
        (Lease("b", 60, 1), Some(40), (0, 0, Some(60), Some(40))),
        (Settle("a", 10), None, (10, 0, None, Some(40))),
        (Settle("a", 10), None, (10, 0, None, Some(40))),
        (Lease("a", -5, 1), Some(0), (10, 0, Some(0), Some(40))),
        (Lease("a", 1000, 1), Some(50), (10, 0, Some(50), Some(40))),
        (Crash, None, (10, 0, Some(50), Some(40))),
        (Settle("a", 20), None, (30, 0, None, Some(40))),
        (Lease("b", 100, 1), Some(30), (70, 0, None, Some(30))),
        (Crash, None, (70, 0, None, Some(30))),
        (Lease("a", 100, 2), Some(70), (70, 0, Some(70), Some(30))),
        (Settle("b", 35), None, (105, 0, Some(70), None)),
        (Lease("b", 1, 1), Some(0), (105, 0, Some(70), Some(0))),
        (Settle("a", -3), None, (105, 0, None, Some(0))),
        (Budget(5), None, (105, 0, None, Some(0))),
        (Lease("a", 9, 2), Some(5), (105, 0, Some(5), Some(0))),
        (Settle("a", i64::MAX), None, (105, i64::MAX, None, Some(0))),
        (Lease("a", 9, 2), Some(0), (105, i64::MAX, Some(0), Some(0))),
    ]
    .into_iter()
    .enumerate()
    {
        let mut given = None;
        match step {
            Lease(name, want, day) => {
                given = Some(node.lease(name, Nano(want), day, Mark::default()).unwrap().0)
            }
            Settle(name, spent) => node.settle(name, at(1, spent)).unwrap(),
            Budget(budget) => node.set_budget_day(Nano(budget)).unwrap(),
            Crash => {
                drop(node);
                node = open(&home);
            }
        }
        let out = |name| node.leftover(name).unwrap().map(|nano| nano.0);
        let now = (node.spent_day(1).unwrap().0, node.spent_day(2).unwrap().0, out("a"), out("b"));
        assert_eq!((given, now), (granted, after), "row {row}");
    }
}

/// A place in a log.
fn at(seq: u64, spent: i64) -> Mark {
    Mark { seq: Seq(seq), spent: Nano(spent) }
}

#[test]
fn nothing_is_settled_twice() {
    let home = TempDir::new().unwrap();
    let mut node = open(&home);
    node.register("a", "/w/a").unwrap();
    node.set_budget_day(Nano(100)).unwrap();
    let spent = |node: &Node| (node.spent_day(1).unwrap().0, node.spent_day(2).unwrap().0);
    node.lease("a", Nano(40), 1, at(10, 0)).unwrap();
    // Renewed at 30 spent; then a crash before another record, and one after.
    assert_eq!(node.renew("a", Nano(90), 1, at(15, 30)).unwrap(), Nano(70));
    assert_eq!(node.renew("a", Nano(40), 1, at(15, 30)).unwrap(), Nano(40));
    assert_eq!((spent(&node), node.left(1).unwrap()), ((30, 0), Nano(30)));
    // The day turns: what was spent since belongs to the day before.
    assert_eq!(node.renew("a", Nano(40), 2, at(20, 45)).unwrap(), Nano(40));
    node.settle("a", at(25, 50)).unwrap();
    assert_eq!(spent(&node), (45, 5));
    // Lent to a workspace that then did not come to wake: its count is still the old one.
    node.lease("a", Nano(40), 2, at(25, 0)).unwrap();
    node.settle("a", at(25, 50)).unwrap();
    assert_eq!((spent(&node), node.leftover("a").unwrap()), ((45, 5), None));
}

#[test]
fn a_year_of_spending_is_kept() {
    let home = TempDir::new().unwrap();
    let mut node = open(&home);
    node.register("a", "/w/a").unwrap();
    for day in [u64::MAX, 0].into_iter().chain(1000..1370) {
        node.lease("a", Nano(1), day, Mark::default()).unwrap();
    }
    node.settle("a", at(1, 1)).unwrap();
    let days: i64 = node.db.connection.query_row("SELECT count(*) FROM spent", [], |row| row.get(0)).unwrap();
    assert_eq!((days, node.spent_day(0).unwrap(), node.spent_day(1369).unwrap()), (366, Nano(0), Nano(1)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whoever leases, settles within the grant, or crashes, in any order: the day's budget holds.
    #[test]
    fn a_day_never_gives_more_than_its_budget(
        steps in prop::collection::vec((0..4_u8, 0..3_usize, 0..150_i64), 1..40)
    ) {
        let home = TempDir::new().unwrap();
        let mut node = open(&home);
        let names = ["a", "b", "c"];
        for name in names {
            node.register(name, &format!("/w/{name}")).unwrap();
        }
        node.set_budget_day(Nano(100)).unwrap();
        for (kind, who, nano) in steps {
            let open_now = node.leftover(names[who]).unwrap();
            match (kind, open_now) {
                (0 | 1, _) => drop(node.lease(names[who], Nano(nano), 1, Mark::default()).unwrap()),
                (2, Some(Nano(granted))) => node.settle(names[who], at(1, nano.min(granted))).unwrap(),
                (2, None) => {}
                _ => {
                    drop(node);
                    node = open(&home);
                }
            }
            let open_at = |name: &&str| node.leftover(name).unwrap();
            let out: i64 = names.iter().filter_map(open_at).map(|nano| nano.0).sum();
            prop_assert!(node.spent_day(1).unwrap().0 + out <= 100);
        }
    }
}

#[test]
fn an_event_that_keeps_killing_is_in_quarantine() {
    let home = TempDir::new().unwrap();
    let mut node = open(&home);
    let (bad, rare) = (Hash::of(b"bad"), Hash::of(b"rare"));
    for kills in 1..=POISON_KILLS_MAX {
        assert_eq!(node.quarantined().unwrap(), []);
        assert_eq!(node.note_kill("a", &bad, &format!("{kills} {}", "é".repeat(200))).unwrap(), kills);
        drop(node);
        node = open(&home);
    }
    // A flood of others neither pushes it out nor grows without end; the longest not seen goes first.
    node.note_kill("a", &rare, "rare").unwrap();
    node.note_kill("b", &rare, "rare").unwrap();
    for n in 0..300_u32 {
        node.note_kill("a", &Hash::of(&n.to_le_bytes()), "flood").unwrap();
    }
    let quarantine = Quarantine {
        workspace: "a".to_owned(),
        digest: bad,
        what: format!("3 {}", "é".repeat(127)),
        kills: 3,
    };
    assert_eq!(node.quarantined().unwrap(), [quarantine]);
    let counts = [("a", &bad), ("a", &rare), ("b", &rare), ("b", &bad)]
        .map(|(workspace, digest)| node.kills(workspace, digest).unwrap());
    assert_eq!(counts, [3, 0, 1, 0]);
    let rows: i64 = node.db.connection.query_row("SELECT count(*) FROM kill", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 256 + 1 + 1);
}

#[test]
fn what_is_not_ours_is_refused_with_its_name() {
    let home = TempDir::new().unwrap();
    let file = home.path().join("node.db");
    make(&file).unwrap();
    assert_eq!(open(&home).secret(), SEED, "a creation that was cut off is finished");

    let set = |sql: &str| Connection::open(&file).unwrap().execute_batch(sql).unwrap();
    set("PRAGMA user_version = 4");
    assert_eq!(refusal(&home), Trouble::Newer { file: file.clone(), found: 4, known: 3 });
    set("PRAGMA user_version = 0");
    assert_eq!(refusal(&home), Trouble::corrupt(&file, "there is no format 0"));
    set("PRAGMA user_version = 3; PRAGMA application_id = 1");
    assert_eq!(refusal(&home), Trouble::corrupt(&file, "it was not made by this program"));
    set(&format!("PRAGMA application_id = {KIND}"));
    assert_eq!(open(&home).secret(), SEED);
    set("DROP TABLE node");
    assert!(matches!(refusal(&home), Trouble::Corrupt { file: named, .. } if named == file));
    fs::write(&file, "not a database, but long enough to be taken for one ".repeat(50)).unwrap();
    assert!(matches!(refusal(&home), Trouble::Corrupt { file: named, .. } if named == file));
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert!(matches!(refusal(&home), Trouble::Io { file: named, .. } if named == file));
}

#[test]
fn a_file_of_format_1_learns_ids_and_a_copy_has_its_originals() {
    let home = TempDir::new().unwrap();
    let mut node = open(&home);
    node.register("a", "/w/a").unwrap();
    node.register("b", "/w/b").unwrap();
    drop(node);
    let set = |sql: &str| Connection::open(home.path().join("node.db")).unwrap().execute_batch(sql).unwrap();
    set("DROP INDEX workspace_id; ALTER TABLE workspace DROP COLUMN id; PRAGMA user_version = 1");
    set(PRICES);

    let mut node = open(&home);
    assert_eq!(node.workspaces().unwrap(), [asleep("a"), asleep("b")]);
    node.set_id("a", [1; 16]).unwrap();
    node.set_id("a", [2; 16]).unwrap();
    node.register_copy("copy", "/w/copy", [1; 16]).unwrap();
    let taken = Trouble::Exists { file: home.path().join("workspaces/b") };
    assert_eq!(node.register_copy("b", "/w/b2", [1; 16]), Err(taken));
    assert!(matches!(node.set_id("c", [3; 16]), Err(Trouble::Missing { .. })));
    drop(node);

    let node = open(&home);
    let a = WorkspaceRow { id: Some([1; 16]), ..asleep("a") };
    let copy = WorkspaceRow { id: Some([1; 16]), ..asleep("copy") };
    assert_eq!(node.workspaces().unwrap(), [a, asleep("b"), copy]);
    assert_eq!(node.of_id([1; 16]).unwrap().as_deref(), Some("a"));
    assert_eq!(node.of_id([2; 16]).unwrap(), None);
}

/// The tables of format 2 that are no more.
const PRICES: &str = "DROP TABLE secret;
    CREATE TABLE price (model TEXT PRIMARY KEY, token_in INTEGER NOT NULL, token_out INTEGER NOT NULL,
        token_cached INTEGER NOT NULL) STRICT;
    INSERT INTO price VALUES ('scripted', 1, 2, 3)";

#[test]
fn a_file_of_format_2_keeps_what_it_had_and_learns_secrets() {
    let home = TempDir::new().unwrap();
    let mut node = open(&home);
    node.register("a", "/w/a").unwrap();
    node.add_operator(1000, "ada").unwrap();
    drop(node);
    let set = |sql: &str| Connection::open(home.path().join("node.db")).unwrap().execute_batch(sql).unwrap();
    set(PRICES);
    set("PRAGMA user_version = 2");

    let mut node = open(&home);
    assert_eq!((node.workspaces().unwrap(), node.secrets().unwrap()), (vec![asleep("a")], vec![]));
    assert_eq!(node.operator(1000).unwrap().as_deref(), Some("ada"));
    let sealed = Sealed { origin: String::new(), set: 1, bytes: vec![7; 40] };
    node.set_sealed("x", &sealed).unwrap();
    drop(node);
    assert_eq!(open(&home).sealed("x"), Ok(Some(sealed)));
}

/// The plan is what is held; the time is printed (`--nocapture`): a shared machine cannot promise one.
#[test]
#[allow(clippy::disallowed_methods)] // seam: measures
fn boot_is_fast_among_ten_thousand() {
    let home = TempDir::new().unwrap();
    let mut node = open(&home);
    node.db.connection.execute_batch("BEGIN").unwrap();
    for n in 0..10_000_u64 {
        let name = format!("w{n:05}");
        node.register(&name, &format!("/w/{name}")).unwrap();
        node.set_next_due(&name, Some(1_000 + n)).unwrap();
    }
    for name in ["w00007", "w09999"] {
        node.set_awake(name, Awakeness::Awake).unwrap();
    }
    node.db.connection.execute_batch("COMMIT").unwrap();
    drop(node);

    let began = std::time::Instant::now();
    let node = open(&home);
    let opened = began.elapsed();
    let found = node.awake_or_due(1_001).unwrap();
    let all = began.elapsed();
    println!("of 10,000: opened in {} µs, read in {} µs", opened.as_micros(), (all - opened).as_micros());
    let names: Vec<_> = found.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["w00000", "w00001", "w00007", "w09999"]);

    let sql = format!("EXPLAIN QUERY PLAN {}", registry::AWAKE_OR_DUE);
    let plan = node.db.all(&sql, [0_i64], |row| row.get::<_, String>(3)).unwrap().join("\n");
    let uses = |index: &str| plan.contains(&format!("workspace USING INDEX {index}"));
    assert!(uses("workspace_awake") && uses("workspace_due") && !plan.contains("SCAN"), "{plan}");
}
