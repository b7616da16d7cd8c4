//! `node.db` behind a lock: operators, workspaces with their marks, leases of money, and what killed whom.

use crate::{guard::guard, sign::Signer};
use abi::{Code, Error, Hash, Micros, limits, money::Nano};
use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Mutex, MutexGuard},
};
use store::{
    Node, Options, Trouble,
    node::{Awakeness, Mark, Sealed, SecretRow, WorkspaceRow},
};

/// What all workspaces of a node may spend in a day. High: what holds an installation to a sum is the
/// workspace's own `/sys/budget.yaml`; this one only bounds a node that runs very many.
const NODE_DAY: Nano = Nano(10_000_000_000_000);
/// What a workspace is lent beyond what it has reserved. Half used, it is lent anew.
pub(crate) const LEASE: Nano = Nano(10_000_000_000);
/// Nobody is lent more than this part of what is left of the day, so that as many as can be awake all have
/// something.
const PART: i64 = limits::AWAKE_WORKSPACES_MAX as i64;
const DAY_US: u64 = 24 * 3600 * 1_000_000;

/// The day of a time, counted from 1970, UTC.
pub(crate) fn day_of(wall: Micros) -> u64 {
    wall / DAY_US
}

/// How a workspace goes to sleep.
pub(crate) struct Bed {
    /// How far it came, and what it spent.
    pub mark: Mark,
    /// When it wants to be woken.
    pub due: Option<Micros>,
    /// Whether it is to be awake again after a restart.
    pub stays: Stays,
}

/// Whether a mark stays.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stays {
    /// Boot wakes it.
    Awake,
    /// Boot leaves it.
    Asleep,
}

/// The open `node.db`.
pub(crate) struct Registry {
    node: Mutex<Node>,
    secret: [u8; 32],
    signer: Signer,
    owner: String,
    uid: u32,
}

/// What a node that is made anew gets: both random.
pub(crate) struct Seeds {
    /// Of tokens.
    pub secret: [u8; 32],
    /// Of the key that signs.
    pub signer: [u8; 32],
}

impl Registry {
    /// Opens it, or makes it with these secrets. At the first start this user, and root, become operators.
    pub fn open(home: &Path, seeds: &Seeds, uid: u32) -> Result<Self, Trouble> {
        let options = Options::default();
        let mut node = Node::open_or_create(home, &options, seeds.secret)?;
        if node.operators()?.is_empty() {
            node.set_budget_day(NODE_DAY)?;
            for uid in BTreeSet::from([0, uid]) {
                node.add_operator(uid, &crate::users::name(uid))?;
            }
        }
        let owner = node.operator(uid)?.unwrap_or_else(|| crate::users::name(uid));
        let (secret, signer) = (node.secret(), Signer::new(&node.signer(seeds.signer)?)?);
        Ok(Self { node: Mutex::new(node), secret, signer, owner, uid })
    }

    fn node(&self) -> MutexGuard<'_, Node> {
        guard(&self.node)
    }

    /// For tokens.
    pub fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    /// For checkpoints.
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// Who runs the daemon.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// The operator of this user id.
    pub fn operator(&self, uid: u32) -> Result<Option<String>, Trouble> {
        self.node().operator(uid)
    }

    /// Whether the node is theirs: who runs the daemon, and root.
    pub fn owns(&self, uid: u32) -> bool {
        uid == 0 || uid == self.uid
    }

    /// Every operator, by user id.
    pub fn operators(&self) -> Result<Vec<(u32, String)>, Trouble> {
        self.node().operators()
    }

    /// Makes this user an operator. No two share a name, and nobody has two.
    pub fn add_operator(&self, uid: u32, name: &str) -> Result<(), Error> {
        let mut node = self.node();
        let rows = node.operators().map_err(|trouble| trouble.to_error())?;
        let taken = |what: String| {
            Error::new(Code::Exists, what).argument("text").hint("skep operator list shows who is who")
        };
        match rows.iter().find(|(of, called)| *of == uid || called == name) {
            Some((of, called)) if *of == uid && called == name => return Ok(()),
            Some((of, called)) if *of == uid => return Err(taken(format!("user id {uid} is {called} here"))),
            Some((of, _)) => return Err(taken(format!("{name} is user id {of} here"))),
            None => {}
        }
        if rows.iter().filter(|(uid, _)| !self.owns(*uid)).count() >= limits::OPERATORS_MAX {
            let what = format!("{} operators are added already", limits::OPERATORS_MAX);
            return Err(Error::new(Code::Exhausted, what).hint("skep operator rm NAME"));
        }
        node.add_operator(uid, name).map_err(|trouble| trouble.to_error())
    }

    /// Whether this is nobody who runs the node.
    pub fn may_leave(&self, name: &str) -> Result<(), Error> {
        let rows = self.node().operators().map_err(|trouble| trouble.to_error())?;
        if !rows.iter().any(|(uid, called)| called == name && self.owns(*uid)) {
            return Ok(());
        }
        Err(Error::new(Code::Denied, format!("{name} runs this node and cannot be removed"))
            .argument("text")
            .hint("policy says what they may do in a workspace: skep policy"))
    }

    /// They are no operator any more; who it was.
    pub fn remove_operator(&self, name: &str) -> Result<u32, Error> {
        self.may_leave(name)?;
        let mut node = self.node();
        let rows = node.operators().map_err(|trouble| trouble.to_error())?;
        let Some((uid, _)) = rows.iter().find(|(_, called)| called == name) else {
            return Err(Error::new(Code::NotFound, format!("{name} is no operator of this node"))
                .argument("text")
                .hint("skep operator list shows who is"));
        };
        node.remove_operator(*uid).map_err(|trouble| trouble.to_error())?;
        Ok(*uid)
    }

    /// Every workspace.
    pub fn rows(&self) -> Result<Vec<WorkspaceRow>, Trouble> {
        self.node().workspaces()
    }

    /// Those that were cut off while awake, or have a timer.
    pub fn unfinished(&self) -> Result<Vec<WorkspaceRow>, Trouble> {
        self.node().awake_or_due(Micros::MAX)
    }

    /// Whether there is one of this name.
    pub fn knows(&self, name: &str) -> Result<bool, Trouble> {
        Ok(self.node().workspace(name)?.is_some())
    }

    /// Registers a copy that lies in its place, asleep, with nothing lent. It was born with the id of its
    /// original.
    pub fn add(&self, name: &str, id: [u8; 16]) -> Result<(), Trouble> {
        self.node().register_copy(name, name, id)
    }

    /// Whether the file in this directory is that of this workspace, by the id it was born with. Reads only,
    /// so that a stranger's file is left as it is.
    pub fn recognise(&self, name: &str, id: [u8; 16], dir: &Path) -> Result<(), Trouble> {
        let node = self.node();
        let kept = node.workspace(name)?.and_then(|row| row.id);
        if kept == Some(id) {
            return Ok(());
        }
        let of = node.of_id(id)?;
        if kept.is_none() && of.is_none() {
            return Ok(());
        }
        Err(Trouble::Mistaken { file: dir.join("workspace.db"), of })
    }

    /// Keeps the id of a workspace that was awake for the first time.
    pub fn keep_id(&self, name: &str, id: [u8; 16]) -> Result<(), Trouble> {
        let mut node = self.node();
        match node.workspace(name)?.and_then(|row| row.id) {
            Some(_) => Ok(()),
            None => node.set_id(name, id),
        }
    }

    /// Registers it if it is new, marks it awake, settles what a crash left open at this mark, and lends it
    /// money beyond what it has reserved: durable when this returns.
    pub fn wake(&self, name: &str, mark: Mark, reserved: Nano, now: Micros) -> Result<Nano, Trouble> {
        let mut node = self.node();
        if node.workspace(name)?.is_none() {
            node.register(name, name)?;
        }
        node.set_awake(name, Awakeness::Awake)?;
        if node.leftover(name)?.is_some() {
            node.settle(name, mark)?;
        }
        let want = slice(&mut node, reserved, day_of(now))?;
        // Its count begins anew with `Woke`.
        node.lease(name, want, day_of(now), Mark { spent: Nano(0), ..mark })
    }

    /// Settles its lease at this mark and lends it anew from there.
    pub fn renew(&self, name: &str, mark: Mark, reserved: Nano, now: Micros) -> Result<Nano, Trouble> {
        let mut node = self.node();
        let want = slice(&mut node, reserved, day_of(now))?;
        node.renew(name, want, day_of(now), mark)
    }

    /// Settles its lease and notes when to wake it.
    pub fn sleep(&self, name: &str, bed: &Bed) -> Result<(), Trouble> {
        let mut node = self.node();
        node.settle(name, bed.mark)?;
        node.set_next_due(name, bed.due)?;
        match bed.stays {
            Stays::Awake => Ok(()),
            Stays::Asleep => node.set_awake(name, Awakeness::Asleep),
        }
    }

    /// Counts an event that killed a workspace; how often that makes.
    pub fn note_kill(&self, name: &str, digest: &Hash, what: &str) -> Result<u32, Trouble> {
        self.node().note_kill(name, digest, what)
    }

    /// Every secret, without its value.
    pub fn secrets(&self) -> Result<Vec<SecretRow>, Trouble> {
        self.node().secrets()
    }

    /// A secret as it is kept.
    pub fn sealed_secret(&self, name: &str) -> Result<Option<Sealed>, Trouble> {
        self.node().sealed(name)
    }

    /// Keeps one, sealed.
    pub fn keep_secret(&self, name: &str, sealed: &Sealed) -> Result<(), Trouble> {
        self.node().set_sealed(name, sealed)
    }

    /// Destroys one; whether there was one.
    pub fn forget_secret(&self, name: &str) -> Result<bool, Trouble> {
        self.node().forget_sealed(name)
    }

    /// Events of this workspace that are not tried again.
    pub fn set_aside(&self, name: &str) -> Result<BTreeSet<Hash>, Trouble> {
        let all = self.node().quarantined()?;
        Ok(all.into_iter().filter(|row| row.workspace == name).map(|row| row.digest).collect())
    }
}

fn slice(node: &mut Node, reserved: Nano, day: u64) -> Result<Nano, Trouble> {
    let part = node.left(day)?.0.max(0) / PART;
    Ok(Nano(reserved.0.saturating_add(part.min(LEASE.0))))
}

#[cfg(test)]
mod tests;
