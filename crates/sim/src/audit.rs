//! Checks that look at the files and at the living kernel, after every crash and at the end.

use crate::{
    chance::Chance,
    ledger::{Finding, Ledger, Stage, finding},
    world::{SITES, Site},
};
use abi::{
    Hash, Micros, Pid, Seq, VersionId, WORKSPACE,
    cap::{Grant, Object, Rights},
    fact::{Cost, View},
    net::{Asked, Hosts},
    path::{Pattern, TreePath},
    tree::Node,
};
use kernel::{Kernel, twin::Ask};
use std::{collections::BTreeMap, path::Path, sync::Arc};
use store::{Options, Trouble, Workspace};

/// What one pass over the files found.
pub struct Autopsy {
    /// What must not be.
    pub findings: Vec<Finding>,
    /// Last record of the file.
    pub head: Seq,
}

/// Opens the files of a workspace that nobody has open, and checks all that can be known from them alone.
pub fn autopsy(dir: &Path, options: &Options, ledger: &Ledger) -> Autopsy {
    match look(dir, options, ledger) {
        Ok(found) => found,
        Err(trouble) => Autopsy { findings: vec![finding("chain", trouble.to_string())], head: Seq(0) },
    }
}

fn look(dir: &Path, options: &Options, ledger: &Ledger) -> Result<Autopsy, Trouble> {
    let mut store = Workspace::open(dir, options)?;
    // `chain`: every record's hash is proved on the way.
    store.replay(Seq(0), &mut drop)?;
    let head = store.head().0;
    let mut findings = Vec::new();
    if head < ledger.head {
        let what = format!("the file ends at {head}, but {} was durable", ledger.head);
        findings.push(finding("durable-was-lost", what));
    }
    if head == ledger.head {
        findings.extend(tree(&mut store, ledger)?);
        findings.extend(versions(&mut store, ledger)?);
        findings.extend(conflicts(&mut store, ledger)?);
        findings.extend(costs(&mut store, ledger)?);
    }
    Ok(Autopsy { findings, head })
}

/// State of a kernel that applied the whole log.
pub fn replay(store: &Workspace) -> Result<Vec<u8>, Trouble> {
    let mut kernel = Kernel::new();
    store.replay(Seq(0), &mut |record| kernel.apply(&record))?;
    Ok(kernel.snapshot())
}

/// `tree-is-fold`: the store's tree is the fold of the log's changes.
fn tree(store: &mut Workspace, ledger: &Ledger) -> Result<Option<Finding>, Trouble> {
    let mut batch = store.begin()?;
    let mut found: BTreeMap<String, (VersionId, Node)> = BTreeMap::new();
    let mut todo = vec![TreePath::root()];
    while let Some(dir) = todo.pop() {
        for entry in batch.list(&dir, None, &View::everything())?.entries {
            let Ok(path) = dir.join(&entry.name) else { continue };
            found.insert(path.to_string(), (entry.version, entry.node));
            if entry.node == Node::Dir {
                todo.push(path);
            }
        }
    }
    let due = ledger.files.tree();
    if found == due {
        return Ok(None);
    }
    let odd: Vec<&String> =
        found.keys().chain(due.keys()).filter(|path| found.get(*path) != due.get(*path)).take(3).collect();
    Ok(Some(finding("tree-is-fold", format!("at {}: {odd:?}", ledger.head))))
}

/// `bytes-are-there`: every version that was ever durable exists, with its bytes.
fn versions(store: &mut Workspace, ledger: &Ledger) -> Result<Option<Finding>, Trouble> {
    let mut batch = store.begin()?;
    for (id, change) in ledger.files.versions.iter() {
        let kept = batch.version(*id)?;
        let same = kept.is_some_and(|kept| {
            (kept.file, kept.content, kept.node, kept.label, kept.diverged)
                == (change.file, change.content, change.node, change.label, change.diverged)
        });
        if !same {
            return Ok(Some(finding("bytes-are-there", format!("version {id} of {} is not", change.path))));
        }
        if change.content.bytes == 0 || ledger.files.destroyed.contains(id) {
            continue;
        }
        let bytes = batch.blob(&change.content.hash)?;
        if bytes.is_none_or(|bytes| Hash::of(&bytes) != change.content.hash) {
            return Ok(Some(finding("bytes-are-there", format!("bytes of version {id} are lost"))));
        }
    }
    Ok(None)
}

/// `conflicts`: every diverged version that nobody has resolved is listed, and no other.
fn conflicts(store: &mut Workspace, ledger: &Ledger) -> Result<Option<Finding>, Trouble> {
    let listed = store.begin()?.conflicts(&View::everything())?;
    let listed: Vec<VersionId> = listed.iter().map(|(_, ours, _)| ours.id).collect();
    let due: Vec<VersionId> = ledger.files.conflicts().into_keys().collect();
    let what = format!("listed {listed:?}, open {due:?}");
    Ok((listed != due).then(|| finding("conflicts", what)))
}

/// `costs`: what the store says that calls came to is what they came to.
fn costs(store: &mut Workspace, ledger: &Ledger) -> Result<Option<Finding>, Trouble> {
    let rows = store.begin()?.costs((0, u64::MAX), u32::MAX)?;
    let sum = |row: &Cost| [row.calls.cast_signed(), row.charged.tokens_out, row.charged.money.0];
    let stands: BTreeMap<(u64, String, String), [i64; 3]> =
        rows.into_iter().map(|row| ((row.day, row.agent.clone(), row.model.clone()), sum(&row))).collect();
    let due = &ledger.money.costs;
    Ok((stands != *due).then(|| finding("costs", format!("booked {stands:?}, spent {due:?}"))))
}

/// `fast-is-slow`: the fast check of authority agrees with its slow twin; `child-in-parent`: what a
/// capability allows its holder, its parent's holder may too.
pub fn authority(kernel: &Kernel, at: Micros, pids: &[Pid], chance: &mut Chance) -> Option<Finding> {
    for (holder, parent, grant) in kernel.chains() {
        let Some(ask) = instance(&grant.object, chance) else { continue };
        if parent.is_none() && holder != WORKSPACE {
            return Some(finding("child-in-parent", format!("{grant} of process {holder} has no parent")));
        }
        let wrong = bits().find_map(|bit| compare(kernel, (holder, parent, &grant), &ask, bit, at));
        if wrong.is_some() {
            return wrong;
        }
    }
    for pid in pids {
        let path =
            chance.word(&["/data/a", "/data/d/x", "/home/n", "/sys/ctl", "/data", "/a/x", "/data/d/y"]);
        let ask = Ask::Path(TreePath::parse(path).ok()?);
        let odd = bits()
            .find(|bit| kernel.fast_allows(*pid, &ask, *bit, at) != kernel.slow_allows(*pid, &ask, *bit, at));
        if let Some(bit) = odd {
            return Some(finding("fast-is-slow", format!("{bit} on {path} for process {pid}")));
        }
    }
    None
}

fn bits() -> impl Iterator<Item = Rights> {
    (0..10).map(|bit| Rights(1 << bit))
}

fn compare(
    kernel: &Kernel,
    (holder, parent, grant): (Pid, Option<Pid>, &Grant),
    ask: &Ask,
    bit: Rights,
    at: Micros,
) -> Option<Finding> {
    let fast = kernel.fast_allows(holder, ask, bit, at);
    if fast != kernel.slow_allows(holder, ask, bit, at) {
        return Some(finding("fast-is-slow", format!("{bit} on {ask:?} for process {holder}: fast {fast}")));
    }
    let gives = grant.rights.contains(bit) && grant.expires.is_none_or(|end| at < end);
    let parent = parent?;
    (gives && fast && !kernel.fast_allows(parent, ask, bit, at))
        .then(|| finding("child-in-parent", format!("{bit} on {ask:?}: process {holder}, not {parent}")))
}

/// Something that the object names.
fn instance(object: &Object, chance: &mut Chance) -> Option<Ask> {
    match object {
        Object::Fs(pattern) => {
            let names = pattern.as_str().split('/').filter(|name| !name.is_empty()).map(|name| match name {
                "*" => chance.word(&["x", "y", "q"]),
                "**" => chance.word(&["d/x", "x", "d/e/z"]),
                name => name,
            });
            let text = names.fold(String::new(), |all, name| format!("{all}/{name}"));
            TreePath::parse(&text).ok().map(Ask::Path)
        }
        Object::Effect { mount, kind } => {
            let word = |pattern: &Pattern, any: &str| match pattern.as_str() {
                "*" => any.to_owned(),
                word => word.to_owned(),
            };
            Some(Ask::Effect(word(mount, "keyed"), word(kind, "mail.send")))
        }
        Object::Net { hosts: Hosts::One(host), .. } => {
            let (host, method) = (host.clone(), Some("GET".to_owned()));
            let (secure, fetches) = (false, false);
            Some(Ask::Net(Asked { host, port: 443, method, presets: Vec::new(), secure, fetches }))
        }
        Object::Model(_) | Object::Spawn(_) | Object::Admin(_) => None,
        Object::Net { .. } | Object::Secret { .. } => None,
    }
}

/// What the sites saw against what the log says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Effects recorded.
    pub effects: u64,
    /// That happened twice.
    pub duplicated: u64,
    /// That came to no end.
    pub lost: u64,
}

/// `duplicated`: nothing happened twice, or with other arguments, or unasked. `lost`: every effect ended,
/// is in doubt or stands frozen; what is said to have happened has, and what is said not to have has not.
pub fn effects(ledger: &Ledger, sites: &BTreeMap<String, Arc<Site>>, tally: &mut Tally) -> Option<Finding> {
    let mut found = None;
    for (id, act) in &ledger.acts.effects {
        tally.effects += 1;
        let deed = sites.get(&act.mount).and_then(|site| site.deeds().get(id).cloned()).unwrap_or_default();
        if deed.happened > 1 || deed.changed > 0 || deed.sends > act.dispatched {
            tally.duplicated += 1;
            found = Some(finding("duplicated", format!("{act:?} {deed:?}")));
        }
        let frozen = ledger.processes.get(&act.pid).is_some_and(|process| process.frozen);
        let lost = match act.stage {
            Stage::Intended => !frozen,
            Stage::Dispatched => true,
            Stage::Done => deed.happened == 0,
            Stage::Failed => deed.happened > 0,
            Stage::InDoubt => false,
        };
        if lost {
            tally.lost += 1;
            found = Some(finding("lost", format!("{act:?} {deed:?}")));
        }
    }
    for (name, _) in SITES {
        let Some(site) = sites.get(name) else { continue };
        if site.deeds().keys().any(|id| !ledger.acts.effects.contains_key(id)) {
            tally.duplicated += 1;
            found = Some(finding("duplicated", format!("{name} was sent what the log does not know")));
        }
    }
    found
}
