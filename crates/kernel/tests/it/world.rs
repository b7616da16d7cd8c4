//! A world small enough to read in one go: the tree as a fold of `Entry::Wrote`, blobs by hash, agents by
//! name. It answers every lookup of the kernel, plainly and slowly. It never decides anything.

use abi::{
    Code, Content, EffectId, Error, FileId, Hash, LabelId, Pid, ProposalId, ReplyTo, Seq, VersionId,
    agent::{AgentDef, Parsed, Policy},
    call::{At, Undo},
    event::Body,
    fact::{Conflict, Deed, Doomed, Edit, Fact, Facts, Haystack, Lookup, Match, Place, Put, Query, View},
    model::Models,
    path::{Pattern, TreePath},
    record::{Entry, Record},
    scan::Folded,
    tree::{Change, Home, Node, UndoRow, Version},
    view::{Spot, Stand},
};
use std::collections::{BTreeMap, BTreeSet};

/// What stands where: the directory it is in, and the head.
type Heads = BTreeMap<TreePath, (FileId, Version)>;

/// One head a file once had, and from where that version moved it.
#[derive(Clone)]
struct Past {
    version: Version,
    dir: FileId,
    moved_from: Option<(TreePath, FileId)>,
}

/// Tree, blobs and agents.
#[derive(Clone, Default)]
pub struct World {
    heads: Heads,
    /// The tree after each record that changed it.
    before: Vec<(Seq, Heads)>,
    files: BTreeMap<FileId, Vec<Past>>,
    /// The names each file came to: when, in which directory, by a version of which label.
    names: BTreeMap<FileId, Vec<(Seq, FileId, LabelId)>>,
    versions: BTreeMap<VersionId, Version>,
    pub blobs: BTreeMap<Hash, Vec<u8>>,
    pub agents: BTreeMap<String, AgentDef>,
    /// What files of policy say, by their text.
    pub drafts: BTreeMap<String, Policy>,
    /// What files of models say, by their text.
    pub books: BTreeMap<String, Models>,
    /// Proposals that wait: the first of their group, and what is decided on.
    proposed: BTreeMap<ProposalId, (ProposalId, Hash)>,
    /// Effects: mount, kind, arguments, and how they ended.
    deeds: BTreeMap<EffectId, Done>,
    /// The same in the order they were intended.
    order: Vec<(EffectId, String)>,
    /// The digest of a group as it was at some time.
    noted: Option<Hash>,
    /// The digest of what an operator was shown last that a proposal would become.
    pub previewed: Option<Hash>,
}

/// See `World::deeds`.
type Done = (String, String, Content, Option<(bool, Content)>);

impl World {
    /// What a draft holds.
    pub fn draft(&self, reply: ReplyTo, pid: Pid, layer: Content) -> Body {
        let text = self.blobs.get(&layer.hash).map(Vec::as_slice).unwrap_or_default();
        Body::DraftRead { reply, pid, layer, read: abi::view::parse_layer(text) }
    }

    /// Keeps bytes.
    pub fn put(&mut self, bytes: &[u8]) -> Content {
        let content = Content::of(bytes);
        self.blobs.insert(content.hash, bytes.to_vec());
        content
    }

    /// The last effect of this kind.
    pub fn deed_of(&self, kind: &str) -> EffectId {
        let of_it = self.order.iter().rev().find(|(_, it)| it == kind);
        of_it.map_or_else(|| Hash::of(b"none"), |(effect, _)| *effect)
    }

    /// Remembers the group of a proposal as it is shown now.
    pub fn note(&mut self, proposal: ProposalId) {
        self.noted = Some(self.digest(proposal, "group"));
    }

    /// What an operator says that was shown of a proposal.
    pub fn digest(&self, proposal: ProposalId, seen: &str) -> Hash {
        let Some((first, own)) = self.proposed.get(&proposal) else { return Hash::of(b"none") };
        match seen {
            "shown" => *own,
            "group" => {
                let all: Vec<[u8; 32]> =
                    self.proposed.values().filter(|row| row.0 == *first).map(|row| row.1.0).collect();
                Hash::of_fields("group", &all.iter().map(|row| row.as_slice()).collect::<Vec<_>>())
            }
            "noted" => self.noted.unwrap_or_default(),
            "preview" => self.previewed.unwrap_or_default(),
            _ => Hash::of(seen.as_bytes()),
        }
    }

    /// Folds a record into the tree.
    pub fn fold(&mut self, record: &Record) {
        match &record.body {
            Entry::Proposed { proposal, group, digest, .. } => {
                self.proposed.insert(*proposal, (group.unwrap_or(*proposal), *digest));
            }
            Entry::Intended { effect, mount, kind, args, .. } => {
                self.order.push((*effect, kind.clone()));
                self.deeds.insert(*effect, (mount.clone(), kind.clone(), *args, None));
            }
            Entry::EffectEnded { effect, done, outcome } => {
                if let Some(deed) = self.deeds.get_mut(effect) {
                    deed.3 = Some((*done, *outcome));
                }
            }
            Entry::Decided { proposal, .. } | Entry::Lapsed { proposal } => {
                self.proposed.remove(proposal);
            }
            _ => {}
        }
        let Entry::Wrote { op, changes, message, .. } = &record.body else { return };
        for change in changes {
            let version = version_of(record, *op, change, *message);
            self.versions.insert(version.id, version.clone());
            if !change.diverged {
                self.change(change, version);
            }
        }
        self.before.push((record.seq, self.heads.clone()));
    }

    fn change(&mut self, change: &Change, version: Version) {
        let mut moved_from = None;
        if let Some(from) = &change.moved_from {
            let below: Vec<TreePath> =
                self.heads.keys().filter(|path| path.is_below(from)).cloned().collect();
            moved_from = self.heads.get(from).map(|(dir, _)| (from.clone(), *dir));
            for path in below {
                let row = self.heads.remove(&path).unwrap();
                let rest = path.as_str().strip_prefix(from.as_str()).unwrap();
                self.heads.insert(TreePath::parse(&format!("{}{rest}", change.path)).unwrap(), row);
            }
        }
        let stood = self.heads.get(&change.path).is_some_and(|(_, head)| head.file == change.file);
        if change.node != Node::Gone && (!stood || moved_from.is_some()) {
            let row = (version.seq, change.dir, version.label);
            self.names.entry(change.file).or_default().push(row);
        }
        let past = Past { version: version.clone(), dir: change.dir, moved_from };
        self.files.entry(change.file).or_default().push(past);
        if change.node == Node::Gone {
            self.heads.remove(&change.path);
        } else {
            self.heads.insert(change.path.clone(), (change.dir, version));
        }
    }

    /// The answers to a plan.
    pub fn facts(&mut self, plan: Result<Vec<Lookup>, Error>) -> Facts {
        match plan {
            Err(error) => Facts::Refused(error),
            Ok(lookups) => Facts::Found(lookups.iter().map(|lookup| self.answer(lookup)).collect()),
        }
    }

    fn answer(&mut self, lookup: &Lookup) -> Fact {
        match lookup {
            Lookup::Path { path, at } => Fact::Place(self.place(path, moment(at))),
            Lookup::Version { version } => Fact::Version(self.versions.get(version).cloned()),
            Lookup::Names { path, at } => self.names_in(path, at),
            Lookup::Hidden { path, at, below } => self.hidden(path, at, below),
            Lookup::Past { path, view, .. } => self.past(path, view),
            Lookup::Below { path } => {
                let rows = self.heads.iter().filter(|(at, _)| at.is_below(path));
                Fact::Below(Ok(rows.map(|(at, (dir, head))| (at.clone(), *dir, head.clone())).collect()))
            }
            Lookup::Spots { changes } => {
                Fact::Spots(changes.iter().map(|(path, base)| self.spot(path, *base)).collect())
            }
            Lookup::Match { text, literal, how } => Fact::Holds(self.holds(text, literal, *how)),
            Lookup::Tokens { text, literals, how, urls } => {
                Fact::Named(self.tokens(text, (literals, *how), urls))
            }
            Lookup::Directory { mount, patterns, literals } => {
                let of = |literal: &String| self.listing(mount, patterns, literal);
                Fact::Listed(literals.iter().map(of).collect())
            }
            Lookup::Quoted { words, versions, literal } => {
                let quotes = |hash: &Hash| abi::scan::quotes_url(&self.text(hash), literal);
                let rows = versions.iter().filter_map(|id| self.versions.get(id));
                let mut came = rows.filter(|row| row.actor.starts_with("mount:"));
                Fact::Holds(words.as_ref().is_some_and(quotes) || came.any(|row| quotes(&row.content.hash)))
            }
            Lookup::Edit { path, base, edit } => Fact::Edited(self.edited(path, *base, edit)),
            Lookup::Undo { undo } => Fact::Undo(self.undo(*undo)),
            Lookup::Fill { query } => {
                let text = self.fill(query);
                Fact::Filled(self.put(text.as_slice()))
            }
            Lookup::Agent { name, .. } => Fact::Agent(self.agent(name)),
            Lookup::Policy { path, put } => Fact::Policy(self.policy(path, *put)),
            Lookup::Models { put } => Fact::Models(self.book(*put)),
            Lookup::Bytes { hash } => Fact::Bytes(self.blobs.get(hash).cloned()),
            Lookup::Deed { effect } => Fact::Deed(self.deeds.get(effect).and_then(|deed| self.deed(deed))),
            Lookup::Kept { version } => {
                let version = self.versions.get(version);
                Fact::Holds(version.is_some_and(|version| self.blobs.contains_key(&version.content.hash)))
            }
            Lookup::Conflict { version } => Fact::Conflict(self.conflict(*version)),
            Lookup::Conflicts { view } => {
                let named = |file| self.named(file, true);
                Fact::Hits(self.hits(view, &named, &|version| self.is_open(version)))
            }
            Lookup::Operation { op, view } => {
                let named = |file| self.named(file, true);
                Fact::Hits(self.hits(view, &named, &|version| version.op == *op))
            }
            Lookup::Search { sought, view } => {
                Fact::Hits(self.hits(view, &|file| self.named_now(file), &|version| {
                    let stands = self.heads.values().any(|(_, head)| head.id == version.id);
                    let bytes = self.blobs.get(&version.content.hash).map_or(&[][..], Vec::as_slice);
                    stands && abi::scan::has_text(bytes, sought.query.as_bytes())
                }))
            }
            Lookup::Purge { path } => Fact::Purge(Ok(self.doomed(path))),
            Lookup::Surplus { rules, .. } => Fact::Surplus(self.surplus(rules)),
        }
    }

    fn spot(&self, path: &TreePath, base: Option<VersionId>) -> Spot {
        let Place { dirs, blocked, head: here, home } = self.place(path, None);
        let base = base.and_then(|base| self.versions.get(&base).cloned());
        let file = base.as_ref().map(|base| base.file);
        let stands = self.heads.iter().find(|(_, (_, head))| Some(head.file) == file);
        let stands = stands.map(|(path, (dir, head))| {
            let home = self.home_of(*dir).map(Box::new);
            Stand { head: head.clone(), dir: *dir, path: path.clone(), home }
        });
        let of = stands.as_ref().map_or(path, |stand| &stand.path);
        let names = self.heads.keys().filter(|at| at.parent().as_ref() == Some(of)).count() as u64;
        Spot { base, stands, here, dirs, blocked, home: home.map(Box::new), names }
    }

    fn names_in(&self, path: &TreePath, at: &Option<At>) -> Fact {
        let heads = self.as_of(moment(at));
        let rows = heads.iter().filter(|(at, _)| at.parent().as_ref() == Some(path));
        let rows: Vec<&Version> = rows.map(|(_, (_, head))| head).collect();
        let until = moment(at).unwrap_or(Seq(u64::MAX));
        let name = |head: &&Version| {
            let mut rows = self.names.get(&head.file).into_iter().flatten();
            rows.rfind(|(seq, ..)| *seq <= until).map(|(.., label)| *label)
        };
        let labels = rows.iter().map(|head| head.label).chain(rows.iter().filter_map(name));
        Fact::Labels(rows.len() as u64, labels.collect())
    }

    fn hidden(&self, path: &TreePath, at: &Option<At>, below: &BTreeSet<LabelId>) -> Fact {
        let dir = self.place(path, moment(at)).head.filter(|dir| !below.contains(&dir.label));
        let heads = self.as_of(moment(at));
        let rows = heads.iter().filter(|(at, _)| at.parent().as_ref() == Some(path) && dir.is_some());
        let name = |head: &Version| self.names.get(&head.file)?.last().map(|(.., label)| *label);
        let hides = |head: &Version| {
            below.contains(&head.label) || name(head).is_some_and(|name| below.contains(&name))
        };
        Fact::Count(rows.filter(|(_, (_, head))| hides(head)).count() as u64)
    }

    fn past(&self, path: &TreePath, view: &View) -> Fact {
        let stood = self.versions.values().rev().find(|version| version.path == *path);
        let file = stood.map(|version| version.file);
        let past = self.versions.values().filter(|version| Some(version.file) == file);
        let past = past.filter(|version| view.shows_version(version.path.as_str(), version.label));
        let labels: Vec<LabelId> = past.map(|version| version.label).collect();
        let names = file.map(|file| self.named(file, true)).unwrap_or_default();
        Fact::Labels(labels.len() as u64, labels.into_iter().chain(names).collect())
    }

    fn shall(&self, put: Put) -> (Hash, String) {
        let hash = match put {
            Put::Bytes(hash) => hash,
            Put::Version(id) => self.versions.get(&id).map(|row| row.content.hash).unwrap_or(Hash([0; 32])),
        };
        (hash, self.text(&hash))
    }

    fn book(&self, put: Put) -> Result<(Hash, Box<Models>), Error> {
        let (hash, text) = self.shall(put);
        let wrong = || Error::invalid("models.yaml", format!("models.yaml:1:1: no book {text:?}"));
        let models = self.books.get(&text).ok_or_else(wrong)?;
        Ok((hash, Box::new(models.clone())))
    }

    /// A draft of that name, or an error where nobody made one.
    fn policy(&self, path: &TreePath, put: Put) -> Result<(Hash, Box<Policy>), Error> {
        let (hash, text) = self.shall(put);
        let wrong = || Error::invalid("policy.yaml", format!("{}:1:1: no draft {text:?}", path.name()));
        let policy = self.drafts.get(&text).ok_or_else(wrong)?;
        Ok((hash, Box::new(policy.clone())))
    }

    fn is_open(&self, version: &Version) -> bool {
        let resolves = |other: &Version| other.parents.iter().skip(1).any(|parent| *parent == version.id);
        version.diverged && !self.versions.values().any(resolves)
    }

    fn conflict(&self, id: VersionId) -> Option<Conflict> {
        let version = self.versions.get(&id).filter(|version| version.diverged)?.clone();
        let file = &self.files[&version.file];
        let last = file.iter().rev().find(|past| !past.version.diverged)?;
        let stands = self.heads.iter().find(|(_, (_, head))| head.file == version.file);
        let path = stands.map_or(last.version.path.clone(), |(path, _)| path.clone());
        let free = stands.is_some() || !self.heads.contains_key(&path);
        let (open, head, dir) = (self.is_open(&version), last.version.clone(), last.dir);
        let (named, told) = (self.named(version.file, false), self.named(version.file, true));
        let home = self.home_of(dir).map(Box::new);
        Some(Conflict { version, open, head, path, dir, free, named, told, home })
    }

    /// Labels of the name that a file has, and of those of the directories above it.
    fn named_now(&self, file: FileId) -> BTreeSet<LabelId> {
        let last = self.names.get(&file).and_then(|rows| rows.last());
        let above = last.filter(|(_, dir, _)| *dir != abi::ROOT);
        let above = above.map(|(_, dir, _)| self.named_now(*dir)).unwrap_or_default();
        last.map(|(.., label)| *label).into_iter().chain(above).collect()
    }

    /// Labels of the names that a file had, and of those of the directories above it.
    fn named(&self, file: FileId, with_above: bool) -> BTreeSet<LabelId> {
        let rows: Vec<_> = self.names.get(&file).into_iter().flatten().collect();
        let above = rows.iter().filter(|(_, dir, _)| with_above && *dir != abi::ROOT);
        let above: BTreeSet<LabelId> = above.flat_map(|(_, dir, _)| self.named(*dir, true)).collect();
        rows.into_iter().map(|(.., label)| *label).chain(above).collect()
    }

    fn home_of(&self, file: FileId) -> Option<Home> {
        if file == abi::ROOT {
            return Some(Home { dir: abi::ROOT, path: TreePath::root(), head: self.root() });
        }
        let (path, (dir, head)) = self.heads.iter().find(|(_, (_, head))| head.file == file)?;
        Some(Home { dir: *dir, path: path.clone(), head: head.clone() })
    }

    /// The root directory is made by nobody: its first version is not in the log.
    fn root(&self) -> Version {
        self.heads.get(&TreePath::root()).map_or_else(root, |(_, head)| head.clone())
    }

    fn hits(
        &self,
        view: &View,
        named: &dyn Fn(FileId) -> BTreeSet<LabelId>,
        wanted: &dyn Fn(&Version) -> bool,
    ) -> Vec<(TreePath, VersionId, LabelId)> {
        let shows = |version: &&Version| view.shows_version(version.path.as_str(), version.label);
        let rows = self.versions.values().filter(shows).filter(|version| wanted(version));
        let rows: Vec<&Version> = rows.filter(|row| named(row.file).is_disjoint(&view.below)).collect();
        let names: BTreeSet<LabelId> = rows.iter().flat_map(|row| named(row.file)).collect();
        let own = rows.iter().map(|row| (row.path.clone(), row.id, row.label));
        let first = rows.first().map(|row| (row.path.clone(), row.id));
        let more = first
            .into_iter()
            .flat_map(|(path, id)| names.iter().map(move |label| (path.clone(), id, *label)));
        own.chain(more.collect::<Vec<_>>()).collect()
    }

    fn doomed(&self, path: &TreePath) -> Option<Doomed> {
        let all: Vec<&Version> = self.versions.values().filter(|version| version.path == *path).collect();
        let files: BTreeSet<FileId> = all.iter().map(|version| version.file).collect();
        let standing = self.heads.get(path).map(|(dir, head)| (*dir, head.clone()));
        let (versions, bytes) = (all.len() as u64, all.iter().map(|version| version.content.bytes).sum());
        let doomed =
            Doomed { files: files.into_iter().collect(), standing, versions, bytes, kept: Vec::new() };
        (!all.is_empty()).then_some(doomed)
    }

    /// All but the last version of what a rule names.
    fn surplus(&self, rules: &[abi::tree::Retain]) -> Vec<VersionId> {
        let named = |version: &&Version| {
            let heads = self.heads.values().any(|(_, head)| head.id == version.id);
            !heads && rules.iter().any(|rule| rule.pattern.matches(version.path.as_str()))
        };
        self.versions.values().filter(named).map(|version| version.id).collect()
    }

    /// Three contents as one, if they go together.
    pub fn merged(&mut self, merge: &abi::tree::Merge) -> Option<Content> {
        let text = |content: &Content| String::from_utf8(self.blobs[&content.hash].clone()).unwrap();
        let merged = diffy::merge(&text(&merge.base), &text(&merge.ours), &text(&merge.theirs)).ok()?;
        Some(self.put(merged.as_bytes()))
    }

    fn as_of(&self, at: Option<Seq>) -> Heads {
        let Some(at) = at else { return self.heads.clone() };
        let known = self.before.iter().rev().find(|(seq, _)| *seq <= at);
        known.map(|(_, heads)| heads.clone()).unwrap_or_default()
    }

    fn place(&self, path: &TreePath, at: Option<Seq>) -> Place {
        let heads = self.as_of(at);
        let mut place = Place { dirs: vec![abi::ROOT], ..Place::default() };
        let mut above = Vec::new();
        let mut next = path.parent();
        while let Some(dir) = next.filter(|dir| dir.as_str() != "/") {
            next = dir.parent();
            above.push(dir);
        }
        let home = |path: &TreePath| {
            let (dir, head) = heads.get(path).cloned().unwrap_or_else(|| (abi::ROOT, root()));
            Some(Home { dir, path: path.clone(), head })
        };
        place.home = home(&TreePath::root());
        for dir in above.iter().rev() {
            match heads.get(dir).map(|(_, head)| head) {
                Some(head) if head.node == Node::Dir => {
                    place.dirs.push(head.file);
                    place.home = home(dir);
                }
                Some(_) => {
                    place.blocked = true;
                    return place;
                }
                None => return place,
            }
        }
        place.head = heads.get(path).map(|(_, head)| head.clone());
        if path.as_str() == "/" {
            place.dirs.clear();
            place.home = None;
            place.head = Some(heads.get(path).map_or_else(root, |(_, head)| head.clone()));
        }
        place
    }

    fn deed(&self, (mount, kind, args, ended): &Done) -> Option<Deed> {
        let (done, outcome) = (*ended)?;
        let bytes = |content: &Content| self.blobs.get(&content.hash).cloned();
        let (mount, kind) = (mount.clone(), kind.clone());
        Some(Deed { mount, kind, args: bytes(args)?, done, answer: bytes(&outcome).unwrap_or_default() })
    }

    fn text(&self, hash: &Hash) -> String {
        self.blobs.get(hash).map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default()
    }

    fn tokens(&self, text: &Hash, (literals, how): (&[String], Match), urls: &[String]) -> Vec<bool> {
        let text = Folded::of(&self.text(text));
        let literals = literals.iter().map(|literal| match how {
            Match::Quoted => text.has_quoted(literal),
            Match::Token | Match::Bytes => text.has_token(literal),
        });
        literals.chain(urls.iter().map(|url| text.has_url(url))).collect()
    }

    fn listing(&self, mount: &str, patterns: &[Pattern], literal: &str) -> BTreeSet<LabelId> {
        let (top, actor) = (format!("/integrations/{mount}"), format!("mount:{mount}"));
        let inside = |path: &TreePath| {
            let rest = path.as_str().strip_prefix(&top);
            rest.is_some_and(|rest| patterns.iter().any(|pattern| pattern.matches(rest)))
        };
        let brought = |path: &TreePath, head: &Version| head.actor == actor && head.path == *path;
        let rows = self.heads.iter().filter(|(path, (_, head))| inside(path) && brought(path, head));
        let named =
            rows.filter(|(_, (_, head))| Folded::of(&self.text(&head.content.hash)).has_token(literal));
        named.map(|(_, (_, head))| head.label).collect()
    }

    fn holds(&self, text: &Haystack, literal: &str, how: Match) -> bool {
        let bytes = match text {
            Haystack::Blob(hash) => self.blobs.get(hash),
            Haystack::Path(path) => {
                let head = self.heads.get(path);
                head.and_then(|(_, head)| self.blobs.get(&head.content.hash))
            }
        };
        let bytes = bytes.cloned().unwrap_or_default();
        match how {
            Match::Bytes => abi::scan::has_text(&bytes, literal.as_bytes()),
            Match::Token => abi::scan::has_token(&String::from_utf8_lossy(&bytes), literal),
            Match::Quoted => Folded::of(&String::from_utf8_lossy(&bytes)).has_quoted(literal),
        }
    }

    fn edited(&mut self, path: &TreePath, base: Option<VersionId>, edit: &Edit) -> Result<Content, Error> {
        let head = self.heads.get(path).map(|(_, head)| head.clone());
        let blob = |hash: &Hash| self.blobs.get(hash).cloned().unwrap_or_default();
        let bytes = match edit {
            Edit::Append(tail) => {
                let old = head.map(|head| blob(&head.content.hash)).unwrap_or_default();
                [old, blob(tail)].concat()
            }
            Edit::Patch { find, put } => {
                let from = base.and_then(|base| self.versions.get(&base).cloned()).or(head);
                let missing = || Error::new(Code::NotFound, format!("{path} does not exist"));
                let old = blob(&from.ok_or_else(missing)?.content.hash);
                let (old, find) = (String::from_utf8(old).unwrap(), String::from_utf8(blob(find)).unwrap());
                if old.matches(&find).count() != 1 {
                    return Err(Error::invalid("find", "it does not stand exactly once"));
                }
                old.replace(&find, &String::from_utf8(blob(put)).unwrap()).into_bytes()
            }
        };
        Ok(self.put(&bytes))
    }

    fn undo(&self, undo: Undo) -> Option<Vec<UndoRow>> {
        let mine = |past: &Past| match undo {
            Undo::Operation(op) => past.version.op == op,
            Undo::Process(pid) => past.version.pid == pid,
            Undo::Version(version) => past.version.id == version,
        };
        let rows: Vec<UndoRow> = self.files.values().filter_map(|file| self.undo_row(file, &mine)).collect();
        (!rows.is_empty()).then_some(rows)
    }

    fn undo_row(&self, file: &[Past], mine: &dyn Fn(&Past) -> bool) -> Option<UndoRow> {
        let last_mine = file.iter().rposition(mine)?;
        let first_mine = file[..=last_mine].iter().rposition(|past| !mine(past)).map_or(0, |ix| ix + 1);
        let now = file.last()?;
        let before = first_mine.checked_sub(1).map(|ix| file[ix].version.clone());
        let stands = self.heads.iter().find(|(_, (_, head))| head.id == now.version.id);
        let dir = stands.map_or(now.dir, |(_, (dir, _))| *dir);
        let moved_from = file[first_mine..=last_mine].iter().find_map(|past| past.moved_from.clone());
        let is_dir = |version: &Version| version.node == Node::Dir && version.mode == now.version.mode;
        if is_dir(&now.version) && before.as_ref().is_some_and(is_dir) && moved_from.is_none() {
            return None;
        }
        let old = moved_from.as_ref().map(|(_, dir): &(TreePath, FileId)| *dir).filter(|old| *old != dir);
        let homes = [Some(dir), old].into_iter().flatten().filter_map(|dir| self.home_of(dir)).collect();
        Some(UndoRow {
            named: self.named(now.version.file, false),
            told: self.named(now.version.file, true),
            homes,
            path: stands.map_or(now.version.path.clone(), |(path, _)| path.clone()),
            file: now.version.file,
            dir,
            head: now.version.id,
            untouched: last_mine + 1 == file.len(),
            before: before.filter(|version| version.node != Node::Gone),
            label: now.version.label,
            moved_from,
            made: file[last_mine].version.id,
            made_label: file[last_mine].version.label,
            made_content: (file[last_mine].version.node == Node::File)
                .then_some(file[last_mine].version.content),
            head_content: (now.version.node == Node::File).then_some((now.version.content, now.version.mode)),
        })
    }

    fn fill(&self, query: &Query) -> Vec<u8> {
        match query {
            Query::Operation { .. } | Query::Search { .. } | Query::Conflicts { .. } | Query::Why { .. } => {
                format!("{query:?}").into_bytes()
            }
            Query::Read { version: Some(id), .. } => {
                let bytes = self.versions.get(id).and_then(|row| self.blobs.get(&row.content.hash));
                bytes.cloned().unwrap_or_default()
            }
            Query::Session { path, unless_file, .. } => match self.place(path, None).head {
                Some(head) if *unless_file => self.blobs[&head.content.hash].clone(),
                _ => format!("{query:?}").into_bytes(),
            },
            Query::Read { path, at, .. } => {
                let heads = self.as_of(moment(at));
                let head = heads.get(path).and_then(|(_, head)| self.blobs.get(&head.content.hash));
                head.cloned().unwrap_or_default()
            }
            Query::List { path, at, view, .. } => {
                let heads = self.as_of(moment(at));
                let inside = heads.iter().filter(|(at, _)| at.parent().as_ref() == Some(path));
                let hidden = inside.clone().filter(|(_, (_, head))| view.below.contains(&head.label)).count();
                let below =
                    inside.filter(|(_, (_, head))| !view.below.contains(&head.label)).map(|row| row.0);
                let seen = |at: &&TreePath| {
                    view.shown.iter().any(|pattern| {
                        let inside =
                            |other: &&TreePath| other.is_below(at) && pattern.matches(other.as_str());
                        heads.keys().any(|other| inside(&other))
                    })
                };
                let mut names: Vec<String> = below.filter(seen).map(|path| path.name().into()).collect();
                names.extend((hidden > 0).then(|| format!("below={hidden}")));
                names.join(" ").into_bytes()
            }
            Query::History { path, view, .. } => {
                let rows = self.versions.values().filter(|version| version.path == *path);
                let rows = rows.filter(|row| view.shows_version(path.as_str(), row.label));
                let ids: Vec<String> = rows.map(|version| version.id.to_string()).collect();
                ids.join(" ").into_bytes()
            }
            Query::Trace { .. }
            | Query::Workspaces
            | Query::Health
            | Query::Key
            | Query::Months
            | Query::Costs { .. }
            | Query::Token { .. }
            | Query::Blob { .. }
            | Query::Models { .. }
            | Query::Secrets
            | Query::Content { .. }
            | Query::Operators { .. } => format!("{query:?}").into_bytes(),
        }
    }

    fn agent(&self, name: &str) -> Parsed {
        let path = TreePath::parse(&format!("/agents/{name}/AGENT.md"))?;
        let missing = || Error::new(Code::NotFound, format!("there is no agent {name}"));
        let (_, head) = self.heads.get(&path).ok_or_else(missing)?;
        let def = self.agents.get(name).cloned().ok_or_else(missing)?;
        Ok(AgentDef { prompt: head.content, version: head.id, label: head.label, ..def })
    }
}

fn version_of(record: &Record, op: abi::OpId, change: &Change, message: Option<Content>) -> Version {
    Version {
        id: change.version,
        file: change.file,
        node: change.node,
        content: change.content,
        mode: change.mode,
        mtime: change.mtime,
        label: change.label,
        actor: record.actor.clone(),
        pid: record.pid,
        op,
        seq: record.seq,
        diverged: change.diverged,
        parents: change.parents.clone(),
        message,
        path: change.path.clone(),
    }
}

/// The root directory has no version of its own; the store answers it like this.
fn root() -> Version {
    Version {
        id: VersionId(0),
        file: abi::ROOT,
        node: Node::Dir,
        content: Content::default(),
        mode: 0o755,
        mtime: 0,
        label: LabelId(1),
        actor: String::from("system:kernel"),
        pid: abi::WORKSPACE,
        op: abi::OpId(0),
        seq: Seq(0),
        diverged: false,
        parents: vec![],
        message: None,
        path: TreePath::root(),
    }
}

/// Scripts know no other moments than records.
fn moment(at: &Option<At>) -> Option<Seq> {
    at.map(|at| match at {
        At::Seq(seq) => seq,
        At::Time(_) => panic!("a script asks for a time"),
    })
}
