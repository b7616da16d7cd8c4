//! Commands: programs that run over a view of the tree. What one makes is one operation, or none of it
//! happened.
//!
//! ```text
//! exec ─▶ ExecBegun ─▶ Effect::Exec … Body::ExecEnded ─▶ (Wrote) ExecEnded
//! ```
//! A command dies with the daemon and leaves nothing, so that a turn's is begun again after a restart. What
//! runs in a process's sandbox stands still, goes on and ends with it.

use crate::{
    Kernel,
    authority::Want,
    bound,
    commit::{self, Made},
    draft, guarded, label, net, port, process,
    state::{Client, ExecRow, Phase, Speech},
    step::{Found, Outcome, Step},
    stop, turn,
};
use abi::{
    Code, Content, Error, ExecId, LabelId, Micros, Pid, ReplyTo, WORKSPACE,
    agent::{Guest, Home, Probe, Program, Protocol, Restart, Verdict},
    answer::Answer,
    call::{Call, Origin, Stdio, Wall},
    cap::{Cap, Grant, Object, Rights},
    effect::{Command, Effect, SandboxAct},
    event::Ran,
    fact::{Facts, Lookup},
    label::Integrity,
    limits,
    path::{Pattern, TreePath},
    record::{Entry, Exit, Finish, WaitOn},
    tree::{Node, Version},
    view::{Commit, Kind, Plan, Quota, Told},
};
use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    format,
    string::String,
    vec,
    vec::Vec,
};

/// Places that are looked at for where a command begins.
const PLACES_MAX: usize = 8;

/// Questions of `exec`.
pub fn plan(kernel: &Kernel, pid: Pid, call: &Call, at: Micros) -> Result<Vec<Lookup>, Error> {
    let Call::Exec { pid: of, dir, wall, stdio, .. } = call else { return Err(Facts::mismatch()) };
    if *stdio != Stdio::Null && pid != WORKSPACE {
        return Err(Error::new(Code::Denied, "only an operator types into a program").argument("stdio"));
    }
    if !kernel.has_policy() {
        return Err(Error::new(Code::Denied, "no policy is loaded, so nothing starts")
            .hint("skep doctor says what is wrong with /sys/policy.yaml"));
    }
    stop::admits(kernel)?;
    let of = of.unwrap_or(pid);
    if of != pid {
        if pid != WORKSPACE && !kernel.state.is_above(pid, of) {
            let message = format!("process {of} is not below process {pid}");
            return Err(Error::new(Code::Denied, message).argument("pid"));
        }
        match kernel.state.processes.get(&of) {
            None => return Err(Error::new(Code::Dead, format!("process {of} is not alive")).argument("pid")),
            Some(process) if process.frozen.is_some() => {
                return Err(Error::new(Code::Busy, format!("process {of} is frozen"))
                    .argument("pid")
                    .hint(format!("skep thaw {of}")));
            }
            Some(_) => {}
        }
    }
    let lookups = match dir {
        Some(dir) if *wall == Wall::Native => {
            kernel.allow(of, Want::Path(dir), Rights::EXEC, at).map(|()| vec![])?
        }
        Some(_) => vec![],
        None => places(kernel, of, at).into_iter().map(|path| Lookup::Path { path, at: None }).collect(),
    };
    let rows = kernel.state.execs.values();
    if rows.clone().count() >= limits::EXECS_MAX {
        return Err(Error::new(Code::Busy, format!("{} commands run already", limits::EXECS_MAX)));
    }
    if rows.filter(|row| row.of == of).count() >= limits::EXECS_PROCESS_MAX {
        let message = format!("{} commands run in the sandbox of {of} already", limits::EXECS_PROCESS_MAX);
        return Err(Error::new(Code::Busy, message).hint("wait for one of them to end"));
    }
    Ok(lookups)
}

/// Where a command may begin of which nothing is said: where its process's program began, its agent's own
/// place, then where it may run programs, the oldest capability first. The operator's begin at the root.
fn places(kernel: &Kernel, of: Pid, at: Micros) -> Vec<TreePath> {
    let Some(process) = kernel.state.processes.get(&of) else { return vec![] };
    let own = TreePath::parse(&format!("/home/{}", process.agent)).ok();
    let top = |cap: &Cap| match &cap.grant.object {
        Object::Fs(pattern) if cap.grant.rights.contains(Rights::EXEC) => {
            let names: Vec<&str> = pattern.literal_prefix().collect();
            TreePath::parse(&format!("/{}", names.join("/"))).ok()
        }
        _ => None,
    };
    let mut places: Vec<TreePath> = Vec::new();
    let main = kernel.state.execs.values().find(|row| row.main && row.of == of).map(|row| row.dir.clone());
    for place in main.into_iter().chain(own).chain(kernel.caps_of(of).filter_map(top)) {
        let may = kernel.allow(of, Want::Path(&place), Rights::EXEC, at).is_ok();
        if may && places.len() < PLACES_MAX && !places.contains(&place) {
            places.push(place);
        }
    }
    places
}

/// The first of them that stands, and that its programs see; else the root, where no program may be run.
fn begins(step: &Step<'_>, of: Pid, facts: &mut Found) -> Result<TreePath, Error> {
    let mut first = None;
    for place in places(step.kernel, of, step.at) {
        let head = facts.place()?.head;
        let is_dir = |head: &Version| head.node == Node::Dir && !step.kernel.hides(of, head.label);
        if head.as_ref().is_some_and(is_dir) || bound::of(step.state(), &place).is_some() {
            first = first.or(Some(place));
        }
    }
    Ok(first.unwrap_or_else(TreePath::root))
}

/// The call `exec`.
pub fn exec(step: &mut Step<'_>, pid: Pid, call: &Call, facts: &mut Found) -> Outcome {
    let Call::Exec { pid: of, text, dir, wall, timeout_us, stdio } = call else {
        return Outcome::Now(Err(Facts::mismatch()));
    };
    let of = of.unwrap_or(pid);
    if let Err(error) = handed(step, (pid, of), text.origin) {
        return Outcome::Now(Err(error));
    }
    let dir = match dir {
        Some(dir) => Ok(dir.clone()),
        None => begins(step, of, facts),
    };
    let dir = match dir {
        Ok(dir) => dir,
        Err(error) => return Outcome::Now(Err(error)),
    };
    let may = step.kernel.allow(of, Want::Path(&dir), Rights::EXEC, step.at);
    let wall = match (*wall, may) {
        (Wall::Native, Err(error)) => return Outcome::Now(Err(error)),
        (Wall::Auto, Err(_)) => Wall::Shell,
        (wall, _) => wall,
    };
    let exec = step.state().next.exec.next();
    step.emit(Entry::ExecBegun {
        exec,
        of,
        text: text.content,
        dir,
        wall,
        timeout_us: *timeout_us,
        again: 0,
        main: false,
    });
    begin(step, exec, (None, Guest { stdio: *stdio, ..Guest::default() }, None));
    Outcome::Later(WaitOn::Exec(exec))
}

/// The words of a command count for the sandbox that it runs in: what one process has read does not come from
/// another by being run there, and what an operator passed on does not become theirs.
fn handed(step: &mut Step<'_>, (by, of): (Pid, Pid), origin: Origin) -> Result<(), Error> {
    let label = step.label_for(by, origin);
    if (by == of && by != WORKSPACE) || label.integrity >= Integrity::Operator {
        return Ok(());
    }
    if step.kernel.hides_label(of, &label) {
        let (is, ceiling) = (label.integrity.word(), step.kernel.ceiling(of).word());
        let message = format!("the text is {is}, below the ceiling of process {of}, {ceiling}");
        return Err(Error::new(Code::Denied, message).argument("text"));
    }
    if by != WORKSPACE && step.kernel.hides(by, label_of(step, of)) {
        return Err(unheard(step, by, of).argument("pid"));
    }
    let id = step.intern(&label);
    if of == WORKSPACE {
        step.kernel.volatile.opened.insert(id);
        return Ok(());
    }
    step.saw(of, &TreePath::parse(&format!("/proc/{by}/exec"))?, None, id);
    Ok(())
}

/// What a process has seen, also when it has ended.
fn label_of(step: &Step<'_>, pid: Pid) -> LabelId {
    let living = step.state().processes.get(&pid).map(|process| process.label);
    living.or_else(|| step.state().ended.get(&pid).map(|ended| ended.label)).unwrap_or_default()
}

fn unheard(step: &Step<'_>, by: Pid, of: Pid) -> Error {
    let ceiling = step.kernel.ceiling(by).word();
    let message = format!("process {of} has seen what lies below the ceiling of process {by}, {ceiling}");
    Error::new(Code::Denied, message)
}

/// What a command said is told to who had it run: in the sandbox of another they have seen what that has.
fn heard(step: &mut Step<'_>, (by, of): (Pid, Pid), answer: &Result<Answer, Error>) -> Result<Answer, Error> {
    if by == of || by == WORKSPACE {
        return answer.clone();
    }
    let label = label_of(step, of);
    if step.kernel.hides(by, label) {
        return Err(unheard(step, by, of));
    }
    step.saw(by, &TreePath::parse(&format!("/proc/{of}/exec"))?, None, label);
    answer.clone()
}

/// The program that a process is, and what it calls the session that it goes on with.
pub fn main(step: &mut Step<'_>, pid: Pid, (program, session): (&Program, Option<Content>)) {
    step.act_as_process(pid);
    let may = step.kernel.allow(pid, Want::Path(&program.dir), Rights::EXEC, step.at);
    if let Err(error) = may {
        let why = format!("its program may not be run: {}", error.message);
        return process::exit(step, pid, (Exit::Faulted(why), Verdict::Failed), None);
    }
    let exec = step.state().next.exec.next();
    let text = step.blob(program.command.clone().into_bytes());
    let (dir, wall, timeout_us) = (program.dir.clone(), Wall::Native, u64::MAX);
    step.emit(Entry::ExecBegun { exec, of: pid, text, dir, wall, timeout_us, again: 0, main: true });
    if program.guest.protocol != Protocol::None {
        step.kernel.volatile.spoken.insert(pid, Speech::Goes);
    }
    begin(step, exec, (program.probe.clone(), program.guest.clone(), session));
}

/// Has the machine run it, over the tree as it is now.
fn begin(
    step: &mut Step<'_>,
    exec: ExecId,
    (probe, guest, session): (Option<Probe>, Guest, Option<Content>),
) {
    let Some(row) = step.state().execs.get(&exec).cloned() else { return };
    let process = step.state().processes.get(&row.of);
    let agent = process.map_or_else(|| String::from("operator"), |process| process.agent.clone());
    let kind = match row.main {
        true if of_draft(step.kernel, &row) => Kind::Draft,
        true => Kind::Live,
        false => Kind::Command,
    };
    let speaks = row.main && guest.protocol != Protocol::None;
    let task = process.filter(|_| speaks).map(|process| process.task.hash);
    // What it knows of a session lies in its HOME.
    let session = session.filter(|_| speaks && guest.home == Home::Kept).map(|session| session.hash);
    let plan = shown(step, row.of, kind);
    step.kernel.volatile.boxed.insert(row.of);
    let ExecRow { of: pid, text, dir, wall, timeout_us, .. } = row;
    let (text, reply) = (text.hash, None);
    let command =
        Command { exec, pid, agent, text, dir, wall, plan, timeout_us, probe, guest, task, session, reply };
    step.effect(Effect::Exec(Box::new(command)));
}

/// The client that hears of its command's output as it comes. What comes of another's sandbox is heard when
/// it has been seen, which is at the end.
pub fn heard_by(step: &mut Step<'_>, (by, exec): (Pid, ExecId), reply: ReplyTo) {
    let of = step.state().execs.get(&exec).map(|row| row.of);
    if by != WORKSPACE && of != Some(by) {
        return;
    }
    for out in &mut step.out.effects {
        if let Effect::Exec(command) = out
            && command.exec == exec
        {
            command.reply = Some(reply);
        }
    }
}

/// The client that began a program with its own words looks at it from its first word on.
pub fn main_heard_by(step: &mut Step<'_>, reply: ReplyTo) {
    for out in &mut step.out.effects {
        if let Effect::Exec(command) = out
            && command.plan.kind != Kind::Command
        {
            command.reply = Some(reply);
        }
    }
}

/// What a process sees and may change now: its capabilities, without what policy denies or asks for. What is
/// asked for cannot be held while a program writes, so it is read-only to programs.
pub fn compile(kernel: &Kernel, pid: Pid, kind: Kind, at: Micros) -> Plan {
    let seq = kernel.state.seq;
    let quota = Quota { bytes: limits::VIEW_BYTES_MAX, files: limits::VIEW_FILES_MAX };
    let bound = bound::rows(&kernel.state, pid);
    let (rights, denied) = if pid == WORKSPACE {
        (vec![(Pattern::everything(), Rights::ALL)], vec![])
    } else {
        let fs = |grant: &Grant| match &grant.object {
            Object::Fs(pattern) => Some((pattern.clone(), grant.rights)),
            _ => None,
        };
        let held = |cap: &Cap| fs(&cap.grant).filter(|_| cap.grant.expires.is_none_or(|end| at < end));
        let agent = kernel.state.processes.get(&pid).map_or("", |process| process.agent.as_str());
        let denied = kernel.policy_rows(agent).flat_map(|row| &row.deny).filter_map(fs);
        let asked = kernel.policy_rows(agent).flat_map(|row| &row.ask).filter_map(fs);
        let asked = asked.map(|(pattern, rights)| (pattern, rights.meet(Rights::WRITING)));
        (kernel.caps_of(pid).filter_map(held).collect(), denied.chain(asked).collect())
    };
    let hidden = kernel.below(pid);
    let (generation, waits) = (kernel.volatile.generation, BTreeSet::new());
    Plan { kind, seq, generation, rights, denied, hidden, quota, bound, waits }
}

/// The same, of a process whose sandbox stands: what it sees on the strength of a capability it sees until
/// that ends.
fn shown(step: &mut Step<'_>, pid: Pid, kind: Kind) -> Plan {
    let plan = compile(step.kernel, pid, kind, step.at);
    let ends: Vec<Micros> = ends(step.kernel, pid).filter(|end| *end > step.at).collect();
    for end in ends {
        if step.kernel.volatile.ends.insert((end, pid)) {
            step.sandbox_timer(end.saturating_sub(step.at));
        }
    }
    plan
}

/// When capabilities of files end that a process holds.
fn ends(kernel: &Kernel, pid: Pid) -> impl Iterator<Item = Micros> {
    let held = kernel.caps_of(pid).filter(move |_| pid != WORKSPACE);
    held.filter(|cap| matches!(cap.grant.object, Object::Fs(_))).filter_map(|cap| cap.grant.expires)
}

/// What a process has open to others it has until a capability ends.
pub fn speaks(step: &mut Step<'_>, pid: Pid) {
    let held = step.kernel.caps_of(pid).filter(|cap| net::is_way(&cap.grant.object));
    let ends: Vec<Micros> = held.filter_map(|cap| cap.grant.expires).filter(|end| *end > step.at).collect();
    for end in ends {
        if step.kernel.volatile.ends.insert((end, pid)) {
            step.sandbox_timer(end.saturating_sub(step.at));
        }
    }
}

/// Time has gone on: what runs on the strength of a capability that has ended, ends.
pub fn expired(step: &mut Step<'_>) {
    let over = |(end, _): &&(Micros, Pid)| *end <= step.at;
    let due: Vec<(Micros, Pid)> = step.kernel.volatile.ends.iter().take_while(over).copied().collect();
    let (mut pids, mut ways) = (BTreeSet::new(), BTreeSet::new());
    for (end, pid) in due {
        step.kernel.volatile.ends.remove(&(end, pid));
        // It may have been taken back long ago, and what ran on it has ended then.
        if ends(step.kernel, pid).any(|held| held == end) {
            pids.insert(pid);
        }
        let way = |cap: &Cap| cap.grant.expires == Some(end) && net::is_way(&cap.grant.object);
        if step.kernel.caps_of(pid).any(way) {
            ways.insert(pid);
        }
    }
    cut(step, &ways);
    if !pids.is_empty() {
        lost(step, &pids, "a capability that it ran on has expired");
        step.begin_anew();
    }
}

/// Questions of a command's end.
pub fn plan_ended(kernel: &Kernel, exec: ExecId, made: Option<&Commit>) -> Vec<Lookup> {
    match (kernel.state.execs.get(&exec), made) {
        (Some(row), Some(made)) if lives(kernel, row.of) && !of_draft(kernel, row) => {
            commit::plan(kernel, row.of, made)
        }
        _ => vec![],
    }
}

/// Whether what a program writes is a draft.
fn of_draft(kernel: &Kernel, row: &ExecRow) -> bool {
    row.main && kernel.state.processes.get(&row.of).is_some_and(|process| process.draft)
}

fn lives(kernel: &Kernel, pid: Pid) -> bool {
    pid == WORKSPACE || kernel.state.processes.contains_key(&pid)
}

/// A command ended.
pub fn ended(step: &mut Step<'_>, exec: ExecId, ran: &Ran, (made, keep): (&Commit, bool), facts: Facts) {
    let Some(row) = step.state().execs.get(&exec).cloned() else { return };
    step.act_as(row.of, row.actor.clone());
    step.cause = Some(row.seq);
    let kept = match (keep, facts) {
        (false, _) => {
            // What it was told may stand in its output, and in files that are no part of the tree.
            commit::saw(step, (row.of, false), &made.told);
            None
        }
        (true, Facts::Found(_)) if of_draft(step.kernel, &row) => {
            Some(draft::save(step, row.of, made).map(|()| Made::default()))
        }
        (true, Facts::Found(facts)) if lives(step.kernel, row.of) => {
            // What another ran in its sandbox it does not know: its next write is still made of what it saw.
            let process = step.state().processes.get(&row.of);
            let own = process.is_some_and(|process| label::principal(process) == row.actor);
            step.turn = waits(step, exec).filter(|by| *by == row.of);
            let kept = commit::decide(step, (row.of, own), made, &mut Found::of(facts));
            step.turn = None;
            Some(kept)
        }
        (_, Facts::Refused(error)) => Some(Err(error)),
        _ => None,
    };
    if !step.wants.is_empty() {
        return;
    }
    let mut ran = ran.clone();
    let (kept, made) = match kept {
        Some(Ok(made)) => {
            if row.main && !of_draft(step.kernel, &row) {
                guarded::settle(step, row.of, &made.waiting);
            }
            (true, made)
        }
        Some(Err(error)) => {
            if error.code == Code::Denied {
                let about = format!("command {exec}");
                step.emit(Entry::Refused { call: String::from("exec"), code: error.code, about });
            }
            let hint = if error.hint.is_empty() { String::new() } else { format!(" ({})", error.hint) };
            ran.how = Finish::Stopped(format!("nothing of it was kept: {}{hint}", error.message));
            (false, Made::default())
        }
        None => (false, Made::default()),
    };
    finish(step, exec, ran, (kept, made));
}

/// A program that is a process goes on, and has written so much.
pub fn wrote(step: &mut Step<'_>, exec: ExecId, (said, made): (&str, &Commit), facts: Facts) {
    let Some(row) = step.state().execs.get(&exec).cloned() else { return };
    step.act_as(row.of, row.actor.clone());
    step.cause = Some(row.seq);
    let is_draft = of_draft(step.kernel, &row);
    let decided = match facts {
        Facts::Found(_) if is_draft => draft::save(step, row.of, made).map(|()| Made::default()),
        Facts::Found(facts) => commit::decide(step, (row.of, true), made, &mut Found::of(facts)),
        Facts::Refused(error) => Err(error),
    };
    if !step.wants.is_empty() {
        return;
    }
    if !said.is_empty() {
        let output = step.blob(said.as_bytes().to_vec());
        step.emit(Entry::ExecSaid { exec, output });
    }
    let waiting = match decided {
        Ok(made) => made.waiting,
        Err(error) => {
            step.emit(Entry::Refused {
                call: String::from("exec"),
                code: error.code,
                about: format!("command {exec}"),
            });
            let why = format!("what it wrote was refused: {}", error.message);
            return process::exit(step, row.of, (Exit::Faulted(why), Verdict::Failed), None);
        }
    };
    // What it may see has changed with the tree: labels below its ceiling may be new. A draft shows the tree
    // that it began with.
    let plan = (!is_draft).then(|| {
        guarded::settle(step, row.of, &waiting);
        Box::new(Plan { waits: waiting.paths, ..shown(step, row.of, Kind::Live) })
    });
    step.effect(Effect::ExecDecided { exec, pid: row.of, kept: true, plan });
}

/// Programs in a sandbox have been told this.
pub fn told(step: &mut Step<'_>, pid: Pid, told: &Told) {
    if lives(step.kernel, pid) {
        step.act_as_process(pid);
        commit::saw(step, (pid, false), told);
    }
}

/// A service was tried. One that does not work is begun again, if its agent says so, whatever it says itself.
pub fn checked(step: &mut Step<'_>, exec: ExecId, why: Option<&str>) {
    let Some(row) = step.state().execs.get(&exec).cloned() else { return };
    let Some(process) = step.state().processes.get(&row.of).cloned().filter(|_| row.main) else { return };
    if row.works == Some(why.is_none()) {
        return;
    }
    step.act_as(row.of, row.actor);
    step.cause = Some(row.seq);
    let blob = why.map(|why| step.blob(why.as_bytes().to_vec()));
    step.emit(Entry::ExecChecked { exec, why: blob });
    let Some(why) = why else { return };
    step.alarm(format!("process {} ({}) does not work: {why}", row.of, process.agent));
    if process.restart != Restart::No {
        let fault = Exit::Faulted(format!("it does not work: {why}"));
        process::exit(step, row.of, (fault, Verdict::Failed), None);
    }
}

/// The record of a command's end; whoever waits for it is told.
fn finish(step: &mut Step<'_>, exec: ExecId, ran: Ran, (kept, made): (bool, Made)) {
    let Ran { how, wall, output, whole, bytes, used } = ran;
    let said = step.blob(output.clone().into_bytes());
    let row = step.state().execs.get(&exec).cloned();
    if let Some(ExecRow { of: pid, .. }) = row {
        step.effect(Effect::ExecDecided { exec, pid, kept, plan: None });
    }
    step.emit(Entry::ExecEnded { exec, how: how.clone(), wall, kept, output: said, whole, used });
    let status = status(&how);
    let answer = Answer::Ran {
        exec,
        status,
        how: words(&how),
        wall,
        output,
        bytes,
        whole: whole.map(|whole| whole.hash),
        kept,
        operation: made.operation,
        changed: made.changed,
        more: made.more,
        conflicts: made.clashes,
        waits: made.waiting.proposals,
        used,
    };
    let answer = match how.clone() {
        Finish::Refused { message, hint } => Err(Error::new(Code::Unavailable, message).hint(hint)),
        _ => Ok(answer),
    };
    let of = row.as_ref().map_or(WORKSPACE, |row| row.of);
    let asked = |(reply, client): (&ReplyTo, &Client)| match client {
        Client::Exec { by, exec: on } if *on == exec => Some((*reply, *by)),
        _ => None,
    };
    let told: Vec<(ReplyTo, Pid)> = step.kernel.volatile.clients.iter().filter_map(asked).collect();
    for (reply, by) in told {
        step.forget_client(reply);
        let answer = heard(step, (by, of), &answer);
        step.reply(reply, answer);
    }
    if let Some(by) = waits(step, exec) {
        let answer = heard(step, (by, of), &answer);
        turn::resolve(step, WaitOn::Exec(exec), &answer);
    }
    if let Some(row) = row.filter(|row| row.main && !step.ending.contains(&row.of)) {
        over(step, row.of, (how, said));
    }
}

/// A program that was a process has ended, and the process with it. Of one that speaks a protocol the last
/// words are what it said.
fn over(step: &mut Step<'_>, pid: Pid, (how, said): (Finish, Content)) {
    let said = Some(said).filter(|_| step.kernel.volatile.spoken.contains_key(&pid));
    let exit = match how {
        Finish::Exited(status) => Exit::Exited(status),
        Finish::Signal(signal) => Exit::Faulted(format!("it was ended by signal {signal}")),
        Finish::Over(what) => Exit::Faulted(format!("it used more {what} than it may")),
        Finish::TimedOut => Exit::Killed(String::from("time")),
        Finish::Stopped(why) => Exit::Killed(why),
        Finish::Refused { message, .. } => Exit::Faulted(message),
    };
    let verdict = if exit == Exit::Exited(0) { Verdict::Unverified } else { Verdict::Failed };
    process::exit(step, pid, (exit, verdict), said);
}

/// Its status, as a shell has it.
fn status(how: &Finish) -> i32 {
    match how {
        Finish::Exited(status) => *status,
        Finish::Signal(signal) => 128 + signal,
        Finish::TimedOut => 124,
        Finish::Over(_) | Finish::Stopped(_) => 137,
        Finish::Refused { .. } => 126,
    }
}

fn words(how: &Finish) -> String {
    match how {
        Finish::Exited(0) => String::from("done"),
        Finish::Exited(status) => format!("exited with status {status}"),
        Finish::Signal(signal) => format!("ended by signal {signal}"),
        Finish::TimedOut => String::from("it took too long and was ended; nothing of it was kept"),
        Finish::Over(what) => {
            format!("it used more {what} than it may and was ended; nothing of it was kept")
        }
        Finish::Stopped(why) => why.clone(),
        Finish::Refused { message, .. } => message.clone(),
    }
}

/// The process whose turn waits for this command.
fn waits(step: &Step<'_>, exec: ExecId) -> Option<Pid> {
    let on_it = |phase: &Phase| matches!(phase, Phase::Waits { on: WaitOn::Exec(of), .. } if *of == exec);
    step.state().processes.iter().find(|(_, row)| on_it(&row.turn.phase)).map(|(pid, _)| *pid)
}

/// Ends what runs in a process's sandbox: nothing of it is kept.
pub fn abandon(step: &mut Step<'_>, pid: Pid, why: &str) {
    let rows = step.state().execs.iter().filter(|(_, row)| row.of == pid);
    let execs: Vec<ExecId> = rows.map(|(exec, _)| *exec).collect();
    for exec in execs {
        step.effect(Effect::EndExec { exec });
        stopped(step, exec, why);
    }
}

fn stopped(step: &mut Step<'_>, exec: ExecId, why: &str) {
    // With the program that a process is, all else in its sandbox has ended before it is reached here.
    let Some(row) = step.state().execs.get(&exec) else { return };
    let wall = row.wall;
    // What a program wrote before is kept already.
    let lost = if row.main { "" } else { "; nothing of it was kept" };
    let how = Finish::Stopped(format!("{why}{lost}"));
    let (output, whole, bytes) = (String::new(), None, 0);
    let ran = Ran { how, wall, output, whole, bytes, used: Default::default() };
    finish(step, exec, ran, (false, Made::default()));
}

/// Nobody waits for the answer any more: a client's command ends with it.
pub fn left(step: &mut Step<'_>, reply: ReplyTo) {
    let Some(Client::Exec { exec, .. }) = step.kernel.volatile.clients.get(&reply).cloned() else { return };
    let Some(row) = step.state().execs.get(&exec).cloned() else { return };
    step.forget_client(reply);
    step.act_as(row.of, row.actor);
    step.cause = Some(row.seq);
    step.effect(Effect::EndExec { exec });
    stopped(step, exec, "who asked for it has gone");
}

/// The workspace was loaded: commands died with the load. A turn's is begun again, since nothing of it is
/// left, unless it had sent something to others; those of clients, and of what stands still, are over.
pub fn woke(step: &mut Step<'_>) {
    let execs: Vec<ExecId> = step.state().execs.keys().copied().collect();
    for exec in execs {
        let Some(row) = step.state().execs.get(&exec).cloned() else { continue };
        step.act_as(row.of, row.actor.clone());
        step.cause = Some(row.seq);
        let process = waits(step, exec).and_then(|pid| step.state().processes.get(&pid));
        let moves = process.is_some_and(|process| process.frozen.is_none());
        if row.main {
            died(step, exec, row.of);
            continue;
        }
        if let Some(host) = &row.sent {
            let why = format!("the daemon stopped while it ran, after it had sent something to {host}");
            step.alarm(format!("command {exec} is in doubt: {why}; it is not begun again by itself"));
            stopped(step, exec, &format!("{why}: it is in doubt whether that was acted upon"));
            continue;
        }
        if moves && step.state().stopped.is_none() && row.again < limits::EXEC_ATTEMPTS_MAX {
            let ExecRow { of, text, dir, wall, timeout_us, again, .. } = row;
            let again = again + 1;
            step.emit(Entry::ExecBegun { exec, of, text, dir, wall, timeout_us, again, main: false });
            begin(step, exec, (None, Guest::default(), None));
        } else {
            stopped(step, exec, "the daemon stopped while it ran");
        }
    }
}

/// A program that is a process died with the daemon: the process too. It is begun again if its agent says so.
fn died(step: &mut Step<'_>, exec: ExecId, pid: Pid) {
    let process = step.state().processes.get(&pid).cloned();
    stopped(step, exec, "the daemon stopped");
    if let Some(process) = process.filter(|_| step.state().stopped.is_none()) {
        process::restart_later(step, pid, &process, true);
    }
}

/// This is a copy: what ran in the original does not run here.
pub fn forked(step: &mut Step<'_>) {
    let execs: Vec<ExecId> = step.state().execs.keys().copied().collect();
    execs.into_iter().for_each(|exec| stopped(step, exec, "it ran where this was copied from"));
}

/// A sandbox stands still, goes on and ends with its process.
pub fn follow(step: &mut Step<'_>, body: &Entry) {
    let (pids, act): (Vec<Pid>, SandboxAct) = match body {
        Entry::Frozen { pids, .. } => (pids.clone(), SandboxAct::Freeze),
        Entry::Thawed { pids } => (pids.clone(), SandboxAct::Thaw),
        Entry::Exited { pid, .. } => (vec![*pid], SandboxAct::End),
        Entry::Stopped => (step.kernel.volatile.boxed.iter().copied().collect(), SandboxAct::Freeze),
        Entry::Lifted => {
            let frozen =
                |pid: &Pid| step.state().processes.get(pid).is_some_and(|process| process.frozen.is_some());
            let boxed = step.kernel.volatile.boxed.iter().copied();
            (boxed.filter(|pid| !frozen(pid)).collect(), SandboxAct::Thaw)
        }
        _ => return,
    };
    if act == SandboxAct::Thaw && !matches!(body, Entry::Lifted) && step.state().stopped.is_some() {
        return;
    }
    for pid in pids {
        if step.kernel.volatile.boxed.contains(&pid) {
            step.effect(Effect::Sandbox { pid, act });
        }
        if act == SandboxAct::End {
            step.kernel.volatile.spoken.remove(&pid);
            step.kernel.volatile.boxed.remove(&pid);
            step.kernel.volatile.closed.retain(|(of, _), _| *of != pid);
        }
    }
}

/// Capabilities were taken back: what runs on the strength of one ends, what is open to others is cut.
pub fn revoked(step: &mut Step<'_>, caps: &[Cap]) {
    let ways = caps.iter().filter(|cap| net::is_way(&cap.grant.object)).map(|cap| cap.holder).collect();
    cut(step, &ways);
    let held = caps.iter().filter(|cap| matches!(cap.grant.object, Object::Fs(_)));
    lost(step, &held.map(|cap| cap.holder).collect(), "a capability that it ran on was taken back");
}

/// What policy keeps from each process that has a sandbox: of files, and of speaking to others.
type Withheld = BTreeMap<Pid, (Vec<(Pattern, Rights)>, Vec<Grant>)>;

/// The same, as it is now.
pub fn withheld(kernel: &Kernel, at: Micros) -> Withheld {
    let of = |pid: Pid| {
        let agent = kernel.state.processes.get(&pid).map_or("", |process| process.agent.as_str());
        let kept = kernel.policy_rows(agent).flat_map(|row| row.deny.iter().chain(&row.ask));
        let kept = kept.filter(|grant| net::is_way(&grant.object)).cloned().collect();
        (compile(kernel, pid, Kind::Command, at).denied, kept)
    };
    kernel.volatile.boxed.iter().map(|pid| (*pid, of(*pid))).collect()
}

/// Policy was loaded: what runs where it now keeps more back than it did ends, and what is open where it
/// keeps more back is cut.
pub fn tightened(step: &mut Step<'_>, before: &Withheld) {
    let now = withheld(step.kernel, step.at);
    let (mut files, mut ways) = (BTreeSet::new(), BTreeSet::new());
    for (pid, (rows, kept)) in &now {
        let Some((old, had)) = before.get(pid) else { continue };
        if rows.iter().any(|row| !old.contains(row)) {
            files.insert(*pid);
        }
        if kept.iter().any(|row| !had.contains(row)) {
            ways.insert(*pid);
        }
    }
    cut(step, &ways);
    lost(step, &files, "policy keeps back what it ran on");
}

/// These may speak to fewer than they did: all that they have open is cut, and decided anew when they try.
fn cut(step: &mut Step<'_>, pids: &BTreeSet<Pid>) {
    for pid in pids.iter().copied() {
        if step.kernel.volatile.boxed.contains(&pid) {
            step.effect(Effect::Sandbox { pid, act: SandboxAct::Cut });
        }
    }
}

/// These have lost something that they may hold open: their commands end, and the sandboxes with them.
fn lost(step: &mut Step<'_>, pids: &BTreeSet<Pid>, why: &str) {
    step.kernel.volatile.generation += 1;
    let (actor, by) = (step.actor.clone(), step.pid);
    for pid in pids.iter().copied() {
        if step.kernel.volatile.boxed.remove(&pid) {
            abandon(step, pid, why);
            port::closed(step, pid);
            step.effect(Effect::Sandbox { pid, act: SandboxAct::End });
        }
    }
    step.act_as(by, actor);
}
