//! `apply(record)`: one arm per record, each a few plain assignments. No rule is decided here and nothing can
//! be refused: what is in the log has been decided. A record that names something unknown changes nothing.

use crate::{
    Kernel,
    account::UTC_DAY_US,
    channel, home, login, model, port,
    progress::{self, Told},
    role, session, sink,
    state::{
        EffectRow, Ended, Loaded, LoadedModels, ModelRow, Mount, Phase, Process, Progress, Proposal, Queued,
        ROOT_ACCOUNT, Ruled, Run, SHAPE, Stage, State, Stopped, Timer, Turn,
    },
};
use abi::{
    Content, Pid, ProposalId, Seq, WORKSPACE,
    call::{Lane, ProcessKind, Ruling},
    effect::{Item, Role},
    limits,
    money::{Amounts, Nano},
    record::{Entry, Exit, Record, Seen, TimerFor},
    session::LaneName,
    tree::Keep,
};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec,
    vec::Vec,
};

mod books;
mod execs;
mod files;

use books::{account, at_mount, reserve, settle};

/// Changes the state as the record says.
pub fn apply(kernel: &mut Kernel, record: &Record) {
    let state = &mut kernel.state;
    state.seq = record.seq;
    state.at = state.at.max(record.at);
    state.processes.get_mut(&record.pid).into_iter().for_each(|process| process.seq = record.seq);
    match &record.body {
        Entry::Refused { .. }
        | Entry::SecretSet { .. }
        | Entry::OperatorSet { .. }
        | Entry::ClockJumped { .. }
        | Entry::Quarantined { .. }
        | Entry::Stalled { .. }
        | Entry::ExecSaid { .. }
        | Entry::ExecClaimed { .. }
        | Entry::Forwarded { .. }
        | Entry::Purged { .. }
        | Entry::Thinned { .. } => {}
        Entry::Stopped => state.stopped = Some(Stopped { at: record.at, by: record.actor.clone() }),
        Entry::Lifted => state.stopped = None,
        Entry::Endorsed { .. } | Entry::Forked | Entry::RetainSet { .. } => marks(state, &record.body),
        Entry::Genesis { .. }
        | Entry::Woke { .. }
        | Entry::Leased { .. }
        | Entry::PolicyLoaded { .. }
        | Entry::ModelsLoaded { .. }
        | Entry::Priced { .. }
        | Entry::Mounted { .. }
        | Entry::Unmounted { .. } => workspace(state, &record.body),
        Entry::AccountOpened { .. } | Entry::LimitSet { .. } | Entry::Warned { .. } => {
            account(state, &record.body);
        }
        Entry::LabelDefined { .. } | Entry::Granted { .. } | Entry::Revoked { .. } => {
            indexed(kernel, &record.body);
        }
        Entry::Drafted { .. } | Entry::DraftEnded { .. } => files::tree(state, record),
        Entry::Wrote { .. } | Entry::Bound { .. } | Entry::Unbound { .. } | Entry::Placed { .. } => {
            files::tree(state, record);
        }
        Entry::Spawned { .. } => spawned(state, record),
        Entry::Exited { pid, .. } => exited(state, *pid, record),
        Entry::Saw { .. } | Entry::Steered { .. } | Entry::Frozen { .. } | Entry::Thawed { .. } => {
            process(state, record);
        }
        Entry::Queued { .. } | Entry::Dequeued { .. } => lane(state, record),
        Entry::ModelIntended { .. } => intended(state, record),
        Entry::ModelExtended { .. }
        | Entry::ModelAnswered { .. }
        | Entry::ModelFailed { .. }
        | Entry::ModelLost { .. } => model(state, &record.body),
        Entry::FellBack { from, .. } => model::fell_back(state, record.pid, from),
        Entry::Tool { .. } | Entry::ToolWaits { .. } => outcome(kernel, record),
        Entry::Proposed { .. } | Entry::Decided { .. } | Entry::Lapsed { .. } => proposal(state, record),
        Entry::Intended { .. }
        | Entry::Dispatched { .. }
        | Entry::EffectEnded { .. }
        | Entry::InDoubt { .. } => {
            effect(state, record);
        }
        Entry::TimerSet { .. } | Entry::TimerGone { .. } => timer(state, &record.body),
        Entry::ExecBegun { .. }
        | Entry::ExecEnded { .. }
        | Entry::ExecChecked { .. }
        | Entry::ExecPrompted { .. }
        | Entry::Connected { .. } => execs::exec(state, record),
        Entry::PortOpened { .. } | Entry::PortClosed { .. } => port::apply(state, record),
    }
}

fn marks(state: &mut State, body: &Entry) {
    match body {
        Entry::Endorsed { run, bits } => {
            if let Some(run) = state.runs.get_mut(run) {
                run.bits = run.bits.saturating_add(*bits);
            }
        }
        Entry::Forked => state.runs.values_mut().for_each(|run| run.approved.clear()),
        Entry::RetainSet { rule } => {
            state.retain.retain(|old| old.pattern != rule.pattern);
            if rule.keep != Keep::All {
                state.retain.push(rule.clone());
            }
        }
        _ => {}
    }
}

/// A tool call has an outcome, or waits for it.
fn outcome(kernel: &mut Kernel, record: &Record) {
    tool(&mut kernel.state, record);
    if let Entry::Tool { seen, .. } = &record.body {
        knows(kernel, record.pid, seen);
    }
}

/// What a turn has seen is what it writes from; also across a crash.
fn knows(kernel: &mut Kernel, pid: Pid, seen: &[Seen]) {
    #[cfg(feature = "plant")]
    if crate::plant::is(crate::plant::FORGETS_SEEN) {
        return;
    }
    let Some(process) = kernel.state.processes.get_mut(&pid) else { return };
    for Seen { path, version } in seen {
        if let Some(other) = kernel.volatile.seen.get_mut(&pid) {
            other.remove(path);
        }
        match version {
            None => _ = process.seen.remove(path),
            Some(version) => {
                if process.seen.len() >= limits::SEEN_PATHS_MAX && !process.seen.contains_key(path) {
                    process.seen.pop_first();
                }
                process.seen.insert(path.clone(), *version);
            }
        }
    }
}

fn workspace(state: &mut State, body: &Entry) {
    match body {
        Entry::Genesis { id, lacks, .. } => {
            state.id = *id;
            state.shape = SHAPE;
            state.lacks.clone_from(lacks);
            state.next.file = abi::ROOT;
        }
        Entry::Woke { lease } => {
            state.lease = *lease;
            state.lease_used = 0;
        }
        Entry::Leased { lease } => state.lease = *lease,
        Entry::PolicyLoaded { digest, policy } => {
            state.policy = Some(Loaded { digest: *digest, policy: policy.clone() });
        }
        Entry::ModelsLoaded { digest, models } => {
            state.models = Some(LoadedModels { digest: *digest, models: models.clone() });
            state.processes.values_mut().for_each(|process| process.turn.given_up.clear());
        }
        Entry::Priced { model, price } => {
            state.prices.insert(model.clone(), *price);
        }
        Entry::Mounted { mount, driver, argument, manifest } => {
            let (driver, argument) = (driver.clone(), argument.clone());
            let before = state.mounts.get(mount).map(|row| (row.moved, row.moved_day));
            let (moved, moved_day) = before.or_else(|| state.moved.remove(mount)).unwrap_or_default();
            let row = Mount { driver, argument, manifest: manifest.clone(), moved, moved_day };
            state.mounts.insert(mount.clone(), row);
        }
        Entry::Unmounted { mount } => {
            let gone = state.mounts.remove(mount).filter(|row| row.moved != Nano(0));
            if let Some(row) = gone {
                let day = state.at / UTC_DAY_US;
                state.moved.retain(|_, (_, of)| *of == day);
                state.moved.insert(mount.clone(), (row.moved, row.moved_day));
            }
        }
        _ => {}
    }
}

/// What the index follows as well.
fn indexed(kernel: &mut Kernel, body: &Entry) {
    let state = &mut kernel.state;
    match body {
        Entry::LabelDefined { id, label } => {
            state.labels.insert(*id, label.clone());
            state.next.label = state.next.label.max(*id);
            kernel.index.labels.insert(label.clone(), *id);
        }
        Entry::Granted { cap } => {
            state.next.cap = state.next.cap.max(cap.id);
            state.caps.insert(cap.id, cap.clone());
            kernel.index.add(cap);
        }
        Entry::Revoked { caps } => {
            for id in caps {
                if let Some(cap) = state.caps.remove(id) {
                    kernel.index.remove(&cap);
                }
            }
        }
        _ => {}
    }
}

fn process(state: &mut State, record: &Record) {
    match &record.body {
        Entry::Saw { joined, .. } => {
            if let Some(process) = state.processes.get_mut(&record.pid) {
                process.label = *joined;
            } else if let Some(ended) = state.ended.get_mut(&record.pid) {
                ended.label = *joined;
            }
            home::told(state, record.pid, *joined);
            channel::notice(state, record.pid, *joined, record.seq);
        }
        Entry::Steered { pid, item, joined } => {
            if let Some(process) = state.processes.get_mut(pid) {
                process.turn.pending.push(*item);
                process.label = *joined;
            }
            session::joined(state, *pid, item.content);
            home::told(state, *pid, *joined);
            channel::notice(state, *pid, *joined, record.seq);
        }
        Entry::Frozen { pids, why } => {
            for pid in pids {
                if let Some(process) = state.processes.get_mut(pid) {
                    process.frozen = Some(why.clone());
                }
            }
        }
        Entry::Thawed { pids } => {
            for pid in pids {
                if let Some(process) = state.processes.get_mut(pid) {
                    process.frozen = None;
                    process.progress = Progress::default();
                }
            }
        }
        _ => {}
    }
}

fn lane(state: &mut State, record: &Record) {
    match &record.body {
        Entry::Queued { agent, text, origin, label, lane, session } => {
            let from = record.pid;
            let by = role::behind(state, from, &record.actor);
            let queued = Queued { from, text: *text, origin: *origin, label: *label, by };
            let name = LaneName { agent: agent.clone(), session: session.clone() };
            let queue = state.lanes.entry(name).or_default();
            let place = if *lane == Lane::Interrupt { 0 } else { queue.len() };
            queue.insert(place, queued);
        }
        Entry::Dequeued { agent, session } => {
            let name = LaneName { agent: agent.clone(), session: session.clone() };
            if let Some(queue) = state.lanes.get_mut(&name)
                && !queue.is_empty()
            {
                queue.remove(0);
            }
            state.lanes.retain(|_, queue| !queue.is_empty());
        }
        _ => {}
    }
}

fn timer(state: &mut State, body: &Entry) {
    match body {
        Entry::TimerSet { timer, purpose, due } => {
            state.next.timer = state.next.timer.max(*timer);
            state.timers.insert(*timer, Timer { purpose: purpose.clone(), due: *due });
            if let TimerFor::Pause(pid) = purpose {
                pause(state, *pid, (&Phase::Ready, Phase::Paused));
            }
        }
        Entry::TimerGone { timer } => {
            let gone = state.timers.remove(timer).map(|timer| timer.purpose);
            if let Some(TimerFor::Pause(pid)) = gone {
                pause(state, pid, (&Phase::Paused, Phase::Ready));
            }
        }
        _ => {}
    }
}

/// A pause begins and ends with its timer.
fn pause(state: &mut State, pid: Pid, (from, to): (&Phase, Phase)) {
    if let Some(process) = state.processes.get_mut(&pid)
        && process.turn.phase == *from
    {
        process.turn.phase = to;
    }
}

fn first_turn(pending: Vec<Item>) -> Turn {
    let (step, attempt, failures, lost, prev, items, phase) = (0, 0, 0, 0, None, vec![], Phase::Ready);
    Turn { step, attempt, failures, lost, prev, items, pending, phase, given_up: vec![] }
}

/// What a turn's first request holds.
fn context((prompt, standing): (&Content, Option<Content>), history: &[Item], task: &Content) -> Vec<Item> {
    let item = |role, content: &Content| Item { role, content: *content };
    let mut items = vec![item(Role::System, prompt)];
    items.extend(standing.iter().map(|content| item(Role::System, content)));
    items.extend(history);
    items.push(item(Role::User, task));
    items
}

/// A turn that begins so; or none, of a program.
fn of_kind(kind: ProcessKind, first: impl Fn() -> Turn) -> Turn {
    let none = |phase| Turn { phase, ..first_turn(Vec::new()) };
    match kind {
        ProcessKind::Turn => first(),
        ProcessKind::Client => none(Phase::Client),
        ProcessKind::Native => none(Phase::Native),
    }
}

fn spawned(state: &mut State, record: &Record) {
    let Entry::Spawned {
        pid,
        parent,
        run,
        agent,
        account,
        label,
        task,
        prompt,
        model,
        tools,
        post,
        restart,
        restarts,
        lane,
        standing,
        budget,
        ceiling,
        by,
        kind,
        wall_us,
        session: of_session,
        history,
        draft,
        own_login,
        ..
    } = &record.body
    else {
        return;
    };
    state.next.pid = state.next.pid.max(*pid);
    let turn = of_kind(*kind, || first_turn(context((prompt, *standing), history, task)));
    run_begun(state, record);
    let process = Process {
        parent: *parent,
        run: *run,
        agent: agent.clone(),
        account: *account,
        label: *label,
        task: *task,
        model: model.clone(),
        tools: tools.clone(),
        post: post.clone(),
        restart: *restart,
        restarts: *restarts,
        lane: *lane,
        frozen: None,
        started: record.at,
        seq: record.seq,
        turn,
        progress: Progress::default(),
        budget: *budget,
        seen: BTreeMap::new(),
        ceiling: *ceiling,
        by: by.clone(),
        wall_us: *wall_us,
        session: of_session.clone(),
        draft: *draft,
        own_login: *own_login,
        talks: None,
    };
    state.processes.insert(*pid, process);
    home::begun(state, record);
    session::begun(state, record);
    channel::notice(state, *pid, *label, record.seq);
}

/// At the root of a run: what all of it shares.
fn run_begun(state: &mut State, record: &Record) {
    let Entry::Spawned { pid, run, task, own_words, sends, .. } = &record.body else { return };
    if run == pid {
        let (task, own_words, sends) = (*task, *own_words, *sends);
        let approved = BTreeSet::new();
        state.runs.insert(*run, Run { task, own_words, approved, sends, bits: 0, external: None });
    }
}

fn exited(state: &mut State, pid: Pid, record: &Record) {
    let Entry::Exited { exit, verdict, result, .. } = &record.body else { return };
    let Some(process) = state.processes.remove(&pid) else { return };
    state.ports.remove(&pid);
    home::ended(state, (pid, &process.agent), exit);
    login::ended(state, &process, record.at);
    session::ended(state, (pid, &process), record);
    let account = state.accounts.remove(&process.account);
    // What still runs for it is settled at the agent's account, where it is reserved as well.
    let heir = account.as_ref().and_then(|account| account.parent).unwrap_or(ROOT_ACCOUNT);
    let calls = state.model_calls.values_mut().map(|row| &mut row.account);
    for row in calls.chain(state.effects.values_mut().map(|row| &mut row.account)) {
        if *row == process.account {
            *row = heir;
        }
    }
    // Only at the root of the run is the task what the operator said; a child's is what an agent made of it.
    let root = state.runs.get(&process.run).filter(|_| process.run == pid);
    let (own_words, sends) = root.map_or((false, 0), |run| (run.own_words, run.sends));
    let ended = Ended {
        parent: process.parent,
        run: process.run,
        agent: process.agent,
        label: process.label,
        step: process.turn.step,
        used: account.map(|account| account.used).unwrap_or_default(),
        exit: exit.clone(),
        verdict: *verdict,
        result: *result,
        started: process.started,
        at: record.at,
        task: process.task,
        restarts: process.restarts,
        own_words,
        post: process.post,
        task_label: process.label,
        budget: process.budget,
        ceiling: process.ceiling,
        sends,
        by: process.by,
        session: process.session,
        talks: process.talks,
    };
    state.ended.insert(pid, ended);
    // The oldest goes; never this one, whatever its id: who waits for it has yet to be told.
    while state.ended.len() > limits::ENDED_PROCESSES_MAX {
        let others = state.ended.iter().filter(|(other, _)| **other != pid);
        let Some(oldest) = others.min_by_key(|(other, row)| (row.at, **other)).map(|(other, _)| *other)
        else {
            break;
        };
        state.ended.remove(&oldest);
    }
    forget_run(state, process.run);
}

/// A run is kept while a process of it lives or a proposal of it waits.
fn forget_run(state: &mut State, run: Pid) {
    let lives = state.processes.values().any(|process| process.run == run);
    let waits = state.proposals.values().any(|proposal| proposal.run == run);
    if !lives && !waits {
        state.runs.remove(&run);
    }
}

/// A model call begins: the turn's context grows by what is added.
fn intended(state: &mut State, record: &Record) {
    let Entry::ModelIntended {
        effect,
        attempt,
        step,
        model,
        keep,
        add,
        reserved,
        reserved_out,
        max_out,
        asked,
        ..
    } = &record.body
    else {
        return;
    };
    let mut items = add.clone();
    let (mut account, mut run, mut agent) = (ROOT_ACCOUNT, WORKSPACE, record.actor.clone());
    if let Some(process) = state.processes.get_mut(&record.pid) {
        (account, run, agent) = (process.account, process.run, process.agent.clone());
        // What a program asks next begins with what it asked last, as a rule.
        if asked.is_some() {
            process.turn.items.truncate(*keep as usize);
            process.turn.items.extend(add);
            process.turn.prev = Some(*effect);
        }
        if *step > 0 {
            let turn = &mut process.turn;
            turn.items.truncate(*keep as usize);
            turn.items.extend(add);
            turn.pending.clear();
            turn.prev = Some(*effect);
            turn.step = *step;
            turn.attempt = *attempt;
            turn.phase = Phase::Model { effect: *effect };
            items.clone_from(&turn.items);
        }
    }
    let row = ModelRow {
        pid: record.pid,
        step: *step,
        attempt: *attempt,
        model: model.clone(),
        account,
        items,
        reserved: *reserved,
        reserved_out: *reserved_out,
        max_out: *max_out,
        seq: record.seq,
        run,
        agent,
    };
    state.model_calls.insert(*effect, row);
    reserve(state, account, reserved);
}

fn model(state: &mut State, body: &Entry) {
    match body {
        Entry::ModelExtended { effect, reserved, reserved_out } => {
            let Some(row) = state.model_calls.get_mut(effect) else { return };
            row.reserved = row.reserved.plus(reserved);
            row.reserved_out = *reserved_out;
            let account = row.account;
            reserve(state, account, reserved);
        }
        Entry::ModelAnswered { effect, answer, tools, charged, .. } => {
            let Some(row) = state.model_calls.remove(effect) else { return };
            settle(state, row.account, &row.reserved, charged);
            let Some(process) = state.processes.get_mut(&row.pid) else { return };
            if row.step > 0 {
                process.turn.attempt = 0;
                process.turn.lost = 0;
                process.turn.failures = 0;
                process.turn.pending.insert(0, Item { role: Role::Assistant, content: *answer });
                let count = (*tools).min(limits::TOOLS_PER_STEP_MAX);
                process.turn.phase =
                    if count > 0 { Phase::Tools { answer: *answer, count, next: 0 } } else { Phase::Ready };
                process.progress.idle_spend = process.progress.idle_spend.saturating_add(charged.money.0);
            }
        }
        Entry::ModelFailed { effect, charged, .. } => {
            let Some(row) = state.model_calls.remove(effect) else { return };
            settle(state, row.account, &row.reserved, charged);
            // A bare `complete` of the process is none of its turn's.
            if row.step > 0
                && let Some(process) = state.processes.get_mut(&row.pid)
            {
                process.turn.failures = process.turn.failures.saturating_add(1);
                process.turn.phase = Phase::Ready;
            }
        }
        Entry::ModelLost { effect, charged, .. } => {
            let Some(row) = state.model_calls.remove(effect) else { return };
            settle(state, row.account, &row.reserved, charged);
            if row.step > 0
                && let Some(process) = state.processes.get_mut(&row.pid)
            {
                process.turn.lost = process.turn.lost.saturating_add(1);
                process.turn.phase = Phase::Ready;
            }
        }
        _ => {}
    }
}

fn tool(state: &mut State, record: &Record) {
    let Some(process) = state.processes.get_mut(&record.pid) else { return };
    let (answer, count) = match &process.turn.phase {
        Phase::Tools { answer, count, .. } | Phase::Waits { answer, count, .. } => (*answer, *count),
        Phase::Ready | Phase::Model { .. } | Phase::Paused | Phase::Client | Phase::Native => return,
    };
    match &record.body {
        Entry::Tool { index, name, args, outcome, code, fresh, seen, .. } => {
            let told = Told { name, args, outcome, code: *code, seen };
            let before = (&process.turn.phase, record.at);
            progress::count(&mut process.progress, &told, *fresh, before);
            // Results stand right after the answer that asked for them; words that joined since come later.
            let pending = &mut process.turn.pending;
            let place = pending.iter().position(|item| item.role == Role::User).unwrap_or(pending.len());
            pending.insert(place, Item { role: Role::Tool(*index), content: *outcome });
            let next = index.saturating_add(1);
            process.turn.phase =
                if next < count { Phase::Tools { answer, count, next } } else { Phase::Ready };
        }
        Entry::ToolWaits { index, name, args, on, about, .. } => {
            progress::waits(&mut process.progress, record.at);
            process.turn.phase = Phase::Waits {
                answer,
                count,
                index: *index,
                name: name.clone(),
                args: *args,
                on: *on,
                about: about.clone(),
            };
        }
        _ => {}
    }
}

fn proposal(state: &mut State, record: &Record) {
    match &record.body {
        Entry::Proposed {
            proposal,
            effect,
            mount,
            kind,
            args,
            digest,
            label,
            rule,
            about,
            paths,
            steering,
            expires,
            content,
            group,
            step,
        } => {
            state.next.proposal = state.next.proposal.max(*proposal);
            let process = state.processes.get(&record.pid);
            let row = Proposal {
                effect: *effect,
                pid: record.pid,
                run: process.map_or(WORKSPACE, |process| process.run),
                agent: process
                    .map_or_else(|| crate::proposal::asker(&record.actor), |process| process.agent.clone()),
                mount: mount.clone(),
                kind: kind.clone(),
                args: *args,
                digest: *digest,
                label: *label,
                rule: *rule,
                about: about.clone(),
                paths: paths.clone(),
                steering: steering.clone(),
                expires: *expires,
                made: record.seq,
                content: *content,
                group: *group,
                step: *step,
            };
            state.proposals.insert(*proposal, row);
        }
        Entry::Decided { proposal, ruling, steering, .. } => {
            let ruled = match ruling {
                Ruling::Approve => Ruled::Approved,
                Ruling::Reject => Ruled::Rejected,
                Ruling::Answer => Ruled::Answered,
                Ruling::Modify => Ruled::Modified,
            };
            // What is done instead is what was approved.
            if let (Ruling::Modify, Some(row)) = (ruling, state.proposals.get_mut(proposal)) {
                row.steering.clone_from(steering);
            }
            close_proposal(state, *proposal, ruled);
        }
        Entry::Lapsed { proposal } => close_proposal(state, *proposal, Ruled::Expired),
        _ => {}
    }
}

fn close_proposal(state: &mut State, id: ProposalId, ruled: Ruled) {
    let Some(proposal) = state.proposals.remove(&id) else { return };
    if matches!(ruled, Ruled::Approved | Ruled::Modified)
        && let Some(run) = state.runs.get_mut(&proposal.run)
    {
        run.approved.extend(&proposal.steering);
    }
    if proposal.rule == abi::record::Rule::InDoubt {
        state.effects.remove(&proposal.effect);
    }
    state.ruled.insert(id, ruled);
    // Never this one, however old: who waits for it has yet to be told.
    while state.ruled.len() > limits::ENDED_PROCESSES_MAX {
        let Some(oldest) = state.ruled.keys().find(|other| **other != id).copied() else { break };
        state.ruled.remove(&oldest);
    }
    forget_run(state, proposal.run);
}

fn effect(state: &mut State, record: &Record) {
    match &record.body {
        Entry::Intended { effect, mount, kind, args, recovery, proposal, reserved, rule, moves } => {
            let account = state.processes.get(&record.pid).map_or(ROOT_ACCOUNT, |process| process.account);
            let living = state.processes.get(&record.pid).map(|process| &process.agent);
            let agent = living.or_else(|| state.ended.get(&record.pid).map(|ended| &ended.agent));
            let agent = agent.cloned().unwrap_or_default();
            let row = EffectRow {
                pid: record.pid,
                account,
                mount: mount.clone(),
                kind: kind.clone(),
                args: *args,
                recovery: *recovery,
                stage: Stage::Intended,
                reserved: *reserved,
                proposal: *proposal,
                seq: record.seq,
                moves: *moves,
                moves_day: state.at / UTC_DAY_US,
                agent,
                mount_account: state.mount_accounts.get(mount).copied(),
            };
            if proposal.is_none() && sink::counts(*rule) {
                let run = state.processes.get(&record.pid).map(|process| process.run);
                if let Some(run) = run.and_then(|run| state.runs.get_mut(&run)) {
                    run.sends = run.sends.saturating_add(1);
                }
            }
            moved(state, &row, 1);
            at_mount(state, &row, (1, 0));
            state.effects.insert(*effect, row);
            reserve(state, account, reserved);
        }
        Entry::Dispatched { effect } => {
            if let Some(row) = state.effects.get_mut(effect) {
                row.stage = Stage::Dispatched;
            }
        }
        Entry::EffectEnded { effect, done, .. } => {
            let Some(row) = state.effects.remove(effect) else { return };
            if !done {
                moved(state, &row, -1);
            }
            let settled = if *done { 1 } else { 0 };
            at_mount(state, &row, (-1, settled));
            let charged = if *done { row.reserved } else { Amounts::default() };
            settle(state, row.account, &row.reserved, &charged);
        }
        Entry::InDoubt { effect } => {
            let Some(row) = state.effects.get_mut(effect) else { return };
            row.stage = Stage::InDoubt;
            // It may have happened: what was reserved counts as used.
            let (account, reserved, before) = (row.account, row.reserved, row.clone());
            row.reserved = Amounts::default();
            at_mount(state, &before, (-1, 1));
            settle(state, account, &reserved, &reserved);
        }
        _ => {}
    }
}

/// Money moves at a mount, or has not moved after all.
fn moved(state: &mut State, row: &EffectRow, sign: i64) {
    let day = state.at / UTC_DAY_US;
    let Some(mount) = state.mounts.get_mut(&row.mount).filter(|_| row.moves != Nano(0)) else { return };
    // What was counted on an earlier day makes no room on this one.
    if sign < 0 && mount.moved_day != row.moves_day {
        return;
    }
    if sign > 0 && mount.moved_day != day {
        mount.moved_day = day;
        mount.moved = Nano(0);
    }
    mount.moved = Nano(mount.moved.0.saturating_add(row.moves.0.saturating_mul(sign)).max(0));
}

/// The seq a record of this process has as its cause.
pub fn cause_of(state: &State, pid: Pid) -> Option<Seq> {
    state.processes.get(&pid).map(|process| process.seq)
}

/// Whether an exit counts as a failure for restart policy.
pub fn is_failure(exit: &Exit) -> bool {
    match exit {
        Exit::Exited(code) => *code != 0,
        Exit::Killed(_) => false,
        Exit::Faulted(_) => true,
    }
}
