//! Abuse of approvals: what was approved, or might be, is used for something else, again, or by another.
//!
//! Each row is a class. Its scene is played hostile and honest from the same seed, in many variants: other
//! kinds, receivers, bytes, recoveries, with and without a crash before the last step. Of the hostile ones
//! none may come to anything; each honest one must. What comes to something is an effect that goes out on an
//! approval, a version that becomes the head, an answer that is given.

use crate::script::Run;
use abi::{
    Hash, Pid, ProposalId,
    answer::Answer,
    call::{Call, Fields, Ruling, Write},
    event::Caller,
    path::TreePath,
    record::Entry,
};
use std::collections::BTreeMap;

/// Variants of each class.
const VARIANTS: u64 = 50;
/// Effects that ask under an external label, with where they go.
const KINDS: [(&str, &str); 5] =
    [("mail.send", "to"), ("meet", "to"), ("pay", "to"), ("password", "value"), ("fetch", "url")];

/// Plays a scene; the abuse only if it is hostile. It ends with the attempt.
type Scene = fn(&mut Stage, Play);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Play {
    Hostile,
    Honest,
}

const CLASSES: [(&str, Scene); 24] = [
    ("used twice", used_twice),
    ("other bytes", |stage, play| another(stage, play, Other::Bytes)),
    ("another receiver", |stage, play| another(stage, play, Other::Receiver)),
    ("another kind", |stage, play| another(stage, play, Other::Kind)),
    ("another mount", |stage, play| another(stage, play, Other::Mount)),
    ("another process", |stage, play| another(stage, play, Other::Process)),
    ("a raised label", |stage, play| another(stage, play, Other::Label)),
    ("another digest", wrong_digest),
    ("after its time", expired),
    ("after a revocation", revoked),
    ("after a denial", denied),
    ("in a copy", copied),
    ("used, then a crash", crashed),
    ("rejected, then approved", rejected),
    ("by a process", by_a_process),
    ("a question as an effect", question),
    ("answered twice", answered),
    ("another mount of the name", remounted),
    ("bytes that are gone", purged),
    ("in doubt, twice", doubted),
    ("a group that has grown", grown),
    ("a file that has changed", overtaken),
    ("another change", changed),
    ("a change, twice", changed_twice),
];

#[test]
fn no_approval_is_abused() {
    let stages = ["opaque", "keyed", "probe", "repeat"].map(Stage::new);
    for (name, scene) in CLASSES {
        for seed in 0..VARIANTS {
            for play in [Play::Hostile, Play::Honest] {
                let mut stage = stages[(seed % 4) as usize].with(seed);
                scene(&mut stage, play);
                let came = stage.came_of_it();
                match play {
                    Play::Hostile => assert_eq!(came, 0, "{name}, seed {seed}: {:?}", stage.run.shown),
                    Play::Honest => assert!(came > 0, "honest {name}, seed {seed}: {:?}", stage.run.shown),
                }
            }
        }
    }
}

/// A workspace with an agent that something external has reached.
#[derive(Clone)]
pub struct Stage {
    pub run: Run,
    state: u64,
    recovery: &'static str,
    /// The log's length when the attempt began.
    before: usize,
}

/// Something held.
#[derive(Clone)]
struct Held {
    id: ProposalId,
    digest: Hash,
}

impl Stage {
    pub fn new(recovery: &'static str) -> Self {
        let mut stage = Self { run: Run::new(), state: 0, recovery, before: 0 };
        for line in ["genesis", "policy", "price m 1000 1000"] {
            stage.run.event(line);
        }
        stage.run.event(&format!("mount box {recovery}"));
        stage.run.event(&format!("mount tin {recovery}"));
        stage.run.event("arrive box /1 \"from outside\"");
        stage.run.event("arrive tin /2 \"from elsewhere\"");
        let needs = "apply box *; apply tin *; apply operator *; read /**; write /**; spawn any";
        stage.run.event(&format!("agent triage needs=\"{needs}\""));
        stage.begin(1);
        stage
    }

    /// The same, with other chances.
    pub fn with(&self, seed: u64) -> Self {
        Self { state: seed, ..self.clone() }
    }

    fn begin(&mut self, pid: u64) {
        self.run.event("anna: spawn triage \"see to it\"");
        self.run.event(&format!("pid {pid}: read /integrations/box/1"));
    }

    /// Splitmix64.
    pub fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[(self.draw() % all.len() as u64) as usize]
    }

    /// Any text.
    fn text(&mut self) -> String {
        let length = 1 + self.draw() % 40;
        (0..length).map(|_| self.pick(&['a', 'b', '@', '.', ' ', '\n', '\u{202e}', 'ä', '{', '"'])).collect()
    }

    fn fields(&mut self, steers: &str) -> Fields {
        let mut fields: Fields = BTreeMap::new();
        let to = format!("{}@x.example", self.draw() % 1000);
        fields.insert(steers.into(), vec![to]);
        if steers != "url" {
            fields.insert("body".into(), vec![self.text()]);
        }
        fields
    }

    fn propose(&mut self, pid: u64, (mount, kind): (&str, &str), fields: &Fields) -> Held {
        let call = Call::Propose { mount: mount.into(), kind: kind.into(), fields: fields.clone() };
        self.run.ask(Caller::Process(Pid(pid)), call).unwrap();
        self.newest()
    }

    /// Some effect that is held.
    fn some(&mut self, pid: u64) -> (Held, &'static str, Fields) {
        let (kind, steers) = self.pick(&KINDS);
        let fields = self.fields(steers);
        (self.propose(pid, ("box", kind), &fields), kind, fields)
    }

    /// A file where agents are told what to do.
    fn held_write(&mut self) -> (Held, TreePath) {
        let path = TreePath::parse(&format!("/skills/{}", self.draw() % 1000)).unwrap();
        let text = self.text();
        let content = self.run.put(text.as_bytes());
        let write = Write::Whole { content, mode: 0o644 };
        let origin = abi::call::Origin::Typed;
        let call = Call::Write { path: path.clone(), write, base: None, message: None, origin };
        self.run.ask(Caller::Process(Pid(1)), call).unwrap();
        (self.newest(), path)
    }

    fn newest(&self) -> Held {
        let made = self.run.log.iter().rev().find_map(|record| match &record.body {
            Entry::Proposed { proposal, digest, .. } => Some(Held { id: *proposal, digest: *digest }),
            _ => None,
        });
        made.expect("nothing was held")
    }

    /// From here on it is the attempt.
    fn mark(&mut self) {
        self.before = self.run.log.len();
    }

    /// What happens to every daemon at some time.
    fn maybe_crash(&mut self) {
        match self.draw() % 4 {
            0 => self.run.event("crash"),
            1 => self.run.event("replay"),
            _ => {}
        }
    }

    fn decide(&mut self, caller: Caller, held: &Held, ruling: Ruling) {
        // Sometimes as a hasty operator does it, without having been shown anything.
        let digest = (!self.draw().is_multiple_of(3)).then_some(held.digest);
        self.decide_on(caller, held.id, ruling, digest);
    }

    fn decide_on(&mut self, caller: Caller, proposal: ProposalId, ruling: Ruling, digest: Option<Hash>) {
        let reason = (ruling == Ruling::Answer).then(|| self.run.put(b"an answer"));
        let _ = self.run.ask(caller, Call::Decide { proposal, ruling, reason, digest, args: None });
        // What was armed is dispatched.
        self.run.event("advance 1s");
    }

    /// Changes what is held; without a digest it is only shown, and its digest answered.
    fn modify(&mut self, proposal: ProposalId, args: &Fields, digest: Option<Hash>) -> Hash {
        let (ruling, args) = (Ruling::Modify, Some(args.clone()));
        let told = self.run.ask(anna(), Call::Decide { proposal, ruling, reason: None, digest, args });
        self.run.event("advance 1s");
        match told {
            Ok(Answer::Preview { digest, .. }) => digest,
            _ => Hash::default(),
        }
    }

    fn approve(&mut self, held: &Held) {
        self.decide(anna(), held, Ruling::Approve);
    }

    /// What came of the attempt.
    fn came_of_it(&self) -> usize {
        let came = |entry: &Entry| match entry {
            Entry::Intended { proposal, .. } => proposal.is_some(),
            Entry::Wrote { changes, .. } => changes.iter().any(|change| !change.diverged),
            Entry::Decided { ruling, .. } => *ruling == Ruling::Answer,
            _ => false,
        };
        self.run.log.iter().skip(self.before).filter(|record| came(&record.body)).count()
    }
}

fn anna() -> Caller {
    Caller::Operator("anna".into())
}

fn used_twice(stage: &mut Stage, play: Play) {
    let held = if stage.draw().is_multiple_of(2) { stage.some(1).0 } else { stage.held_write().0 };
    if play == Play::Hostile {
        stage.approve(&Held { digest: held.digest, id: held.id });
    }
    stage.mark();
    stage.decide_on(anna(), held.id, Ruling::Approve, Some(held.digest));
    stage.approve(&held);
}

enum Other {
    Bytes,
    Receiver,
    Kind,
    Mount,
    Process,
    Label,
}

/// What was shown of one is said of another.
fn another(stage: &mut Stage, play: Play, other: Other) {
    let (kind, steers) = stage.pick(&KINDS[..3]);
    let fields = stage.fields(steers);
    let shown = stage.propose(1, ("box", kind), &fields);
    let mut changed = fields.clone();
    let meant = match other {
        Other::Bytes => {
            let text = stage.text();
            changed.get_mut("body").unwrap()[0].push_str(&text);
            stage.propose(1, ("box", kind), &changed)
        }
        Other::Receiver => {
            changed.get_mut(steers).unwrap().push("eve@x.example".into());
            stage.propose(1, ("box", kind), &changed)
        }
        Other::Kind => {
            let kinds = ["mail.send", "meet", "pay"];
            let at = kinds.iter().position(|row| *row == kind).unwrap();
            stage.propose(1, ("box", kinds[(at + 1) % 3]), &fields)
        }
        Other::Mount => stage.propose(1, ("tin", kind), &fields),
        Other::Process => {
            stage.begin(2);
            stage.propose(2, ("box", kind), &fields)
        }
        Other::Label => {
            stage.run.event("pid 1: read /integrations/tin/2");
            stage.propose(1, ("box", kind), &fields)
        }
    };
    stage.maybe_crash();
    stage.mark();
    let digest = if play == Play::Hostile { shown.digest } else { meant.digest };
    stage.decide_on(anna(), meant.id, Ruling::Approve, Some(digest));
}

fn wrong_digest(stage: &mut Stage, play: Play) {
    let (held, ..) = stage.some(1);
    let (other, ..) = stage.some(1);
    let mut digest = held.digest;
    if play == Play::Hostile {
        match stage.draw() % 4 {
            0 => digest.0[(stage.draw() % 32) as usize] ^= 1 << (stage.draw() % 8),
            1 => digest = other.digest,
            2 => digest = Hash::default(),
            _ => digest = Hash::of_fields("group", &[&held.digest.0, &other.digest.0]),
        }
    }
    stage.maybe_crash();
    stage.mark();
    stage.decide_on(anna(), held.id, Ruling::Approve, Some(digest));
}

fn expired(stage: &mut Stage, play: Play) {
    let (held, kind, _) = stage.some(1);
    let hours = match kind {
        "pay" => 12,
        "mail.send" | "password" => 24,
        _ => 72,
    };
    stage.maybe_crash();
    // By its timer, or by the clock alone while nobody was there to run it.
    let late = if play == Play::Hostile { hours } else { hours - 1 };
    let how = stage.pick(&["advance ", "clock +"]);
    stage.run.event(&format!("{how}{late}h"));
    stage.mark();
    stage.approve(&held);
}

fn revoked(stage: &mut Stage, play: Play) {
    let (held, ..) = stage.some(1);
    let cap = stage.run.log.iter().find_map(|record| match &record.body {
        Entry::Granted { cap } if cap.holder == Pid(1) && cap.grant.to_string().contains("effect box") => {
            Some(cap.id)
        }
        _ => None,
    });
    stage.maybe_crash();
    if play == Play::Hostile {
        stage.run.event(&format!("anna: revoke {}", cap.unwrap()));
    }
    stage.mark();
    stage.approve(&held);
}

fn denied(stage: &mut Stage, play: Play) {
    let (held, kind, _) = stage.some(1);
    if stage.draw().is_multiple_of(2) {
        // Also when the process has ended meanwhile.
        stage.run.event("model 1 says \"done\"");
    }
    if play == Play::Hostile {
        stage.run.event(&format!("deny triage \"apply box {kind}\""));
        stage.run.event("policy");
    }
    stage.maybe_crash();
    stage.mark();
    stage.approve(&held);
}

fn copied(stage: &mut Stage, play: Play) {
    let held = if stage.draw().is_multiple_of(2) { stage.some(1).0 } else { stage.held_write().0 };
    let recovery = stage.recovery;
    if play == Play::Hostile {
        stage.run.event("restored");
        stage.run.event(&format!("mount box {recovery}"));
        stage.run.event("anna: signal 1 thaw");
    }
    stage.maybe_crash();
    stage.mark();
    stage.approve(&held);
}

fn crashed(stage: &mut Stage, play: Play) {
    let (held, ..) = stage.some(1);
    if play == Play::Hostile {
        stage.approve(&held);
        stage.run.event("effect done \"sent\"");
    }
    let how = stage.pick(&["crash", "replay"]);
    stage.run.event(how);
    stage.mark();
    stage.decide_on(anna(), held.id, Ruling::Approve, Some(held.digest));
}

fn rejected(stage: &mut Stage, play: Play) {
    let held = if stage.draw().is_multiple_of(2) { stage.some(1).0 } else { stage.held_write().0 };
    if play == Play::Hostile {
        stage.decide(anna(), &held, Ruling::Reject);
    }
    stage.maybe_crash();
    stage.mark();
    stage.approve(&held);
}

fn by_a_process(stage: &mut Stage, play: Play) {
    let (held, ..) = stage.some(1);
    stage.begin(2);
    stage.mark();
    let caller = match play {
        Play::Hostile => Caller::Process(Pid(1 + stage.draw() % 3)),
        Play::Honest => anna(),
    };
    stage.decide(caller, &held, Ruling::Approve);
}

fn asked(stage: &mut Stage) -> Held {
    let mut fields: Fields = BTreeMap::new();
    fields.insert("question".into(), vec![stage.text()]);
    stage.propose(1, ("operator", "ask"), &fields)
}

fn question(stage: &mut Stage, play: Play) {
    let (held, ..) = stage.some(1);
    let asked = asked(stage);
    stage.maybe_crash();
    stage.mark();
    match (play, stage.draw() % 2) {
        (Play::Hostile, 0) => stage.decide(anna(), &asked, Ruling::Approve),
        (Play::Hostile, _) => stage.decide(anna(), &held, Ruling::Answer),
        (Play::Honest, 0) => stage.decide(anna(), &asked, Ruling::Answer),
        (Play::Honest, _) => stage.decide(anna(), &held, Ruling::Approve),
    }
}

fn answered(stage: &mut Stage, play: Play) {
    let asked = asked(stage);
    if play == Play::Hostile {
        stage.decide(anna(), &asked, Ruling::Answer);
    }
    stage.maybe_crash();
    stage.mark();
    stage.decide(anna(), &asked, Ruling::Answer);
    if play == Play::Hostile {
        stage.decide(anna(), &asked, Ruling::Approve);
    }
}

fn remounted(stage: &mut Stage, play: Play) {
    let (held, ..) = stage.some(1);
    let recovery = stage.recovery;
    let way = stage.pick(&["told", "loose", "elsewhere", "gone", "argument"]);
    if play == Play::Hostile {
        match way {
            "gone" => stage.run.event("anna: control /sys/ctl \"unmount box\""),
            // The argument is the directory or the account of a real driver.
            "argument" => stage.run.event("mount box another"),
            way => stage.run.event(&format!("mount box {recovery} {way}")),
        }
    } else {
        stage.run.event(&format!("mount box {recovery}"));
    }
    stage.maybe_crash();
    stage.mark();
    stage.approve(&held);
}

fn purged(stage: &mut Stage, play: Play) {
    let (held, path) = stage.held_write();
    let lost = stage.run.log.iter().rev().find_map(|record| match &record.body {
        Entry::Proposed { args, content, .. } => Some((args.hash, content.unwrap().hash)),
        _ => None,
    });
    let (args, content) = lost.unwrap();
    if play == Play::Hostile {
        let hash = if stage.draw().is_multiple_of(2) { args } else { content };
        stage.run.lose(&hash);
    }
    assert!(path.as_str().starts_with("/skills/"));
    stage.mark();
    stage.approve(&held);
}

/// A crash leaves it open whether it happened; the operator lets it be done again, once.
fn doubted(stage: &mut Stage, play: Play) {
    let (kind, steers) = stage.pick(&KINDS);
    let fields = stage.fields(steers);
    stage.run.event("mount box opaque");
    let held = stage.propose(1, ("box", kind), &fields);
    stage.decide_on(anna(), held.id, Ruling::Approve, Some(held.digest));
    let how = stage.pick(&["crash", "replay"]);
    stage.run.event(how);
    let doubt = stage.newest();
    assert!(doubt.id != held.id, "nothing is in doubt");
    if play == Play::Hostile {
        stage.approve(&doubt);
    }
    stage.mark();
    stage.approve(&doubt);
    stage.approve(&held);
}

fn grown(stage: &mut Stage, play: Play) {
    let count = 2 + stage.draw() % 3;
    let asks: Vec<String> = (0..count)
        .map(|ix| format!("propose box mail.send to={ix}@x.example body={}", stage.draw()))
        .collect();
    stage.run.event("manual");
    stage.run.event(&format!("model 1 says \"many\" ; {}", asks.join(" ; ")));
    (1..count).for_each(|_| stage.run.event("tool"));
    let group = |stage: &Stage| {
        let digests = stage.run.log.iter().filter_map(|record| match &record.body {
            Entry::Proposed { digest, .. } => Some(digest.0),
            _ => None,
        });
        let digests: Vec<[u8; 32]> = digests.collect();
        Hash::of_fields("group", &digests.iter().map(|digest| digest.as_slice()).collect::<Vec<_>>())
    };
    let shown = group(stage);
    stage.run.event("tool");
    let digest = if play == Play::Hostile { shown } else { group(stage) };
    let first = ProposalId(1 + stage.draw() % count);
    stage.mark();
    stage.decide_on(anna(), first, Ruling::Approve, Some(digest));
}

fn overtaken(stage: &mut Stage, play: Play) {
    let (held, path) = stage.held_write();
    if play == Play::Hostile {
        stage.run.event(&format!("anna: write {path} \"the operator's own\""));
    }
    stage.maybe_crash();
    stage.mark();
    stage.approve(&held);
}

/// What was shown of one change is said of another, or of what was held.
fn changed(stage: &mut Stage, play: Play) {
    let (kind, steers) = stage.pick(&KINDS[..3]);
    let fields = stage.fields(steers);
    let held = stage.propose(1, ("box", kind), &fields);
    let mut args = Fields::from([(steers.to_owned(), vec!["bob@y.example".to_owned()])]);
    let shown = stage.modify(held.id, &args, None);
    stage.maybe_crash();
    stage.mark();
    match (play, stage.draw() % 4) {
        (Play::Honest, _) => _ = stage.modify(held.id, &args, Some(shown)),
        (Play::Hostile, 0) => {
            args.insert(steers.to_owned(), vec!["eve@x.example".to_owned()]);
            stage.modify(held.id, &args, Some(shown));
        }
        (Play::Hostile, 1) => {
            args.insert("body".to_owned(), vec![stage.text()]);
            stage.modify(held.id, &args, Some(shown));
        }
        (Play::Hostile, 2) => _ = stage.modify(held.id, &args, Some(held.digest)),
        (Play::Hostile, _) => stage.decide_on(anna(), held.id, Ruling::Approve, Some(shown)),
    }
}

/// A change that was done is done again, or what was held is done beside it.
fn changed_twice(stage: &mut Stage, play: Play) {
    let (kind, steers) = stage.pick(&KINDS[..3]);
    let fields = stage.fields(steers);
    let held = stage.propose(1, ("box", kind), &fields);
    let args = Fields::from([(steers.to_owned(), vec!["bob@y.example".to_owned()])]);
    let shown = stage.modify(held.id, &args, None);
    if play == Play::Hostile {
        stage.modify(held.id, &args, Some(shown));
        stage.maybe_crash();
    }
    stage.mark();
    stage.modify(held.id, &args, Some(shown));
    if play == Play::Hostile {
        stage.approve(&held);
    }
}
