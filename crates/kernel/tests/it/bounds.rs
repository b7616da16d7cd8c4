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
