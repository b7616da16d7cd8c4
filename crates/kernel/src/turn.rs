//! Turns: model, tools, model, tools, until the model asks for no more tools. Resumable at every committed
//! step.
//!
//! ```text
//! Ready ──ModelIntended──▶ Model ──ModelAnswered──▶ Tools ──Tool (each)──▶ Ready …
//!   ▲                        │                        │ ToolWaits ▶ Waits ──▶ Tools
//!   └──── ModelFailed ◀──────┘                        └ no tools: verdict, Exited
//! ```
//! A model call is an effect: reserved, recorded before it is made, its answer recorded before its end is
//! seen.

use crate::{
    Kernel, account, files, model, process,
    progress::Told,
    session,
    state::{Client, ModelRow, Phase, Process, ROOT_ACCOUNT},
    step::{self, Found, Outcome, Step},
};
use abi::{
    Code, Content, EffectId, Error, Hash, Micros, Pid, ReplyTo, WORKSPACE,
    agent::{Postcondition, Verdict},
    answer::{Answer, error_json},
    call::Call,
    effect::{Effect, Item, ModelCall},
    event::{ModelOutcome, Stop},
    fact::{Facts, Haystack, Lookup, Match, Query},
    limits,
    money::{Amounts, Price, Usage},
    record::{Bill, Entry, Exit, TimerFor, WaitOn},
    request::Asked,
};
use alloc::{format, string::String, string::ToString, vec, vec::Vec};

/// The first pause after a failed model call; each further one four times as long.
const RETRY_US: u64 = 1_000_000;

/// Lets a turn go on from where it stands, unless it is frozen or waits.
pub fn proceed(step: &mut Step<'_>, pid: Pid) {
    let Some(process) = step.state().processes.get(&pid) else { return };
    let stopped = step.state().stopped.is_some();
    #[cfg(feature = "plant")]
    let stopped = stopped && !crate::plant::is(crate::plant::STOP_UNHEARD);
    if process.frozen.is_some() || stopped || step.ending.contains(&pid) {
        return;
    }
    let number = process.turn.step;
    match process.turn.phase {
        Phase::Ready => next_model(step, pid),
        Phase::Tools { answer, next, .. } => {
            step.effect(Effect::Tool { pid, step: number, index: next, answer: answer.hash });
        }
        Phase::Model { .. } | Phase::Waits { .. } | Phase::Paused | Phase::Client | Phase::Native => {}
    }
}

/// Reserves, records and makes the next model call of a turn.
fn next_model(step: &mut Step<'_>, pid: Pid) {
    let Some(process) = step.state().processes.get(&pid).cloned() else { return };
    step.act_as_process(pid);
    let number = if process.turn.attempt == 0 { process.turn.step + 1 } else { process.turn.step };
    if number > limits::STEPS_MAX {
        return fault(step, pid, format!("{} steps and no end", limits::STEPS_MAX));
    }
    let (model, price) = match model::choose(step.kernel, pid, &process.model, step.at) {
        Ok(chosen) => chosen,
        Err(error) => return fault(step, pid, error.message),
    };
    let mut items = process.turn.items.clone();
    let keep = u32::try_from(items.len()).unwrap_or(u32::MAX);
    items.extend(&process.turn.pending);
    let reserved_out = limits::OUTPUT_STEP_TOKENS;
    let reserved = account::first_reservation(&price, bytes_of(&items), reserved_out);
    if let Err(reached) = account::check(step.state(), process.account, &reserved, step.at) {
        step.exhausted(pid, reached);
        return;
    }
    let request = Request {
        pid,
        number,
        attempt: process.turn.attempt + 1,
        model,
        prev: process.turn.prev,
        keep,
        add: process.turn.pending.clone(),
        items,
        tools: process.tools.clone(),
        reserved,
        reserved_out,
        max_out: limits::TURN_OUTPUT_TOKENS_MAX,
        asked: None,
    };
    call_model(step, request);
}

pub fn bytes_of(items: &[Item]) -> u64 {
    items.iter().map(|item| item.content.bytes).sum()
}

/// A model call about to be recorded.
pub struct Request {
    pub pid: Pid,
    pub number: u32,
    pub attempt: u32,
    pub model: String,
    pub prev: Option<EffectId>,
    pub keep: u32,
    pub add: Vec<Item>,
    pub items: Vec<Item>,
    pub tools: Vec<String>,
    pub reserved: Amounts,
    pub reserved_out: u64,
    pub max_out: u64,
    pub asked: Option<Asked>,
}

pub fn call_model(step: &mut Step<'_>, request: Request) -> EffectId {
    let effect = model_effect(step, &request);
    let Request { pid, number, attempt, model, prev, keep, add, items, tools, reserved, .. } = request;
    let (reserved_out, max_out, asked) = (request.reserved_out, request.max_out, request.asked);
    let run = step.state().processes.get(&pid).map_or(pid, |process| process.run);
    step.emit(Entry::ModelIntended {
        effect,
        attempt,
        step: number,
        model: model.clone(),
        prev,
        keep,
        add,
        reserved,
        reserved_out,
        max_out,
        asked,
    });
    let account = step.state().model_calls.get(&effect).map_or(ROOT_ACCOUNT, |row| row.account);
    step.warn(account);
    step.effect(Effect::Model(ModelCall {
        effect,
        attempt,
        pid,
        run,
        model,
        items,
        tools,
        reserved_out,
        max_out,
        // Who waits for a program's request is known to whoever brought it (`Step::call`).
        asked: asked.map(|asked| (asked, ReplyTo(0))),
    }));
    effect
}

/// The call's name: run, process, step and every byte of the request; the same on every attempt.
fn model_effect(step: &Step<'_>, request: &Request) -> EffectId {
    let state = step.state();
    let run = state.processes.get(&request.pid).map_or(WORKSPACE, |process| process.run);
    // A bare `complete` has no step; the log's position keeps two alike apart.
    let place = if request.number > 0 { u64::from(request.number) } else { state.seq.0 + (1 << 32) };
    let mut all = Vec::new();
    request.items.iter().for_each(|item| all.extend(item.content.hash.0));
    let (run, pid, place) = (run.0.to_le_bytes(), request.pid.0.to_le_bytes(), place.to_le_bytes());
    Hash::of_fields("model", &[&state.id, &run, &pid, &place, request.model.as_bytes(), &all])
}

/// Ends a process by its own fault.
fn fault(step: &mut Step<'_>, pid: Pid, why: String) {
    process::exit(step, pid, (Exit::Faulted(why), Verdict::Failed), None);
}

/// The answer is streaming: more output is reserved before it is needed, or the stream is ended.
pub fn progress(step: &mut Step<'_>, effect: &EffectId, tokens_out: u64) {
    let Some(row) = step.state().model_calls.get(effect).cloned() else { return };
    let near = tokens_out.saturating_add(limits::OUTPUT_STEP_TOKENS / 4) >= row.reserved_out;
    if !near || row.reserved_out >= row.max_out {
        return;
    }
    step.act_as_process(row.pid);
    let Some(price) = account::price(step.state(), &row.model) else { return };
    let more = limits::OUTPUT_STEP_TOKENS.min(row.max_out - row.reserved_out);
    let reserved = account::top_up(&price, more);
    let frozen = step.state().processes.get(&row.pid).is_some_and(|process| process.frozen.is_some())
        || step.state().stopped.is_some();
    match account::check(step.state(), row.account, &reserved, step.at) {
        Ok(()) if !frozen => {
            let reserved_out = row.reserved_out + more;
            step.emit(Entry::ModelExtended { effect: *effect, reserved, reserved_out });
            step.warn(row.account);
            step.effect(Effect::Extend { effect: *effect, reserved_out });
        }
        Ok(()) => step.effect(Effect::Cut { effect: *effect }),
        Err(reached) => {
            step.exhausted(row.pid, reached);
            step.effect(Effect::Cut { effect: *effect });
        }
    }
}

/// Questions at a model call's end: the postconditions, when the turn may end with it.
pub fn plan_end(kernel: &Kernel, effect: &EffectId, outcome: &ModelOutcome) -> Vec<Lookup> {
    let ModelOutcome::Answered { tools: 0, .. } = outcome else { return vec![] };
    let row = kernel.state.model_calls.get(effect).filter(|row| row.step > 0);
    let Some(process) = row.and_then(|row| kernel.state.processes.get(&row.pid)) else { return vec![] };
    let question = |post: &Postcondition| {
        let here = Lookup::Path { path: post.path().clone(), at: None };
        let holds = match post {
            Postcondition::Exists(_) => None,
            Postcondition::Contains(path, literal) => {
                let text = Haystack::Path(path.clone());
                Some(Lookup::Match { text, literal: literal.clone(), how: Match::Bytes })
            }
        };
        [Some(here), holds]
    };
    process.post.iter().flat_map(question).flatten().collect()
}

/// A model call ended.
pub fn ended(step: &mut Step<'_>, effect: &EffectId, attempt: u32, outcome: &ModelOutcome, facts: Facts) {
    let Some(row) = step.state().model_calls.get(effect).cloned() else { return };
    if row.attempt != attempt {
        return;
    }
    step.act_as_process(row.pid);
    step.cause = Some(row.seq);
    match outcome {
        ModelOutcome::Answered { answer, tools, stop, usage, counted, body } => {
            let (usage, disbelieved) = usage.check(counted);
            let bill = bill(step, &row);
            let charged = charge(&bill.price, &usage);
            if disbelieved {
                step.alarm(format!("model {} claims less than we counted; our count is charged", row.model));
            }
            let (answer, tools, stop) = (*answer, *tools, *stop);
            step.emit(Entry::ModelAnswered {
                effect: *effect,
                answer,
                tools,
                stop,
                usage,
                charged,
                disbelieved,
                body: body.clone(),
                bill,
            });
            step.warn(row.account);
            let completed = Answer::Completed { answer, usage };
            step.tell_clients(|client| *client == Client::Model(*effect), &completed);
            if row.step > 0 {
                answered(step, row.pid, (answer, tools, stop), facts);
            }
        }
        ModelOutcome::Failed { message, again, after_us, counted } => {
            let bill = bill(step, &row);
            let charged = charge(&bill.price, counted);
            let (message, again) = (*message, *again);
            step.emit(Entry::ModelFailed { effect: *effect, message, again, charged, bill });
            let clients = step.kernel.volatile.clients.iter();
            let told: Vec<_> =
                clients.filter(|(_, row)| **row == Client::Model(*effect)).map(|(reply, _)| *reply).collect();
            for reply in told {
                step.forget_client(reply);
                // To ask the same again helps only where it may help us too.
                let code = if again { Code::Unavailable } else { Code::Invalid };
                let error = Error::new(code, format!("the model call failed ({})", message.hash));
                step.reply(reply, Err(error));
            }
            if row.step > 0 {
                failed(step, (row.pid, &row.model), again, after_us.unwrap_or(0));
            }
        }
    }
}

/// Whose a call is: what makes the record of its end a row of the ledger.
fn bill(step: &Step<'_>, row: &ModelRow) -> Bill {
    let accounts = &step.state().accounts;
    let account = accounts.get(&row.account).or_else(|| accounts.get(&ROOT_ACCOUNT));
    Bill {
        run: row.run,
        agent: row.agent.clone(),
        model: row.model.clone(),
        account: account.map(|account| account.name.clone()).unwrap_or_default(),
        price: account::price(step.state(), &row.model).unwrap_or_default(),
    }
}

/// What a call of this usage costs.
fn charge(price: &Price, usage: &Usage) -> Amounts {
    #[cfg(feature = "plant")]
    if crate::plant::is(crate::plant::CACHE_WRITES_FREE) {
        return Price { token_written: abi::money::Nano(0), ..*price }.amounts(usage);
    }
    price.amounts(usage)
}

fn answered(step: &mut Step<'_>, pid: Pid, (answer, tools, stop): (Content, u32, Stop), facts: Facts) {
    let Some(process) = step.state().processes.get(&pid) else { return };
    // Words that joined meanwhile are answered before the turn may end; so is an answer that we cut short. A
    // last answer ends the turn even if it is frozen: that is no new step, and thawing must not buy another.
    let steered = process.turn.pending.len() > 1;
    if tools > 0 || steered || stop == Stop::Cut {
        return proceed(step, pid);
    }
    let post = process.post.clone();
    let verdict = verdict(step, pid, &post, facts);
    process::exit(step, pid, (Exit::Exited(0), verdict), Some(answer));
}

/// "Done" is the kernel's verdict, from what stands in the tree. It tells of what stands there: whoever hears
/// it has heard of that, and bears its label.
fn verdict(step: &mut Step<'_>, pid: Pid, post: &[Postcondition], facts: Facts) -> Verdict {
    if post.is_empty() {
        return Verdict::Unverified;
    }
    let Facts::Found(facts) = facts else { return Verdict::Failed };
    let mut facts = Found::of(facts);
    let mut all = true;
    for post in post {
        let Ok(place) = facts.place() else { return Verdict::Failed };
        step.told_of(pid, post.path(), &place);
        // What lies below the ceiling is not there: who is told the verdict would learn of it.
        let head = place.head.filter(|head| !step.kernel.hides(pid, head.label));
        if let Some(head) = &head {
            step.told_all_of(pid, post.path(), head);
        }
        all &= head.is_some();
        if matches!(post, Postcondition::Contains(..)) {
            all &= facts.holds().unwrap_or(false);
        }
    }
    if all { Verdict::Done } else { Verdict::Failed }
}

/// A failed call is made again after a pause: ours, or the longer one that the other side asked for. What
/// does not help, or not any more, is left to the next model of the tier.
fn failed(step: &mut Step<'_>, (pid, model): (Pid, &str), again: bool, after_us: u64) {
    let Some(process) = step.state().processes.get(&pid) else { return };
    let failures = process.turn.failures;
    if !again || failures >= limits::MODEL_FAILURES_MAX {
        if model::fall_back(step, pid, model) {
            return proceed(step, pid);
        }
        return fault(step, pid, format!("the model failed {failures} time(s); its words are in the log"));
    }
    if process.frozen.is_none() {
        let pause = RETRY_US.saturating_mul(1 << (2 * failures.min(8)));
        step.set_timer(TimerFor::Pause(pid), pause.max(after_us.min(limits::RETRY_AFTER_US_MAX)));
    }
}

/// A turn's tool call that may be planned: the one it waits for, by a tool it has.
pub fn plan_tool(
    kernel: &Kernel,
    (pid, number, index): (Pid, u32, u32),
    name: &str,
    call: Result<&Call, &Error>,
    at: Micros,
) -> Result<Vec<Lookup>, Error> {
    let Some(process) = expected(kernel, pid, number, index) else {
        return Err(Error::new(Code::Dead, "nobody waits for this tool call"));
    };
    let call = call.map_err(Clone::clone)?;
    if !process.tools.iter().any(|tool| tool == name) {
        return Err(Error::new(Code::Denied, format!("agent {} has no tool {name}", process.agent))
            .hint(format!("its tools: {}", process.tools.join(" "))));
    }
    if matches!(call, Call::Write { write: abi::call::Write::Begin, .. }) {
        return Err(Error::new(Code::Unavailable, "a turn writes its text whole").argument("mode"));
    }
    if matches!(call, Call::Complete { .. }) {
        return Err(Error::new(Code::Unavailable, "a turn has its own model; spawn an agent instead"));
    }
    let mut lookups = step::plan_call(kernel, pid, call, at)?;
    if let Some(query) = query(kernel, pid, call, at) {
        lookups.push(Lookup::Fill { query });
    }
    Ok(lookups)
}

/// The query whose answer a turn will be told; it must have a name in the log, so it is filled before the
/// step.
fn query(kernel: &Kernel, pid: Pid, call: &Call, at: Micros) -> Option<Query> {
    match call {
        Call::List { path, .. } | Call::Read { path, .. } if crate::render::is_rendered(path) => {
            crate::render::query(kernel, pid, path, at)
        }
        Call::List { path, at: as_of } => Some(files::listed(kernel, pid, "", (path, *as_of, at))),
        Call::Read { path, at, version, part } => {
            let session = session::query(kernel, pid, "", call);
            let file = || Query::Read { path: path.clone(), at: *at, version: *version, part: *part };
            Some(session.unwrap_or_else(file))
        }
        Call::History { path, before, limit } => {
            let (before, limit, view) = (*before, *limit, kernel.view(pid, at));
            Some(Query::History { path: path.clone(), before, limit, view })
        }
        Call::Search(sought) => {
            Some(Query::Search { sought: sought.clone(), view: kernel.searched(pid, at) })
        }
        Call::Operation { op, limit } => {
            Some(Query::Operation { op: *op, view: kernel.view(pid, at), limit: *limit })
        }
        Call::Trace { from, limit, pid: of, .. } => {
            let pids = process::visible(&kernel.state, pid, *of);
            Some(Query::Trace { from: *from, limit: (*limit).min(100), pids, follow: false })
        }
        _ => None,
    }
}

/// The process, if this is the tool call it stands at.
fn expected(kernel: &Kernel, pid: Pid, number: u32, index: u32) -> Option<&Process> {
    let process = kernel.state.processes.get(&pid)?;
    let at = match &process.turn.phase {
        Phase::Tools { next, .. } => *next,
        Phase::Ready | Phase::Model { .. } | Phase::Waits { .. } | Phase::Paused => return None,
        Phase::Client | Phase::Native => {
            return None;
        }
    };
    let moves = kernel.state.stopped.is_none() && process.frozen.is_none();
    (moves && process.turn.step == number && at == index).then_some(process)
}

/// A tool call of a turn.
pub fn tool(
    step: &mut Step<'_>,
    (pid, number, index): (Pid, u32, u32),
    (name, args): (&str, Content),
    call: &Result<Call, Error>,
    facts: Facts,
) {
    if expected(step.kernel, pid, number, index).is_none() {
        return;
    }
    step.act_as_process(pid);
    let about = call.as_ref().map(step::about).unwrap_or_default();
    let result = match (call, facts) {
        (Err(error), _) => Err(error.clone()),
        (Ok(call), Facts::Refused(error)) => {
            step.refused(call, &error);
            Err(error)
        }
        (Ok(call), Facts::Found(facts)) => {
            let mut found = Found::of(facts);
            let name = name.to_string();
            step.turn = Some(pid);
            let outcome = step.carry_out(pid, call, &mut found);
            step.turn = None;
            if !step.wants.is_empty() {
                return;
            }
            match outcome {
                Outcome::Now(Ok(Answer::Query(_))) => match found.filled() {
                    Some(content) => {
                        return told(step, (pid, number, index), (name, args, about), Ok(content));
                    }
                    None => Err(Facts::mismatch()),
                },
                Outcome::Now(result) => {
                    if let Err(error) = &result {
                        step.refused(call, error);
                    }
                    result
                }
                Outcome::Later(on) => {
                    if let Call::Wait { timeout_us: Some(after_us), .. } = call {
                        step.set_timer(TimerFor::Wait(pid), *after_us);
                    }
                    step.emit(Entry::ToolWaits { step: number, index, name, args, on, about });
                    return;
                }
                Outcome::Model(_) | Outcome::Control(_) | Outcome::Scrub(_) | Outcome::Draft { .. } => {
                    Err(Error::new(Code::Unavailable, "only an operator's connection may do this"))
                }
            }
        }
    };
    let told_text = text_of(step, result);
    told(step, (pid, number, index), (name.to_string(), args, about), told_text);
}

/// What is kept of an answer too long for a blob: escaped once more it still fits one.
const CUT_BYTES: usize = 8 * 1024;

/// The blob a model reads: an answer's JSON, or an error's.
fn text_of(step: &mut Step<'_>, result: Result<Answer, Error>) -> Result<Content, (Code, Content)> {
    match result {
        Ok(answer) => {
            let mut json = answer.to_json();
            if json.len() as u64 > limits::BLOB_INLINE_BYTES_MAX {
                let bytes = json.len();
                let beginning: String = json.chars().take(CUT_BYTES / 4).collect();
                let text = format!("the answer has {bytes} bytes and is cut; it begins: {beginning}");
                json = Answer::Text { text }.to_json();
            }
            Ok(step.blob(json.into_bytes()))
        }
        Err(error) => Err((error.code, step.blob(error_json(&error).into_bytes()))),
    }
}

/// Records a tool call's outcome and goes on.
fn told(
    step: &mut Step<'_>,
    (pid, number, index): (Pid, u32, u32),
    (name, args, about): (String, Content, String),
    outcome: Result<Content, (Code, Content)>,
) {
    // The call itself may have ended it: it passed a limit, and policy says kill.
    if !step.state().processes.contains_key(&pid) {
        return;
    }
    let (outcome, code) = match outcome {
        Ok(content) => (content, None),
        Err((code, content)) => (content, Some(code)),
    };
    let mut seen = core::mem::take(&mut step.seen);
    // An operation can be larger than what a turn remembers.
    seen.truncate(limits::SEEN_PATHS_MAX);
    let told = Told { name: &name, args: &args, outcome: &outcome, code, seen: &seen };
    let news = step.state().processes.get(&pid).is_some_and(|process| told.is_news(&process.progress));
    let fresh = news || step.has_source(pid);
    step.emit(Entry::Tool { step: number, index, name, args, outcome, code, fresh, about, seen });
    if step.watch_progress(pid) {
        proceed(step, pid);
    }
}

/// Whatever turns wait for has come about.
pub fn resolve(step: &mut Step<'_>, on: WaitOn, result: &Result<Answer, Error>) {
    let waits = |process: &Process| match &process.turn.phase {
        Phase::Waits { on: this, .. } => *this == on,
        Phase::Ready | Phase::Model { .. } | Phase::Tools { .. } | Phase::Paused => false,
        Phase::Client | Phase::Native => false,
    };
    let pids: Vec<Pid> =
        step.state().processes.iter().filter(|(_, process)| waits(process)).map(|(pid, _)| *pid).collect();
    for pid in pids {
        resolve_one(step, pid, result.clone());
    }
}

fn resolve_one(step: &mut Step<'_>, pid: Pid, mut result: Result<Answer, Error>) {
    let Some(process) = step.state().processes.get(&pid) else { return };
    let number = process.turn.step;
    let Phase::Waits { index, name, args, about, .. } = process.turn.phase.clone() else { return };
    let (actor, as_pid) = (step.actor.clone(), step.pid);
    step.act_as_process(pid);
    step.forget_waits(pid);
    if let Ok(answer) = &mut result {
        process::saw_answer(step, pid, answer);
    }
    let text = text_of(step, result);
    told(step, (pid, number, index), (name, args, about), text);
    step.act_as(as_pid, actor);
}

/// The time a turn's `wait` may take is over.
pub fn wait_is_over(step: &mut Step<'_>, pid: Pid) {
    let Some(process) = step.state().processes.get(&pid) else { return };
    let Phase::Waits { on, .. } = &process.turn.phase else { return };
    if !matches!(on, WaitOn::Effect(_) | WaitOn::Exec(_)) {
        resolve_one(step, pid, Ok(Answer::TimedOut { timed_out: true }));
    }
}

/// A pause is over; a frozen turn goes on when it is thawed.
pub fn pause_is_over(step: &mut Step<'_>, pid: Pid) {
    proceed(step, pid);
}

/// After a restart: a model call whose outcome is unknown. What was reserved is booked; it is bought once
/// more, and if that is lost as well, only when an operator thaws the process.
pub fn lost(step: &mut Step<'_>, effect: EffectId) {
    let Some(row) = step.state().model_calls.get(&effect).cloned() else { return };
    step.act_as_process(row.pid);
    let bill = bill(step, &row);
    step.emit(Entry::ModelLost { effect, charged: row.reserved, bill });
    if row.step == 0 || !step.state().processes.contains_key(&row.pid) {
        return;
    }
    // Whatever came of the attempts between: from the second on, each loss needs an operator's word.
    let lost = step.state().processes.get(&row.pid).map_or(0, |process| process.turn.lost);
    if lost >= limits::MODEL_ATTEMPTS_MAX {
        step.emit(Entry::Frozen { pids: vec![row.pid], why: abi::record::Freeze::Lost { effect } });
        step.alarm(format!("process {}: a model call was lost twice; thaw it to buy it once more", row.pid));
        return;
    }
    proceed(step, row.pid);
}
