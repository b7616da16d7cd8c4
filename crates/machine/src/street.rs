//! The one-way street inside an open transaction: plan → facts → step → append. What an event decides is seen
//! by the next event of the batch; what leaves is sorted here by its gate.

use crate::{
    agents,
    bound::look::{LookJob, Standing},
    clock::Clock,
    draft::DraftJob,
    job::{EffectJob, ExecJob, MergeJob},
    models, policy,
    render::{Around, Page},
    search::Kept,
    shipped, tool,
    turn::{Input, Later, Out, Sink, Verb},
};
use abi::{
    Code, Content, Error, Hash,
    agent::Policy,
    answer::Answer,
    call::{Call, Write},
    effect::{Decision, Effect},
    event::Body,
    fact::{Fact, Facts, Lookup, Put, Query},
    limits,
    path::TreePath,
    record::{Entry, Record},
    tree::{Merge, Node, Version},
};
use kernel::Kernel;
use std::collections::{BTreeSet, VecDeque};
use store::{Batch, Trouble};

/// Bytes of all contents that one event's merges may take into memory; the rest is not merged.
const MERGED_BYTES_MAX: u64 = 16 * limits::MERGE_BYTES_MAX;

/// A turn while its transaction is open.
pub(crate) struct Street<'r, 'b> {
    pub batch: Batch<'b>,
    pub kernel: &'r mut Kernel,
    pub clock: &'r dyn Clock,
    pub around: &'r dyn Around,
    pub secret: &'r [u8; 32],
    pub set_aside: &'r BTreeSet<Hash>,
    pub name: &'r str,
    /// What this batch still has to decide; what a decision brings at once goes first.
    pub todo: &'r mut VecDeque<Input>,
    /// What leaves after the commit.
    pub later: Vec<Later>,
    /// Whether records have to be shown.
    pub follows: bool,
    /// Records appended, and about how many bytes.
    pub weight: (u64, u64),
    /// Whether versions were thinned.
    pub thinned: bool,
    /// Whether this batch has changed the tree.
    pub wrote: bool,
    /// Deliveries that were refused.
    pub unkept: Vec<(String, TreePath)>,
    /// What a search of this event found.
    pub kept: Option<Kept>,
    /// What stands on the host in the directory that this event lists.
    pub looked: Vec<Standing>,
}

impl<'b> Street<'_, 'b> {
    /// Decides one event.
    pub fn walk(&mut self, input: &Input, sink: &mut dyn Sink) -> Result<(), Trouble> {
        self.kept = None;
        self.looked = input.looked.as_ref().map(|looked| looked.names.clone()).unwrap_or_default();
        let plan = self.kernel.plan(&input.event);
        if plan.is_ok()
            && let Some(job) = LookJob::of(input, || self.kernel.bound())
        {
            sink.ordered(Out::Look(Box::new(job)));
            return Ok(());
        }
        let (facts, new, fresh) = self.learn(input, plan)?;
        let decision = self.kernel.step(&input.event, facts);
        if (!new.is_empty() || !fresh.is_empty()) && !takes_all(&decision) {
            let taken = taken(&decision);
            for content in new.into_iter().chain(fresh).filter(|content| !taken.contains(&content.hash)) {
                self.batch.forget(&content)?;
            }
        }
        self.put(&decision.blobs)?;
        for record in &decision.records {
            self.batch.append(record)?;
            self.weight = (self.weight.0 + 1, self.weight.1 + weight(record));
            self.thinned |= matches!(record.body, Entry::Thinned { .. });
            self.wrote |= matches!(record.body, Entry::Wrote { .. });
        }
        if let Body::Arrived { mount, path, content } = &input.event.body
            && !self.keeps(mount, path, content, &decision.records)?
        {
            self.unkept.push((mount.clone(), path.clone()));
        }
        // An edit brings the policy along; only what stands at birth has to be loaded.
        if changes_policy(&decision.records) {
            self.load_policy()?;
        }
        if decision.records.iter().any(|record| matches!(record.body, Entry::ModelsLoaded { .. }))
            && let Ok(book) = models::at_head(&mut self.batch)?
        {
            self.later.push(Later::Out(Out::Providers(book.providers.clone(), book.tiers())));
        }
        if self.follows && !decision.records.is_empty() {
            self.later.push(Later::Records(decision.records));
        }
        // A model call goes last: a reply may say whose key it is made with.
        let (calls, others): (Vec<Effect>, Vec<Effect>) =
            decision.effects.into_iter().partition(|effect| matches!(effect, Effect::Model(_)));
        for effect in others.into_iter().chain(calls) {
            match effect {
                Effect::Merge(merges) => {
                    let job = self.merges(input, merges)?;
                    sink.ordered(Out::Merge(Box::new(job)));
                }
                effect => self.effect(effect, sink)?,
            }
        }
        self.later.extend(decision.alarms.into_iter().map(|alarm| Later::Out(Out::Alarm(alarm.message))));
        Ok(())
    }

    /// Facts of an event; contents it brought that nobody had, and those it would leave if it were refused.
    fn learn(
        &mut self,
        input: &Input,
        plan: Result<Vec<Lookup>, Error>,
    ) -> Result<(Facts, Vec<Content>, Vec<Content>), Trouble> {
        let lookups = match plan {
            // A refused call leaves nothing behind but its refusal.
            Err(error) => {
                if !matches!(input.event.body, Body::Call { .. }) {
                    self.put(&input.blobs)?;
                }
                return Ok((Facts::Refused(error), Vec::new(), Vec::new()));
            }
            Ok(lookups) => lookups,
        };
        let fresh = self.fresh(&input.event.body)?;
        self.put(&input.blobs)?;
        match self.take_uploads(input)? {
            Err(error) => Ok((Facts::Refused(error), Vec::new(), fresh)),
            Ok(new) => Ok((self.facts(&lookups)?, new, fresh)),
        }
    }

    /// The bytes of merges an event asks for, and the event itself, for a worker.
    fn merges(&mut self, input: &Input, merges: Vec<Merge>) -> Result<MergeJob, Trouble> {
        let (of, known, round) = match &input.event.body {
            Body::Merged { of, merges, round } => ((**of).clone(), merges.clone(), *round),
            body => (body.clone(), Vec::new(), 0),
        };
        let mut room = MERGED_BYTES_MAX;
        let mut all = Vec::with_capacity(merges.len());
        for merge in merges {
            let bytes = merge.base.bytes + merge.ours.bytes + merge.theirs.bytes;
            room = room.saturating_sub(bytes);
            let mut texts = None;
            if room > 0 {
                let mut blob = |content: &Content| match self.batch.blob(&content.hash) {
                    // What is lost is not merged.
                    Err(Trouble::Corrupt { .. }) if content.bytes > limits::BLOB_INLINE_BYTES_MAX => Ok(None),
                    found => found,
                };
                let found = (blob(&merge.base)?, blob(&merge.ours)?, blob(&merge.theirs)?);
                texts = found.0.zip(found.1).zip(found.2).map(|((base, ours), theirs)| [base, ours, theirs]);
            }
            all.push((merge, texts));
        }
        Ok(MergeJob { of, blobs: input.blobs.clone(), known, round, merges: all })
    }

    /// Whether a delivery was recorded as a version, or stands already.
    fn keeps(
        &mut self,
        mount: &str,
        path: &TreePath,
        content: &Content,
        records: &[Record],
    ) -> Result<bool, Trouble> {
        if records.iter().any(|record| matches!(record.body, Entry::Wrote { .. })) {
            return Ok(true);
        }
        let Ok(path) = TreePath::parse(&format!("/integrations/{mount}{path}")) else { return Ok(false) };
        Ok(head(&mut self.batch, &path)?.is_some_and(|(version, _)| version.content == *content))
    }

    /// The parts of an edit that are not kept for anything else: the version that it makes has their bytes,
    /// and a purge of that version must not leave them behind.
    fn fresh(&mut self, body: &Body) -> Result<Vec<Content>, Trouble> {
        let call = match body {
            Body::Merged { of, .. } => return self.fresh(of),
            Body::ExecEnded { commit: made, .. }
            | Body::ExecWrote { commit: made, .. }
            | Body::Noticed { commit: made, .. } => {
                let parts = made.changes.iter().filter(|change| change.content.bytes > 0);
                return self.new_here(parts.map(|change| change.content).collect());
            }
            Body::Call { call, .. } | Body::Tool { call: Ok(call), .. } => call,
            _ => return Ok(Vec::new()),
        };
        let parts = match call {
            Call::Write { write: Write::Append(tail), .. } => vec![*tail],
            Call::Write { write: Write::Patch { find, put }, .. } => vec![*find, *put],
            // What may be refused, or is only looked at.
            Call::Write { write: Write::Check(content), .. } => vec![*content],
            Call::Write { path, write: Write::Whole { content, .. }, .. }
                if is_policy(path) || path.as_str() == shipped::MODELS_PATH =>
            {
                vec![*content]
            }
            _ => return Ok(Vec::new()),
        };
        self.new_here(parts)
    }

    /// Of these, what is not kept yet.
    fn new_here(&mut self, parts: Vec<Content>) -> Result<Vec<Content>, Trouble> {
        let (mut fresh, mut known) = (Vec::new(), BTreeSet::new());
        for part in parts {
            let small = part.bytes <= limits::BLOB_INLINE_BYTES_MAX;
            if known.insert(part.hash) && small && self.batch.blob(&part.hash)?.is_none() {
                fresh.push(part);
            }
        }
        Ok(fresh)
    }

    fn put(&mut self, blobs: &[Vec<u8>]) -> Result<(), Trouble> {
        blobs.iter().try_for_each(|blob| self.batch.put_blob(blob).map(drop))
    }

    /// Keeps what was uploaded; answers the names that are new here.
    fn take_uploads(&mut self, input: &Input) -> Result<Result<Vec<Content>, Error>, Trouble> {
        let mut new = Vec::new();
        for manifest in &input.uploads {
            match self.batch.put_large(manifest)? {
                Ok(store::Kept::New) => new.push(manifest.content()),
                Ok(store::Kept::Before) => {}
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(new))
    }

    fn facts(&mut self, lookups: &[Lookup]) -> Result<Facts, Trouble> {
        match lookups.iter().map(|lookup| self.fact(lookup)).collect() {
            // A moment that only sealed records know: nothing else of the workspace needs them.
            Err(trouble @ Trouble::Segment { .. }) => Ok(Facts::Refused(trouble.to_error())),
            facts => Ok(Facts::Found(facts?)),
        }
    }

    fn page(&mut self) -> Page<'_, 'b> {
        Page {
            kernel: self.kernel,
            batch: &mut self.batch,
            around: self.around,
            secret: self.secret,
            name: self.name,
            clock: self.clock,
            kept: &mut self.kept,
            looked: &self.looked,
        }
    }

    fn fact(&mut self, lookup: &Lookup) -> Result<Fact, Trouble> {
        match lookup {
            Lookup::Fill { query } => {
                let bytes = self.page().filled(query)?;
                Ok(Fact::Filled(self.batch.put_blob(&bytes)?))
            }
            Lookup::Agent { name, task } => {
                agents::find(&mut self.batch, (name, task.as_ref()), self.clock.wall()).map(Fact::Agent)
            }
            Lookup::Search { sought, view } => self.page().sighted(sought, view),
            Lookup::Policy { path, put } => self.edited(path, *put).map(Fact::Policy),
            Lookup::Models { put } => Ok(Fact::Models(match self.shall(*put)? {
                Ok(bytes) => models::read(Some(&bytes)).map(|book| (book.digest, Box::new(book.models))),
                Err(error) => Err(error),
            })),
            Lookup::Path { .. }
            | Lookup::Version { .. }
            | Lookup::Names { .. }
            | Lookup::Hidden { .. }
            | Lookup::Below { .. }
            | Lookup::Spots { .. }
            | Lookup::Past { .. } => self.batch.answer(lookup),
            Lookup::Kept { .. }
            | Lookup::Conflict { .. }
            | Lookup::Conflicts { .. }
            | Lookup::Operation { .. }
            | Lookup::Purge { .. }
            | Lookup::Surplus { .. } => self.batch.answer(lookup),
            Lookup::Match { .. } | Lookup::Edit { .. } | Lookup::Undo { .. } | Lookup::Bytes { .. } => {
                self.batch.answer(lookup)
            }
            Lookup::Tokens { .. }
            | Lookup::Directory { .. }
            | Lookup::Quoted { .. }
            | Lookup::Deed { .. } => self.batch.answer(lookup),
        }
    }

    /// What a file shall hold.
    fn shall(&mut self, put: Put) -> Result<Result<Vec<u8>, Error>, Trouble> {
        let hash = match put {
            Put::Bytes(hash) => Some(hash),
            Put::Version(id) => self.batch.version(id)?.map(|version| version.content.hash),
        };
        let new = match hash {
            Some(hash) => self.batch.blob(&hash)?,
            None => None,
        };
        Ok(new.ok_or_else(|| Error::new(Code::NotFound, "the bytes are not kept").argument("version")))
    }

    /// Policy and budget as they would stand, parsed.
    fn edited(&mut self, path: &TreePath, put: Put) -> Result<Loading, Trouble> {
        let new = match self.shall(put)? {
            Ok(new) => new,
            Err(error) => return Ok(Err(error)),
        };
        let other =
            if path.as_str() == shipped::POLICY_PATH { shipped::BUDGET_PATH } else { shipped::POLICY_PATH };
        let stands = match TreePath::parse(other) {
            Ok(other) => head(&mut self.batch, &other)?,
            Err(_) => None,
        };
        let Some((_, stands)) = stands else {
            return Ok(Err(Error::new(Code::NotFound, format!("{other} does not stand"))));
        };
        Ok(if other == shipped::BUDGET_PATH { load(&new, &stands) } else { load(&stands, &new) })
    }

    /// Policy and budget at their heads become the next event, if both parse; else what stands goes on
    /// standing.
    pub fn load_policy(&mut self) -> Result<(), Trouble> {
        match loaded(&mut self.batch)? {
            None => {}
            Some(Ok(body)) => self.todo.push_front(Input::now(self.clock, body, Vec::new())),
            Some(Err(error)) => {
                let alarm = format!("the policy was not loaded, the one before stands: {error}");
                self.later.push(Later::Out(Out::Alarm(alarm)));
            }
        }
        Ok(())
    }

    fn effect(&mut self, effect: Effect, sink: &mut dyn Sink) -> Result<(), Trouble> {
        match effect {
            Effect::Reply { to, answer } => {
                let following = match &answer {
                    Ok(Answer::Query(Query::Trace { follow: true, pids, .. })) => Some(pids.clone()),
                    _ => None,
                };
                let answer = match answer {
                    Ok(Answer::Upload { .. }) => {
                        self.later.push(Later::Out(Out::Upload { to }));
                        self.page().answer(&Answer::Upload { upload: to.0 })?
                    }
                    Ok(answer) => self.page().answer(&answer)?,
                    Err(error) => Err(error),
                };
                if let Some(pids) = following {
                    self.follows = true;
                    self.later.push(Later::Out(Out::Follow { to, pids }));
                }
                self.later.push(Later::Out(Out::Reply { to, answer }));
            }
            Effect::Model(call) => self.later.push(Later::Model(call)),
            Effect::Extend { effect, reserved_out } => sink.ordered(Out::Extend { effect, reserved_out }),
            Effect::Cut { effect } => sink.ordered(Out::Cut { effect }),
            Effect::Tool { pid, step, index, answer } => {
                let bytes = self.batch.blob(&answer)?;
                let (body, blobs) = tool::take(pid, step, index, bytes.as_deref());
                let mut input = Input::now(self.clock, body, blobs);
                if !self.set_aside.is_empty() && self.set_aside.contains(&input.digest()) {
                    input.event.body =
                        tool::refused(&input.event.body, tool::set_aside()).unwrap_or(input.event.body);
                }
                self.todo.push_front(input);
            }
            Effect::Arm { effect } => {
                let armed = Input::now(self.clock, Body::Armed { effect }, Vec::new());
                self.later.push(Later::Out(Out::Next(Box::new(armed))));
            }
            Effect::Dispatch { effect, mount, kind, args } => {
                let job = EffectJob { effect, mount, kind, fields: None };
                self.later.push(Later::Effect { job, args, verb: Verb::Send });
            }
            Effect::Probe { effect, mount, kind, args } => {
                let job = EffectJob { effect, mount, kind, fields: None };
                self.later.push(Later::Effect { job, args, verb: Verb::Probe });
            }
            Effect::Timer { timer, after_us } => sink.ordered(Out::Timer { timer, after_us }),
            // Its bytes are gathered where its event is known.
            Effect::Merge(_) => {}
            Effect::Exec(_)
            | Effect::EndExec { .. }
            | Effect::Tell { .. }
            | Effect::ExecDecided { .. }
            | Effect::Sandbox { .. } => self.exec(effect, sink)?,
            // Who waits reads the tree that came of it.
            Effect::NoticeDecided { number, seq } => {
                self.later.push(Later::Out(Out::NoticeDecided { number, seq }));
            }
            Effect::Place { seq } => self.later.push(Later::Place(seq)),
            Effect::Scrub { reply } => self.later.push(Later::Scrub(reply)),
            Effect::ReadDraft { reply, pid, layer, bound } => {
                let job = Box::new(DraftJob { reply, pid, layer, bound });
                self.later.push(Later::Out(Out::ReadDraft(job)));
            }
            Effect::Control { reply, word } => self.later.push(Later::Out(Out::Control { reply, word })),
        }
        Ok(())
    }
}

impl Street<'_, '_> {
    /// What is to be done at sandboxes.
    fn exec(&mut self, effect: Effect, sink: &mut dyn Sink) -> Result<(), Trouble> {
        match effect {
            Effect::Exec(command) => {
                let text = self.batch.blob(&command.text)?.unwrap_or_default();
                let task = command.task.map(|task| self.batch.blob(&task)).transpose()?;
                let task = task.map(Option::unwrap_or_default);
                let session = command.session.map(|session| self.batch.blob(&session)).transpose()?.flatten();
                let out = Out::Exec(Box::new(ExecJob { command: *command, text, task, session }));
                // It reads the tree from beside the loop, where what this batch wrote is not seen yet.
                if self.wrote { self.later.push(Later::Out(out)) } else { sink.ordered(out) }
            }
            Effect::Tell { pid, exec, words } => {
                let words = words.map(|words| self.batch.blob(&words)).transpose()?;
                sink.ordered(Out::Tell { pid, exec, words: words.map(Option::unwrap_or_default) });
            }
            Effect::EndExec { exec } => {
                // It has not begun and never will.
                let is_it =
                    |later: &Later| matches!(later, Later::Out(Out::Exec(job)) if job.command.exec == exec);
                self.later.retain(|later| !is_it(later));
                sink.ordered(Out::EndExec { exec });
            }
            // A view that goes on reads the tree that came of it: that is seen when it is committed.
            Effect::ExecDecided { exec, pid, kept, plan } => {
                self.later.push(Later::Out(Out::ExecDecided { exec, pid, kept, plan }));
            }
            Effect::Sandbox { pid, act } => sink.ordered(Out::Sandbox { pid, act }),
            _ => {}
        }
        Ok(())
    }
}

/// The head of a file and its bytes.
pub(crate) fn head(batch: &mut Batch<'_>, path: &TreePath) -> Result<Option<(Version, Vec<u8>)>, Trouble> {
    let Fact::Place(place) = batch.answer(&Lookup::Path { path: path.clone(), at: None })? else {
        return Ok(None);
    };
    let Some(version) = place.head.filter(|version| version.node == Node::File) else { return Ok(None) };
    let bytes = batch.blob(&version.content.hash)?;
    Ok(bytes.map(|bytes| (version, bytes)))
}

/// Whether something stands at a path.
pub(crate) fn stands(batch: &mut Batch<'_>, path: &TreePath) -> Result<bool, Trouble> {
    let fact = batch.answer(&Lookup::Path { path: path.clone(), at: None })?;
    Ok(matches!(fact, Fact::Place(place) if place.head.is_some()))
}

/// What loading the policy comes to; none while one of its files is missing.
pub(crate) fn loaded(batch: &mut Batch<'_>) -> Result<Option<Result<Body, Error>>, Trouble> {
    let mut file = |path: &str| match TreePath::parse(path) {
        Ok(path) => head(batch, &path).map(|found| found.map(|(_, bytes)| bytes)),
        Err(_) => Ok(None),
    };
    let (Some(rows), Some(money)) = (file(shipped::POLICY_PATH)?, file(shipped::BUDGET_PATH)?) else {
        return Ok(None);
    };
    let loaded = load(&rows, &money);
    Ok(Some(loaded.map(|(digest, policy)| Body::PolicyLoaded { digest, policy: *policy })))
}

/// Digest of both files, and what they say; or where they do not say it.
type Loading = Result<(Hash, Box<Policy>), Error>;

fn load(rows: &[u8], money: &[u8]) -> Loading {
    let digest = Hash::of_fields("policy", &[rows, money]);
    policy::parse(rows, money).map(|policy| (digest, Box::new(policy)))
}

fn is_policy(path: &TreePath) -> bool {
    [shipped::POLICY_PATH, shipped::BUDGET_PATH].contains(&path.as_str())
}

/// Whether a decision may have a use for all bytes that came with its event: they are being merged, or the
/// text of a draft names them.
fn takes_all(decision: &Decision) -> bool {
    decision.effects.iter().any(|effect| matches!(effect, Effect::Merge(_)))
        || decision.records.iter().any(|record| matches!(record.body, Entry::Drafted { .. }))
}

/// Contents that a decision has a use for: those of versions, and of what is held or said.
fn taken(decision: &Decision) -> BTreeSet<Hash> {
    let mut taken = BTreeSet::new();
    for record in &decision.records {
        match &record.body {
            Entry::Wrote { changes, message, .. } => {
                taken.extend(message.iter().map(|message| message.hash));
                taken.extend(changes.iter().map(|change| change.content.hash));
            }
            Entry::Proposed { content: held, args, .. } => {
                taken.extend(held.iter().chain([args]).map(|content| content.hash));
            }
            // Appended where a session is read.
            Entry::Spawned { task: text, .. } | Entry::Queued { text, .. } => _ = taken.insert(text.hash),
            Entry::ExecEnded { output, whole, .. } => {
                taken.extend([*output].iter().chain(whole).map(|content| content.hash));
            }
            _ => {}
        }
    }
    taken
}

fn changes_policy(records: &[Record]) -> bool {
    let written = |record: &Record| {
        let Entry::Wrote { changes, .. } = &record.body else { return false };
        changes.iter().any(|change| !change.diverged && is_policy(&change.path))
    };
    let loaded = |record: &Record| matches!(record.body, Entry::PolicyLoaded { .. });
    records.iter().any(written) && !records.iter().any(loaded)
}

/// About how many bytes a record takes in the log; only when to write a snapshot depends on it.
fn weight(record: &Record) -> u64 {
    let parts = match &record.body {
        Entry::Wrote { changes, .. } => changes.len(),
        Entry::ModelIntended { add, .. } => add.len(),
        Entry::Spawned { history, .. } => history.len() / 3,
        _ => 0,
    };
    150 + 150 * parts as u64
}
