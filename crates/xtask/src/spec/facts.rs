//! A made-up workspace: one process with many capabilities, many labels, a file for each; as records, and as
//! the answers a store would give. Deterministic.

use abi::{
    AccountId, CapId, Content, FileId, Hash, LabelId, OpId, Pid, ROOT, Seq, VersionId, WORKSPACE,
    agent::{Policy, Restart},
    cap::{Cap, Grant},
    fact::{Fact, Lookup, Place},
    label::{Integrity, Label},
    path::TreePath,
    record::{Entry, Record},
    tree::{Change, Node, Version},
};

/// The one process.
pub const PID: Pid = Pid(1);
/// Some time in 2026.
pub const AT: u64 = 1_790_000_000_000_000;
const DIR: FileId = FileId(2);

/// `/data/fN.md`.
pub fn path(ix: u64) -> TreePath {
    // The name is valid by its making; the root would show at once as a refusal.
    TreePath::parse(&format!("/data/f{ix}.md")).unwrap_or_else(|_| TreePath::root())
}

/// The label of file N.
pub fn label(ix: u64) -> LabelId {
    LabelId(ix as u32 + 1)
}

/// The records of such a workspace, in order from 1.
pub fn records(caps: u64) -> Vec<Record> {
    let account = AccountId(1);
    let mut bodies = vec![
        Entry::Genesis { id: [7; 16], format: 1, lacks: Vec::new() },
        Entry::AccountOpened { account, parent: None, name: "workspace".to_owned(), limits: Vec::new() },
        Entry::Woke { lease: abi::money::Nano(1_000_000_000) },
        Entry::PolicyLoaded { digest: Hash::of(b"policy"), policy: Policy::default() },
    ];
    for ix in 0..caps {
        let made = Label::new(Integrity::External, format!("mount:mail/{ix}"));
        bodies.push(Entry::LabelDefined { id: label(ix), label: made });
    }
    bodies.push(spawned(PID, account));
    for ix in 0..caps {
        let grants = ["read", "write"].map(|verb| Grant::parse(&format!("{verb} {}", path(ix))));
        for (half, grant) in grants.into_iter().flatten().enumerate() {
            let id = CapId(ix * 2 + half as u64 + 1);
            bodies.push(Entry::Granted { cap: Cap { id, parent: None, holder: PID, grant } });
        }
    }
    let numbered = bodies.into_iter().zip(1..);
    numbered.map(|(body, seq)| record(seq, "system:kernel", WORKSPACE, body)).collect()
}

/// One record; its cause is itself.
pub fn record(seq: u64, actor: &str, pid: Pid, body: Entry) -> Record {
    Record { seq: Seq(seq), at: AT + seq, actor: actor.to_owned(), pid, cause: Seq(seq), body }
}

/// A process that an operator started.
pub fn spawned(pid: Pid, account: AccountId) -> Entry {
    Entry::Spawned {
        pid,
        parent: WORKSPACE,
        run: pid,
        agent: "triage".to_owned(),
        account,
        label: label(0),
        task: Content::of(b"task"),
        own_words: true,
        prompt: Content::of(b"prompt"),
        model: "scripted".to_owned(),
        tools: vec!["read".to_owned(), "write".to_owned()],
        post: Vec::new(),
        restart: Restart::No,
        restarts: 0,
        lane: false,
        withheld: Vec::new(),
        standing: None,
        ceiling: Default::default(),
        sends: 0,
        by: String::new(),
        kind: Default::default(),
        wall_us: None,
        session: None,
        history: Vec::new(),
        after: None,
        home: false,
        draft: false,
        own_login: false,
        budget: None,
    }
}

/// A change of file N, the Mth of it.
pub fn change(ix: u64, version: u64, content: Content) -> Change {
    Change {
        file: FileId(ix + 3),
        dir: DIR,
        path: path(ix),
        moved_from: None,
        version: VersionId(version),
        node: Node::File,
        content,
        mode: 0o644,
        mtime: AT,
        label: label(ix),
        parents: Vec::new(),
        diverged: false,
        scratch: false,
    }
}

fn version(ix: u64) -> Version {
    let change = change(ix, ix + 1, Content::of(&ix.to_le_bytes()));
    Version {
        id: change.version,
        file: change.file,
        node: change.node,
        content: change.content,
        mode: change.mode,
        mtime: change.mtime,
        label: change.label,
        actor: "mount:mail".to_owned(),
        pid: WORKSPACE,
        op: OpId(ix + 1),
        seq: Seq(1),
        diverged: false,
        parents: Vec::new(),
        message: None,
        path: change.path,
    }
}

/// What a store that holds file N would answer.
pub fn answer(lookup: &Lookup, ix: u64) -> Fact {
    match lookup {
        Lookup::Path { .. } => {
            Fact::Place(Place { dirs: vec![ROOT, DIR], head: Some(version(ix)), ..Place::default() })
        }
        Lookup::Version { .. } => Fact::Version(Some(version(ix))),
        Lookup::Names { .. } | Lookup::Past { .. } => Fact::Labels(1, [label(ix)].into()),
        Lookup::Hidden { .. } => Fact::Count(0),
        Lookup::Below { .. } => Fact::Below(Ok(Vec::new())),
        Lookup::Spots { changes } => Fact::Spots(vec![Default::default(); changes.len()]),
        Lookup::Match { .. } | Lookup::Quoted { .. } => Fact::Holds(false),
        Lookup::Tokens { literals, urls, .. } => Fact::Named(vec![false; literals.len() + urls.len()]),
        Lookup::Directory { literals, .. } => Fact::Listed(vec![Default::default(); literals.len()]),
        Lookup::Edit { .. } => Fact::Edited(Ok(Content::of(b"edited"))),
        Lookup::Undo { .. } => Fact::Undo(None),
        Lookup::Fill { .. } => Fact::Filled(Content::of(b"filled")),
        Lookup::Agent { name, .. } => Fact::Agent(Err(abi::Error::new(abi::Code::NotFound, name.clone()))),
        Lookup::Policy { path, .. } => Fact::Policy(Err(abi::Error::invalid(path.as_str(), "not parsed"))),
        Lookup::Models { .. } => Fact::Models(Err(abi::Error::invalid("models.yaml", "not parsed"))),
        Lookup::Bytes { .. } => Fact::Bytes(None),
        Lookup::Deed { .. } => Fact::Deed(None),
        Lookup::Kept { .. } => Fact::Holds(true),
        Lookup::Conflict { .. } => Fact::Conflict(None),
        Lookup::Conflicts { .. } | Lookup::Operation { .. } | Lookup::Search { .. } => Fact::Hits(vec![]),
        Lookup::Purge { .. } => Fact::Purge(Ok(None)),
        Lookup::Surplus { .. } => Fact::Surplus(vec![]),
    }
}
