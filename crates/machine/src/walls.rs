//! Sandboxes: where the programs of a process run. One stands for as long as its process; commands run in it
//! one after the other, each over the tree as it is when the command begins.
//!
//! ```text
//! Exec ─▶ begin ─▶ run: view (base) · shell (light) or wall (native) · what it says (said)
//!                    └▶ drain ─▶ seal ─▶ ExecEnded ─▶ ExecDecided: kept, or thrown away with all that runs
//! ```
//! What a room asked for dies with it: a failure, sleep and the daemon's end take every sandbox down. Never
//! here: whether a process may run something, what becomes of what it made.

use crate::{
    bound::{
        Bounds,
        publish::{Loose, Placed},
    },
    cell::{Cell, Ticket},
    guard::guard,
    job::ExecJob,
    journal,
    node::Node,
    spawn,
    turn::{Input, Out},
};
use abi::{
    Code, Error, ExecId, Pid, ReplyTo,
    call::{Stdio, Wall},
    effect::{Command, SandboxAct},
    event::{Body, Ran},
    record::{Finish, Used},
    view::{Commit, Kind, Plan, Told},
};
use drivers::egress::Authority;
use sandbox::view::View;
use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, OnceLock},
    time::Duration,
};

mod base;
mod forward;
mod light;
mod native;
mod ports;
mod probe;
mod run;
mod said;
mod screen;
mod seal;
mod talk;
mod ways;

pub(crate) use base::{Readers, Tree};
pub(crate) use forward::Forward;
pub(crate) use screen::Screen;

use native::Native;
pub(crate) use seal::Unsealed;
use talk::Talk;

/// The sandboxes of a workspace.
#[derive(Default)]
pub(crate) struct Walls {
    swept: OnceLock<()>,
    boxes: Mutex<BTreeMap<Pid, Arc<Sandbox>>>,
    /// What has no versions, of commands that are being decided: a sandbox may be gone by then.
    loose: Mutex<BTreeMap<ExecId, Vec<Loose>>>,
    /// Who the broker is to programs that it looks into.
    authority: OnceLock<Result<Arc<Authority>, String>>,
}

/// One of them.
pub(crate) struct Sandbox {
    pub pid: Pid,
    /// Held by the command that runs.
    pub inner: Mutex<run::Inner>,
    pub control: Mutex<Control>,
    changed: Condvar,
}

/// What others may look at and change while a command runs.
#[derive(Default)]
pub(crate) struct Control {
    /// The wall that stands.
    pub native: Option<Arc<Native>>,
    /// What its programs see.
    pub view: Option<Arc<View>>,
    /// How much of what they were told the kernel has heard.
    pub heard: (usize, usize, usize),
    /// Commands that run or wait for their turn.
    pub begun: BTreeSet<ExecId>,
    /// What those of them read from that an operator may type into.
    pub screens: BTreeMap<ExecId, Arc<Screen>>,
    /// The command that is the process itself.
    pub main: Option<ExecId>,
    /// Those of them that are to end.
    pub stopped: BTreeSet<ExecId>,
    /// It ends.
    pub ended: bool,
    pub frozen: bool,
    /// A thread makes it so, since a program that waits for the loop cannot stand still before it is
    /// answered.
    freezes: bool,
    /// The command whose changes are being decided.
    pub undecided: Option<ExecId>,
    /// The process itself runs in it, and its view is kept as it goes: other commands join it.
    pub live: bool,
    /// What was written there is to be kept now, not in a while.
    pub due: bool,
    /// So often somebody waits for that, and for what others wrote to show there; so often it was done.
    pub asked: u64,
    pub kept: u64,
    /// Who speaks to the program that the process is, and whether it is to stop.
    pub talk: Option<Arc<Talk>>,
    pub interrupted: bool,
    /// Commands that run beside it: what they write is no matter of theirs.
    pub beside: BTreeSet<ExecId>,
    /// What listened in it when that was last looked at.
    pub ports: ports::Seen,
    /// The tree that came of the last ones, and what is shown of it.
    pub plan: Option<Box<Plan>>,
    /// What is known again once it is placed.
    pub placed: Vec<Placed>,
    /// The last ones were not kept: nothing of the sandbox is to be used again.
    pub spoilt: bool,
}

impl Sandbox {
    fn new(pid: Pid) -> Arc<Self> {
        Arc::new(Self { pid, inner: Mutex::default(), control: Mutex::default(), changed: Condvar::new() })
    }

    /// A command runs or waits for its turn. Who attaches before it says anything finds its terminal.
    fn begins(&self, cell: &Cell, command: &Command) {
        let mut control = guard(&self.control);
        control.begun.insert(command.exec);
        if command.plan.kind != Kind::Command {
            control.main = Some(command.exec);
        }
        if command.guest.stdio == Stdio::Null {
            return;
        }
        let screen = Screen::new(&cell.name, (self.pid, command.exec), command.guest.stdio);
        control.screens.insert(command.exec, screen.clone());
        drop(control);
        if let Some(client) = run::client(cell, command) {
            // A connection that looks at too many hears nothing of it but its end.
            let _ = screen.attach(&client);
        }
    }

    /// The terminal or pipe of a command.
    pub fn screen(&self, exec: ExecId) -> Option<Arc<Screen>> {
        guard(&self.control).screens.get(&exec).cloned()
    }

    /// What its programs were told and the kernel has not heard.
    fn news(&self) -> Option<Told> {
        let view = guard(&self.control).view.clone()?;
        let told = seal::told(view.told());
        let much = (told.opened.len(), told.labels.len(), told.homes.len());
        let before = std::mem::replace(&mut guard(&self.control).heard, much);
        (before != much).then_some(told)
    }

    /// Waits until what the command before made is decided. Whether the sandbox goes on.
    fn settled(&self) -> bool {
        let control = guard(&self.control);
        let waits = |control: &mut Control| control.undecided.is_some() && !control.ended;
        let control = self.changed.wait_while(control, waits);
        !control.unwrap_or_else(std::sync::PoisonError::into_inner).ended
    }

    /// Whether this command runs beside the program that the process is: waits until that stands, or is over.
    fn joins(&self, exec: ExecId) -> bool {
        let waits = |control: &mut Control| {
            let comes = control.main.is_some_and(|main| main != exec && control.begun.contains(&main));
            let stands = control.live && control.native.is_some();
            comes && !stands && !control.ended && !control.stopped.contains(&exec)
        };
        let control = self.changed.wait_while(guard(&self.control), waits);
        let mut control = control.unwrap_or_else(std::sync::PoisonError::into_inner);
        control.live && control.native.is_some() && control.beside.insert(exec)
    }

    /// Waits until it goes on; whether it does.
    fn wait_thawed(&self) -> bool {
        let control = guard(&self.control);
        let waits = |control: &mut Control| control.frozen && !control.ended && control.stopped.is_empty();
        let control = self.changed.wait_while(control, waits);
        let control = control.unwrap_or_else(std::sync::PoisonError::into_inner);
        !control.ended && !control.frozen
    }

    /// Waits so long, or until this command, the process itself, has ended. Whether it goes on.
    fn rests(&self, exec: ExecId, us: u64) -> bool {
        let control = guard(&self.control);
        let goes_on =
            |control: &mut Control| control.live && !control.ended && !control.stopped.contains(&exec);
        let waited = self.changed.wait_timeout_while(control, Duration::from_micros(us), goes_on);
        goes_on(&mut waited.unwrap_or_else(std::sync::PoisonError::into_inner).0)
    }

    /// What was written in it is kept, and it shows what others wrote: waits for that. False if it ends
    /// first.
    fn keeps_now(&self, rouse: impl Fn()) -> bool {
        let mine = {
            let mut control = guard(&self.control);
            control.asked += 1;
            control.asked
        };
        rouse();
        let control = guard(&self.control);
        let waits = |control: &mut Control| control.kept < mine && control.live && !control.ended;
        let control = self.changed.wait_while(control, waits);
        control.unwrap_or_else(std::sync::PoisonError::into_inner).kept >= mine
    }

    /// Whether this command is to end, or has.
    fn is_stopped(&self, exec: ExecId) -> bool {
        let control = guard(&self.control);
        control.ended || control.stopped.contains(&exec)
    }

    /// A command is over; whether what it made waits to be decided.
    fn over(&self, exec: ExecId, waits: bool) {
        let screen = guard(&self.control).screens.remove(&exec);
        if let Some(screen) = screen {
            screen.end();
        }
        let mut control = guard(&self.control);
        control.begun.remove(&exec);
        let stopped = control.stopped.remove(&exec);
        let waits = waits && !control.beside.remove(&exec);
        if waits && !stopped {
            control.undecided = Some(exec);
        }
        control.spoilt |= waits && stopped;
        drop(control);
        self.changed.notify_all();
    }

    /// Everything in it stands still, or goes on.
    fn freeze(self: &Arc<Self>, frozen: bool) {
        let (native, apart) = {
            let mut control = guard(&self.control);
            control.frozen = frozen;
            let Some(native) = control.native.clone().filter(|_| !control.freezes) else { return };
            control.freezes = control.view.as_ref().is_some_and(|view| view.is_awaited());
            (native, control.freezes)
        };
        if !apart {
            return native.freeze(frozen);
        }
        let (sandbox, again) = (self.clone(), native.clone());
        let begun = spawn::thread("freezer", move || {
            let mut done = None;
            loop {
                let wanted = {
                    let mut control = guard(&sandbox.control);
                    control.freezes = done != Some(control.frozen);
                    if !control.freezes {
                        return;
                    }
                    control.frozen
                };
                native.freeze(wanted);
                done = Some(wanted);
            }
        });
        if !begun {
            guard(&self.control).freezes = false;
            again.freeze(frozen);
        }
    }

    /// Everything in it ends; nothing of it is left.
    fn end(&self) {
        let native = {
            let mut control = guard(&self.control);
            control.ended = true;
            control.native.take()
        };
        self.changed.notify_all();
        if let Some(native) = native {
            native.end();
        }
    }
}

impl Walls {
    /// The authority of this workspace, made when its first sandbox stands.
    fn authority(&self, workspace: &str) -> Result<Arc<Authority>, Error> {
        let made = self.authority.get_or_init(|| Authority::make(workspace).map(Arc::new));
        made.clone().map_err(|why| Error::new(Code::Unavailable, why))
    }

    /// What of a command has no versions waits until it is decided.
    pub fn hold(&self, exec: ExecId, loose: Vec<Loose>) {
        if !loose.is_empty() {
            guard(&self.loose).insert(exec, loose);
        }
    }

    fn of(&self, pid: Pid) -> Arc<Sandbox> {
        guard(&self.boxes).entry(pid).or_insert_with(|| Sandbox::new(pid)).clone()
    }

    fn known(&self, pid: Pid) -> Option<Arc<Sandbox>> {
        guard(&self.boxes).get(&pid).cloned()
    }

    /// The connection that waits for this answer looks at the terminal of a process from now on.
    pub fn attach(cell: &Cell, reply: ReplyTo, pid: Pid) -> Result<(), Error> {
        let client = guard(&cell.desk).waiting.get(&reply).and_then(Ticket::client).cloned();
        let client = client.ok_or_else(|| Error::new(Code::Unavailable, "the connection has gone"))?;
        let screen = cell.walls.known(pid).and_then(|sandbox| {
            let main = guard(&sandbox.control).main?;
            sandbox.screen(main)
        });
        let none = || Error::new(Code::NotFound, format!("process {pid} has no terminal")).argument("pid");
        screen.ok_or_else(none)?.attach(&client)
    }

    /// A port of a sandbox is reached from the host, as long as the connection that waits for this answer is
    /// open.
    pub fn forward(cell: &Cell, reply: ReplyTo, (pid, port, at): (Pid, u16, u16)) -> Result<(), Error> {
        let client = guard(&cell.desk).waiting.get(&reply).and_then(Ticket::client).cloned();
        let client = client.ok_or_else(|| Error::new(Code::Unavailable, "the connection has gone"))?;
        let native = cell.walls.known(pid).and_then(|sandbox| guard(&sandbox.control).native.clone());
        let gone = || Error::new(Code::Dead, format!("process {pid} has no sandbox")).argument("pid");
        let native = native.ok_or_else(gone)?;
        let forward = Forward::open(&native, port, at)?;
        client.keeps(&forward).inspect_err(|_| forward.shut())?;
        native.keeps(forward);
        Ok(())
    }

    /// A program in a process's sandbox is about to call: what its programs were told comes before.
    pub fn before_call(node: &Arc<Node>, cell: &Arc<Cell>, pid: Pid) {
        let Some(told) = cell.walls.known(pid).and_then(|sandbox| sandbox.news()) else { return };
        node.push(cell, Input::now(&*node.clock, Body::ExecTold { pid, told }, Vec::new()));
    }

    /// Takes what left a turn for it.
    pub fn take(node: &Arc<Node>, cell: &Arc<Cell>, generation: u64, out: Out) {
        match out {
            Out::Exec(job) => Self::begin(node, cell, generation, *job),
            Out::EndExec { exec } => cell.walls.stop(exec),
            Out::Tell { pid, exec, words } => cell.walls.tell((pid, exec), words),
            Out::ExecDecided { exec, pid, kept, plan } => {
                // Who waits until all is placed finds it among what is to be.
                let loose = cell.walls.loose(exec, kept);
                Bounds::place_loose(node, cell, generation, loose);
                cell.walls.decided(pid, exec, (kept, plan));
            }
            Out::Sandbox { pid, act: SandboxAct::End } => Self::end_one(node, cell, generation, pid),
            Out::Sandbox { pid, act } => cell.walls.act(pid, act),
            _ => {}
        }
    }

    /// Runs a command in a thread of its own.
    fn begin(node: &Arc<Node>, cell: &Arc<Cell>, generation: u64, job: ExecJob) {
        cell.walls.swept.get_or_init(|| native::sweep(node, cell));
        let sandbox = cell.walls.of(job.command.pid);
        let (node, cell) = (node.clone(), cell.clone());
        let exec = job.command.exec;
        sandbox.begins(&cell, &job.command);
        let (on, of, again) = (node.clone(), cell.clone(), sandbox.clone());
        let begun = spawn::thread("command", move || {
            let ended = catch_unwind(AssertUnwindSafe(|| run::run(&on, &of, (&sandbox, generation), &job)));
            let input = ended.unwrap_or_else(|_| {
                journal::say(&of.name, "a command's thread panicked");
                guard(&sandbox.control).spoilt = true;
                refused(&on, exec, ("it failed on our side", ""))
            });
            sandbox.over(exec, matches!(&input.event.body, Body::ExecEnded { keep: true, .. }));
            if !on.brought(&of, generation, input) {
                sandbox.end();
            }
        });
        if !begun {
            again.over(exec, false);
            let input = refused(&node, exec, ("the system gives no thread for it", "skep doctor"));
            node.brought(&cell, generation, input);
        }
    }

    /// A command is to end.
    fn stop(&self, exec: ExecId) {
        let boxes: Vec<Arc<Sandbox>> = guard(&self.boxes).values().cloned().collect();
        for sandbox in boxes {
            let native = {
                let mut control = guard(&sandbox.control);
                if control.undecided == Some(exec) {
                    // It was ended before it told what it made: nobody decides of that any more.
                    (control.undecided, control.spoilt) = (None, true);
                    sandbox.changed.notify_all();
                }
                if !control.begun.contains(&exec) {
                    continue;
                }
                control.stopped.insert(exec);
                sandbox.changed.notify_all();
                control.native.clone().filter(|native| native.runs(exec))
            };
            // What is being unmounted and reaped holds nobody up.
            if let Some(native) = native {
                let again = native.clone();
                if !spawn::thread("reaper", move || native.end()) {
                    again.end();
                }
            }
        }
    }

    /// A program that speaks a protocol is told more, or that nothing waits.
    fn tell(&self, (pid, exec): (Pid, ExecId), words: Option<Vec<u8>>) {
        let talk = self.known(pid).and_then(|sandbox| guard(&sandbox.control).talk.clone());
        if let Some(talk) = talk.filter(|talk| talk.is_of(exec)) {
            talk.hears(words);
        }
    }

    /// What of a command has no versions, and is to be put where it stands.
    fn loose(&self, exec: ExecId, kept: bool) -> Vec<Loose> {
        guard(&self.loose).remove(&exec).filter(|_| kept).unwrap_or_default()
    }

    /// What a command made is decided.
    fn decided(&self, pid: Pid, exec: ExecId, (kept, plan): (bool, Option<Box<Plan>>)) {
        let Some(sandbox) = self.known(pid) else { return };
        let mut control = guard(&sandbox.control);
        // Of what never began, and of what ran beside a program, nothing was to be decided.
        if control.undecided == Some(exec) {
            control.undecided = None;
            control.spoilt |= !kept;
        }
        control.plan = plan.or(control.plan.take());
        sandbox.changed.notify_all();
    }

    /// A sandbox ends; who waits for that hears of it when all in it is gone.
    fn end_one(node: &Arc<Node>, cell: &Arc<Cell>, generation: u64, pid: Pid) {
        let gone = guard(&cell.walls.boxes).remove(&pid);
        let (node, cell) = (node.clone(), cell.clone());
        let end = move || {
            gone.into_iter().for_each(|sandbox| sandbox.end());
            let body = Body::SandboxEnded { pid };
            node.brought(&cell, generation, Input::now(&*node.clock, body, Vec::new()));
        };
        // What is being unmounted and reaped holds nobody up.
        let end = Arc::new(Mutex::new(Some(end)));
        let again = end.clone();
        let run = move || {
            let end = guard(&end).take();
            end.into_iter().for_each(|end| end());
        };
        if !spawn::thread("reaper", run) {
            let end = guard(&again).take();
            end.into_iter().for_each(|end| end());
        }
    }

    /// A sandbox stands still or goes on, what is open to others is cut, who is talked to is asked to end.
    fn act(&self, pid: Pid, act: SandboxAct) {
        match act {
            SandboxAct::Cut => {
                let native = self.known(pid).and_then(|sandbox| guard(&sandbox.control).native.clone());
                if let Some(native) = native {
                    native.cut();
                }
            }
            SandboxAct::Interrupt => {
                let talk = {
                    let sandbox = self.of(pid);
                    let mut control = guard(&sandbox.control);
                    control.interrupted = true;
                    control.talk.clone()
                };
                if let Some(talk) = talk {
                    talk.cancel();
                }
            }
            SandboxAct::Freeze | SandboxAct::Thaw => {
                let Some(sandbox) = self.known(pid) else { return };
                sandbox.freeze(act == SandboxAct::Freeze);
                sandbox.changed.notify_all();
            }
            // See `end_one`.
            SandboxAct::End => {}
        }
    }

    /// All of them end.
    pub fn end_all(&self) {
        guard(&self.loose).clear();
        let boxes = std::mem::take(&mut *guard(&self.boxes));
        boxes.into_values().for_each(|sandbox| sandbox.end());
    }
}

/// The end of a command that could not begin.
fn refused(node: &Node, exec: ExecId, (message, hint): (&str, &str)) -> Input {
    let how = Finish::Refused { message: message.to_owned(), hint: hint.to_owned() };
    let ran =
        Ran { how, wall: Wall::Auto, output: String::new(), whole: None, bytes: 0, used: Used::default() };
    Input::now(
        &*node.clock,
        Body::ExecEnded { exec, ran, commit: Commit::default(), keep: false },
        Vec::new(),
    )
}
