//! What is admitted on a full disk, row by row, and the file itself: made whole, thrown off once.

use super::*;
use abi::{
    Content, Pid, ProposalId, ReplyTo, Seq, VersionId,
    call::{Origin, Write},
    event::Caller,
    path::TreePath,
};
use tempfile::TempDir;

fn path(text: &str) -> TreePath {
    TreePath::parse(text).unwrap()
}

fn control(at: &str, words: &str) -> Call {
    Call::Control { path: path(at), word: abi::control::parse(&path(at), words).unwrap() }
}

#[test]
fn only_what_reads_frees_or_stops_is_admitted() {
    let signal = |signal| Call::Signal { pid: Pid(1), signal };
    let decide =
        |ruling| Call::Decide { proposal: ProposalId(1), ruling, reason: None, digest: None, args: None };
    let written = Write::Whole { content: Content::default(), mode: 0o644 };
    let rows = [
        (Call::Read { path: path("/a"), at: None, version: None, part: None }, true),
        (Call::List { path: path("/a"), at: None }, true),
        (Call::History { path: path("/a"), before: None, limit: 1 }, true),
        (Call::Trace { from: Seq(0), limit: 1, pid: None, follow: false }, true),
        (Call::Wait { pid: Some(Pid(1)), proposal: None, timeout_us: None }, true),
        (signal(Signal::Freeze), true),
        (signal(Signal::Kill), true),
        (signal(Signal::Interrupt), true),
        (signal(Signal::Thaw), false),
        (decide(Ruling::Reject), true),
        (decide(Ruling::Approve), false),
        (control("/sys/ctl", "down"), true),
        (control("/sys/ctl", "unmount mail"), true),
        (control("/proc/1/ctl", "freeze"), true),
        (control("/proc/1/ctl", "thaw"), false),
        (control("/sys/ctl", "mount mail maildir /x"), false),
        (control("/sys/ctl", "workspace other"), false),
        (control("/sys/ctl", "budget workspace day 1.00"), false),
        (Call::Remove { path: path("/a"), base: None, tree: false }, false),
        (Call::Move { from: path("/a"), to: path("/b"), base: Some(VersionId(1)) }, false),
        (
            Call::Write {
                path: path("/a"),
                write: written,
                base: None,
                message: None,
                origin: Origin::Argument,
            },
            false,
        ),
    ];
    for (call, admitted) in rows {
        assert_eq!(frees_or_stops(&call), admitted, "{call:?}");
        let caller = Caller::Operator("ada".to_owned());
        assert_eq!(admits(&Body::Call { caller, reply: ReplyTo(1), call }), admitted);
    }
    assert!(admits(&Body::Left { reply: ReplyTo(1) }));
    assert!(!admits(&Body::TimerFired { timer: abi::TimerId(1) }));
}

#[test]
fn it_holds_real_blocks_and_is_thrown_off_once() {
    let home = TempDir::new().unwrap();
    let file = home.path().join(FILE);
    // What a daemon before left with holes in it holds no room: it is made anew.
    File::create(&file).unwrap().set_len(RESERVE_BYTES).unwrap();
    let ballast = Ballast::of(home.path());
    assert!(!ballast.is_short());
    ballast.make();
    let found = fs::metadata(&file).unwrap();
    assert_eq!((found.len(), found.blocks() >= RESERVE_BYTES / 512), (RESERVE_BYTES, true));
    assert!(ballast.line().contains(" ok ") && ballast.line().contains("a reserve held"));

    assert_eq!((ballast.throw(), file.exists(), ballast.is_short()), (Thrown::Now, false, true));
    assert_eq!(ballast.throw(), Thrown::Before);
    assert!(ballast.line().contains(" bad ") && ballast.line().contains('\t'), "{}", ballast.line());
    assert_eq!(ballast.refusal().code, Code::Exhausted);
    assert!(ballast.refusal().message.contains(&home.path().display().to_string()));

    // This disk has room: it comes back by itself.
    assert!(ballast.look());
    assert_eq!((file.exists(), ballast.is_short(), ballast.look()), (true, false, false));
}

#[test]
fn a_home_that_takes_no_file_has_no_reserve_and_says_so() {
    let home = TempDir::new().unwrap();
    let ballast = Ballast::of(&home.path().join("gone"));
    ballast.make();
    assert!(!ballast.is_short(), "it is not for want of room");
    assert!(ballast.line().contains("no reserve"), "{}", ballast.line());
}

#[test]
fn what_the_store_says_of_a_full_disk() {
    let home = TempDir::new().unwrap();
    let ballast = Ballast::of(home.path());
    let file = home.path().join("x");
    for (trouble, full) in [
        (Trouble::Full { file: file.clone() }, true),
        // This disk has room, so it was something else.
        (Trouble::Io { file: file.clone(), what: "disk I/O error".into() }, false),
        (Trouble::ReadOnly { file }, false),
    ] {
        assert_eq!(ballast.is_full(&trouble), full, "{trouble:?}");
    }
}
