//! Mounts and the other control words that the machine carries out. Runs on worker threads.

use crate::{
    bound,
    cell::Cell,
    checkpoint,
    guard::guard,
    journal, leave,
    models::resolve,
    node::Node,
    operators, secrets,
    timer::{Due, POLL_US},
    turn::Input,
    walls::Walls,
    workers::Work,
};
use abi::{Code, Content, Error, Micros, ReplyTo, control::Control, event::Body, limits, manifest::Manifest};
use drivers::{Delivery, Mount};
use kernel::Mounted;
use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

/// Deliveries under way at once, for one workspace.
const ARRIVING_MAX: usize = limits::BATCH_EVENTS_MAX;

/// Carries out a control word.
pub(crate) fn control(
    node: &Arc<Node>,
    cell: &Arc<Cell>,
    generation: u64,
    (reply, word): (ReplyTo, Control),
) -> Result<(), Error> {
    match word {
        Control::Secret { name, act } => secrets::carry(node, cell, reply, (&name, act)),
        Control::Operator { name, uid } => operators::carry(node, cell, reply, (&name, uid)),
        Control::Attach { pid } => Walls::attach(cell, reply, pid),
        Control::Open { pid, port, at } => Walls::forward(cell, reply, (pid, port, at)),
        Control::Bind { .. } => bound::carry(node, cell, generation, (reply, word)),
        Control::Provider { name } => resolve::ask(node, cell, reply, &name),
        Control::Mount { name, driver, argument } => {
            if guard(&cell.mounts).knows(&name) {
                return Err(Error::new(Code::Exists, format!("{name} is mounted already"))
                    .argument("name")
                    .hint(format!("unmount {name} first, or take another name")));
            }
            let (mount, manifest) = open(&driver, &name, &argument)?;
            guard(&cell.mounts).opened.insert(name.clone(), mount);
            let mounted = Body::Mounted { mount: name.clone(), driver, argument, manifest };
            if !node.ended(cell, generation, (mounted, Vec::new())) {
                guard(&cell.mounts).opened.remove(&name);
            }
            Ok(())
        }
        Control::Unmount { name } => {
            let mut mounts = guard(&cell.mounts);
            mounts.refused.retain(|(mount, _), _| *mount != name);
            let was = mounts.detached.remove(&name).is_some();
            match mounts.attached.remove(&name) {
                Some(_) => Ok(()),
                None if was => Ok(()),
                None => Err(Error::new(Code::NotFound, format!("{name} is not mounted")).argument("name")),
            }
        }
        Control::Workspace { name, lacks } => node.make(&name, lacks),
        Control::Checkpoint { file } => checkpoint::export(node, cell, &file),
        Control::Down => {
            node.ask_down();
            Ok(())
        }
        Control::Backup { file } => leave::backup(node, cell, &file),
        Control::Restore { name, file } => leave::restore(node, &name, &file),
        // The kernel carries these out itself and never sends them here.
        Control::Stop
        | Control::Lift
        | Control::Budget { .. }
        | Control::Signal { .. }
        | Control::Unbind { .. }
        | Control::Draft { .. }
        | Control::Purge { .. }
        | Control::Retain(_) => Err(Error::new(Code::Unavailable, "this word is the kernel's")),
    }
}

/// Opens a driver; one that panics has failed.
fn open(driver: &str, name: &str, argument: &str) -> Result<(Arc<dyn Mount>, Manifest), Error> {
    let opened = catch_unwind(|| {
        let mount: Arc<dyn Mount> = drivers::mount(driver, name, argument)?.into();
        let manifest = mount.manifest();
        manifest.lint()?;
        Ok((mount, manifest))
    });
    opened.unwrap_or_else(|_| Err(Error::new(Code::Unavailable, format!("the driver {driver} panicked"))))
}

/// What was opened is attached once that it is mounted is durable.
pub(crate) fn attach_opened(node: &Arc<Node>, cell: &Arc<Cell>, done: &[Input]) {
    let mut more = false;
    for input in done {
        let Body::Mounted { mount, .. } = &input.event.body else { continue };
        let mut mounts = guard(&cell.mounts);
        if let Some(driver) = mounts.opened.remove(mount) {
            mounts.attached.insert(mount.clone(), driver);
            mounts.detached.remove(mount);
            more = true;
        }
    }
    if more {
        poll_at(node, cell, node.clock.mono());
    }
}

/// Attaches again what the kernel says is mounted, and nothing else. One that cannot be attached is said, and
/// tried at the next wake.
pub(crate) fn attach(node: &Arc<Node>, cell: &Arc<Cell>, wanted: Vec<Mounted>) {
    let names: BTreeSet<&String> = wanted.iter().map(|mounted| &mounted.name).collect();
    guard(&cell.mounts).attached.retain(|name, _| names.contains(name));
    guard(&cell.mounts).detached.retain(|name, _| names.contains(name));
    if wanted.is_empty() {
        return;
    }
    for Mounted { name, driver, argument, pinned } in wanted {
        if guard(&cell.mounts).attached.contains_key(&name) {
            continue;
        }
        let attached = open(&driver, &name, &argument).and_then(|(mount, manifest)| {
            // The table of sinks trusts what the manifest said when the operator mounted it.
            if manifest.digest() == pinned {
                return Ok(mount);
            }
            let what = format!("{driver} declares something else than when {name} was mounted");
            Err(Error::new(Code::Stale, what).hint(format!("unmount {name} and mount it again to accept it")))
        });
        match attached {
            Ok(mount) => {
                let mut mounts = guard(&cell.mounts);
                mounts.detached.remove(&name);
                mounts.attached.insert(name, mount);
            }
            Err(error) => {
                journal::say(&cell.name, &format!("{name} is not attached: {error}"));
                guard(&cell.mounts).detached.insert(name, error.message);
            }
        }
    }
    poll_at(node, cell, node.clock.mono());
}

/// The next poll is then, and no other.
fn poll_at(node: &Arc<Node>, cell: &Arc<Cell>, at: Micros) {
    let turn = {
        let mut mounts = guard(&cell.mounts);
        mounts.turn += 1;
        mounts.turn
    };
    node.timer.at(at, Due::Poll { cell: cell.clone(), turn });
}

/// Begins the poll of this turn, unless another has been set since or one is under way.
pub(crate) fn begin_poll(node: &Arc<Node>, cell: &Arc<Cell>, turn: u64) {
    let mut mounts = guard(&cell.mounts);
    if turn != mounts.turn || mounts.attached.is_empty() || mounts.polling {
        return;
    }
    if node.ballast.is_short() {
        // What it would bring could not be kept; it stays where it is.
        drop(mounts);
        return poll_at(node, cell, node.clock.mono().saturating_add(POLL_US));
    }
    mounts.polling = true;
    drop(mounts);
    node.workers.submit(node, cell, 0, Work::Poll);
}

/// A poll that is under way; when it ends, however it ends, the next one is set.
struct Polling<'a> {
    node: &'a Arc<Node>,
    cell: &'a Arc<Cell>,
}

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        guard(&self.cell.mounts).polling = false;
        poll_at(self.node, self.cell, self.node.clock.mono().saturating_add(POLL_US));
    }
}

/// Asks every mount what has come.
pub(crate) fn poll(node: &Arc<Node>, cell: &Arc<Cell>) {
    let _polling = Polling { node, cell };
    let attached: Vec<(String, Arc<dyn Mount>)> = {
        let mounts = guard(&cell.mounts);
        mounts.attached.iter().map(|(name, mount)| (name.clone(), mount.clone())).collect()
    };
    for (name, mount) in attached {
        let polled = catch_unwind(AssertUnwindSafe(|| mount.poll()));
        match polled.unwrap_or_else(|_| Err("the driver panicked".to_owned())) {
            Ok(deliveries) => arrive(node, cell, &name, deliveries),
            Err(message) => journal::say(&cell.name, &format!("{name}: {message}")),
        }
    }
}

fn arrive(node: &Arc<Node>, cell: &Arc<Cell>, name: &str, deliveries: Vec<Delivery>) {
    for delivery in deliveries {
        let key = (name.to_owned(), delivery.path.clone());
        let input = {
            let mut mounts = guard(&cell.mounts);
            let known = mounts.arriving.contains_key(&key) || mounts.refused.contains_key(&key);
            if known || mounts.arriving.len() >= ARRIVING_MAX {
                continue;
            }
            if delivery.bytes.len() as u64 > limits::BLOB_INLINE_BYTES_MAX {
                if mounts.refuse(key, &delivery.key) {
                    let path = &delivery.path;
                    journal::say(
                        &cell.name,
                        &format!("{name}{path} is larger than 64 KiB and stays outside"),
                    );
                }
                continue;
            }
            let content = Content::of(&delivery.bytes);
            let body = Body::Arrived { mount: name.to_owned(), path: delivery.path.clone(), content };
            let input = Input::now(&*node.clock, body, vec![delivery.bytes.clone()]);
            mounts.arriving.insert(key, delivery);
            input
        };
        node.push(cell, input);
    }
}
