//! The language of scripts: a line is words, `"quoted text"` is one word, `key=value` an argument.
//! `write /data/a "text" base=3` → `Call::Write`. Nothing is decided here; a bad line fails the test.

use crate::world::World;
use abi::{
    CapId, Content, ExecId, LabelId, OpId, Pid, ProposalId, ReplyTo, Seq, VersionId,
    agent::{AgentDef, Guest, Home, OwnLogin, Postcondition, Program, Protocol, Restart},
    call::{At, Call, Fields, Lane, Origin, ProcessKind, Ruling, Sought, Take, Text, Undo, Wall, Write},
    cap::Grant,
    control::{self, Control, SecretAct},
    event::{Body, Claimed, Ran},
    label::Integrity,
    money::{Limit, Nano, Resource, Usage, Window},
    net::{Asked, Host},
    path::TreePath,
    record::{Finish, Port, Used},
    request::{Api, Delivery, Request},
    tree::Node,
    view::{Change, Commit, Opened},
};
use std::collections::BTreeMap;

/// One line, taken apart.
#[derive(Clone, Debug)]
pub struct Words {
    line: String,
    plain: Vec<String>,
    named: BTreeMap<String, Vec<String>>,
}

/// Splits a line; quotes group, `\n` inside them is a line end.
pub fn split(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            c if c.is_whitespace() && !quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words.into_iter().map(|word| word.replace("\\n", "\n")).collect()
}

impl Words {
    /// A line's words.
    pub fn of(line: &str) -> Self {
        let mut words = Self { line: line.to_string(), plain: vec![], named: BTreeMap::new() };
        for word in split(line) {
            match word.split_once('=').filter(|(key, _)| key.chars().all(|c| c.is_ascii_lowercase())) {
                Some((key, value)) => words.named.entry(key.into()).or_default().push(value.into()),
                None => words.plain.push(word),
            }
        }
        words
    }

    /// The plain word at this place.
    pub fn at(&self, ix: usize) -> &str {
        self.plain.get(ix).unwrap_or_else(|| panic!("{:?} needs a word at {ix}", self.line))
    }

    /// `ended PID`, `left REPLY`, `listens PID` and pairs of address and program.
    pub fn told(&self) -> Body {
        match self.at(0) {
            "ended" => ended(Pid(self.id(1))),
            "left" => Body::Left { reply: ReplyTo(self.id(1)) },
            _ => {
                let pairs = self.plain.get(2..).unwrap_or_default().chunks_exact(2);
                let port = |pair: &[String]| Port { address: pair[0].clone(), program: pair[1].clone() };
                Body::Listens { pid: Pid(self.id(1)), ports: pairs.map(port).collect() }
            }
        }
    }

    /// The plain word at this place, or nothing.
    pub fn get(&self, ix: usize) -> &str {
        self.plain.get(ix).map_or("", String::as_str)
    }

    /// The first value of a key.
    pub fn key(&self, key: &str) -> Option<&str> {
        self.named.get(key).and_then(|values| values.first()).map(String::as_str)
    }

    /// A number.
    pub fn number(&self, key: &str) -> Option<u64> {
        self.key(key).map(|text| text.parse().unwrap())
    }

    pub fn id(&self, ix: usize) -> u64 {
        self.at(ix).parse().unwrap_or_else(|_| panic!("{:?} needs a number at {ix}", self.line))
    }

    fn path(&self, ix: usize) -> TreePath {
        TreePath::parse(self.at(ix)).unwrap()
    }

    /// The call this line is.
    pub fn call(&self, world: &mut World) -> Call {
        let at = self.number("at").map(|at| At::Seq(Seq(at)));
        let base = self.number("base").map(VersionId);
        match self.at(0) {
            "read" => Call::Read {
                path: self.path(1),
                at,
                version: self.number("version").map(VersionId),
                part: None,
            },
            "list" => Call::List { path: self.path(1), at },
            "history" => Call::History { path: self.path(1), before: None, limit: 100 },
            "write" | "append" | "patch" | "dir" | "link" | "restore" | "resolve" | "check" | "begin" => {
                self.write(world)
            }
            "search" => self.search(),
            "operation" => Call::Operation { op: OpId(self.id(1)), limit: 100 },
            "move" => Call::Move { from: self.path(1), to: self.path(2), base },
            "remove" => Call::Remove { path: self.path(1), base, tree: self.get(2) == "tree" },
            "spawn" => self.spawn(world),
            "dispatch" => Call::Dispatch {
                agent: self.at(1).into(),
                text: self.text(world),
                lane: match self.key("lane") {
                    None => Lane::FollowUp,
                    Some("steer") => Lane::Steer,
                    Some("interrupt") => Lane::Interrupt,
                    Some(other) => panic!("{other} is no lane"),
                },
                inputs: Fields::new(),
                session: self.key("session").map(String::from),
            },
            "complete" => self.complete(world),
            "wait" => Call::Wait {
                pid: self.number("pid").map(Pid),
                proposal: self.number("proposal").map(ProposalId),
                timeout_us: self.key("timeout").map(micros),
            },
            "exec" => self.exec(world),
            "signal" => Call::Signal { pid: Pid(self.id(1)), signal: control::signal(self.at(2)).unwrap() },
            "propose" => {
                Call::Propose { mount: self.at(1).into(), kind: self.at(2).into(), fields: self.fields() }
            }
            "approve" => self.decide(world, Ruling::Approve),
            "reject" => self.decide(world, Ruling::Reject),
            "answer" => self.decide(world, Ruling::Answer),
            "modify" => self.decide(world, Ruling::Modify),
            "revert" => Call::Revert { effect: world.deed_of(self.at(1)) },
            "grant" => Call::Grant {
                pid: Pid(self.id(1)),
                grant: Grant::parse(self.at(2)).unwrap(),
                expires_us: self.key("lasts").map(micros),
            },
            "revoke" => Call::Revoke { cap: CapId(self.id(1)) },
            "trace" => {
                let pid = self.number("pid").map(Pid);
                Call::Trace { from: Seq(0), limit: 100, pid, follow: false }
            }
            "control" => {
                let path = self.path(1);
                Call::Control { word: control::parse(&path, self.at(2)).unwrap(), path }
            }
            "secret" => self.secret(),
            other => panic!("{other:?} is no call: {:?}", self.line),
        }
    }

    fn secret(&self) -> Call {
        let act = match self.at(2) {
            "lend" => SecretAct::Lend,
            "forget" => SecretAct::Forget,
            _ => SecretAct::Keep,
        };
        let (path, name) = (TreePath::parse(&format!("/sys/secrets/{}", self.at(1))), self.at(1).into());
        Call::Control { path: path.unwrap(), word: Control::Secret { name, act } }
    }

    fn spawn(&self, world: &mut World) -> Call {
        Call::Spawn {
            agent: self.at(1).into(),
            text: self.text(world),
            post: self.named.get("post").into_iter().flatten().map(|post| postcondition(post)).collect(),
            budget: self.key("budget").map(|money| money.parse().unwrap()),
            ceiling: match self.key("ceiling") {
                None | Some("external") => Integrity::External,
                Some("workspace") => Integrity::Workspace,
                Some(_) => Integrity::Operator,
            },
            inputs: Fields::new(),
            kind: if self.key("kind").is_some() { ProcessKind::Client } else { ProcessKind::Turn },
            program: None,
        }
    }

    /// `pieces=a,b,c`, `whole=yes` or `count=yes`: a program's request of these pieces.
    fn request(&self, pieces: &str, world: &mut World) -> Request {
        let pieces: Vec<Content> = pieces.split(',').map(|piece| world.put(piece.as_bytes())).collect();
        let weight = pieces.iter().map(|piece| piece.bytes).sum();
        let api = if self.key("count").is_some() { Api::CountTokens } else { Api::Messages };
        let whole = self.key("whole").is_some();
        let delivery = if whole { Delivery::Whole } else { Delivery::Streamed };
        Request { api, delivery, pieces, weight }
    }

    fn search(&self) -> Call {
        let path = self.key("path").map(|path| TreePath::parse(path).unwrap());
        let (author, label, since, until, at) = (None, None, None, None, None);
        Call::Search(Sought { query: self.at(1).into(), path, author, label, since, until, at, limit: 20 })
    }

    fn write(&self, world: &mut World) -> Call {
        let write = match self.at(0) {
            "write" => {
                let mode = if self.key("exec").is_some() { 0o755 } else { 0o644 };
                Write::Whole { content: self.value(2, world), mode }
            }
            "append" => Write::Append(self.value(2, world)),
            "patch" => {
                let find = world.put(self.key("find").unwrap().as_bytes());
                Write::Patch { find, put: self.value(2, world) }
            }
            "dir" => Write::Dir,
            "link" => Write::Link(self.value(2, world)),
            "check" => Write::Check(self.value(2, world)),
            "begin" => Write::Begin,
            "resolve" => {
                let take = match self.at(2) {
                    "ours" => Take::Ours,
                    "theirs" => Take::Theirs,
                    _ => Take::Text(self.value(2, world)),
                };
                Write::Resolve { version: VersionId(self.number("version").unwrap()), take }
            }
            _ => Write::Restore(self.undo()),
        };
        let base = self.number("base").map(VersionId);
        let message = self.key("message").map(|text| world.put(text.as_bytes()));
        Call::Write { path: self.path(1), write, base, message, origin: self.origin() }
    }

    fn undo(&self) -> Undo {
        let version = self.number("version").map(|id| Undo::Version(VersionId(id)));
        let operation = self.number("operation").map(|id| Undo::Operation(OpId(id)));
        let pid = self.number("pid").map(|id| Undo::Process(Pid(id)));
        version.or(operation).or(pid).unwrap()
    }

    fn decide(&self, world: &mut World, ruling: Ruling) -> Call {
        let reason = self.key("reason").map(|text| world.put(text.as_bytes()));
        let proposal = ProposalId(self.id(1));
        // `seen=shown`, `seen=group`, `seen=noted` (the group at a `note`), `seen=other`: what was shown.
        let digest = self.key("seen").map(|seen| world.digest(proposal, seen));
        let args = (ruling == Ruling::Modify).then(|| {
            let mut fields = self.fields();
            ["reason", "seen", "none"].iter().for_each(|key| _ = fields.remove(*key));
            fields.extend(self.key("none").map(|name| (name.into(), vec![])));
            fields
        });
        Call::Decide { proposal, ruling, reason, digest, args }
    }

    fn complete(&self, world: &mut World) -> Call {
        Call::Complete {
            model: self.at(1).into(),
            text: self.text(world),
            max_out: self.number("max").unwrap_or(1024),
            request: self.key("pieces").map(|pieces| self.request(pieces, world)),
        }
    }

    fn exec(&self, world: &mut World) -> Call {
        Call::Exec {
            pid: self.key("pid").map(|pid| Pid(pid.parse().unwrap())),
            text: Text { content: self.value(1, world), origin: self.origin() },
            // `-` says nothing of it.
            dir: match self.key("dir") {
                Some("-") => None,
                dir => Some(TreePath::parse(dir.unwrap_or("/")).unwrap()),
            },
            wall: match self.key("wall") {
                Some("shell") => Wall::Shell,
                Some("native") => Wall::Native,
                _ => Wall::Auto,
            },
            timeout_us: self.key("timeout").map_or(60_000_000, micros),
            stdio: abi::call::Stdio::Null,
        }
    }

    /// What a program says its models used.
    pub fn claimed(&self) -> Body {
        let tokens = |key: &str| self.number(key).unwrap_or(0);
        let usage = Usage { tokens_in: tokens("in"), tokens_out: tokens("out"), ..Usage::default() };
        Body::ExecClaimed { exec: ExecId(self.at(1).parse().unwrap()), usage: Claimed::new(usage) }
    }

    /// `turned EXEC "session" TURNS`, or a command's end.
    pub fn came(&self, verb: &str, world: &mut World) -> Body {
        if verb == "ran" {
            return self.ran(world);
        }
        let session = world.put(self.get(2).as_bytes());
        Body::ExecTurned {
            exec: ExecId(self.at(1).parse().unwrap()),
            session,
            turns: self.at(3).parse().unwrap(),
        }
    }

    /// `ran EXEC STATUS "output" ; put PATH "text" base= ; dir PATH ; gone PATH base= ; move FROM TO base= ;
    /// open PATH VERSION LABEL`; without a status nothing is kept.
    pub fn ran(&self, world: &mut World) -> Body {
        let parts: Vec<Words> = self.line.split(" ; ").map(Words::of).collect();
        let first = &parts[0];
        let how = match first.at(2) {
            "late" => Finish::TimedOut,
            "refused" => Finish::Refused { message: "no wall".into(), hint: "skep doctor".into() },
            status => Finish::Exited(status.parse().unwrap()),
        };
        let kept = matches!(how, Finish::Exited(_));
        let (_, commit) = self.wrote(world);
        let output = first.get(3).to_string();
        let bytes = output.len() as u64;
        let ran = Ran { how, wall: Wall::Native, output, whole: None, bytes, used: Used::default() };
        Body::ExecEnded { exec: ExecId(first.id(1)), ran, commit, keep: kept }
    }

    /// What a program made: `EXEC ; put …`.
    pub fn wrote(&self, world: &mut World) -> (ExecId, Commit) {
        let first = self.line.split(" ; ").next().map(Words::of).unwrap();
        (ExecId(first.id(1)), self.changes(world))
    }

    /// What follows the first ` ; `: changes, and what was opened.
    pub fn changes(&self, world: &mut World) -> Commit {
        let parts: Vec<Words> = self.line.split(" ; ").map(Words::of).collect();
        let mut commit = Commit::default();
        for part in parts.iter().skip(1) {
            if part.at(0) == "open" {
                let (version, label) = (VersionId(part.id(2)), LabelId(part.id(3) as u32));
                commit.told.labels.insert(label);
                commit.told.opened.push(Opened { path: part.path(1), version, label });
            } else {
                commit.changes.push(part.made(world));
            }
        }
        let lies = parts.first().and_then(|first| first.key("layer")).is_some();
        let shown = if lies { &[] } else { commit.changes.as_slice() };
        commit.layer = Some(Box::new(world.put(&abi::view::layer(shown))));
        commit
    }

    fn made(&self, world: &mut World) -> Change {
        let base = self.key("base").map(|base| VersionId(base.parse().unwrap()));
        let none = Content::default();
        let (path, from, node, content) = match self.at(0) {
            "put" => (self.path(1), None, Node::File, self.value(2, world)),
            // More than can be shown.
            "big" => (self.path(1), None, Node::File, world.put(&[b'x'; 70_000])),
            "dir" => (self.path(1), None, Node::Dir, none),
            "gone" => (self.path(1), None, Node::Gone, none),
            "link" => (self.path(1), None, Node::Link, self.value(2, world)),
            "move" => (self.path(2), Some(self.path(1)), Node::File, self.value(3, world)),
            "movedir" => (self.path(2), Some(self.path(1)), Node::Dir, none),
            other => panic!("{other} is no change"),
        };
        let mode = if node == Node::Dir { 0o755 } else { 0o644 };
        Change { path, from, base, node, content, mode, mtime: 7 }
    }

    fn value(&self, ix: usize, world: &mut World) -> Content {
        world.put(self.get(ix).as_bytes())
    }

    fn text(&self, world: &mut World) -> Text {
        Text { content: self.value(2, world), origin: self.origin() }
    }

    fn origin(&self) -> Origin {
        match self.key("origin") {
            None | Some("typed") => Origin::Typed,
            Some("argument") => Origin::Argument,
            Some("pipe") => Origin::Pipe,
            Some("file") => Origin::File,
            Some(other) => panic!("{other} is no origin"),
        }
    }

    fn fields(&self) -> Fields {
        self.named.clone()
    }

    /// `run=0.05 day=1` of money, `limits="tokens_out day 5; calls run 3"`.
    fn limits(&self) -> Vec<Limit> {
        let money = Window::ALL.into_iter().filter_map(|window| {
            let max = self.key(window.word())?.parse::<Nano>().unwrap().0;
            Some(Limit { resource: Resource::Money, window, max })
        });
        let more = self.key("limits").unwrap_or("").split(';').filter(|text| !text.trim().is_empty());
        money.chain(more.map(|text| limit(&text.split_whitespace().collect::<Vec<_>>()))).collect()
    }

    /// An agent: `agent NAME tools=a,b needs="read /a;write /b" restart=on-failure:2 run=0.05 model=m`.
    pub fn agent(&self) -> AgentDef {
        let list = |key: &str, cut: char, default: &str| -> Vec<String> {
            self.key(key).unwrap_or(default).split(cut).map(|word| word.trim().to_string()).collect()
        };
        let needs = list("needs", ';', "read /data/**; write /data/**");
        let restart = self.key("restart").map(|word| word.split_once(':').unwrap_or((word, "2")));
        AgentDef {
            name: self.at(1).into(),
            model: self.key("model").unwrap_or("m").into(),
            tools: list("tools", ',', "read,list,write,remove,move,spawn,wait,propose,dispatch"),
            needs: needs.iter().map(|need| Grant::parse(need).unwrap()).collect(),
            limits: self.limits(),
            wall_us: self.key("wall").map(micros),
            restart: match restart {
                None => Restart::No,
                Some(("always", _)) => Restart::Always,
                Some((_, times)) => Restart::OnFailure(times.parse().unwrap()),
            },
            prompt: Content::default(),
            version: VersionId(0),
            label: abi::LabelId(0),
            withheld: Vec::new(),
            skills: Vec::new(),
            task: None,
            run: self.key("program").map(|command| Program {
                command: command.into(),
                dir: TreePath::parse("/data").unwrap(),
                probe: None,
                guest: Guest {
                    draft: self.key("view") == Some("draft"),
                    home: if self.key("home").is_some() { Home::Kept } else { Home::Sandbox },
                    own_login: self.key("login") == Some("own"),
                    protocol: if self.key("protocol").is_some() { Protocol::Acp } else { Protocol::None },
                    ..Guest::default()
                },
            }),
        }
    }
}

impl Words {
    /// `… PID HOST PORT METHOD`, with `presets=a,b`, `over=tls`, `git=fetch`.
    pub fn asked(&self) -> Asked {
        let method = Some(self.at(4)).filter(|method| *method != "CONNECT").map(String::from);
        let presets = self.key("presets").unwrap_or("").split_whitespace().map(String::from).collect();
        let (host, port) = (Host::parse(self.at(2)).unwrap(), self.at(3).parse().unwrap());
        let (secure, fetches) = (self.key("over") == Some("tls"), self.key("git") == Some("fetch"));
        Asked { host, port, method, presets, secure, fetches }
    }

    /// `budget login CALLS-AN-HOUR TIME-A-DAY`.
    pub fn own_login(&self) -> OwnLogin {
        let max = self.at(2).parse().unwrap();
        let limits = vec![Limit { resource: Resource::Calls, window: Window::Hour, max }];
        OwnLogin { limits, wall_us: None, day_us: Some(micros(self.at(3))) }
    }
}

/// `RESOURCE WINDOW MAX`.
pub fn limit(words: &[&str]) -> Limit {
    let resource = Resource::of(words[0]).unwrap();
    Limit { resource, window: Window::of(words[1]).unwrap(), max: resource.amount(words[2]).unwrap() }
}

fn postcondition(text: &str) -> Postcondition {
    let words: Vec<&str> = text.splitn(3, ':').collect();
    let path = TreePath::parse(words[1]).unwrap();
    match words[0] {
        "exists" => Postcondition::Exists(path),
        _ => Postcondition::Contains(path, words[2].to_string()),
    }
}

/// `30s`, `5m`, `2h`, `100us`.
pub fn micros(text: &str) -> u64 {
    let cut = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(cut);
    let unit = match unit {
        "us" => 1,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        other => panic!("{other:?} is no unit of time"),
    };
    number.parse::<u64>().unwrap() * unit
}

/// Everything in the sandbox of this process has ended.
pub fn ended(pid: Pid) -> Body {
    Body::SandboxEnded { pid }
}
