//! What is remembered of the past is bounded; who has been there longest is not the first to be forgotten.

use crate::script::Run;
use abi::limits;

fn begin() -> Run {
    let mut run = Run::new();
    for line in ["genesis", "policy", "price m 1000 1000", "mount box opaque", "arrive box /1 text"] {
        run.event(line);
    }
    run.event("agent worker needs=\"apply * *; read /**\"");
    run
}

fn shown(run: &mut Run, line: &str) -> String {
    run.shown.clear();
    run.event(line);
    run.shown.join("\n")
}

#[test]
fn the_oldest_process_ends_last_and_is_heard() {
    let mut run = begin();
    run.event("anna: spawn worker first");
    for pid in 2..limits::ENDED_PROCESSES_MAX + 10 {
        run.event("anna: spawn worker more");
        run.event(&format!("anna: signal {pid} kill"));
    }
    run.event("anna: wait pid=1");
    assert!(shown(&mut run, "anna: signal 1 kill").contains("\"pid\":1,\"exit\":{\"killed\":\"signal\"}"));
    assert!(shown(&mut run, "anna: wait pid=2").contains("Dead"), "the first that ended is forgotten");
    assert!(shown(&mut run, "anna: wait pid=1").contains("\"pid\":1"));
}

#[test]
fn the_oldest_proposal_is_decided_last_and_is_heard() {
    let mut run = begin();
    run.event("anna: spawn worker first");
    run.event("model says m1 ; read /integrations/box/1 ; propose box mail.send to=a0 body=x");
    for id in 2..limits::ENDED_PROCESSES_MAX + 10 {
        run.event(&format!("model says m{id} ; propose box mail.send to=a{id} body=x ; write /x{id} new"));
        run.event(&format!("anna: reject {id}"));
        run.event("anna: signal 1 thaw");
    }
    assert!(shown(&mut run, "anna: approve 1").contains("\"proposal\":1,\"state\":\"approved\""));
    assert!(shown(&mut run, "anna: wait proposal=1").contains("approved"));
}

/// Whatever the machine's clock says, nothing overflows.
#[test]
fn clocks_at_their_ends() {
    let mut run = begin();
    run.event("anna: spawn worker first");
    for (wall, mono) in
        [(u64::MAX, 0), (0, u64::MAX), (u64::MAX, u64::MAX), (0, 0), (1 << 63, 1), (1, 1 << 63)]
    {
        run.clocks(wall, mono);
        run.event("anna: write /data/a text");
        run.event("model says more ; write /data/b text ; wait timeout=9s");
        run.event("crash");
    }
}

/// What the last turn of a session began with: questions and answers, as they were said.
fn history(run: &mut Run, line: &str) -> Vec<String> {
    let shown = shown(run, line);
    let spawned = shown.lines().find(|line| line.starts_with("spawned")).unwrap().to_owned();
    let items = spawned.split_once(" history [").unwrap().1.split_once("]  [").unwrap().0.to_owned();
    items.split(" | ").map(str::to_owned).collect()
}

fn exchange(run: &mut Run, (ix, words): (usize, &str)) {
    run.event(&format!("anna: dispatch worker \"q{ix} {words}\" session=main"));
    run.event(&format!("model says \"a{ix} {words}\""));
}

#[test]
fn a_session_remembers_whole_exchanges_and_no_more_than_its_items() {
    let mut run = begin();
    let most = limits::SESSION_ITEMS_MAX / 2;
    (0..most + 9).for_each(|ix| exchange(&mut run, (ix, "")));
    let items = history(&mut run, "anna: dispatch worker last session=main");
    assert_eq!(items.len(), limits::SESSION_ITEMS_MAX);
    let first = most + 9 - items.len() / 2;
    assert_eq!(items[..2], [format!("User \"q{first} \""), format!("Assistant \"a{first}  +0\"")]);
    assert!(shown(&mut run, "anna: read /home/worker/chat/main.md").contains("is in the log"));
}

#[test]
fn a_session_remembers_no_more_than_its_bytes() {
    let mut run = begin();
    let words = "x".repeat(20_000);
    (0..9).for_each(|ix| exchange(&mut run, (ix, &words)));
    let items = history(&mut run, "anna: dispatch worker last session=main");
    let bytes: usize = items.len() * words.len();
    assert!(items.len().is_multiple_of(2) && bytes < limits::SESSION_BYTES_MAX as usize, "{}", items.len());
    assert!(bytes + 2 * words.len() > limits::SESSION_BYTES_MAX as usize);
    run.event("model says done");
    // The longest that there can be is remembered, and what is longer is not.
    let words = "y".repeat(limits::ARGUMENT_BYTES_MAX as usize - 8);
    exchange(&mut run, (9, &words));
    assert_eq!(history(&mut run, "anna: dispatch worker last session=main").len(), 2);
    run.event(&format!("anna: dispatch worker {words} session=main lane=steer"));
    run.event(&format!("anna: dispatch worker {words} session=main lane=steer"));
    run.event(&format!("model says {words}"));
    run.event(&format!("model says {words}"));
    assert_eq!(history(&mut run, "anna: dispatch worker last session=main"), [""]);
    assert!(shown(&mut run, "anna: read /home/worker/chat/main.md").contains("anna: \"last\""));
}

#[test]
fn words_that_join_a_turn_of_a_session_are_bounded() {
    let mut run = begin();
    run.event("anna: dispatch worker first session=main");
    for ix in 0..limits::SESSION_ITEMS_MAX * 2 {
        run.event(&format!("anna: dispatch worker w{ix} session=main lane=steer"));
        if ix % limits::LANE_MAX == limits::LANE_MAX - 1 {
            run.event("model says more");
        }
    }
    run.event("model says done");
    let read = shown(&mut run, "anna: read /home/worker/chat/main.md");
    assert!(read.contains("anna: \"first\" \"w") && read.contains("is in the log"), "{read}");
    assert!(read.matches('"').count() <= 2 * (limits::SESSION_ITEMS_MAX + 1), "{read}");
}

/// An agent that begins sessions without end has its own forgotten, and no operator's.
#[test]
fn sessions_of_agents_are_forgotten_first() {
    let mut run = begin();
    run.event("agent boss needs=\"spawn any\"");
    exchange(&mut run, (0, ""));
    run.event("anna: spawn boss go");
    for ix in 0..limits::SESSIONS_MAX + 20 {
        run.event(&format!("pid 2: dispatch worker hello session=s{ix}"));
        run.event("model says hello");
    }
    assert_eq!(history(&mut run, "pid 2: dispatch worker again session=s0"), [""], "forgotten");
    let last = limits::SESSIONS_MAX + 19;
    assert_eq!(history(&mut run, &format!("pid 2: dispatch worker again session=s{last}")).len(), 2);
    assert_eq!(history(&mut run, "anna: dispatch worker again session=main").len(), 2);
}

#[test]
fn dispatches_that_wait_in_sessions_are_bounded_together() {
    let mut run = begin();
    let mut told = String::new();
    for ix in 0..limits::LANES_MAX * 2 {
        let lane = ix / limits::LANE_MAX;
        told = shown(&mut run, &format!("anna: dispatch worker hello session=s{lane}"));
        if told.contains("in this workspace already") {
            break;
        }
    }
    assert!(
        told.contains(&format!("{} dispatches wait in this workspace already", limits::LANES_MAX)),
        "{told}"
    );
}
