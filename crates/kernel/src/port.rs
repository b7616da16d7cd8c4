//! Ports: where programs in sandboxes listen. The process whose sandbox it is owns them: they close when it
//! ends, and when its sandbox does.
//!
//! ```text
//! looked at ─▶ Body::Listens (all of them) ─▶ PortOpened · PortClosed: what is new, what is not there any
//! more
//! ```
//! Never here: whether a program may listen. Nobody outside its own sandbox reaches it but through an
//! operator's `open`.

use crate::{label, state::State, step::Step};
use abi::{
    Code, Error, Micros, Pid, WORKSPACE, limits,
    record::{Entry, Port, Record},
};
use alloc::{collections::BTreeMap, format, string::String, vec::Vec};

/// What counts as one hour.
const HOUR_US: Micros = 3_600_000_000;

/// Programs of this sandbox listen here, and nowhere else. What is told of a sandbox that is to end, or has,
/// is late.
pub fn listens(step: &mut Step<'_>, pid: Pid, ports: &[Port]) {
    if !step.kernel.volatile.boxed.contains(&pid) {
        return;
    }
    let now: BTreeMap<&str, &Port> =
        ports.iter().take(limits::PORTS_MAX).map(|port| (port.address.as_str(), port)).collect();
    let row = step.state().ports.get(&pid).cloned().unwrap_or_default();
    owner(step, pid);
    for (address, (program, _)) in &row.open {
        if now.get(address.as_str()).is_none_or(|port| port.program != *program) {
            step.emit(Entry::PortClosed { address: address.clone() });
        }
    }
    let mut left = match row.hour {
        (hour, count) if hour == hour_of(step.at) => limits::PORTS_HOUR_MAX.saturating_sub(count),
        _ => limits::PORTS_HOUR_MAX,
    };
    for (address, port) in now {
        if left > 0 && row.open.get(address).is_none_or(|(program, _)| *program != port.program) {
            step.emit(Entry::PortOpened { port: port.clone() });
            left = left.saturating_sub(1);
        }
    }
}

/// The sandbox of a process ends, and with it all that listens there.
pub fn closed(step: &mut Step<'_>, pid: Pid) {
    #[cfg(feature = "plant")]
    if crate::plant::is(crate::plant::PORTS_STAY) {
        return;
    }
    let open: Vec<String> =
        step.state().ports.get(&pid).map(|row| row.open.keys().cloned().collect()).unwrap_or_default();
    if open.is_empty() {
        return;
    }
    let (by, actor, cause) = (step.pid, step.actor.clone(), step.cause);
    owner(step, pid);
    open.into_iter().for_each(|address| _ = step.emit(Entry::PortClosed { address }));
    (step.pid, step.actor, step.cause) = (by, actor, cause);
}

/// Whether somebody listens there whom an operator may have reached from the host.
pub fn may_open(state: &State, pid: Pid, port: u16) -> Result<(), Error> {
    if !state.processes.contains_key(&pid) {
        return Err(Error::new(Code::Dead, format!("process {pid} is not alive")).argument("pid"));
    }
    let end = format!(":{port}");
    let mut open = state.ports.get(&pid).into_iter().flat_map(|row| row.open.keys());
    if open.any(|address| address.ends_with(&end)) {
        return Ok(());
    }
    let message = format!("nothing of process {pid} listens at port {port}");
    Err(Error::new(Code::NotFound, message).argument("port").hint("skep ports shows what does"))
}

/// An operator has it reached from the host.
pub fn open(step: &mut Step<'_>, pid: Pid, (port, at): (u16, u16)) {
    let by = core::mem::replace(&mut step.pid, pid);
    step.emit(Entry::Forwarded { port, at });
    step.pid = by;
}

/// No sandbox stands any more.
pub fn all_closed(step: &mut Step<'_>) {
    let pids: Vec<Pid> = step.state().ports.keys().copied().collect();
    pids.into_iter().for_each(|pid| closed(step, pid));
}

/// What an operator's own commands leave running is nobody's but the system's to tell.
fn owner(step: &mut Step<'_>, pid: Pid) {
    match step.state().processes.get(&pid).map(label::principal) {
        Some(actor) => step.act_as(pid, actor),
        None => step.act_as(WORKSPACE, String::from("system:kernel")),
    }
}

fn hour_of(at: Micros) -> u64 {
    at.checked_div(HOUR_US).unwrap_or(0)
}

/// Applies what opened and what closed.
pub fn apply(state: &mut State, record: &Record) {
    let row = state.ports.entry(record.pid).or_default();
    match &record.body {
        Entry::PortOpened { port } => {
            row.open.insert(port.address.clone(), (port.program.clone(), record.at));
            let hour = hour_of(record.at);
            let before = if row.hour.0 == hour { row.hour.1 } else { 0 };
            row.hour = (hour, before.saturating_add(1));
        }
        Entry::PortClosed { address } => {
            row.open.remove(address);
        }
        _ => {}
    }
}
