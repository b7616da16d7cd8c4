//! The load: threads that write files, start runs and remember what was acknowledged, whatever happens to the
//! daemon. Never here: what must be so afterwards.
//!
//! ```text
//! writer   whole, append, stale, move, remove on files of its own      every answer is an Ack
//! clerk    a run of three writes, four model calls
//! courier  a run that sends two mails, to a receiver the operator names: rule 5, or 6a after reading a mail
//! ```

use crate::hive::{Client, retry};
use abi::Hash;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::Scope,
};

/// All under load at once.
pub const WORKSPACES: [&str; 3] = ["home", "east", "west"];
/// Files of a writer.
const FILES: u64 = 6;
/// Appends to a file before it is written whole again, so that it stays below what a file may hold.
const APPENDS_MAX: u64 = 60;
/// How long a run is waited for; one whose call was lost twice never ends.
const RUN_MS_MAX: u64 = 300;
/// A mail that couriers read, so that what they send is decided under an external label.
const MAIL: &str = "01-opening-hours";

/// SplitMix64 (Steele, Lea, Flood 2014).
pub struct Chance(pub u64);

impl Chance {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// A write that was acknowledged.
#[derive(Clone, Debug)]
pub struct Ack {
    pub version: u64,
    pub path: String,
    pub what: Put,
}

/// What the version must hold.
#[derive(Clone, Debug)]
pub enum Put {
    /// Bytes of this hash.
    Whole(Hash),
    /// What its parent holds, and this after it.
    Tail(String),
    /// What its parent holds.
    Moved,
    /// Nothing: the path is gone.
    Gone,
}

/// Where a workspace's mail goes.
pub fn outbox(around: &Path, workspace: &str) -> PathBuf {
    around.join(format!("outbox-{workspace}"))
}

/// The rules of the scripted model.
pub fn rules(home: &Path) {
    let write =
        json!({"name": "write", "arguments": {"path": "/data/jobs/{job}/{n}.md", "text": "{job} {n}\n"}});
    let mail = json!({"name": "read", "arguments":
        {"path": format!("/integrations/mail/inbox/{MAIL}.md")}});
    let send = |which: &str| {
        json!({"name": "propose", "arguments": {"mount": "outbox", "kind": "mail.send", "args":
            {"to": "{to}", "subject": format!("{{job}} {which}"), "body": "It is on its way.\n"}}})
    };
    let parcel = "parcel {job} to {to} now";
    let plays = [
        ("sort", "Sort {job} now", vec![write.clone(), write.clone(), write]),
        ("read the mail", parcel, vec![mail, send("first"), send("second")]),
        ("send", parcel, vec![send("first"), send("second")]),
    ];
    let mut rules = Vec::new();
    for (task, seen, tools) in plays {
        let says = tools.iter().map(|tool| json!({"say": "Next.", "tools": [tool], "takes_ms": 6}));
        let says = says.chain([json!({"say": "Done.", "takes_ms": 6})]);
        for (step, then) in says.enumerate() {
            rules.push(json!({"when": {"task": task, "seen": seen, "step": step}, "then": then}));
        }
    }
    fs::create_dir_all(home.join("scripted")).unwrap();
    let text = json!({"about": "Load for kills.", "rules": rules}).to_string();
    fs::write(home.join("scripted/kill.json"), text).unwrap();
}

const CLERK: &str = "---\nname: clerk\ndescription: Writes.\nmodel: scripted/kill\ntools: [write]\nneeds:\n  \
    - read /data/**\n  - write /data/**\n  - model any\n---\nYou are clerk.\n";
const COURIER: &str = "---\nname: courier\ndescription: Sends.\nmodel: scripted/kill\ntools: [read, propose]\n\
    needs:\n  - read /integrations/mail/**\n  - apply mail.send\n  - model any\n---\nYou are courier.\n";

/// Makes a workspace with two agents, a mailbox with one mail and an outbox.
pub fn furnish(client: &mut Client, workspace: &str, around: &Path) {
    if workspace != "home" {
        client.control(&format!("workspace {workspace}"));
    }
    let mailbox = around.join(format!("mail-{workspace}"));
    for part in ["tmp", "cur", "new"] {
        fs::create_dir_all(mailbox.join(part)).unwrap();
    }
    let mail = include_bytes!("../../../../../examples/mail/new/01-opening-hours.eml");
    fs::write(mailbox.join("new").join(format!("{MAIL}.eml")), mail).unwrap();
    let mut write = |path: &str, text: &str| {
        let params = json!({"path": path, "text": text, "origin": "argument", "workspace": workspace});
        client.ok("write", params);
    };
    write("/agents/clerk/AGENT.md", CLERK);
    write("/agents/courier/AGENT.md", COURIER);
    write("/sys/ctl", &format!("mount mail maildir {}", mailbox.display()));
    write("/sys/ctl", &format!("mount outbox outbox {}", outbox(around, workspace).display()));
    let path = format!("/integrations/mail/inbox/{MAIL}.md");
    let there = json!({"path": path, "workspace": workspace});
    retry("the mail", || client.ask("read", &there)["error"].is_null().then_some(()));
}

/// What all threads share.
pub struct Yard {
    socket: PathBuf,
    stop: AtomicBool,
    acked: AtomicU64,
    jobs: AtomicU64,
    acks: BTreeMap<&'static str, Mutex<Vec<Ack>>>,
}

/// Ends the load when it goes, also when a check has failed.
pub struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Yard {
    pub fn new(socket: &Path) -> Self {
        let acks = WORKSPACES.into_iter().map(|name| (name, Mutex::default())).collect();
        let (acked, jobs) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { socket: socket.to_owned(), stop: AtomicBool::new(false), acked, jobs, acks }
    }

    /// Writes that were acknowledged so far.
    pub fn acked(&self) -> u64 {
        self.acked.load(Ordering::Relaxed)
    }

    /// And what they are, of one workspace.
    pub fn acks(&self, workspace: &str) -> Vec<Ack> {
        self.acks[workspace].lock().unwrap().clone()
    }

    pub fn until_dropped(&self) -> Ended<'_> {
        Ended(&self.stop)
    }

    /// Starts everybody.
    pub fn work<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, seed: u64) {
        for (number, workspace) in (0_u64..).zip(WORKSPACES) {
            for writer in 0..2 {
                let seed = seed ^ (number * 2 + writer + 1).wrapping_mul(0xD129_0F61_2A7B_43C5);
                let dir = format!("/data/w{writer}");
                let work =
                    Writer { yard: self, workspace, dir, chance: Chance(seed), count: 0, last: [0; 6] };
                scope.spawn(move || work.run());
            }
            scope.spawn(move || self.lead(workspace, "clerk", |job| format!("Sort {job} now.")));
            for words in ["Send", "Read the mail, then send"] {
                let task = move |job: &str| format!("{words} parcel {job} to {job}@example.com now.");
                scope.spawn(move || self.lead(workspace, "courier", task));
            }
        }
    }

    /// A connection, as soon as there is a daemon; none when the work is over.
    fn connect(&self) -> Option<Client> {
        let over = || self.stop.load(Ordering::Relaxed);
        retry("a daemon", || (over() || UnixStream::connect(&self.socket).is_ok()).then_some(()));
        if over() { None } else { Some(Client::connect(&self.socket)) }
    }

    /// Starts one run after the other.
    fn lead(&self, workspace: &str, agent: &str, task: impl Fn(&str) -> String) {
        while let Some(mut client) = self.connect() {
            while !self.stop.load(Ordering::Relaxed) {
                // A run whose start was not answered may have started, so its number is never used again.
                let job = format!("j{}", self.jobs.fetch_add(1, Ordering::Relaxed));
                let start = json!({"agent": agent, "text": task(&job), "origin": "argument",
                    "workspace": workspace});
                let Some(answer) = client.try_ask("spawn", &start) else { break };
                if has_no_time(&answer, &[]) {
                    continue;
                }
                let pid = &answer["result"]["pid"];
                let wait = json!({"pid": pid, "timeout_ms": RUN_MS_MAX, "workspace": workspace});
                let Some(answer) = client.try_ask("wait", &wait) else { break };
                has_no_time(&answer, &[]);
            }
        }
    }
}

/// Whether a call was refused for a reason that may be; any other is a bug.
fn has_no_time(answer: &Value, also: &[&str]) -> bool {
    let Some(code) = answer["error"]["data"]["code"].as_str() else {
        assert!(answer["error"].is_null(), "{answer}");
        return false;
    };
    assert!(["Unavailable", "Busy"].contains(&code) || also.contains(&code), "{answer}");
    true
}

/// One that writes in a directory of its own.
struct Writer<'a> {
    yard: &'a Yard,
    workspace: &'static str,
    dir: String,
    chance: Chance,
    count: u64,
    /// The version of each file that was acknowledged last; 0 means that none is known.
    last: [u64; FILES as usize],
}

impl Writer<'_> {
    fn run(mut self) {
        while let Some(mut client) = self.yard.connect() {
            let mut there = Some(());
            while there.is_some() && !self.yard.stop.load(Ordering::Relaxed) {
                there = self.write(&mut client);
            }
        }
    }

    /// One write; none when the daemon has gone.
    fn write(&mut self, client: &mut Client) -> Option<()> {
        self.count += 1;
        let file = self.chance.below(FILES);
        let path = format!("{}/{file}.md", self.dir);
        let own = format!("{} {path} {} ", self.workspace, self.count);
        let text = own.clone() + &"lorem ".repeat(self.chance.below(200) as usize);
        let whole = Put::Whole(Hash::of(text.as_bytes()));
        let base = self.last[file as usize];
        let log = format!("{}/log.md", self.dir);
        let (method, params, what) = match self.chance.below(20) {
            _ if self.count.is_multiple_of(APPENDS_MAX) => {
                ("write", json!({"path": log, "text": own}), Put::Whole(Hash::of(own.as_bytes())))
            }
            0..6 => ("write", json!({"path": log, "mode": "append", "text": own}), Put::Tail(own)),
            6..8 if base > 0 => ("write", json!({"path": path, "text": text, "base": base}), whole),
            8 => {
                let to = format!("{}/moved/{}.md", self.dir, self.count);
                ("move", json!({"from": path, "to": to}), Put::Moved)
            }
            9 => ("remove", json!({"path": path}), Put::Gone),
            _ => ("write", json!({"path": path, "text": text}), whole),
        };
        let version = self.ask(client, method, params, what)?;
        // Of some writes the version is forgotten on purpose: the next that names a base is stale.
        if version > 0 && method == "write" && self.chance.below(3) > 0 {
            self.last[file as usize] = version;
        }
        Some(())
    }

    /// Asks, and notes what was acknowledged; 0 when it was refused.
    fn ask(&mut self, client: &mut Client, method: &str, mut params: Value, what: Put) -> Option<u64> {
        params["workspace"] = json!(self.workspace);
        let path = params.get("to").unwrap_or(&params["path"]).as_str().unwrap().to_owned();
        let answer = client.try_ask(method, &params)?;
        // Its file may have been moved or removed by a write whose answer was lost.
        if has_no_time(&answer, &["NotFound", "Stale"]) {
            return Some(0);
        }
        let result = &answer["result"];
        // Kept beside the head is acknowledged too.
        let version = result["version"].as_u64().or(result["ours"].as_u64());
        let version = version.unwrap_or_else(|| panic!("{params}: {answer}"));
        self.yard.acks[self.workspace].lock().unwrap().push(Ack { version, path, what });
        self.yard.acked.fetch_add(1, Ordering::Relaxed);
        Some(version)
    }
}
