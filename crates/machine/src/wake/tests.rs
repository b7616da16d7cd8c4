//! A birth that is cut off anywhere is finished by the next waking.

use super::*;
use crate::clock::Given;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;

/// A clock on which every batch has worked long enough after one event.
struct Slow(Given);

impl Clock for Slow {
    fn wall(&self) -> abi::Micros {
        self.0.wall()
    }

    fn mono(&self) -> abi::Micros {
        self.0.advance(10_000);
        self.0.mono()
    }
}

struct Nothing;

impl Around for Nothing {
    fn health(&self) -> String {
        String::new()
    }

    fn key(&self) -> String {
        String::new()
    }

    fn workspaces(&self) -> String {
        String::new()
    }
}

/// Fails the machine after so many durable outs: what was committed stays, nothing after it happens.
struct Cut(AtomicUsize);

impl Sink for Cut {
    fn ordered(&mut self, _: Out) {}

    fn durable(&mut self, _: Out) {
        assert!(self.0.fetch_sub(1, Ordering::Relaxed) > 0, "the power is gone");
    }

    fn follows(&self) -> bool {
        true
    }
}

fn setup(home: &TempDir) -> Setup {
    Setup {
        name: "w".to_owned(),
        dir: home.path().join("w"),
        options: Options { durable: store::Durable::Null, ..Options::default() },
        pins: store::Pins::default(),
        clock: Arc::new(Slow(Given::at(1_790_000_000_000_000, 1))),
        around: Arc::new(Nothing),
        secret: [1; 32],
        prices: vec![("scripted".to_owned(), Price::default())],
        lease: Nano(1_000_000_000),
        set_aside: BTreeSet::new(),
    }
}

fn birth() -> Birth {
    Birth { id: [3; 16], lacks: Vec::new(), operator: "op".to_owned() }
}

#[test]
fn a_birth_that_was_cut_off_is_finished() {
    let mut cuts = 0;
    for outs in 0.. {
        let home = TempDir::new().unwrap();
        let setup = setup(&home);
        let mut cut = Cut(AtomicUsize::new(outs));
        let opened = catch_unwind(AssertUnwindSafe(|| Room::open(&setup, Begin::May, birth(), &mut cut)));
        let whole = opened.is_ok();
        drop(opened);
        let mut calm = Cut(AtomicUsize::new(1000));
        let Ok(mut room) = Room::open(&setup, Begin::Never, birth(), &mut calm) else { panic!("at {outs}") };
        assert!(room.kernel().has_policy(), "cut after {outs} outs");
        for (path, bytes) in &shipped::FILES {
            let found = room.head(&TreePath::parse(path).unwrap()).unwrap();
            assert_eq!(found.as_deref(), Some(*bytes), "{path}, cut after {outs} outs");
        }
        if whole {
            break;
        }
        cuts += 1;
    }
    assert!(cuts >= 6, "the birth was cut {cuts} times only");
}

#[test]
fn bytes_that_no_store_takes_are_the_fault_of_their_event() {
    let home = TempDir::new().unwrap();
    let mut calm = Cut(AtomicUsize::new(1000));
    let Ok(mut room) = Room::open(&setup(&home), Begin::May, birth(), &mut calm) else { panic!() };
    let outcome = |bytes: &[u8]| {
        let effect = Hash::of(b"effect");
        let outcome = abi::event::EffectOutcome::Done(Content::of(bytes));
        Input::now(&*setup(&home).clock, Body::EffectEnded { effect, outcome }, vec![bytes.to_vec()])
    };
    let large = vec![0; 1 + abi::limits::VALUE_BYTES_MAX];
    let fast = Arc::new(Given::at(1_790_000_000_000_000, 1));
    room.clock = fast;
    let Err(failed) = room.turn(vec![outcome(b"fits"), outcome(&large)], &mut calm) else { panic!() };
    assert!(matches!(failed.failure, Failure::Panic { at: 1 }), "{:?}", failed.failure);
    assert_eq!(failed.lost.len(), 2);
}
