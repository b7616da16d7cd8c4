//! Runs a script: text with lines of events, and below each what the kernel is expected to decide.
//!
//! ```text
//! . genesis                       an event whose decision is not shown
//! > anna: write /data/a "one"     an event; the lines below it, up to a blank line, are its decision
//! wrote op 2: /data/a v8 file …
//! ```
//! With UPDATE=1 in the environment the expectations are written anew. After every event all records so far,
//! replayed by `apply` alone, must give the same snapshot.

use crate::{
    show::Show,
    words::{Words, ended, limit, micros},
    world::World,
};
use abi::{
    Content, EffectId, Error, ExecId, Hash, Pid, ProposalId, ReplyTo, Seq, TimerId,
    agent::{
        AgentBudget, Autonomy, MoneyRow, MountBudget, OperatorRow, Policy, PolicyRow, Role, Standing,
        UnknownPrice, WhenExhausted,
    },
    answer::Answer,
    call::Call,
    cap::Grant,
    effect::{Effect, ModelCall, SandboxAct},
    event::{Body, Caller, Claimed, EffectOutcome, Event, ModelOutcome, Probed, Stop},
    fact::Facts,
    label::{Integrity, Readers},
    manifest::{Audience, Brings, Class, Kind, Manifest, Recovery},
    model::{Models, PriceRow, Tier},
    money::{Nano, Price, Usage, Window},
    path::{Pattern, TreePath},
    record::Record,
};
use kernel::Kernel;
use std::{collections::BTreeMap, collections::VecDeque};

/// The wall clock at the beginning of every script: some midnight in UTC.
pub const START: u64 = 20_000 * 86_400_000_000;

/// A tool call as the scripted model made it.
#[derive(Clone)]
struct ToolAsked {
    name: String,
    args: Content,
    call: Result<Call, Error>,
}

/// One run of a script.
#[derive(Clone)]
pub struct Run {
    pub kernel: Kernel,
    /// Lives by `apply` alone.
    twin: Kernel,
    /// The whole log.
    pub log: Vec<Record>,
    world: World,
    pub wall: u64,
    mono: u64,
    replies: u64,
    policy: Policy,
    /// Tiers and prices, until `models` loads them.
    book: Models,
    models: Vec<ModelCall>,
    answers: BTreeMap<Hash, Vec<ToolAsked>>,
    dispatched: VecDeque<EffectId>,
    probing: VecDeque<EffectId>,
    timers: BTreeMap<TimerId, u64>,
    /// What happens by itself next.
    todo: VecDeque<Body>,
    /// With `manual`, `Armed` and tool calls wait for the words `arm` and `tool`, and no sandbox ends by
    /// itself.
    manual: bool,
    /// The next event gets no facts, whatever it asked for.
    starve: bool,
    seen: Vec<EffectId>,
    pub shown: Vec<String>,
    /// The last answer to a call.
    last: Option<Result<Answer, Error>>,
}

/// The script with the decisions that are made now.
pub fn run(script: &str) -> String {
    let mut run = Run::new();
    let mut text = String::new();
    let mut skipping = false;
    for line in script.lines() {
        if let Some(event) = line.strip_prefix("> ") {
            run.shown.clear();
            run.event(event);
            let shown: String = run.shown.iter().map(|line| format!("{line}\n")).collect();
            text.push_str(&format!("{line}\n{shown}\n"));
            skipping = true;
        } else if let Some(event) = line.strip_prefix(". ") {
            run.event(event);
            text.push_str(&format!("{line}\n"));
            skipping = false;
        } else if !skipping {
            text.push_str(&format!("{line}\n"));
        } else if line.is_empty() || line.starts_with('#') {
            skipping = false;
            text.extend([line, "\n"].into_iter().filter(|_| !line.is_empty()));
        }
    }
    text
}

impl Run {
    /// Before genesis.
    pub fn new() -> Self {
        Self {
            kernel: Kernel::new(),
            twin: Kernel::new(),
            log: vec![],
            world: World::default(),
            wall: START,
            mono: 0,
            replies: 0,
            policy: Policy::default(),
            book: Models::default(),
            models: vec![],
            answers: BTreeMap::new(),
            dispatched: VecDeque::new(),
            probing: VecDeque::new(),
            timers: BTreeMap::new(),
            todo: VecDeque::new(),
            manual: false,
            starve: false,
            seen: vec![],
            shown: vec![],
            last: None,
        }
    }

    /// A call that no line can say: bytes of any kind.
    pub fn ask(&mut self, caller: Caller, call: Call) -> Result<Answer, Error> {
        self.replies += 1;
        self.last = None;
        self.step(Body::Call { caller, reply: ReplyTo(self.replies), call });
        self.last.take().unwrap_or(Ok(Answer::DONE))
    }

    /// Bytes that calls may name.
    pub fn put(&mut self, bytes: &[u8]) -> Content {
        self.world.put(bytes)
    }

    /// Bytes are gone, as after a purge.
    pub fn lose(&mut self, hash: &Hash) {
        self.world.blobs.remove(hash);
    }

    /// Events that nobody could bring: unknown ids, answers nobody asked for.
    fn nonsense(&mut self, kind: u64) {
        let effect = Hash::of(&kind.to_le_bytes());
        let (usage, content) = (Claimed::new(Usage::default()), self.world.put(b"nonsense"));
        let counted =
            Usage { tokens_in: u64::MAX, tokens_out: u64::MAX, tokens_cached: u64::MAX, tokens_written: 0 };
        let said = ModelOutcome::Answered {
            answer: content,
            tools: u32::MAX,
            stop: Stop::End,
            usage,
            counted,
            body: vec![],
        };
        let (pid, call) = (Pid(kind % 9), Words::of("read /data/a").call(&mut self.world));
        let body = match kind % 10 {
            0 => Body::Armed { effect },
            1 => Body::EffectEnded { effect, outcome: EffectOutcome::Done(content) },
            2 => Body::EffectProbed { effect, found: Probed::Absent },
            3 => Body::ModelEnded { effect, attempt: 1, outcome: said },
            4 => Body::ModelProgress { effect, tokens_out: u64::MAX },
            5 => Body::TimerFired { timer: TimerId(kind) },
            6 => Body::ControlEnded { reply: ReplyTo(kind), result: Ok(()) },
            7 => Body::Tool { pid, step: 1, index: 0, name: "read".into(), args: content, call: Ok(call) },
            8 => match self.models.last() {
                Some(call) => {
                    Body::ModelEnded { effect: call.effect, attempt: call.attempt + 1, outcome: said }
                }
                None => Body::Genesis { id: [9; 16], lacks: vec![] },
            },
            _ => Body::Quarantined { digest: effect, what: "nonsense".into() },
        };
        self.step(body);
    }

    /// The machine's clocks, whatever they say.
    pub fn clocks(&mut self, wall: u64, mono: u64) {
        (self.wall, self.mono) = (wall, mono);
    }

    /// One line.
    pub fn event(&mut self, line: &str) {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let words = Words::of(line);
        if let Some(name) = verb.strip_suffix(':') {
            self.call(Caller::Operator(name.into()), rest);
        } else if verb == "added" {
            let (name, rest) = rest.split_once(": ").unwrap();
            self.call(Caller::Added(name.into()), rest);
        } else if verb == "pid" {
            let (pid, rest) = rest.split_once(": ").unwrap();
            self.call(Caller::Process(Pid(pid.parse().unwrap())), rest);
        } else {
            self.word(verb, rest, &words);
        }
        while !self.manual
            && let Some(body) = self.todo.pop_front()
        {
            self.step(body);
        }
    }

    fn word(&mut self, verb: &str, rest: &str, words: &Words) {
        match verb {
            "genesis" => self.genesis(words),
            "allow" | "ask" | "deny" | "drafts" => self.row(verb, words),
            "limit" | "budget" => self.limit(words),
            "policy" => self.load_policy(),
            "draft" => _ = self.world.drafts.insert(words.at(1).into(), self.policy.clone()),
            "unsay" => self.unsay(words),
            "dial" | "standing" | "money" | "operator" => self.rule(verb, words),
            "price" => self.step(Body::Priced { model: words.at(1).into(), price: price(words) }),
            "tier" | "rate" | "models" | "book" => self.models_say(verb, words),
            "mount" => self.mount(words),
            "agent" => {
                let def = words.agent();
                let path = format!("/agents/{}/AGENT.md", def.name);
                self.world.agents.insert(def.name.clone(), def);
                self.call(Caller::Operator("anna".into()), &format!("write {path} \"prompt\""));
            }
            "model" => self.model(rest, words),
            "effect" => self.effect_ends(words),
            "probed" => self.probed(words),
            "arrive" => {
                let content = self.world.put(words.at(3).as_bytes());
                let path = TreePath::parse(words.at(2)).unwrap();
                self.step(Body::Arrived { mount: words.at(1).into(), path, content });
            }
            "advance" => self.advance(micros(words.at(1))),
            "clock" => {
                let by = words.at(1);
                self.wall = match by.strip_prefix('-') {
                    Some(by) => self.wall - micros(by),
                    None => self.wall + micros(by.trim_start_matches('+')),
                };
                self.step(Body::Left { reply: ReplyTo(0) });
            }
            "wrote" | "checked" | "claimed" | "turned" | "ran" => self.program(verb, words),
            "bound" | "noticed" | "placed" => self.outside(verb, words),
            "connect" | "unreached" => self.connect(words),
            "ended" | "listens" | "left" => self.step(words.told()),
            "carried" => {
                let result = if words.at(2) == "out" { Ok(()) } else { Err(Error::invalid("word", "no")) };
                self.step(Body::ControlEnded { reply: ReplyTo(words.at(1).parse().unwrap()), result });
            }
            "quarantine" => self.step(Body::Quarantined { digest: Hash::of(b"x"), what: "write".into() }),
            "nonsense" => self.nonsense(words.at(1).parse().unwrap()),
            "starve" => self.starve = true,
            "manual" => self.manual = true,
            "automatic" => self.manual = false,
            "tool" => self.next(|body| matches!(body, Body::Tool { .. })),
            "note" => self.world.note(ProposalId(words.at(1).parse().unwrap())),
            "merged" => self.next(|body| matches!(body, Body::Merged { .. })),
            "arm" => self.next(|body| matches!(body, Body::Armed { .. })),
            "crash" => self.crash(),
            "reload" => self.reload(),
            "replay" => self.replay(),
            "restored" => {
                // Nobody works for a copy.
                (self.models, self.dispatched, self.probing) = Default::default();
                self.todo.clear();
                self.step(Body::Restored);
            }
            "lend" => self.step(Body::Leased { lease: words.at(1).parse().unwrap() }),
            other => panic!("{other:?} is no event"),
        }
    }

    fn connect(&mut self, words: &Words) {
        let (pid, asked) = (Pid(words.at(1).parse().unwrap()), words.asked());
        if words.at(0) == "unreached" {
            return self.step(Body::Unreached { pid, asked, why: words.at(5).into() });
        }
        self.replies += 1;
        self.step(Body::Connect { pid, reply: ReplyTo(self.replies), asked });
    }

    fn genesis(&mut self, words: &Words) {
        let lacks = words.number("lacks").map(|rule| rule as u8);
        self.step(Body::Genesis { id: [7; 16], lacks: lacks.into_iter().collect() });
        let lease = words.key("lease").unwrap_or("100").parse().unwrap();
        self.step(Body::Woke { lease, under_way: Vec::new() });
    }

    fn outside(&mut self, verb: &str, words: &Words) {
        let number = || words.at(1).parse().unwrap();
        match verb {
            "bound" => {
                let dir = TreePath::parse(words.at(1)).unwrap();
                self.step(Body::Bound { dir, external: words.get(2) == "external" });
            }
            "noticed" => {
                let commit = words.changes(&mut self.world);
                self.step(Body::Noticed { number: number(), commit });
            }
            _ => {
                let failed = words.key("failed").map(|path| (TreePath::parse(path).unwrap(), "no".into()));
                let failed = failed.into_iter().collect();
                self.step(Body::Placed { seq: Seq(number()), failed });
            }
        }
    }

    fn program(&mut self, verb: &str, words: &Words) {
        match verb {
            "wrote" => {
                let (exec, commit) = words.wrote(&mut self.world);
                self.step(Body::ExecWrote { exec, said: words.get(2).into(), commit });
            }
            "checked" => {
                let why = Some(words.get(2).to_string()).filter(|why| !why.is_empty());
                self.step(Body::ExecChecked { exec: ExecId(words.at(1).parse().unwrap()), why });
            }
            "claimed" => self.step(words.claimed()),
            "ran" | "turned" => {
                let body = words.came(verb, &mut self.world);
                self.step(body);
            }
            _ => {}
        }
    }

    fn effect_ends(&mut self, words: &Words) {
        let content = self.world.put(words.get(2).as_bytes());
        let Some(effect) = self.dispatched.pop_front() else {
            return self.shown.push("NO EFFECT is under way".into());
        };
        let outcome = match words.at(1) {
            "done" => EffectOutcome::Done(content),
            _ => EffectOutcome::Failed(content),
        };
        self.step(Body::EffectEnded { effect, outcome });
    }

    fn probed(&mut self, words: &Words) {
        let content = self.world.put(b"found");
        let Some(effect) = self.probing.pop_front() else {
            return self.shown.push("NO PROBE is under way".into());
        };
        let found = match words.at(1) {
            "happened" => Probed::Happened(content),
            "absent" => Probed::Absent,
            _ => Probed::Unknown,
        };
        self.step(Body::EffectProbed { effect, found });
    }

    /// The first of what happens by itself that is of this kind.
    fn next(&mut self, kind: fn(&Body) -> bool) {
        match self.todo.iter().position(kind).and_then(|ix| self.todo.remove(ix)) {
            Some(body) => self.step(body),
            None => self.shown.push("NOTHING to be done".into()),
        }
    }

    fn call(&mut self, caller: Caller, line: &str) {
        self.replies += 1;
        let reply = ReplyTo(self.replies);
        let call = Words::of(line).call(&mut self.world);
        self.step(Body::Call { caller, reply, call });
    }

    fn row(&mut self, verb: &str, words: &Words) {
        let agent = words.at(1).to_string();
        let rows = &mut self.policy.rows;
        if rows.iter().all(|row| row.agent != agent) {
            rows.push(PolicyRow { agent: agent.clone(), ..PolicyRow::default() });
        }
        let row = rows.iter_mut().find(|row| row.agent == agent).unwrap();
        let grant = || Grant::parse(words.at(2)).unwrap();
        match verb {
            "allow" => row.allow.push(grant()),
            "ask" => row.ask.push(grant()),
            "drafts" => row.draft = true,
            _ => row.deny.push(grant()),
        }
    }

    fn rule(&mut self, verb: &str, words: &Words) {
        match verb {
            "dial" => {
                self.policy.autonomy = match words.at(1) {
                    "manual" => Autonomy::Manual,
                    "autonomous" => Autonomy::Autonomous,
                    _ => Autonomy::Bounded,
                };
            }
            "standing" => {
                let (mount, kind) =
                    (Pattern::word(words.at(1)).unwrap(), Pattern::word(words.at(2)).unwrap());
                self.policy.standing.push(Standing { mount, kind, value: words.at(3).into() });
            }
            "money" => {
                let day = words.at(2).parse().unwrap();
                self.policy.money.push(MoneyRow { mount: words.at(1).into(), day });
            }
            "operator" => {
                let role = if words.at(2) == "admin" { Role::Admin } else { Role::Member };
                let list = |key: &str| words.key(key).unwrap_or("").split_whitespace().map(String::from);
                let sees = list("sees").map(|path| Pattern::parse(&path).unwrap()).collect();
                let decides = list("decides").map(|kind| Pattern::word(&kind).unwrap()).collect();
                self.policy.operators.push(OperatorRow { name: words.at(1).into(), role, sees, decides });
            }
            _ => {}
        }
    }

    /// Takes something back out of what the next policy or draft says.
    fn unsay(&mut self, words: &Words) {
        match words.at(1) {
            "operators" => self.policy.operators.clear(),
            "standing" => self.policy.standing.clear(),
            "limits" => {
                self.policy.workspace.clear();
                self.policy.agent.clear();
                self.policy.budget.mounts.clear();
            }
            "money" => self.policy.money.clear(),
            _ => self.policy.rows.retain(|row| row.agent != words.at(1)),
        }
    }

    fn models_say(&mut self, verb: &str, words: &Words) {
        let name = || words.at(1).to_owned();
        match verb {
            "tier" => {
                let models = (2..).map(|ix| words.get(ix).to_owned()).take_while(|name| !name.is_empty());
                self.book.tiers.push(Tier { name: name(), models: models.collect() });
            }
            "rate" => self.book.prices.push(PriceRow { model: name(), price: price(words) }),
            "book" => _ = self.world.books.insert(name(), std::mem::take(&mut self.book)),
            _ => {
                let models = std::mem::take(&mut self.book);
                self.step(Body::ModelsLoaded { digest: Hash::of(b"models"), models });
            }
        }
    }

    /// `limit WHOSE RESOURCE WINDOW MAX`: workspace, agent (all), run, `agent:NAME`, `mount:NAME`.
    fn limit(&mut self, words: &Words) {
        if words.at(0) == "budget" {
            return self.budget(words);
        }
        let limit = limit(&[words.at(2), words.at(3), words.at(4)]);
        let budget = &mut self.policy.budget;
        let rows = match words.at(1).split_once(':').unwrap_or((words.at(1), "")) {
            ("workspace", _) => &mut self.policy.workspace,
            ("agent", "") => &mut self.policy.agent,
            ("agent", name) => {
                let row = budget.agents.iter_mut().position(|row| row.agent == name);
                let row = row.unwrap_or_else(|| {
                    budget.agents.push(AgentBudget { agent: name.into(), ..AgentBudget::default() });
                    budget.agents.len() - 1
                });
                let row = &mut budget.agents[row];
                if limit.window == Window::Run { &mut row.run } else { &mut row.limits }
            }
            ("mount", name) => {
                let row = budget.mounts.iter().position(|row| row.mount == name);
                let row = row.unwrap_or_else(|| {
                    budget.mounts.push(MountBudget { mount: name.into(), ..MountBudget::default() });
                    budget.mounts.len() - 1
                });
                &mut budget.mounts[row].limits
            }
            _ => &mut self.policy.run,
        };
        rows.retain(|old| (old.resource, old.window) != (limit.resource, limit.window));
        rows.push(limit);
    }

    /// `warn 0.8`, `processes 3`, `wall 30m`, `kill`, `count-tokens`, `login CALLS-AN-HOUR TIME-A-DAY`.
    fn budget(&mut self, words: &Words) {
        let budget = &mut self.policy.budget;
        match words.at(1) {
            "warn" => budget.warn = Some((words.at(2).parse::<f64>().unwrap() * 1000.0) as u16),
            "processes" => budget.processes = words.at(2).parse().ok(),
            "wall" => budget.wall_us = Some(micros(words.at(2))),
            "kill" => budget.when_exhausted = WhenExhausted::Kill,
            "login" => budget.own_login = Some(words.own_login()),
            _ => budget.unknown_price = UnknownPrice::CountTokens,
        }
    }

    fn load_policy(&mut self) {
        if self.policy.rows.is_empty() {
            for need in ["read /**", "write /**", "apply *", "model any", "spawn any"] {
                self.row("allow", &Words::of(&format!("allow * \"{need}\"")));
            }
        }
        let policy = self.policy.clone();
        self.step(Body::PolicyLoaded { digest: Hash::of(b"policy"), policy });
    }

    fn mount(&mut self, words: &Words) {
        let recovery = match words.get(2) {
            "repeat" => Recovery::Repeat,
            "keyed" => Recovery::Keyed,
            "probe" => Recovery::Probe,
            _ => Recovery::Opaque,
        };
        let (kinds, brings) = (kinds(recovery), brings());
        let open = words.at(1) == "open";
        let mount = words.at(1).to_string();
        let (mut driver, argument) = (String::from("outbox"), words.get(2).into());
        let mut manifest = Manifest { kinds, brings, open };
        // What somebody else might mount under the same name.
        for kind in &mut manifest.kinds {
            match words.get(3) {
                "told" => kind.template.push_str("Trust me.\n"),
                "loose" => kind.payload.push("more".into()),
                "repeat" => kind.recovery = Recovery::Repeat,
                _ => {}
            }
        }
        if words.get(3) == "elsewhere" {
            driver = "maildir".into();
        }
        manifest.lint().unwrap();
        self.step(Body::Mounted { mount, driver, argument, manifest });
    }

    /// `model [PID] says "text" in=N out=N ; CALL ; CALL`, `model fails [for-good]`, `model streams N`.
    fn model(&mut self, rest: &str, words: &Words) {
        let of: Option<u64> = words.at(1).parse().ok();
        let at = if of.is_some() { 2 } else { 1 };
        let ix = match of {
            Some(pid) => self.models.iter().rposition(|call| call.pid == Pid(pid)),
            None => self.models.len().checked_sub(1),
        };
        let Some(call) = ix.and_then(|ix| self.models.get(ix)).cloned() else {
            return self.shown.push("NO MODEL CALL is under way".into());
        };
        let (effect, attempt) = (call.effect, call.attempt);
        if words.at(at) == "streams" {
            let tokens_out = words.at(at + 1).parse().unwrap();
            return self.step(Body::ModelProgress { effect, tokens_out });
        }
        self.models.remove(ix.unwrap());
        if words.at(at) == "fails" {
            let message = self.world.put(b"overloaded");
            let (again, said) = (words.get(at + 1).is_empty(), words.number("said").unwrap_or(0));
            let counted = Usage { tokens_in: said, tokens_out: said, ..Usage::default() };
            let outcome = ModelOutcome::Failed { message, again, after_us: None, counted };
            return self.step(Body::ModelEnded { effect, attempt, outcome });
        }
        let mut parts = rest.split(" ; ");
        let said = Words::of(&format!("model {}", parts.next().unwrap()));
        let asked: Vec<ToolAsked> = parts.map(|line| self.asked(line)).collect();
        let answer = self.world.put(format!("{} +{}", said.at(at + 1), asked.len()).as_bytes());
        let stop = match (said.key("stop"), asked.is_empty()) {
            (Some("cut"), _) => Stop::Cut,
            (_, true) => Stop::End,
            (_, false) => Stop::Tools,
        };
        let tools = asked.len() as u32;
        self.answers.insert(answer.hash, asked);
        let number = |key: &str, default| said.number(key).unwrap_or(default);
        let usage = Usage {
            tokens_in: number("in", 10),
            tokens_out: number("out", 5),
            tokens_cached: number("cached", 0),
            tokens_written: number("written", 0),
        };
        let counted =
            Usage { tokens_in: number("countin", 10), tokens_out: number("countout", 5), ..Usage::default() };
        let usage = Claimed::new(usage);
        let outcome = ModelOutcome::Answered { answer, tools, stop, usage, counted, body: vec![] };
        self.step(Body::ModelEnded { effect, attempt, outcome });
    }

    fn asked(&mut self, line: &str) -> ToolAsked {
        let words = Words::of(line);
        let args = self.world.put(line.as_bytes());
        if words.at(0) == "nonsense" {
            let error = Error::invalid("method", "there is no call \"nonsense\"");
            return ToolAsked { name: "nonsense".into(), args, call: Err(error) };
        }
        let call = words.call(&mut self.world);
        ToolAsked { name: call.name().into(), args, call: Ok(call) }
    }

    fn advance(&mut self, by: u64) {
        let end = self.mono + by;
        while let Some((timer, due)) =
            self.timers.iter().map(|(timer, due)| (*timer, *due)).min_by_key(|(timer, due)| (*due, *timer))
            && due <= end
        {
            self.timers.remove(&timer);
            self.wall += due.max(self.mono) - self.mono;
            self.mono = due.max(self.mono);
            self.step(Body::TimerFired { timer });
            while let Some(body) = self.todo.pop_front() {
                self.step(body);
            }
        }
        self.wall += end - self.mono;
        self.mono = end;
    }

    /// All that a crash loses is lost; what is restored from a snapshot goes on.
    fn crash(&mut self) {
        self.models.clear();
        self.dispatched.clear();
        self.probing.clear();
        self.reload();
    }

    /// A crash that took the snapshot with it: the log is all there is.
    fn replay(&mut self) {
        self.kernel = Kernel::new();
        self.log.iter().for_each(|record| self.kernel.apply(record));
        self.crash();
    }

    /// The same, but whoever works for the workspace outside lives.
    fn reload(&mut self) {
        let bytes = self.kernel.snapshot();
        self.kernel = Kernel::restore(&bytes).unwrap();
        assert_eq!(self.kernel.snapshot(), bytes, "restore and snapshot again");
        self.timers.clear();
        self.todo.clear();
        self.mono = 0;
        let models = self.models.iter().map(|call| call.effect);
        let under_way = models.chain(self.dispatched.iter().copied()).chain(self.probing.iter().copied());
        let under_way = under_way.collect();
        self.step(Body::Woke { lease: Nano(100_000_000_000), under_way });
    }

    fn step(&mut self, body: Body) {
        if let Body::Tool { name, index, .. } = &body {
            self.shown.push(format!("- tool {index} {name}"));
        } else if matches!(body, Body::Armed { .. } | Body::TimerFired { .. }) {
            self.shown.push(format!("- {}", body.word()));
        }
        let of = body.clone();
        let event = Event { at: self.wall, mono: self.mono, body };
        let plan = self.kernel.plan(&event);
        assert!(plan.as_ref().map_or(0, Vec::len) <= abi::limits::LOOKUPS_MAX, "too many lookups");
        let facts = match std::mem::take(&mut self.starve) {
            true => Facts::Found(vec![]),
            false => self.world.facts(plan),
        };
        let before = self.kernel.seq();
        let decision = self.kernel.step(&event, facts);
        decision.blobs.iter().for_each(|bytes| {
            self.world.put(bytes);
        });
        for (ix, record) in decision.records.iter().enumerate() {
            assert_eq!(record.seq.0, before.0 + ix as u64 + 1, "records follow one another");
            assert!(record.cause <= record.seq, "a cause comes first");
            self.keep(record);
        }
        assert!(self.twin.snapshot() == self.kernel.snapshot(), "replaying the log gives another state");
        let mut show = Show { kernel: &self.kernel, world: &self.world, effects: &mut self.seen };
        self.shown.extend(decision.records.iter().map(|record| show.record(record)));
        self.shown.extend(decision.effects.iter().filter_map(|effect| show.effect(effect)));
        self.shown.extend(decision.alarms.iter().map(|alarm| format!("ALARM {}", alarm.message)));
        decision.effects.into_iter().for_each(|effect| self.carry_out(&of, effect));
    }

    fn keep(&mut self, record: &Record) {
        self.log.push(record.clone());
        self.twin.apply(record);
        self.world.fold(record);
    }

    fn carry_out(&mut self, of: &Body, effect: Effect) {
        match effect {
            Effect::Merge(wants) => {
                let (of, mut merges, round) = match of.clone() {
                    Body::Merged { of, merges, round } => (of, merges, round),
                    of => (Box::new(of), Vec::new(), 0),
                };
                for merge in wants {
                    let made = self.world.merged(&merge);
                    merges.push((merge, made));
                }
                self.todo.push_back(Body::Merged { of, merges, round: round + 1 });
            }
            Effect::Scrub { reply } => self.todo.push_back(Body::ControlEnded { reply, result: Ok(()) }),
            Effect::Model(call) => self.models.push(call),
            Effect::Tool { pid, step, index, answer } => {
                let ToolAsked { name, args, call } = self.answers[&answer][index as usize].clone();
                self.todo.push_back(Body::Tool { pid, step, index, name, args, call });
            }
            Effect::Arm { effect } => self.todo.push_back(Body::Armed { effect }),
            Effect::Dispatch { effect, .. } => self.dispatched.push_back(effect),
            Effect::Probe { effect, .. } => self.probing.push_back(effect),
            Effect::Timer { timer, after_us } => {
                self.timers.insert(timer, self.mono.saturating_add(after_us));
            }
            Effect::Reply { answer, .. } => {
                if let Ok(Answer::Preview { digest, .. }) = &answer {
                    self.world.previewed = Some(*digest);
                }
                self.last = Some(answer);
            }
            Effect::ReadDraft { reply, pid, layer, .. } => {
                self.todo.push_back(self.world.draft(reply, pid, layer));
            }
            Effect::Extend { .. } | Effect::Cut { .. } | Effect::Control { .. } => {}
            Effect::Exec(_)
            | Effect::EndExec { .. }
            | Effect::Tell { .. }
            | Effect::ExecDecided { .. }
            | Effect::NoticeDecided { .. }
            | Effect::Place { .. } => {}
            Effect::Sandbox { pid, act: SandboxAct::End } if !self.manual => self.todo.push_back(ended(pid)),
            Effect::Sandbox { .. } => {}
        }
    }
}

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// What every mount of a script can do.
fn kinds(recovery: Recovery) -> Vec<Kind> {
    let kind = |name: &str, class, steering: &[&str]| Kind {
        steering: strings(steering),
        payload: strings(&["body"]),
        answer: Some(Integrity::Workspace),
        ..Kind::new(name, class, recovery)
    };
    // Money twice is not money once.
    let once = if recovery == Recovery::Repeat { Recovery::Keyed } else { recovery };
    let named = Audience::Named(strings(&["to"]));
    let undo = Some(String::from("undraft"));
    vec![
        Kind {
            attachments: strings(&["file"]),
            payload: strings(&["body", "file"]),
            audience: Audience::Named(strings(&["to", "cc"])),
            template: "Send to {to}\n".into(),
            ..kind("mail.send", Class::ExternalIrreversible, &["to", "cc"])
        },
        kind("shout", Class::ExternalIrreversible, &[]),
        Kind { audience: Audience::Operator, ..kind("shred", Class::ExternalIrreversible, &[]) },
        Kind {
            undo: undo.clone(),
            audience: Audience::Operator,
            ..kind("draft", Class::Reversible, &["to"])
        },
        Kind {
            undo: undo.clone(),
            audience: Audience::Operator,
            payload: strings(&["body", "effect", "answer"]),
            ..kind("undraft", Class::Reversible, &[])
        },
        Kind { undo, audience: named, ..kind("meet", Class::Reversible, &["to"]) },
        Kind {
            amount: Some("amount".into()),
            payload: strings(&["amount", "body"]),
            recovery: once,
            ..kind("pay", Class::Money, &["to"])
        },
        Kind { recovery: once, ..kind("password", Class::Account, &["value"]) },
        Kind { payload: vec![], answer: None, ..kind("fetch", Class::Get, &["url"]) },
        kind("look", Class::Pure, &[]),
    ]
}

/// What it delivers, and from whom.
fn brings() -> Vec<Brings> {
    let brings = |pattern: &str, readers, directory| Brings {
        pattern: Pattern::parse(pattern).unwrap(),
        integrity: Integrity::Workspace,
        readers,
        directory,
    };
    let only = |names: &[&str]| Readers::Only(strings(names).into_iter().collect());
    vec![
        brings("/contacts/**", Readers::Any, true),
        brings("/private/**", only(&["anna@tiles.example"]), false),
        brings("/secret/**", only(&[]), false),
        brings("/own/**", Readers::Any, false),
    ]
}

/// `price MODEL IN OUT CACHED WRITTEN`: nano-units a token.
fn price(words: &Words) -> Price {
    let nano = |ix| Nano(words.get(ix).parse().unwrap_or(1000));
    Price { token_in: nano(2), token_out: nano(3), token_cached: nano(4), token_written: nano(5) }
}
