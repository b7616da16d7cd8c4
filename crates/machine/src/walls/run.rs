//! One command, from its view to what it made.

use super::{
    Sandbox,
    base::{Readers, Tree},
    light,
    native::{self, Native},
    ports::{self, When},
    refused,
    said::{Ear, Heard, Said},
    seal::{self, Sealed, Unsealed},
};
use crate::{
    bound::{
        joined::Joined,
        publish::{self, Split},
    },
    cell::{Cell, Ticket},
    clock::{Clock, Real},
    connection::Connection,
    guard::guard,
    job::ExecJob,
    journal,
    node::Node,
    turn::Input,
};
use abi::{
    ExecId, Micros, Seq,
    agent::Guest,
    call::Wall,
    effect::Command,
    event::{Body, Ran},
    record::{Finish, Used},
    view::{Bound, Commit, Kind, Plan},
};
use rustix::io::Errno;
use sandbox::view::{Setup, View, Waiting};
use std::{path::PathBuf, sync::Arc};
use store::Blobs;

/// Changed directories that a standing view is told of one by one; of more it is made anew.
const CHANGED_MAX: usize = 2_000;

/// What a program that goes on has written is kept so often, and what others wrote is shown to it.
const LIVE_US: u64 = 5_000_000;
/// And a draft so seldom that this share of the time goes into it at most: one in so many.
const DRAFT_SHARE: u64 = 20;

/// What stands between two commands.
#[derive(Default)]
pub(crate) struct Inner {
    view: Option<Arc<View>>,
    readers: Option<Arc<Readers>>,
    base: Option<Arc<Joined>>,
    /// The tree below the view, and what the view allows.
    below: Option<(Seq, u64)>,
    /// When what is written there is kept.
    kind: Kind,
    /// What its wall was built to see.
    through: Vec<PathBuf>,
}

/// Runs it, and says what came of it.
pub(crate) fn run(
    node: &Arc<Node>,
    cell: &Arc<Cell>,
    (sandbox, generation): (&Arc<Sandbox>, u64),
    job: &ExecJob,
) -> Input {
    let exec = job.command.exec;
    if sandbox.joins(exec) {
        return joined((node, cell, generation), sandbox, job);
    }
    if sandbox.is_stopped(exec) {
        return ended(node, job, Finish::Stopped("it was ended before it began".to_owned()));
    }
    let mut inner = guard(&sandbox.inner);
    if !sandbox.settled() || sandbox.is_stopped(exec) {
        return ended(node, job, Finish::Stopped("it was ended before it began".to_owned()));
    }
    let blobs = match node.blobs(cell) {
        Ok(blobs) => blobs,
        Err(error) => return refused(node, exec, (&error.message, &error.hint)),
    };
    if let Err(error) = inner.prepare(node, cell, sandbox, &job.command) {
        inner.forget(sandbox);
        return refused(node, exec, (&format!("its view cannot be made: {error}"), "skep doctor"));
    }
    let Some(view) = inner.view.clone() else { return refused(node, exec, ("it has no view", "")) };
    let mut said = Said::new(&blobs, ear(cell, sandbox, &job.command));
    match light::run(node, &cell.name, sandbox, (&view, job), &mut said) {
        Ok(None) => {}
        Ok(Some(ran)) => {
            let base = inner.base.clone();
            return conclude(
                (node, cell, generation),
                sandbox,
                (job, &view, base),
                (Wall::Shell, ran, said.end()),
                &blobs,
            );
        }
        Err(error) => return refused(node, exec, (&error.message, &error.hint)),
    }
    let is_live = job.command.plan.kind != Kind::Command;
    guard(&sandbox.control).live = is_live;
    let mut live = is_live.then(|| Live::new((node, cell, generation), sandbox, &view, &blobs, &inner, job));
    let of = (node, cell, generation);
    let mut ran = native::run(node, cell, (sandbox, generation), (&view, job), &mut said, &mut |said| {
        ports::look(of, sandbox, When::Due);
        live.as_mut().is_none_or(|live| live.keep(said))
    });
    if let (Ok(ran), Some(failed)) = (&mut ran, live.as_mut().and_then(|live| live.failed.take())) {
        ran.how = Finish::Stopped(failed);
    }
    drop(live);
    ports::look(of, sandbox, When::Now);
    guard(&sandbox.control).live = false;
    sandbox.changed.notify_all();
    let heard = said.end();
    let ran = match ran {
        Ok(ran) => ran,
        Err(error) => {
            inner.forget(sandbox);
            return refused(node, exec, (&error.message, &error.hint));
        }
    };
    let base = inner.base.clone();
    conclude((node, cell, generation), sandbox, (job, &view, base), (Wall::Native, ran, heard), &blobs)
}

/// How its program ended, and what it used.
pub(crate) struct Ended {
    pub how: Finish,
    pub used: Used,
}

fn conclude(
    of: (&Arc<Node>, &Arc<Cell>, u64),
    sandbox: &Sandbox,
    (job, view, base): (&ExecJob, &View, Option<Arc<Joined>>),
    (wall, ran, heard): (Wall, Ended, Heard),
    blobs: &Blobs,
) -> Input {
    let exec = job.command.exec;
    let Ended { mut how, used } = ran;
    if sandbox.is_stopped(exec) {
        how = Finish::Stopped("it was ended; nothing of it was kept".to_owned());
    }
    let by_itself = matches!(how, Finish::Exited(_) | Finish::Signal(_));
    let sealed = if by_itself {
        drain(of, (sandbox, exec), (view, base.as_deref(), job.command.plan.kind), blobs).map(Some)
    } else {
        Ok(None)
    };
    let sealed = sealed.unwrap_or_else(|unsealed| {
        let why = match unsealed {
            Unsealed::Trouble(what) => format!("what it made could not be kept: {what}"),
            Unsealed::TooLarge(error) => format!("nothing of it was kept: {}", error.message),
        };
        how = Finish::Stopped(why);
        None
    });
    if sealed.is_none() {
        guard(&sandbox.control).spoilt = true;
    }
    let Heard { output, bytes, whole } = heard;
    let keep = sealed.is_some();
    let Sealed { mut commit, blobs, mut uploads } = sealed.unwrap_or_default();
    if !keep {
        commit.told = seal::told(view.told());
    }
    let (whole, manifest) = whole.unzip();
    uploads.extend(manifest);
    let ran = Ran { how, wall, output, whole, bytes, used };
    let body = Body::ExecEnded { exec, ran, commit, keep };
    Input { uploads, ..Input::now(&*of.0.clock, body, blobs) }
}

/// All that a view has become, sealed; what of it stands in bound directories waits until it is decided.
fn drain(
    of: (&Arc<Node>, &Arc<Cell>, u64),
    (sandbox, exec): (&Sandbox, ExecId),
    (view, base, kind): (&View, Option<&Joined>, Kind),
    blobs: &Blobs,
) -> Result<Sealed, Unsealed> {
    let drained = view.drain()?;
    let Some(base) = base else { return seal::seal(drained, blobs) };
    let Split { drained, loose, placed } = publish::split(of, base, drained, blobs)?;
    if kind == Kind::Draft {
        // What has no versions goes with the draft.
        return seal::layered(drained, blobs);
    }
    let sealed = seal::seal(drained, blobs)?;
    guard(&sandbox.control).placed = placed;
    of.1.walls.hold(exec, loose);
    Ok(sealed)
}

/// A command in the sandbox of a program that runs: what it writes is kept with what that writes.
fn joined(
    (node, cell, generation): (&Arc<Node>, &Arc<Cell>, u64),
    sandbox: &Arc<Sandbox>,
    job: &ExecJob,
) -> Input {
    let exec = job.command.exec;
    let blobs = match node.blobs(cell) {
        Ok(blobs) => blobs,
        Err(error) => return refused(node, exec, (&error.message, &error.hint)),
    };
    let mut said = Said::new(&blobs, ear(cell, sandbox, &job.command));
    let ran = native::join((node, cell, generation), sandbox, job, &mut said);
    guard(&sandbox.control).due = true;
    let Heard { output, bytes, whole } = said.end();
    let Ended { how, used } = match ran {
        Ok(ran) => ran,
        Err(error) => return refused(node, exec, (&error.message, &error.hint)),
    };
    let (whole, manifest) = whole.unzip();
    let ran = Ran { how, wall: Wall::Native, output, whole, bytes, used };
    let body = Body::ExecEnded { exec, ran, commit: Commit::default(), keep: true };
    Input { uploads: manifest.into_iter().collect(), ..Input::now(&*node.clock, body, Vec::new()) }
}

/// The view of a program that goes on: what it wrote is committed every few seconds.
struct Live<'a> {
    node: &'a Arc<Node>,
    cell: &'a Arc<Cell>,
    generation: u64,
    sandbox: &'a Arc<Sandbox>,
    view: &'a Arc<View>,
    blobs: &'a Blobs,
    base: Option<Arc<Joined>>,
    /// What is bound, as long as it runs: its places stay open.
    bound: Vec<Bound>,
    below: Seq,
    exec: ExecId,
    kind: Kind,
    /// Not sooner after the last time than this.
    share_us: u64,
    /// Who waits until what they wrote is lasting.
    waiting: Waiting,
    stamp: u64,
    /// As it was when it was last looked at.
    seen: u64,
    last: Micros,
    /// Whether anything was written since.
    wrote: bool,
    /// Why it cannot go on.
    failed: Option<String>,
}

impl<'a> Live<'a> {
    fn new(
        (node, cell, generation): (&'a Arc<Node>, &'a Arc<Cell>, u64),
        sandbox: &'a Arc<Sandbox>,
        view: &'a Arc<View>,
        blobs: &'a Blobs,
        inner: &Inner,
        job: &ExecJob,
    ) -> Self {
        Self {
            node,
            cell,
            generation,
            sandbox,
            view,
            blobs,
            base: inner.base.clone(),
            bound: job.command.plan.bound.clone(),
            below: job.command.plan.seq,
            exec: job.command.exec,
            kind: job.command.plan.kind,
            share_us: 0,
            waiting: Waiting::default(),
            stamp: view.stamp(),
            seen: view.stamp(),
            last: node.clock.mono(),
            wrote: false,
            failed: None,
        }
    }

    /// Commits what was written, and shows what others have, if it is time or somebody waits for it. Whether
    /// the program may go on.
    fn keep(&mut self, said: &mut Said) -> bool {
        let now = self.node.clock.mono();
        let rested = now.saturating_sub(self.last);
        self.waiting.join(self.view.waiting());
        let stamp = self.view.stamp();
        if stamp == self.stamp {
            // All of it is kept already.
            std::mem::take(&mut self.waiting).settle(Ok(()));
        }
        let idle = stamp == self.stamp && !said.is_fresh();
        let (due, frozen, asked) = {
            let mut control = guard(&self.sandbox.control);
            let asked = Some(control.asked).filter(|asked| *asked > control.kept);
            (std::mem::take(&mut control.due), control.frozen, asked)
        };
        // People look at bound directories too: what is written there stands there once it is quiet.
        let seen = std::mem::replace(&mut self.seen, stamp) == stamp;
        let quiet = seen && !self.bound.is_empty() && self.kind == Kind::Live;
        let awaited = !self.waiting.is_empty() && rested >= self.share_us;
        let due = due || awaited || (quiet && stamp != self.stamp);
        let rests = (idle && (due || frozen)) || (!due && rested < self.share_us.max(LIVE_US));
        if rests && asked.is_none() {
            return true;
        }
        self.wrote = stamp != self.stamp;
        (self.stamp, self.last) = (stamp, now);
        let waiting = std::mem::take(&mut self.waiting);
        let done = self.commit(said.take_fresh(), waiting);
        if self.kind == Kind::Draft {
            // All of it is looked at each time: of much, not as often.
            self.share_us = self.node.clock.mono().saturating_sub(now).saturating_mul(DRAFT_SHARE);
        }
        match done {
            Ok(goes_on) => {
                if let Some(asked) = asked {
                    guard(&self.sandbox.control).kept = asked;
                    self.sandbox.changed.notify_all();
                }
                goes_on
            }
            Err(error) => {
                journal::say(&self.cell.name, &format!("what process {} wrote: {error}", self.sandbox.pid));
                self.failed = Some(format!("what it wrote since was not kept: {error}"));
                false
            }
        }
    }

    fn commit(&mut self, said: String, waiting: Waiting) -> std::io::Result<bool> {
        let failures = self.cell.bounds.failures();
        let of = (self.node, self.cell, self.generation);
        let below = (&**self.view, self.base.as_deref(), self.kind);
        let sealed = drain(of, (self.sandbox, self.exec), below, self.blobs);
        let Sealed { commit, blobs, uploads } = sealed.map_err(|unsealed| match unsealed {
            Unsealed::Trouble(what) => std::io::Error::other(what),
            Unsealed::TooLarge(error) => std::io::Error::other(error.message),
        })?;
        let body = Body::ExecWrote { exec: self.exec, said, commit };
        let input = Input { uploads, ..Input::now(&*self.node.clock, body, blobs) };
        guard(&self.sandbox.control).undecided = Some(self.exec);
        if !self.node.brought(self.cell, self.generation, input) || !self.sandbox.settled() {
            return Ok(false);
        }
        let (plan, spoilt) = {
            let mut control = guard(&self.sandbox.control);
            (control.plan.take(), control.spoilt)
        };
        if self.kind == Kind::Draft {
            waiting.settle(if spoilt { Err(Errno::IO) } else { Ok(()) });
            return Ok(!spoilt);
        }
        let Some((was, plan)) = self.base.clone().zip(plan).filter(|_| !spoilt) else {
            return Ok(false);
        };
        settle(self.cell, self.sandbox)?;
        // Before caches are told anything: the kernel holds a directory while somebody waits for it.
        let placed = self.cell.bounds.failures() == failures;
        waiting.settle(if placed { Ok(()) } else { Err(Errno::IO) });
        let plan = Plan { bound: self.bound.clone(), ..*plan };
        let seq = plan.seq;
        if seq == self.below && !self.wrote {
            return Ok(true);
        }
        let changed = was.tree.readers.changed((self.below, seq), CHANGED_MAX)?;
        let base = Arc::new(was.at(seq));
        self.base = Some(base.clone());
        let stale = match changed {
            Some(changed) => self.view.rebase(base.clone(), plan, &base.as_shown(&changed))?,
            None => self.view.rebase_whole(base, plan)?,
        };
        self.below = seq;
        let native = guard(&self.sandbox.control).native.clone();
        native.map_or(Ok(()), |native| native.forget_soon(stale))?;
        Ok(true)
    }
}

impl Drop for Live<'_> {
    /// Nobody commits it any more.
    fn drop(&mut self) {
        self.view.give_up();
    }
}

/// Waits until what was decided stands in its directories, so that views know it again.
fn settle(cell: &Cell, sandbox: &Sandbox) -> std::io::Result<()> {
    cell.bounds.settled();
    let placed = std::mem::take(&mut guard(&sandbox.control).placed);
    placed.iter().try_for_each(|one| one.settle(&cell.bounds))
}

fn ended(node: &Node, job: &ExecJob, how: Finish) -> Input {
    let (output, whole, bytes) = (String::new(), None, 0);
    let ran = Ran { how, wall: job.command.wall, output, whole, bytes, used: Used::default() };
    let (exec, commit, keep) = (job.command.exec, Commit::default(), false);
    let body = Body::ExecEnded { exec, ran, commit, keep };
    Input::now(&*node.clock, body, Vec::new())
}

/// The client that waits for its end.
pub(super) fn client(cell: &Cell, command: &Command) -> Option<Arc<Connection>> {
    let desk = guard(&cell.desk);
    command.reply.and_then(|reply| desk.waiting.get(&reply)).and_then(Ticket::client).cloned()
}

/// Who hears what it says.
fn ear(cell: &Cell, sandbox: &Sandbox, command: &Command) -> Option<Ear> {
    if let Some(screen) = sandbox.screen(command.exec) {
        return Some(Ear::Screen(screen));
    }
    let client = client(cell, command)?;
    Some(Ear::Client { client, workspace: cell.name.clone(), exec: command.exec })
}

/// The wall clock, for what programs write.
fn now() -> Micros {
    Real::new().wall()
}

impl Inner {
    /// The view at the tree of this command: the one that stands, carried on, or a new one.
    fn prepare(
        &mut self,
        node: &Node,
        cell: &Cell,
        sandbox: &Sandbox,
        command: &Command,
    ) -> std::io::Result<()> {
        let plan = command.plan.clone();
        let spoilt = std::mem::take(&mut guard(&sandbox.control).spoilt);
        let same = self.below.is_some_and(|(_, generation)| generation == plan.generation);
        let same = same && std::mem::replace(&mut self.kind, plan.kind) == plan.kind;
        let through = native::through(&plan.bound);
        if spoilt || !same || std::mem::replace(&mut self.through, through.clone()) != through {
            self.forget(sandbox);
        }
        let dir = node.dir(cell);
        let readers = self.readers.get_or_insert_with(|| Readers::of(dir.clone())).clone();
        let places = cell.bounds.open(&plan.bound).map_err(|error| std::io::Error::other(error.message))?;
        settle(cell, sandbox)?;
        let tree = Tree { readers: readers.clone(), at: plan.seq };
        let base = Arc::new(Joined::new(tree, cell.bounds.clone(), places));
        self.base = Some(base.clone());
        let (seq, generation) = (plan.seq, plan.generation);
        if let (Some(view), Some((below, _))) = (self.view.clone(), self.below) {
            if let Some(changed) = readers.changed((below, seq), CHANGED_MAX)? {
                let stale = view.rebase(base.clone(), plan, &base.as_shown(&changed))?;
                if let Some(native) = guard(&sandbox.control).native.clone() {
                    native.forget(&stale);
                }
                self.below = Some((seq, generation));
                return Ok(());
            }
            self.forget(sandbox);
            self.base = Some(base.clone());
        }
        let view = Arc::new(View::new(setup(plan, base, dir, &command.guest)?)?);
        {
            let mut control = guard(&sandbox.control);
            (control.view, control.heard) = (Some(view.clone()), (0, 0, 0));
        }
        self.view = Some(view);
        self.below = Some((seq, generation));
        Ok(())
    }

    /// Nothing of the sandbox is used again.
    fn forget(&mut self, sandbox: &Sandbox) {
        let native: Option<Arc<Native>> = {
            let mut control = guard(&sandbox.control);
            control.view = None;
            control.native.take()
        };
        if let Some(native) = native {
            native.end();
        }
        (self.view, self.below, self.base) = (None, None, None);
    }
}

fn setup(plan: Plan, base: Arc<Joined>, dir: std::path::PathBuf, guest: &Guest) -> std::io::Result<Setup> {
    let spool = dir.join("spool");
    std::fs::create_dir_all(&spool)?;
    let mut mount_points = native::mount_points(guest);
    // What is bound stays where it is, and is never forgotten.
    mount_points.extend(plan.bound.iter().map(|bound| bound.dir.to_string()));
    let owner = native::owner();
    Ok(Setup { plan, base, spool, mount_points, owner, now })
}
