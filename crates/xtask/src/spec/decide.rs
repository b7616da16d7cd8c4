//! decide: `plan` and `step` on a file call of a process that holds 1,000 capabilities, in a workspace with
//! 1,000 labels. The state is made by `apply`, as replay would make it; answering the lookups is not in the
//! time.

use super::{Rig, Row, Target, Times, facts};
use abi::{
    ReplyTo,
    call::{Call, Origin, Write},
    effect::Effect,
    event::{Body, Caller, Event},
    fact::Facts,
    path::TreePath,
};
use kernel::Kernel;
use std::time::Instant;

const CAPS: u64 = 1_000;
const CALLS: u64 = 100_000;

/// Measures it.
pub fn decide(_: &Rig<'_>) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for (p50, p99, call) in [("read, p50", "read, p99", read as Make), ("write, p50", "write, p99", write)] {
        let mut times = measure(call)?;
        let row = |part, target, measured, n| Row {
            name: "decide",
            part,
            target: Target::AtMost(target),
            measured,
            unit: "µs",
            barriers: 0,
            n,
        };
        rows.push(row(p50, 5.0, times.percentile_us(0.5), times.n()));
        rows.push(row(p99, 25.0, times.percentile_us(0.99), times.n()));
    }
    Ok(rows)
}

type Make = fn(TreePath, u64) -> Call;

fn read(path: TreePath, _: u64) -> Call {
    Call::Read { path, at: None, version: None, part: None }
}

fn write(path: TreePath, ix: u64) -> Call {
    let content = abi::Content::of(&ix.to_le_bytes());
    let write = Write::Whole { content, mode: 0o644 };
    Call::Write { path, write, base: None, message: None, origin: Origin::Pipe }
}

fn measure(make: Make) -> Result<Times, String> {
    let mut kernel = Kernel::new();
    facts::records(CAPS).iter().for_each(|record| kernel.apply(record));
    let mut times = Times::default();
    for ix in 0..CALLS {
        let path = facts::path(ix % CAPS);
        let call = make(path, ix);
        let body = Body::Call { caller: Caller::Process(facts::PID), reply: ReplyTo(ix + 1), call };
        let event = Event { at: facts::AT + ix, mono: ix, body };
        let begun = Instant::now();
        let plan = kernel.plan(&event);
        let planned = begun.elapsed();
        let lookups = plan.map_err(|error| format!("the kernel refused what is measured: {error}"))?;
        let found = Facts::Found(lookups.iter().map(|lookup| facts::answer(lookup, ix % CAPS)).collect());
        let begun = Instant::now();
        let decision = kernel.step(&event, found);
        times.push(planned + begun.elapsed());
        // A refusal would be quicker than what is promised.
        let answer = decision.effects.iter().find_map(|effect| match effect {
            Effect::Reply { answer, .. } => Some(answer),
            _ => None,
        });
        if !matches!(answer, Some(Ok(_))) {
            return Err(format!("call {ix} was not carried out: {answer:?}"));
        }
    }
    Ok(times)
}
