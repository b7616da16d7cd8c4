//! Beginning, and beginning again: genesis, loading from disk, taking up what was under way.

use crate::{bound, effect, exec, files, port, proposal, state::Phase, step::Step, turn};
use abi::{
    EffectId, Pid, TimerId, WORKSPACE,
    cap::{Grant, Object, Rights},
    effect::Effect,
    manifest::Manifest,
    money::Nano,
    path::Pattern,
    record::{Entry, Freeze, TimerFor},
};
use alloc::{string::String, string::ToString, vec, vec::Vec};

/// Format of the log this kernel writes.
pub const FORMAT: u32 = 1;

/// The first event: the workspace's own account, its roots of authority, its first directories.
pub fn genesis(step: &mut Step<'_>, id: [u8; 16], lacks: &[u8]) {
    if step.state().seq.0 > 0 {
        return;
    }
    step.emit(Entry::Genesis { id, format: FORMAT, lacks: lacks.to_vec() });
    step.open_account(None, String::from("workspace"), vec![]);
    let words = || Pattern::word("*");
    let objects = [
        Ok(Object::Fs(Pattern::everything())),
        words().map(Object::Model),
        words().map(Object::Spawn),
        words().and_then(|mount| Ok(Object::Effect { mount, kind: words()? })),
        Ok(Object::Admin(Pattern::everything())),
    ];
    for object in objects.into_iter().flatten() {
        step.give(WORKSPACE, None, Grant::new(object, Rights::ALL));
    }
    files::first_dirs(step);
}

/// The workspace was loaded: every timer runs again, every effect goes through the table of deaths (but for
/// those that did not die with the load), every turn goes on where its last committed step left it.
pub fn woke(step: &mut Step<'_>, lease: Nano, under_way: &[EffectId]) {
    let state = step.state();
    let timers: Vec<(TimerId, u64)> = state.timers.iter().map(|(id, timer)| (*id, timer.due)).collect();
    let died = |effect: &&EffectId| !under_way.contains(effect);
    let calls: Vec<EffectId> = state.model_calls.keys().filter(died).copied().collect();
    let effects: Vec<EffectId> = state.effects.keys().filter(died).copied().collect();
    step.emit(Entry::Woke { lease });
    for (timer, due) in timers {
        let after_us = due.saturating_sub(step.at);
        step.effect(Effect::Timer { timer, after_us });
    }
    for effect in calls {
        turn::lost(step, effect);
    }
    for effect in effects {
        effect::recover(step, effect);
    }
    port::all_closed(step);
    exec::woke(step);
    bound::woke(step);
    // Turns with a lost call have gone on above; of the others, those that stood between two events.
    let stands = |phase: &Phase| matches!(phase, Phase::Ready | Phase::Tools { .. });
    let rows = step.state().processes.iter();
    let pids: Vec<Pid> = rows.filter(|(_, row)| stands(&row.turn.phase)).map(|(pid, _)| *pid).collect();
    for pid in pids {
        turn::proceed(step, pid);
    }
    #[cfg(feature = "plant")]
    rebuy(step);
}

/// The workspace is a copy, and its original may go on: of two that hold the same intent only one may carry
/// it out, and it is not the copy. Everything in it stands still, nothing is mounted, and of every effect
/// under way an operator is asked, also of those that no driver had seen when the copy was made.
pub fn restored(step: &mut Step<'_>) {
    let state = step.state();
    let processes = state.processes.iter();
    let pids: Vec<Pid> = processes.filter(|(_, row)| row.frozen.is_none()).map(|(pid, _)| *pid).collect();
    let mounts: Vec<String> = state.mounts.keys().cloned().collect();
    let effects: Vec<EffectId> = state.effects.keys().copied().collect();
    if !pids.is_empty() {
        step.emit(Entry::Frozen { pids, why: Freeze::Asked });
    }
    for mount in mounts {
        step.emit(Entry::Unmounted { mount });
    }
    bound::restored(step);
    for effect in effects {
        effect::copied(step, effect);
    }
    port::all_closed(step);
    exec::forked(step);
    // What would begin by itself does not: restarts, and the dispatches of a lane.
    let timers = step.state().timers.iter();
    let begins = |purpose: &TimerFor| {
        matches!(purpose, TimerFor::Restart(_) | TimerFor::Lane(_) | TimerFor::Session(_))
    };
    let gone: Vec<_> = timers.filter(|(_, row)| begins(&row.purpose)).map(|(id, _)| *id).collect();
    for timer in gone {
        step.emit(Entry::TimerGone { timer });
    }
    proposal::forked(step);
}

/// A driver was attached (or attached again after a restart, which is no news).
pub fn mounted(step: &mut Step<'_>, (mount, driver, argument): (&str, &str, &str), manifest: &Manifest) {
    let known = step.state().mounts.get(mount);
    if known.is_some_and(|row| row.driver == driver && row.argument == argument && row.manifest == *manifest)
    {
        return;
    }
    step.emit(Entry::Mounted {
        mount: mount.to_string(),
        driver: driver.to_string(),
        argument: argument.to_string(),
        manifest: manifest.clone(),
    });
}

/// Planted: a turn between tools forgets that its model answered.
#[cfg(feature = "plant")]
fn rebuy(step: &mut Step<'_>) {
    if !crate::plant::is(crate::plant::REBUY_ANSWERED) {
        return;
    }
    let rows = step.kernel.state.processes.iter_mut();
    let tools = rows.filter(|(_, row)| matches!(row.turn.phase, Phase::Tools { .. }));
    let pids: Vec<Pid> = tools
        .map(|(pid, row)| {
            row.turn.phase = Phase::Ready;
            *pid
        })
        .collect();
    for pid in pids {
        turn::proceed(step, pid);
    }
}
