//! Who may. Capabilities form a derivation tree: a child lies inside one parent, revoking takes the subtree.
//!
//! The check runs on every call, so it is indexed: for each holder and kind of object, capabilities by the
//! literal components their pattern begins with. A path is checked against the few that can match it. The
//! slow twin (`twin.rs`) does without the index; they must agree.

use crate::{Kernel, state::State, step::Step};
use abi::{
    CapId, Code, Error, LabelId, Micros, Pid, WORKSPACE,
    agent::PolicyRow,
    cap::{Cap, Grant, Object, Rights},
    fact::View,
    label::{Label, Readers},
    limits,
    path::{Pattern, TreePath},
    record::Entry,
};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    string::String,
    string::ToString,
    vec::Vec,
};

/// One thing somebody wants to do.
#[derive(Clone, Copy, Debug)]
pub enum Want<'a> {
    /// To a path.
    Path(&'a TreePath),
    /// To a model.
    Model(&'a str),
    /// To an agent.
    Spawn(&'a str),
    /// At a mount, of a kind.
    Effect(&'a str, &'a str),
    /// To a control file.
    Admin(&'a TreePath),
}

impl Want<'_> {
    /// Whether the object names it.
    pub fn is_in(&self, object: &Object) -> bool {
        match (self, object) {
            (Self::Path(path), Object::Fs(pattern)) | (Self::Admin(path), Object::Admin(pattern)) => {
                pattern.matches(path.as_str())
            }
            (Self::Model(word), Object::Model(pattern)) | (Self::Spawn(word), Object::Spawn(pattern)) => {
                pattern.matches(word)
            }
            (Self::Effect(at, of), Object::Effect { mount, kind }) => mount.matches(at) && kind.matches(of),
            _ => false,
        }
    }

    /// What it is, for a message.
    pub fn about(&self) -> String {
        match self {
            Self::Path(path) | Self::Admin(path) => path.to_string(),
            Self::Model(word) | Self::Spawn(word) => (*word).to_string(),
            Self::Effect(mount, kind) => format!("{kind} at {mount}"),
        }
    }
}

/// Which of the lists an object's capabilities stand in.
fn slot(object: &Object) -> u8 {
    match object {
        Object::Fs(_) => 0,
        Object::Model(_) => 1,
        Object::Spawn(_) => 2,
        Object::Effect { .. } => 3,
        Object::Admin(_) => 4,
        Object::Net { .. } => 5,
        Object::Secret { .. } => 6,
    }
}

/// What the pattern begins with, as text that a path can be cut to; empty for words.
fn key(object: &Object) -> String {
    let mut key = String::new();
    if let Object::Fs(pattern) | Object::Admin(pattern) = object {
        for name in pattern.literal_prefix() {
            key.push('/');
            key.push_str(name);
        }
    }
    key
}

type Listed = BTreeMap<String, Vec<(CapId, Rights, Option<Micros>, Object)>>;

/// What is derived from the state for speed.
#[derive(Clone, Default)]
pub struct Index {
    /// For each holder and slot: capabilities by what their pattern begins with.
    caps: BTreeMap<(Pid, u8), Listed>,
    /// What each holds, and what was derived from each capability.
    held: BTreeMap<Pid, BTreeSet<CapId>>,
    derived: BTreeMap<CapId, BTreeSet<CapId>>,
    /// Interned labels by meaning.
    pub labels: BTreeMap<Label, LabelId>,
}

impl Index {
    /// The index of a state.
    pub fn of(state: &State) -> Self {
        let mut index = Self::default();
        state.caps.values().for_each(|cap| index.add(cap));
        index.labels = state.labels.iter().map(|(id, label)| (label.clone(), *id)).collect();
        index
    }

    /// One more capability.
    pub fn add(&mut self, cap: &Cap) {
        let Grant { object, rights, expires } = &cap.grant;
        self.held.entry(cap.holder).or_default().insert(cap.id);
        if let Some(parent) = cap.parent {
            self.derived.entry(parent).or_default().insert(cap.id);
        }
        let listed = self.caps.entry((cap.holder, slot(object))).or_default();
        listed.entry(key(object)).or_default().push((cap.id, *rights, *expires, object.clone()));
    }

    /// One less.
    pub fn remove(&mut self, cap: &Cap) {
        if let Some(held) = self.held.get_mut(&cap.holder) {
            held.remove(&cap.id);
            if held.is_empty() {
                self.held.remove(&cap.holder);
            }
        }
        if let Some(siblings) = cap.parent.and_then(|parent| self.derived.get_mut(&parent)) {
            siblings.remove(&cap.id);
        }
        self.derived.remove(&cap.id);
        let at = (cap.holder, slot(&cap.grant.object));
        let Some(listed) = self.caps.get_mut(&at) else { return };
        if let Some(row) = listed.get_mut(&key(&cap.grant.object)) {
            row.retain(|(id, ..)| *id != cap.id);
        }
        listed.retain(|_, row| !row.is_empty());
        if listed.is_empty() {
            self.caps.remove(&at);
        }
    }

    /// The union of rights that the holder's capabilities give for this.
    pub fn rights(&self, holder: Pid, want: &Want<'_>, at: Micros) -> Rights {
        let (slot, text) = match want {
            Want::Path(path) => (0, path.as_str()),
            Want::Model(_) => (1, ""),
            Want::Spawn(_) => (2, ""),
            Want::Effect(..) => (3, ""),
            Want::Admin(path) => (4, path.as_str()),
        };
        let Some(listed) = self.caps.get(&(holder, slot)) else { return Rights::default() };
        let mut rights = Rights::default();
        let ends = text.match_indices('/').map(|(end, _)| end).chain([text.len()]);
        for end in ends {
            let Some(row) = text.get(..end).and_then(|prefix| listed.get(prefix)) else { continue };
            for (_, given, expires, object) in row {
                if expires.is_none_or(|end| at < end) && want.is_in(object) {
                    rights = rights.union(*given);
                }
            }
        }
        rights
    }
}

impl Kernel {
    /// Whether the process may; `Denied` says what is missing.
    pub(crate) fn allow(&self, pid: Pid, want: Want<'_>, right: Rights, at: Micros) -> Result<(), Error> {
        let held = self.index.rights(pid, &want, at);
        if !held.contains(right) {
            let message = format!("no capability of process {pid} allows {right} on {}", want.about());
            return Err(Error::new(Code::Denied, message)
                .hint(format!("cat /proc/{pid}/caps shows what it holds; ask for more in `needs`")));
        }
        self.not_denied(pid, want, right)
    }

    /// Whether policy does not deny it, whatever the process holds.
    pub(crate) fn not_denied(&self, pid: Pid, want: Want<'_>, right: Rights) -> Result<(), Error> {
        let process = self.state.processes.get(&pid);
        process.map_or(Ok(()), |process| self.agent_may(&process.agent, want, right))
    }

    /// Whether the process that proposed could still propose it.
    pub(crate) fn may_propose(&self, proposal: &crate::state::Proposal, at: Micros) -> Result<(), Error> {
        if !proposal.mount.is_empty() {
            return self.allow(proposal.pid, Want::Effect(&proposal.mount, &proposal.kind), Rights::ASK, at);
        }
        let may = |path: &TreePath| {
            let writes = self.allow(proposal.pid, Want::Path(path), Rights::WRITE, at);
            writes.or_else(|_| self.allow(proposal.pid, Want::Path(path), Rights::CREATE, at))
        };
        proposal.paths.iter().try_for_each(may)
    }

    /// Whether an effect that was decided may still leave. A process that ended holds nothing any more: what
    /// it left behind was decided while it lived, and only policy can still deny it.
    pub(crate) fn may_send(&self, row: &crate::state::EffectRow, at: Micros) -> Result<(), Error> {
        let want = Want::Effect(&row.mount, &row.kind);
        if self.state.processes.contains_key(&row.pid) {
            return self.allow(row.pid, want, Rights::ASK, at);
        }
        self.agent_may(&row.agent, want, Rights::ASK)
    }

    /// Whether policy denies it to no process of this agent, also when the one that asked has ended.
    pub(crate) fn agent_may(&self, agent: &str, want: Want<'_>, right: Rights) -> Result<(), Error> {
        if self.denies(agent, &want, right) {
            let message = format!("policy denies {right} on {}", want.about());
            return Err(Error::new(Code::Denied, message).hint("see /sys/policy.yaml"));
        }
        Ok(())
    }

    /// Whether a process may give this to another: what policy asks of it or denies it does not become free
    /// by changing hands, and nobody comes to hold what policy does not give to agents of its name.
    fn may_hand_on(&self, (from, to): (Pid, Pid), grant: &Grant) -> Result<(), Error> {
        if from == WORKSPACE {
            return Ok(());
        }
        let agent = |pid: Pid| self.state.processes.get(&pid).map_or("", |process| process.agent.as_str());
        let bound = |row: &&PolicyRow| row.deny.iter().chain(&row.ask).any(|rule| rule.meet(grant).is_some());
        if self.policy_rows(agent(from)).any(|row| bound(&row)) {
            let message =
                format!("policy asks for {grant} or a part of it, or denies it: it is not handed on");
            return Err(Error::new(Code::Denied, message).argument("need").hint("see /sys/policy.yaml"));
        }
        let gives = |row: &PolicyRow| row.allow.iter().any(|rule| rule.includes(grant));
        if !self.policy_rows(agent(to)).any(gives) {
            let message = format!("policy does not give {grant} to agents called {}", agent(to));
            return Err(Error::new(Code::Denied, message).argument("need").hint("see /sys/policy.yaml"));
        }
        Ok(())
    }

    /// What policy says of this agent: rows for its name and for `*`.
    pub(crate) fn policy_rows(&self, agent: &str) -> impl Iterator<Item = &PolicyRow> {
        let rows = self.state.policy.iter().flat_map(|loaded| &loaded.policy.rows);
        rows.filter(move |row| row.agent == agent || row.agent == "*")
    }

    fn denies(&self, agent: &str, want: &Want<'_>, right: Rights) -> bool {
        let denies = |grant: &Grant| !grant.rights.meet(right).is_empty() && want.is_in(&grant.object);
        self.policy_rows(agent).flat_map(|row| &row.deny).any(denies)
    }

    /// Whether policy says ask (rule 1 of the sink table).
    pub(crate) fn policy_asks(&self, pid: Pid, want: &Want<'_>, right: Rights) -> bool {
        let Some(process) = self.state.processes.get(&pid) else { return false };
        let asks = |grant: &Grant| !grant.rights.meet(right).is_empty() && want.is_in(&grant.object);
        self.policy_rows(&process.agent).flat_map(|row| &row.ask).any(asks)
    }

    /// The capability of the holder inside which the grant lies, if there is one.
    pub(crate) fn parent_of(&self, holder: Pid, grant: &Grant) -> Option<CapId> {
        self.caps_of(holder).find(|cap| cap.grant.includes(grant)).map(|cap| cap.id)
    }

    /// What the process holds, oldest first.
    pub(crate) fn caps_of(&self, holder: Pid) -> impl Iterator<Item = &Cap> {
        let ids = self.index.held.get(&holder).into_iter().flatten();
        ids.filter_map(|id| self.state.caps.get(id))
    }

    /// The capability and all derived from it.
    pub(crate) fn derived(&self, top: CapId) -> Vec<CapId> {
        let mut found = alloc::vec![top];
        let mut ix = 0;
        while let Some(parent) = found.get(ix).copied() {
            // Derived capabilities have higher ids than what they come from.
            let children =
                self.state.caps.range(parent.next()..).filter(|(_, cap)| cap.parent == Some(parent));
            found.extend(children.map(|(id, _)| *id));
            #[cfg(feature = "plant")]
            if crate::plant::is(crate::plant::REVOKE_ONE_LEVEL) {
                break;
            }
            ix += 1;
        }
        found
    }

    /// Patterns of paths whose names the process may see.
    pub(crate) fn listable(&self, pid: Pid, at: Micros) -> Vec<Pattern> {
        let sees = |cap: &Cap| match &cap.grant.object {
            Object::Fs(pattern) if cap.grant.rights.contains(Rights::LIST) => {
                cap.grant.expires.is_none_or(|end| at < end).then(|| pattern.clone())
            }
            _ => None,
        };
        self.caps_of(pid).filter_map(sees).collect()
    }

    /// What the process may list: every name to an operator.
    pub(crate) fn listing(&self, pid: Pid, at: Micros) -> View {
        if pid == WORKSPACE {
            return View::everything();
        }
        View { shown: self.listable(pid, at), denied: Vec::new(), below: self.below(pid) }
    }

    /// What the process may read: the patterns it holds, without what policy denies it.
    pub(crate) fn view(&self, pid: Pid, at: Micros) -> View {
        if pid == WORKSPACE {
            return View::everything();
        }
        let reads = |grant: &Grant| match &grant.object {
            Object::Fs(pattern) if grant.rights.contains(Rights::READ) => Some(pattern.clone()),
            _ => None,
        };
        let holds = |cap: &Cap| reads(&cap.grant).filter(|_| cap.grant.expires.is_none_or(|end| at < end));
        let agent = self.state.processes.get(&pid).map_or("", |process| process.agent.as_str());
        let denied = self.policy_rows(agent).flat_map(|row| &row.deny).filter_map(reads);
        let below = self.below(pid);
        #[cfg(feature = "plant")]
        let below = if crate::plant::is(crate::plant::CEILING_UNFILTERED) { BTreeSet::new() } else { below };
        View { shown: self.caps_of(pid).filter_map(holds).collect(), denied: denied.collect(), below }
    }

    /// What a search of it may find. That no file has a word tells of every file: what nobody may be told is
    /// found only by a process that has seen something of that kind.
    pub(crate) fn searched(&self, pid: Pid, at: Micros) -> View {
        let mut view = self.view(pid, at);
        let secret = |label: &Label| matches!(&label.readers, Readers::Only(who) if who.is_empty());
        let own = self.state.processes.get(&pid).map(|process| self.meaning(process.label));
        if own.is_some_and(|own| !secret(&own)) {
            let labels = self.state.labels.iter().filter(|(_, label)| secret(label));
            view.below.extend(labels.map(|(id, _)| *id));
        }
        view
    }
}

impl Step<'_> {
    /// Derives a capability; the caller has shown that it lies inside its parent.
    pub fn give(&mut self, holder: Pid, parent: Option<CapId>, grant: Grant) -> CapId {
        let id = self.state().next.cap.next();
        self.emit(Entry::Granted { cap: Cap { id, parent, holder, grant } });
        id
    }

    /// The call `grant`.
    pub fn grant(
        &mut self,
        from: Pid,
        to: Pid,
        mut grant: Grant,
        expires_us: Option<u64>,
    ) -> Result<CapId, Error> {
        if !self.state().processes.contains_key(&to) {
            return Err(Error::new(Code::Dead, format!("process {to} is not alive")).argument("pid"));
        }
        if self.kernel.caps_of(to).count() >= limits::CAPS_HELD_MAX {
            return Err(Error::new(
                Code::Exhausted,
                format!("process {to} holds {} already", limits::CAPS_HELD_MAX),
            ));
        }
        if let Some(lasts) = expires_us {
            grant.expires = Some(self.at.saturating_add(lasts));
        }
        if from == WORKSPACE && crate::net::is_way(&grant.object) {
            crate::net::root(self, [&grant]);
            // An operator says so of this very process.
            grant.rights = grant.rights.union(Rights::APPLY);
        }
        self.kernel.may_hand_on((from, to), &grant)?;
        let parent = self.kernel.parent_of(from, &grant).ok_or_else(|| {
            Error::new(Code::Denied, format!("no one capability of process {from} contains {grant}"))
                .argument("need")
                .hint("give a part of one capability; two together do not count")
        })?;
        Ok(self.give(to, Some(parent), grant))
    }

    /// The call `revoke`: the subtree goes, and with it what waits on its strength.
    pub fn revoke(&mut self, by: Pid, cap: abi::CapId) -> Result<u32, Error> {
        let Some(row) = self.state().caps.get(&cap) else {
            return Err(Error::new(Code::Dead, format!("capability {cap} is gone")).argument("cap"));
        };
        let given_by = row.parent.and_then(|parent| self.state().caps.get(&parent)).map(|cap| cap.holder);
        let may = (by == WORKSPACE && row.parent.is_some()) || given_by == Some(by);
        if !may {
            return Err(Error::new(Code::Denied, format!("capability {cap} is not yours to take back"))
                .hint("the holder of the capability it was derived from can, and an operator"));
        }
        let caps = self.kernel.derived(cap);
        let count = u32::try_from(caps.len()).unwrap_or(u32::MAX);
        let rows: Vec<Cap> = caps.iter().filter_map(|cap| self.state().caps.get(cap)).cloned().collect();
        self.emit(Entry::Revoked { caps });
        crate::exec::revoked(self, &rows);
        self.drop_proposals_without_right();
        crate::effect::cancel_without_right(self);
        Ok(count)
    }

    /// Proposals whose process has lost the right to ask are rejected.
    fn drop_proposals_without_right(&mut self) {
        let at = self.at;
        let lost = |kernel: &Kernel, proposal: &crate::state::Proposal| {
            let alive = kernel.state.processes.contains_key(&proposal.pid);
            alive && kernel.may_propose(proposal, at).is_err()
        };
        let rows = self.state().proposals.iter();
        let gone: Vec<_> = rows.filter(|(_, row)| lost(self.kernel, row)).map(|(id, _)| *id).collect();
        for proposal in gone {
            self.close_proposal(proposal, Entry::Lapsed { proposal }, None);
        }
    }
}
