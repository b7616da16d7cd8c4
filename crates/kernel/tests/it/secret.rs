//! Non-interference (Goguen and Meseguer 1982): a random program is run twice, and only the bytes of what is
//! secret differ. What reaches a driver that others see, and what those are told who have seen nothing
//! secret, must be the same to the last byte.
//!
//! ```text
//! pid 1 blind    may not read it                      pid 4 keeper   may write it, not read it
//! pid 2 seer     reads it, passes it on, sends        pid 5 high     may read a secret from outside, but for
//! pid 3 clerk    reads what seers make of it                         its ceiling
//! ```
//! `{S}` in a line of a program is what its process was last told, so that secrets go into texts, names,
//! receivers and URLs; some lines guess at the first of the two secrets. Two things are left out, since they
//! are not closed. Ids are counters that all processes share: they are not compared, and a process uses none
//! but its own. And nobody guesses a path that one who knows the secret has named after it: that it is not
//! there would tell.

use crate::{script::START, words::Words, world::World};
use abi::{
    Hash, LabelId, Pid, ReplyTo, WORKSPACE,
    agent::{Policy, PolicyRow},
    answer::Answer,
    call::Fields,
    cap::Grant,
    effect::{Effect, ModelCall},
    event::{Body, Caller, Claimed, EffectOutcome, Event, ModelOutcome, Stop},
    fact::{Fact, Lookup, Query},
    label::{Integrity, Readers},
    manifest::{Audience, Brings, Class, Kind, Manifest, Recovery},
    money::{Nano, Price, Usage},
    path::{Pattern, TreePath},
    record::Entry,
};
use kernel::Kernel;
use std::collections::{BTreeMap, VecDeque};

/// Programs of the default run; `cargo xtask spec launder` runs 10,000.
const PROGRAMS: u64 = 2_000;
/// Calls of a program.
const CALLS: usize = 16;
/// The number of the rule about readers.
const READERS: u8 = 11;

const AGENTS: [&str; 5] = [
    "agent blind needs=\"read /data/pub/**; write /data/pub/**; apply *; spawn any\"",
    "agent seer needs=\"read /integrations/box/secret/**; read /data/**; read /proc/**; read /sys/**; write /**; \
        apply *; spawn any\"",
    "agent clerk needs=\"read /data/**; write /data/**; apply *; spawn any\"",
    "agent keeper needs=\"write /integrations/box/secret/**; write /data/pub/**; apply *; spawn any\"",
    "agent high needs=\"read /integrations/box/*; read /data/pub/**; write /data/pub/**; apply *\"",
];
const WHO: [&str; 5] = ["blind", "seer", "clerk", "keeper", "high"];

/// What a program is made of.
const LINES: [&str; 68] = [
    "read /integrations/box/secret/pin",
    "read /integrations/box/secret/pin",
    "read /integrations/box/secret/plan.md",
    "read /integrations/box/secret/none",
    "read /integrations/box/1",
    "read /data/pub/a.md",
    "read /data/pub/b.md",
    "read \"/data/pub/{S}\"",
    "read /data/vault/a.md",
    "list /data/pub",
    "list /data",
    "list /integrations/box/secret",
    "list /integrations/box",
    "list /",
    "history /data/pub/a.md",
    "history /integrations/box/secret/pin",
    "search pelican",
    "search {S}",
    "operation {O}",
    "read /proc/2/status",
    "read /proc/{P}/caps",
    "read /sys/conflicts",
    "trace",
    "write /data/pub/a.md {S}",
    "write /data/pub/a.md pelican",
    "write /data/pub/b.md \"one\\n{S}\\nthree\\nfour\\n\"",
    "write /data/vault/a.md {S}",
    "write \"/data/vault/{S}\" x",
    "dir \"/data/pub/{S}\"",
    "append /data/pub/a.md {S}",
    "append /integrations/box/secret/pin x",
    "patch /integrations/box/secret/pin put find=pelican",
    "patch /data/pub/a.md put find=pelican",
    "patch /data/vault/a.md put find=pelican",
    "write /integrations/box/secret/pin pelican",
    "write /integrations/box/secret/plan.md \"one\\ntwo\\nthree\\nfour\\npelican\\n\"",
    "move /data/pub/a.md \"/data/pub/{S}\"",
    "move /data/vault \"/data/pub/{S}\"",
    "move /integrations/box/secret/pin /data/pub/c.md",
    "remove /data/pub/a.md",
    "remove /data/vault tree",
    "restore /data/pub/a.md version={V}",
    "restore / operation={O}",
    "restore / pid=2",
    "restore / pid=4",
    "propose box mail.send to=bob body={S}",
    "propose box mail.send to=bob body={S}",
    "propose box mail.send to=bob body=x",
    "propose box mail.send to={S} body=x",
    "propose box shout body={S}",
    "propose box fetch url=https://x.example/{S}",
    "propose box fetch url=https://x.example/",
    "propose box pay to=bob amount=1 body={S}",
    "propose box meet to=bob body={S}",
    "propose box look body={S}",
    "propose box draft to=bob body={S}",
    "spawn {A} {S}",
    "spawn {A} go post=contains:/integrations/box/secret/pin:pelican",
    "spawn {A} go post=exists:/data/pub/c.md",
    "dispatch {A} {S} lane=steer",
    "dispatch {A} {S}",
    "dispatch {A} {S} session=s",
    "append /home/{A}/chat/s.md {S}",
    "read /home/{A}/chat/s.md",
    "list /home/{A}/chat",
    "end {P} {S}",
    "wait pid={P}",
    "grant {P} \"read /data/pub/{S}\"",
];

/// SplitMix64: a seed is the whole program.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) % end as u64) as usize
    }
}

/// Who does what, in order.
fn program(seed: u64) -> Vec<(Pid, String)> {
    let mut chance = Chance(seed);
    let mut lines = vec![(Pid(2), LINES[0].to_string())];
    while lines.len() < CALLS {
        let pid = Pid([1, 2, 2, 2, 3, 3, 4, 5, 6][chance.below(9)]);
        let line = LINES[chance.below(LINES.len())];
        let line = line.replace("{A}", WHO[chance.below(WHO.len())]);
        lines.push((pid, line.replace("{P}", &(1 + chance.below(8)).to_string())));
    }
    lines
}

/// What is compared of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    /// What drivers were handed whose effects others see: kind, arguments, order.
    public: Vec<String>,
    /// What processes were told that had seen nothing secret.
    told: Vec<(Pid, String)>,
}

/// A workspace in memory.
#[derive(Clone)]
struct Lab {
    kernel: Kernel,
    world: World,
    replies: u64,
    asked: BTreeMap<ReplyTo, Pid>,
    models: BTreeMap<Pid, ModelCall>,
    todo: VecDeque<Body>,
    labels: BTreeMap<Pid, LabelId>,
    /// Of each process: what it was told last, and the operation and version it made last.
    last: BTreeMap<Pid, (String, u64, u64)>,
    seen: Seen,
}

fn manifest() -> Manifest {
    let strings = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let kind = |name: &str, class, steering: &[&str], payload: &[&str]| Kind {
        steering: strings(steering),
        payload: strings(payload),
        answer: Some(Integrity::Workspace),
        ..Kind::new(name, class, Recovery::Opaque)
    };
    let undo = Some(String::from("undo"));
    let named = Audience::Named(strings(&["to"]));
    let mut kinds = vec![
        kind("mail.send", Class::ExternalIrreversible, &["to"], &["body"]),
        kind("shout", Class::ExternalIrreversible, &[], &["body"]),
        Kind { amount: Some("amount".into()), ..kind("pay", Class::Money, &["to"], &["amount", "body"]) },
        kind("fetch", Class::Get, &["url"], &[]),
        kind("look", Class::Pure, &[], &["body"]),
        Kind { undo: undo.clone(), audience: named, ..kind("meet", Class::Reversible, &["to"], &["body"]) },
    ];
    for name in ["draft", "undo"] {
        let private = kind(name, Class::Reversible, &["to"], &["body"]);
        kinds.push(Kind { undo: undo.clone(), audience: Audience::Operator, ..private });
    }
    let secret = Brings {
        pattern: Pattern::parse("/secret/**").unwrap(),
        integrity: Integrity::Workspace,
        readers: Readers::Only(Default::default()),
        directory: false,
    };
    Manifest { kinds, brings: vec![secret], ..Manifest::default() }
}

impl Lab {
    /// The five processes, and secrets made of this word.
    fn new(lacks: Vec<u8>, word: &str) -> Self {
        let mut lab = Self {
            kernel: Kernel::new(),
            world: World::default(),
            replies: 0,
            asked: BTreeMap::new(),
            models: BTreeMap::new(),
            todo: VecDeque::new(),
            labels: BTreeMap::new(),
            last: BTreeMap::new(),
            seen: Seen::default(),
        };
        lab.run(Body::Genesis { id: [7; 16], lacks });
        lab.run(Body::Woke { lease: Nano(i64::MAX / 4), under_way: vec![] });
        let grants = ["read /**", "write /**", "apply *", "model any", "spawn any"];
        let allow = grants.map(|need| Grant::parse(need).unwrap()).to_vec();
        let row = PolicyRow { agent: "*".into(), allow, ..PolicyRow::default() };
        let policy = Policy { rows: vec![row], ..Policy::default() };
        lab.run(Body::PolicyLoaded { digest: Hash::of(b"policy"), policy });
        lab.run(Body::Priced { model: "m".into(), price: Price::default() });
        let (mount, driver, argument) = ("box".into(), "ram".into(), String::new());
        lab.run(Body::Mounted { mount, driver, argument, manifest: manifest() });
        for (path, text) in [
            ("/secret/pin", word.to_string()),
            ("/secret/plan.md", format!("one\ntwo\nthree\nfour\n{word}\n")),
            ("/1", format!("from outside: {word}")),
        ] {
            let content = lab.world.put(text.as_bytes());
            let path = TreePath::parse(path).unwrap();
            lab.run(Body::Arrived { mount: "box".into(), path, content });
        }
        for agent in AGENTS {
            let def = Words::of(agent).agent();
            let path = format!("/agents/{}/AGENT.md", def.name);
            lab.world.agents.insert(def.name.clone(), def);
            lab.call(WORKSPACE, &format!("write {path} prompt"));
        }
        for line in ["dir /data/pub", "write /data/pub/a.md old", "write /data/vault/a.md old"] {
            lab.call(WORKSPACE, line);
        }
        for name in WHO {
            let ceiling = if name == "high" { "workspace" } else { "external" };
            lab.call(WORKSPACE, &format!("spawn {name} task ceiling={ceiling}"));
        }
        lab.seen = Seen::default();
        lab
    }

    fn call(&mut self, pid: Pid, line: &str) {
        let (said, mut op, mut version) = self.last.get(&pid).cloned().unwrap_or_default();
        // A program has no branches: whether a write by the one who knows came about would be one.
        if self.knows(pid) {
            (op, version) = (0, 0);
        }
        let said = if said.is_empty() { format!("nothing-{pid}") } else { said };
        let line = line.replace("{S}", &said).replace("{O}", &op.to_string());
        let words = Words::of(&line.replace("{V}", &version.to_string()));
        if words.at(0) == "end" {
            return self.end(Pid(words.at(1).parse().unwrap()), words.at(2));
        }
        let caller = if pid == WORKSPACE { Caller::Operator("anna".into()) } else { Caller::Process(pid) };
        self.replies += 1;
        let reply = ReplyTo(self.replies);
        self.asked.insert(reply, pid);
        let call = words.call(&mut self.world);
        self.run(Body::Call { caller, reply, call });
    }

    /// The model of a process says its last words.
    fn end(&mut self, pid: Pid, text: &str) {
        let Some(call) = self.models.remove(&pid) else { return };
        let (answer, usage) = (self.world.put(text.as_bytes()), Usage::default());
        let (tools, stop, claimed) = (0, Stop::End, Claimed::new(usage));
        let outcome =
            ModelOutcome::Answered { answer, tools, stop, usage: claimed, counted: usage, body: vec![] };
        self.run(Body::ModelEnded { effect: call.effect, attempt: call.attempt, outcome });
    }

    fn run(&mut self, body: Body) {
        self.todo.push_back(body);
        while let Some(body) = self.todo.pop_front() {
            self.step(body);
        }
    }

    fn step(&mut self, body: Body) {
        let event = Event { at: START, mono: 0, body };
        let plan = self.kernel.plan(&event);
        let facts = self.world.facts(plan);
        let decision = self.kernel.step(&event, facts);
        for bytes in &decision.blobs {
            self.world.put(bytes);
        }
        for record in &decision.records {
            self.world.fold(record);
            match &record.body {
                Entry::Spawned { pid, label, .. } => drop(self.labels.insert(*pid, *label)),
                Entry::Saw { joined, .. } => drop(self.labels.insert(record.pid, *joined)),
                Entry::Steered { pid, joined, .. } => drop(self.labels.insert(*pid, *joined)),
                _ => {}
            }
        }
        decision.effects.into_iter().for_each(|effect| self.carry_out(&event.body, effect));
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
            Effect::Model(call) => drop(self.models.insert(call.pid, call)),
            Effect::Arm { effect } => self.todo.push_back(Body::Armed { effect }),
            Effect::Dispatch { effect, kind, args, .. } => {
                // What is pure or only the operator's is no public sink.
                if !["look", "draft", "undo"].contains(&kind.as_str()) {
                    let fields: Fields = musli::wire::from_slice(&self.world.blobs[&args]).unwrap();
                    self.seen.public.push(format!("{kind} {fields:?}"));
                }
                let outcome = EffectOutcome::Done(self.world.put(b"ok"));
                self.todo.push_back(Body::EffectEnded { effect, outcome });
            }
            Effect::Reply { to, answer } => {
                let pid = self.asked[&to];
                let text = match answer {
                    Ok(answer) => self.text(pid, answer),
                    Err(error) => {
                        masked(&format!("{}: {} ({})", error.code.word(), error.message, error.hint))
                    }
                };
                self.told(pid, text);
            }
            Effect::Scrub { .. } | Effect::Tool { .. } | Effect::Probe { .. } | Effect::Timer { .. } => {}
            Effect::Extend { .. } | Effect::Cut { .. } | Effect::Control { .. } => {}
            Effect::ReadDraft { .. } => {}
            Effect::Exec(_)
            | Effect::EndExec { .. }
            | Effect::Tell { .. }
            | Effect::ExecDecided { .. }
            | Effect::NoticeDecided { .. }
            | Effect::Place { .. }
            | Effect::Sandbox { .. } => {}
        }
    }

    /// An answer, without ids.
    fn text(&mut self, pid: Pid, answer: Answer) -> String {
        let query = match answer {
            Answer::Query(query) => query,
            Answer::Wrote { operation, version, path } => {
                let last = self.last.entry(pid).or_default();
                (last.1, last.2) = (operation.0, version.0);
                return format!("wrote {path}");
            }
            Answer::Effected { done, .. } => return format!("effected {done}"),
            answer => return masked(&answer.to_json()),
        };
        let facts = match query {
            Query::Read { .. } | Query::List { .. } => Lookup::Fill { query },
            Query::Search { sought, view } => Lookup::Search { sought, view },
            Query::Operation { op, view, .. } => Lookup::Operation { op, view },
            query => return format!("{query:?}").split(' ').next().unwrap_or("").to_string(),
        };
        match self.world.facts(Ok(vec![facts])) {
            abi::fact::Facts::Found(found) => match &found[..] {
                [Fact::Filled(content)] => String::from_utf8_lossy(&self.world.blobs[&content.hash]).into(),
                [Fact::Hits(hits)] => hits.iter().map(|(path, ..)| format!("{path} ")).collect(),
                other => format!("{other:?}"),
            },
            abi::fact::Facts::Refused(error) => error.message,
        }
    }

    /// Whether the process has seen something secret, or something from outside.
    fn knows(&self, pid: Pid) -> bool {
        let label = self.labels.get(&pid).and_then(|id| self.kernel.label(*id));
        label.is_some_and(|label| label.readers != Readers::Any || label.integrity < Integrity::Workspace)
    }

    fn told(&mut self, pid: Pid, text: String) {
        let letters: String = text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        self.last.entry(pid).or_default().0 = letters.chars().take(60).collect();
        let text = if self.knows(pid) { "(has seen it)".into() } else { text };
        self.seen.told.push((pid, text));
    }
}

/// Without numbers.
fn masked(text: &str) -> String {
    let mut masked = String::new();
    for c in text.chars() {
        match c {
            c if !c.is_ascii_digit() => masked.push(c),
            _ if masked.ends_with('#') => {}
            _ => masked.push('#'),
        }
    }
    masked
}

/// Runs every program in both labs: how many differ, the first of them, and how many send at all.
fn differing(lacks: &[u8], programs: u64) -> (u64, Option<String>, u64) {
    let labs = ["pelican", "a wolverine in the night"].map(|word| Lab::new(lacks.to_vec(), word));
    let (mut differ, mut first, mut sending) = (0, None, 0);
    for seed in 1..=programs {
        let lines = program(seed);
        let [one, other] = [0, 1].map(|ix: usize| {
            let mut lab = labs[ix].clone();
            lines.iter().for_each(|(pid, line)| lab.call(*pid, line));
            lab.seen
        });
        sending += u64::from(!one.public.is_empty());
        if one != other {
            differ += 1;
            let told = one.told.iter().zip(&other.told).find(|(one, other)| one != other);
            let public = one.public.iter().zip(&other.public).find(|(one, other)| one != other);
            let short: Vec<String> = lines.iter().map(|(pid, line)| format!("{}: {line}", pid.0)).collect();
            first.get_or_insert_with(|| format!("seed {seed}: {told:?} {public:?}\n{}", short.join("\n")));
        }
    }
    (differ, first, sending)
}

/// Programs of this run.
#[allow(clippy::disallowed_methods)] // seam: how many, for `cargo xtask spec launder`
fn programs() -> u64 {
    std::env::var("PROGRAMS").ok().and_then(|count| count.parse().ok()).unwrap_or(PROGRAMS)
}

#[test]
fn what_is_secret_changes_nothing_that_others_see() {
    let (differ, first, sending) = differing(&[], programs());
    println!("{{\"programs\":{},\"differ\":{differ},\"sending\":{sending}}}", programs());
    assert_eq!((differ, first), (0, None));
    assert!(sending > programs() / 4, "{sending} programs send anything at all");
}

/// The control: without the rule about readers the same programs tell the secret.
#[test]
fn without_the_rule_about_readers_it_does() {
    let programs = programs() / 4;
    let (differ, ..) = differing(&[READERS], programs);
    println!("{{\"control\":{programs},\"told\":{differ}}}");
    assert!(differ > programs / 10, "{differ} of {programs} differ");
}
