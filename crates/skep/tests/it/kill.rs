//! Fifty real kills of a daemon under load, and what an independent reader finds in its files.
//!
//! ```text
//! load   writers, clerks and couriers in three workspaces, over raw sockets
//! book   a reader of workspace.db: rusqlite, read only, its own chain and its own fold
//! kill   when so many more writes are acknowledged; read the files; start again
//! ```
//!
//! The files are read while no daemon runs, as the kill left them, each time from where the last reading
//! ended, and at the end once more from the first record on. The moments come from one seed, which it prints.

mod book;
mod fold;
mod ledger;
mod load;
mod tamper;

use crate::hive::{Client, Hive, field, retry};
use abi::money::Nano;
use book::Book;
pub use load::Chance;
use load::Yard;
use serde_json::json;
use std::{
    collections::BTreeMap,
    hint::spin_loop,
    path::PathBuf,
    time::{Duration, Instant},
};

/// So many times the daemon is killed.
const KILLS: u64 = 50;
/// Writes that are acknowledged between two kills, at most.
const ACKED_MAX: u64 = 120;
/// A kill comes at the latest so long after the start, on a host that is slow.
const LIFE_MAX: Duration = Duration::from_millis(400);
/// Rows are compared with the fold after every so many kills, and at the end.
const ROWS_EVERY: u64 = 10;
/// Of all that is random here.
const SEED: u64 = 0x5EED_0F0C_0FFE_E000;

#[test]
fn fifty_kills_under_load_lose_nothing_and_repeat_nothing() {
    println!("seed {SEED:#x}");
    let mut hive = Hive::bare();
    load::rules(&hive.home());
    hive.start();
    for workspace in load::WORKSPACES {
        load::furnish(&mut hive.client(), workspace, hive.around());
    }
    let yard = Yard::new(&hive.socket());
    let mut books: BTreeMap<&str, Shelf> =
        load::WORKSPACES.into_iter().map(|name| (name, Shelf::new(&hive, name))).collect();
    let mut chance = Chance(SEED);
    std::thread::scope(|scope| {
        let _ended = yard.until_dropped();
        yard.work(scope, SEED);
        for kill in 1..=KILLS {
            let met = yard.acked();
            let (goal, since) = (met + chance.below(ACKED_MAX), Instant::now());
            retry("load", || (yard.acked() >= goal || since.elapsed() > LIFE_MAX).then_some(()));
            (0..chance.below(50_000)).for_each(|_| spin_loop());
            hive.kill();
            for (name, shelf) in &mut books {
                let found = shelf.after(&yard, kill);
                found.unwrap_or_else(|what| panic!("kill {kill}, workspace {name}: {what}"));
            }
            hive.start();
        }
    });
    for workspace in load::WORKSPACES {
        rest(&mut hive.client(), workspace);
    }
    let shown: BTreeMap<&str, Money> =
        load::WORKSPACES.into_iter().map(|name| (name, money(&mut hive.client(), name))).collect();
    hive.stop();
    for (name, shelf) in &mut books {
        shelf.end(&yard, &shown[name]).unwrap_or_else(|what| panic!("at the end, workspace {name}: {what}"));
    }
    let ledgers = || books.values().map(|shelf| &shelf.book.ledger);
    println!(
        "{KILLS} kills; {} acknowledged writes, {} calls completed, {} lost and {} of them bought once more, \
         {} effects, {} of them at their driver in a kill; none lost, none repeated",
        yard.acked(),
        ledgers().map(|ledger| ledger.completed()).sum::<u64>(),
        ledgers().map(|ledger| ledger.lost()).sum::<u64>(),
        ledgers().map(|ledger| ledger.again()).sum::<u64>(),
        ledgers().map(|ledger| ledger.effects.len()).sum::<usize>(),
        ledgers().map(|ledger| ledger.across()).sum::<usize>(),
    );
    assert!(ledgers().all(|ledger| ledger.completed() > 0 && !ledger.effects.is_empty()));
    assert!(ledgers().map(|ledger| ledger.lost()).sum::<u64>() > 0, "no kill met a model call");
    let home = &books["home"];
    tamper::control(&home.file, &yard.acks("home"), &home.outbox);
}

/// Waits until no process of a workspace runs; those whose model call was lost twice stay frozen.
fn rest(client: &mut Client, workspace: &str) {
    retry("the last runs to end", || {
        let status = read(client, workspace, "/sys/status");
        (field(&status, "running") == "0").then_some(())
    });
}

fn read(client: &mut Client, workspace: &str, path: &str) -> String {
    let answer = client.ok("read", json!({ "path": path, "workspace": workspace }));
    answer["text"].as_str().expect("rendered files are text").to_owned()
}

/// What the daemon says was spent of a workspace's account.
struct Money {
    day: u64,
    used: i64,
    reserved: i64,
}

fn money(client: &mut Client, workspace: &str) -> Money {
    let day = field(&read(client, workspace, "/sys/status"), "day").parse().unwrap();
    let budget = read(client, workspace, "/sys/budget");
    let row = field(&budget, "workspace money day");
    let nano = |column: usize| row.split(' ').nth(column).unwrap().parse::<Nano>().unwrap().0;
    Money { day, used: nano(0), reserved: nano(1) }
}

/// What is known from outside of one workspace: its file, what was read of it, and where its mail goes.
struct Shelf {
    name: &'static str,
    file: PathBuf,
    outbox: PathBuf,
    book: Book,
    /// So many of the acknowledged writes were looked up.
    found: usize,
}

impl Shelf {
    fn new(hive: &Hive, name: &'static str) -> Self {
        let file = hive.file(name);
        Self { name, book: Book::new(&file), file, outbox: load::outbox(hive.around(), name), found: 0 }
    }

    /// After a kill: what is new in the log, what was acknowledged since, the mails so far.
    fn after(&mut self, yard: &Yard, kill: u64) -> Result<(), String> {
        self.book.follow()?;
        let acks = yard.acks(self.name);
        self.book.holds(&acks[self.found..])?;
        self.found = acks.len();
        self.book.sent_so_far(&self.outbox)?;
        if kill.is_multiple_of(ROWS_EVERY) { self.book.rows() } else { Ok(()) }
    }

    /// At the end: everything, by a reader that has read nothing before, which must agree with this one.
    fn end(&mut self, yard: &Yard, shown: &Money) -> Result<(), String> {
        self.book.follow()?;
        let fresh = book::audit(&self.file, &yard.acks(self.name), &self.outbox)?;
        if fresh.ledger != self.book.ledger {
            return Err("the log read in parts is not the log read at once".to_owned());
        }
        let charged = fresh.ledger.spent.get(&shown.day).copied().unwrap_or(0);
        if (shown.used, shown.reserved) != (charged, 0) {
            let Money { used, reserved, .. } = shown;
            return Err(format!("{charged} was charged, {used} is shown as spent, {reserved} as reserved"));
        }
        Ok(())
    }
}
