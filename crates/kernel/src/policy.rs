//! Policy while it changes: `/sys/policy.yaml`, `/sys/budget.yaml` and `/sys/models.yaml` are files that an
//! operator writes whole.
//!
//! ```text
//! write ─▶ both files parse together, as the machine says (`Fact::Policy`) ─▶ Wrote + PolicyLoaded, at once
//!       └▶ they do not: the error with its line; nothing is written
//! (models.yaml parses by itself: Fact::Models, Wrote + ModelsLoaded)
//! check ─▶ the same, but what it would change is answered and nothing is written
//! ```
//! What policy denies or asks is looked up at every call, so it is in force with the next one, also for those
//! who run; capabilities that were given stay what they are until they are revoked.
//!
//! Never here: YAML. Never anywhere: an agent that writes these files, in any mode, by any way.

use crate::{
    Kernel, account, exec,
    files::{self, Wanted},
    login, model, net, role,
    state::{Account, ROOT_ACCOUNT},
    step::{Found, Step},
};
use abi::{
    AccountId, Code, Error, Hash, Pid, WORKSPACE,
    agent::Policy,
    answer::Answer,
    call::{Call, Undo, Write},
    fact::{Fact, Facts, Lookup, Put},
    limits,
    model::Models,
    money::Limit,
    path::TreePath,
    record::{Entry, SetBy},
    tree::{Node, Version},
};
use alloc::{boxed::Box, collections::BTreeSet, format, string::String, vec, vec::Vec};

mod lines;

pub use lines::{difference, lines};

/// The files.
const FILES: [&str; 3] = ["/sys/policy.yaml", "/sys/budget.yaml", MODELS];
/// Of them the one that stands for itself.
const MODELS: &str = "/sys/models.yaml";

/// Whether a write of this path is an edit of policy: the first one, at birth, is a write like any other, and
/// the machine loads it.
pub fn is_edited(kernel: &Kernel, pid: Pid, path: &TreePath) -> bool {
    pid == WORKSPACE && kernel.has_policy() && FILES.contains(&path.as_str())
}

/// What nobody writes: rendered trees; and what stands below `/sys` changes in no other way than by an edit.
pub fn may_stand(kernel: &Kernel, pid: Pid, path: &TreePath) -> Result<(), Error> {
    if crate::render::is_rendered(path) || path.as_str() == "/" {
        return Err(Error::new(Code::Denied, format!("{path} is rendered from the kernel's state"))
            .hint("control files are /sys/ctl and /proc/PID/ctl"));
    }
    if !path.as_str().starts_with("/sys/") || (pid == WORKSPACE && !kernel.has_policy()) {
        return Ok(());
    }
    let error = |message: &str| Error::new(Code::Denied, format!("{path}: {message}"));
    if pid != WORKSPACE {
        return Err(error("an agent never changes policy").hint("ask an operator"));
    }
    Err(error("policy, budget and models are written whole, and nothing else stands in /sys")
        .hint("skep policy set FILE shows what it changes"))
}

/// Questions of an edit.
pub fn plan(path: &TreePath, write: &Write) -> Result<Vec<Lookup>, Error> {
    let here = Lookup::Path { path: path.clone(), at: None };
    let read = |put| match path.as_str() {
        MODELS => Lookup::Models { put },
        _ => Lookup::Policy { path: path.clone(), put },
    };
    match write {
        Write::Whole { content, .. } | Write::Check(content) => {
            if content.bytes > limits::ARGUMENT_BYTES_MAX {
                return Err(Error::new(Code::TooLarge, format!("{path} holds at most 64 KiB"))
                    .argument("text")
                    .hint("say it with fewer rows: * and **"));
            }
            Ok(vec![here, read(Put::Bytes(content.hash))])
        }
        Write::Restore(Undo::Version(id)) => {
            let version = *id;
            Ok(vec![here, Lookup::Version { version }, Lookup::Kept { version }, read(Put::Version(version))])
        }
        Write::Append(_) | Write::Patch { .. } | Write::Dir | Write::Link(_) | Write::Begin => {
            Err(whole(path))
        }
        Write::Restore(_) | Write::Resolve { .. } => Err(whole(path)),
    }
}

fn whole(path: &TreePath) -> Error {
    Error::new(Code::Denied, format!("{path} is written whole, or an older version is restored"))
        .argument("mode")
        .hint("skep policy set FILE shows what it changes")
}

/// An edit, or the question what it would change.
pub fn write(step: &mut Step<'_>, call: &Call, facts: &mut Found) -> Result<Answer, Error> {
    let Call::Write { path, write, base, message, origin } = call else { return Err(Facts::mismatch()) };
    // What an agent proposed is not an operator's edit, whoever approves it.
    if step.approved.is_some() {
        return Err(Error::new(Code::Denied, "a proposal never changes policy"));
    }
    let place = facts.place()?;
    let head = place.head.clone();
    let mut label = step.label_for(WORKSPACE, *origin);
    let (content, mode) = match write {
        Write::Whole { content, mode } => (*content, *mode),
        Write::Check(content) => (*content, files::FILE_MODE),
        _ => {
            let version = restored(path, head.as_ref(), facts)?;
            label = label.join(&step.kernel.meaning(version.label));
            (version.content, version.mode)
        }
    };
    let said = Said::of(facts.any(), &step.actor)?;
    if let Write::Check(_) = write {
        let text: String = said.difference(step).iter().map(|line| format!("{line}\n")).collect();
        return Ok(Answer::Text { text });
    }
    if let Some(head) = head.filter(|head| base.is_some_and(|base| base != head.id)) {
        return Err(Error::new(
            Code::Stale,
            format!("{path} is at version {} now; nothing was done", head.id),
        )
        .argument("base")
        .hint("look at it again: skep policy check FILE"));
    }
    let label = step.intern(&label);
    let wanted = Wanted { pid: WORKSPACE, path, node: Node::File, content, mode, label, message: *message };
    let answer = files::put(step, &wanted, place, (None, None))?;
    said.load(step);
    Ok(answer)
}

/// What the edited file says.
enum Said {
    Policy(Hash, Box<Policy>),
    Models(Hash, Box<Models>),
}

impl Said {
    fn of(fact: Option<Fact>, actor: &str) -> Result<Self, Error> {
        match fact {
            Some(Fact::Policy(found)) => {
                let (digest, policy) = found?;
                role::stays_admin(&policy, actor)?;
                Ok(Self::Policy(digest, policy))
            }
            Some(Fact::Models(found)) => found.map(|(digest, models)| Self::Models(digest, models)),
            _ => Err(Facts::mismatch()),
        }
    }

    fn difference(&self, step: &Step<'_>) -> Vec<String> {
        let state = step.state();
        match self {
            Self::Policy(_, new) => difference(state.policy.as_ref().map(|loaded| &loaded.policy), new),
            Self::Models(_, new) => {
                model::difference(state.models.as_ref().map(|loaded| &loaded.models), new)
            }
        }
    }

    fn load(self, step: &mut Step<'_>) {
        match self {
            Self::Policy(digest, policy) => {
                let stands =
                    |loaded: &crate::state::Loaded| loaded.digest == digest && loaded.policy == *policy;
                if !step.state().policy.as_ref().is_some_and(stands) {
                    load(step, digest, *policy);
                }
            }
            Self::Models(digest, models) => model::load(step, digest, *models),
        }
    }
}

/// The version of this file that shall stand again.
fn restored(path: &TreePath, head: Option<&Version>, facts: &mut Found) -> Result<Version, Error> {
    let none = || Error::new(Code::NotFound, format!("{path} has no such version")).argument("version");
    let version = facts.version()?.filter(|version| version.node == Node::File).ok_or_else(none)?;
    if version.path != *path && head.is_none_or(|head| head.file != version.file) {
        return Err(none());
    }
    if !facts.holds()? {
        return Err(Error::new(Code::NotFound, "the bytes of that version are not kept any more")
            .argument("version")
            .hint("skep log"));
    }
    Ok(version)
}

/// What both files say is in force.
pub fn load(step: &mut Step<'_>, digest: Hash, policy: Policy) {
    let before = step.state().policy.as_ref().map(|loaded| loaded.policy.clone());
    let withheld = exec::withheld(step.kernel, step.at);
    net::root(step, policy.rows.iter().flat_map(|row| row.allow.iter().chain(&row.ask)));
    step.emit(Entry::PolicyLoaded { digest, policy });
    exec::tightened(step, &withheld);
    limit(step, &before.unwrap_or_default());
}

/// What the files give an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Limits of its account.
    pub account: Vec<Limit>,
    /// Of each of its runs.
    pub run: Vec<Limit>,
    /// How long one of its runs may take.
    pub wall_us: Option<u64>,
}

/// The agent's own row, tightened by what every agent has.
pub fn given(policy: &Policy, agent: &str) -> Given {
    let budget = &policy.budget;
    let all = Given { account: policy.agent.clone(), run: policy.run.clone(), wall_us: budget.wall_us };
    let Some(own) = budget.agents.iter().find(|row| row.agent == agent) else { return all };
    Given {
        account: account::tighten(&all.account, &own.limits),
        run: account::tighten(&all.run, &own.run),
        wall_us: shorter(all.wall_us, own.wall_us),
    }
}

/// The shorter of two times, where there is any.
pub fn shorter(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.into_iter().chain(other).min()
}

/// Limits whose row in the files has changed take hold: of the workspace, of mounts, and of agents unless
/// their own file had made theirs lower. What an operator's word set stands until then. Who runs keeps the
/// limits of its run.
fn limit(step: &mut Step<'_>, before: &Policy) {
    let Some(after) = step.state().policy.as_ref().map(|loaded| loaded.policy.clone()) else { return };
    let root = changed(&before.workspace, &after.workspace);
    let mut set: Vec<(AccountId, Limit)> = root.into_iter().map(|row| (ROOT_ACCOUNT, row)).collect();
    for (id, account) in &step.state().accounts {
        let of = |policy: &Policy| match account.name.split_once(':') {
            Some(("agent", agent)) => given(policy, agent).account,
            Some(("login", _)) => login::windows(policy),
            _ => Vec::new(),
        };
        let (old, new) = (of(before), of(&after));
        for row in changed(&old, &new) {
            let same = |other: &&Limit| (other.resource, other.window) == (row.resource, row.window);
            let now = account.limits.iter().find(same).map(|now| now.max);
            let follows = now == old.iter().find(same).map(|old| old.max);
            let worded = account.worded.contains(&(row.resource, row.window));
            if worded || follows || now.is_some_and(|now| row.max < now) {
                set.push((*id, row));
            }
        }
    }
    set.extend(at_mounts(step, before, &after));
    for (account, limit) in set {
        set_as_file(step, account, limit);
    }
}

/// An account's limit is what the files say.
pub fn set_as_file(step: &mut Step<'_>, account: AccountId, limit: Limit) {
    let stands =
        |row: &Account| row.limits.contains(&limit) && !row.worded.contains(&(limit.resource, limit.window));
    if !step.state().accounts.get(&account).is_some_and(stands) {
        step.emit(Entry::LimitSet { account, limit, by: SetBy::File });
    }
}

/// Mounts that are given limits for the first time get an account; of the others, what changes.
fn at_mounts(step: &mut Step<'_>, before: &Policy, after: &Policy) -> Vec<(AccountId, Limit)> {
    let of = |policy: &Policy, mount: &str| -> Vec<Limit> {
        let row = policy.budget.mounts.iter().find(|row| row.mount == mount);
        row.map(|row| row.limits.clone()).unwrap_or_default()
    };
    let mounts = before.budget.mounts.iter().chain(&after.budget.mounts).map(|row| row.mount.clone());
    let mut set = Vec::new();
    for mount in mounts.collect::<BTreeSet<String>>() {
        let new = of(after, &mount);
        match step.state().mount_accounts.get(&mount).copied() {
            Some(account) => {
                set.extend(changed(&of(before, &mount), &new).into_iter().map(|row| (account, row)))
            }
            None => _ = step.open_account(None, format!("mount:{mount}"), new),
        }
    }
    set
}

/// Rows that are new or other; and those that are no more, as high as can be.
fn changed(before: &[Limit], after: &[Limit]) -> Vec<Limit> {
    let kept = |old: &Limit| after.iter().any(|row| (row.resource, row.window) == (old.resource, old.window));
    let gone = before.iter().filter(|old| !kept(old)).map(|old| Limit { max: i64::MAX, ..*old });
    after.iter().filter(|row| !before.contains(row)).copied().chain(gone).collect()
}
