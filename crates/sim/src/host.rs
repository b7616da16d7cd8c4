//! A bound directory, simulated: people save in it whenever they like, agents' changes are placed by records,
//! and the daemon dies between any two of them. What is asserted is what 0038 promises: whatever was taken
//! out of its place is a version, and once it is quiet the directory is as the tree says.
//!
//! Never here: a real directory; the tests of `skep` do the same with one.

use crate::{
    chance::Chance,
    office::{Office, words},
};
use abi::{
    Content, Hash, Seq, VersionId,
    event::Body,
    money::Price,
    path::TreePath,
    record::Entry,
    tree::{Change, Node},
    view::{self, Commit},
};
use drivers::{Flow, Model, ModelError, Prompt, Said, Secret};
use machine::turn::Out;
use std::collections::{BTreeMap, BTreeSet};

const DIR: &str = "/home/ada/shop";
const FILES: [&str; 3] = ["notes.md", "plan.md", "blob.bin"];
const STEPS: u32 = 60;
/// Rounds in which everything comes to rest.
const ROUNDS: u32 = 100;

/// Nobody is asked anything here.
struct Nobody;

impl Model for Nobody {
    fn call(
        &self,
        _: &Prompt,
        _: Option<&Secret<'_>>,
        _: &mut dyn FnMut(&str) -> Flow,
    ) -> Result<Said, ModelError> {
        Err(ModelError { message: "nobody is here".to_owned(), again: false, ..ModelError::default() })
    }
}

/// The head of a file: its version and what it holds.
type Heads = BTreeMap<String, (VersionId, Content)>;

struct Shop {
    office: Office,
    chance: Chance,
    /// What stands in the directory.
    host: BTreeMap<String, String>,
    /// What came out of a place when the daemon died, by record and row.
    beside: BTreeMap<(Seq, usize), String>,
    /// What came out of a place; what agents wrote.
    kept: BTreeSet<(String, Hash)>,
    /// What an agent read: a path, its version, its text.
    read: Option<(String, VersionId, String)>,
    lines: u64,
    goes: Goes,
}

/// When the only copy of what came out of a place goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goes {
    /// When it is noticed, and that is durable.
    Noticed,
    /// When it was looked at: the mistake that this found when it was new.
    Looked,
}

/// Plays a seed; what went wrong, if anything did.
pub fn play(seed: u64, goes: Goes) -> Result<(), String> {
    let mut shop = Shop {
        office: Office::new(Box::new(Nobody), Price::default())?,
        chance: Chance::of(seed, b"host"),
        host: BTreeMap::new(),
        beside: BTreeMap::new(),
        kept: BTreeSet::new(),
        read: None,
        lines: 0,
        goes,
    };
    let dir = TreePath::parse(DIR).map_err(words)?;
    shop.office.push(Body::Bound { dir, external: false }, Vec::new());
    shop.office.work()?;
    for _ in 0..STEPS {
        shop.step().map_err(|what| format!("seed {seed}: {what}"))?;
    }
    shop.rest().map_err(|what| format!("seed {seed}: {what}"))
}

fn put(path: &str, base: Option<VersionId>, text: &str) -> Result<view::Change, String> {
    let (path, content) = (TreePath::parse(path).map_err(words)?, Content::of(text.as_bytes()));
    Ok(view::Change { path, from: None, base, node: Node::File, content, mode: 0o644, mtime: 0 })
}

impl Shop {
    fn step(&mut self) -> Result<(), String> {
        match self.chance.below(8) {
            0..=2 => self.save(),
            3 => self.looks()?,
            4 => self.writes()?,
            5 | 6 => self.place()?,
            _ => self.dies()?,
        }
        self.office.work()
    }

    fn file(&mut self) -> String {
        format!("{DIR}/{}", self.chance.word(&FILES))
    }

    /// A line of its own somewhere in a text; of what is no text, another content.
    fn edited(&mut self, path: &str, text: &str) -> String {
        self.lines += 1;
        let line = format!("line {}", self.lines);
        if !path.ends_with(".md") {
            return line;
        }
        let mut lines: Vec<&str> = text.lines().collect();
        lines.insert(self.chance.index(lines.len() + 1), &line);
        lines.join("\n") + "\n"
    }

    /// A person saves, whatever stands there.
    fn save(&mut self) {
        let path = self.file();
        let text = self.host.get(&path).cloned().unwrap_or_default();
        let text = self.edited(&path, &text);
        self.host.insert(path, text);
    }

    /// Heads and all contents, as the log has them.
    fn log(&self) -> Result<(Heads, BTreeSet<(String, Hash)>), String> {
        let (mut heads, mut all) = (Heads::new(), BTreeSet::new());
        for (record, _) in self.office.room.store().records(Seq(0), u32::MAX, None).map_err(words)? {
            let Entry::Wrote { changes, .. } = record.body else { continue };
            for Change { path, node, content, version, diverged, .. } in changes {
                if node == Node::File {
                    all.insert((path.to_string(), content.hash));
                    if !diverged {
                        heads.insert(path.to_string(), (version, content));
                    }
                }
            }
        }
        Ok((heads, all))
    }

    /// What stands there and is not the head is noticed.
    fn notice(&mut self, path: &str) -> Result<(), String> {
        let Some(text) = self.host.get(path).cloned() else { return Ok(()) };
        let (heads, _) = self.log()?;
        let head = heads.get(path);
        if head.is_some_and(|(_, content)| *content == Content::of(text.as_bytes())) {
            return Ok(());
        }
        let changes = vec![put(path, head.map(|(version, _)| *version), &text)?];
        let commit = Commit { changes, ..Commit::default() };
        self.office.push(Body::Noticed { number: 1, commit }, vec![text.into_bytes()]);
        self.office.work()
    }

    /// An agent reads what stands there.
    fn looks(&mut self) -> Result<(), String> {
        let path = self.file();
        self.notice(&path)?;
        let Some(text) = self.host.get(&path).cloned() else { return Ok(()) };
        let (heads, _) = self.log()?;
        let same = heads.get(&path).filter(|(_, content)| *content == Content::of(text.as_bytes()));
        if let Some((version, _)) = same {
            self.read = Some((path, *version, text));
        }
        Ok(())
    }

    /// It writes what it made of that, however long ago it was.
    fn writes(&mut self) -> Result<(), String> {
        let Some((path, version, text)) = self.read.take() else { return Ok(()) };
        let text = self.edited(&path, &text);
        self.kept.insert((path.clone(), Hash::of(text.as_bytes())));
        self.office.write_over(&path, text, Some(version));
        self.office.work()
    }

    /// One record is placed, or the daemon dies in the middle of it.
    fn place(&mut self) -> Result<(), String> {
        let at = self.office.outside.iter().position(|out| matches!(out, Out::Place(_)));
        let Some(Out::Place(job)) = at.map(|at| self.office.outside.remove(at)) else { return Ok(()) };
        let rows = job.rows.iter().enumerate().filter(|(_, row)| row.change.node == Node::File);
        // What lies beside a place came out of it before a crash: it is noticed first.
        for (ix, row) in rows.clone() {
            if let Some(out) = self.beside.get(&(job.seq, ix)).cloned() {
                if !self.out(&row.change, &row.before, out)? {
                    return Ok(());
                }
                self.beside.remove(&(job.seq, ix));
            }
        }
        for (ix, row) in rows {
            let path = row.change.path.to_string();
            let content = row.change.content;
            if self.host.get(&path).is_some_and(|text| Content::of(text.as_bytes()) == content) {
                continue;
            }
            let bytes = self.office.room.store().blob(&content.hash).map_err(words)?;
            let text = String::from_utf8(bytes.ok_or("bytes of a head are gone")?).map_err(words)?;
            let Some(out) = self.host.insert(path.clone(), text) else { continue };
            self.kept.insert((path, Hash::of(out.as_bytes())));
            self.beside.insert((job.seq, ix), out.clone());
            if self.chance.one_in(4) {
                return self.dies();
            }
            if !self.out(&row.change, &row.before, out)? {
                return Ok(());
            }
            self.beside.remove(&(job.seq, ix));
        }
        self.office.push(Body::Placed { seq: job.seq, failed: Vec::new() }, Vec::new());
        self.office.work()
    }

    /// What came out of a place is noticed, if it is not what was expected; false if the daemon dies of it.
    fn out(
        &mut self,
        change: &Change,
        before: &[(VersionId, Node, Content)],
        out: String,
    ) -> Result<bool, String> {
        let was = Content::of(out.as_bytes());
        if was == change.content || before.iter().any(|(_, _, before)| *before == was) {
            return Ok(true);
        }
        if self.goes == Goes::Looked {
            self.beside.retain(|_, lies| *lies != out);
        }
        let base = before.first().map(|(version, ..)| *version);
        let commit = Commit { changes: vec![put(change.path.as_str(), base, &out)?], ..Commit::default() };
        if self.chance.one_in(6) {
            // Before it is durable.
            self.dies()?;
            return Ok(false);
        }
        self.office.push(Body::Noticed { number: 1, commit }, vec![out.into_bytes()]);
        self.office.work()?;
        if self.chance.one_in(6) {
            self.dies()?;
            return Ok(false);
        }
        Ok(true)
    }

    fn dies(&mut self) -> Result<(), String> {
        self.office.outside.clear();
        self.office.sleep()
    }

    /// Nobody does anything any more: the directory comes to be as the tree says, and nothing is missing.
    fn rest(&mut self) -> Result<(), String> {
        self.dies()?;
        self.office.work()?;
        for _ in 0..ROUNDS {
            self.place()?;
            let quiet = !self.office.outside.iter().any(|out| matches!(out, Out::Place(_)));
            if quiet && self.beside.is_empty() {
                for name in FILES {
                    self.notice(&format!("{DIR}/{name}"))?;
                }
                let open = self.office.outside.iter().any(|out| matches!(out, Out::Place(_)));
                if !open {
                    return self.whole();
                }
            }
        }
        Err("it does not come to rest".to_owned())
    }

    fn whole(&self) -> Result<(), String> {
        let (heads, all) = self.log()?;
        for (path, text) in &self.host {
            let head = heads.get(path).map(|(_, content)| *content);
            if head != Some(Content::of(text.as_bytes())) {
                return Err(format!("{path} is not as the tree says"));
            }
        }
        match self.kept.iter().find(|kept| !all.contains(kept)) {
            Some((path, _)) => Err(format!("a content of {path} is lost")),
            None => Ok(()),
        }
    }
}
