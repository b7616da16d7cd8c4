//! Waking: from files to a room that decides.
//!
//! open → snapshot → replay of what came after it (every hash verified) → `Woke`, prices. A workspace that is
//! born gets its genesis and the shipped files first, as calls of the operator who makes it: they walk the
//! same street as all others.

use crate::{
    clock::Clock,
    models::Book,
    render::Around,
    shipped,
    turn::{Failed, Failure, Input, Out, Room, Sink},
};
use abi::{
    Content, Error, Hash, ReplyTo, Seq,
    call::{Call, Origin, Write},
    event::{Body, Caller},
    money::{Nano, Price},
    path::TreePath,
};
use kernel::Kernel;
use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::Arc,
};
use store::{Options, Pins, Trouble, Workspace};

/// What a room is made of.
#[derive(Clone)]
pub struct Setup {
    /// The workspace's name.
    pub name: String,
    /// Its directory.
    pub dir: PathBuf,
    /// How durable.
    pub options: Options,
    /// Chunks that uploads into it hold.
    pub pins: Pins,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What only the node knows.
    pub around: Arc<dyn Around>,
    /// For tokens.
    pub secret: [u8; 32],
    /// Prices beside those of the file: of a model that only a simulation has.
    pub prices: Vec<(String, Price)>,
    /// Money lent until it sleeps.
    pub lease: Nano,
    /// Digests of events that are not tried again.
    pub set_aside: BTreeSet<Hash>,
}

/// Whether a file that is missing is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// The workspace is new.
    May,
    /// It was there once: what is gone is a trouble, never made anew.
    Never,
}

/// How a workspace begins.
#[derive(Clone, Debug)]
pub struct Birth {
    /// Random.
    pub id: [u8; 16],
    /// Rules of the sink table it lacks.
    pub lacks: Vec<u8>,
    /// Who makes it.
    pub operator: String,
}

/// Replies to the shipped files' writes go nowhere; an error among them fails the birth.
const NOBODY: ReplyTo = ReplyTo(0);

impl Room {
    /// Loads a workspace, or makes it, and wakes it.
    pub fn open(setup: &Setup, begin: Begin, birth: Birth, sink: &mut dyn Sink) -> Result<Self, Failed> {
        let mut room = Self::load(setup, begin)?;
        room.wake(setup, birth, sink)?;
        Ok(room)
    }

    /// Tells the kernel that it is awake; effects that were under way are taken up again. Before this its
    /// mounts should be attached. A workspace without a genesis record (new, or cut off before it) is born
    /// now.
    pub fn wake(&mut self, setup: &Setup, birth: Birth, sink: &mut dyn Sink) -> Result<(), Failed> {
        let newborn = self.kernel.seq() == Seq(0);
        let mut inputs = Vec::new();
        if newborn {
            let genesis = Body::Genesis { id: birth.id, lacks: birth.lacks };
            inputs.push(Input::now(&*setup.clock, genesis, Vec::new()));
        }
        inputs.push(Input::now(
            &*setup.clock,
            Body::Woke { lease: setup.lease, under_way: self.under_way.clone() },
            Vec::new(),
        ));
        for (model, price) in &setup.prices {
            let body = Body::Priced { model: model.clone(), price: *price };
            inputs.push(Input::now(&*setup.clock, body, Vec::new()));
        }
        self.begin(inputs, sink)?;
        if !self.kernel.has_policy() {
            self.ship(&birth.operator, sink)?;
        }
        if !self.kernel.has_policy() {
            self.reload_policy(sink)?;
        }
        self.load_models(sink)
    }

    /// Tiers and prices, if the kernel has others: the file is new, or the dated table is, or the workspace
    /// is older than both. A file that does not parse leaves what stood.
    fn load_models(&mut self, sink: &mut dyn Sink) -> Result<(), Failed> {
        match self.models_at_head().map_err(|trouble| alone(Failure::Store(trouble)))? {
            Ok(book) if self.kernel.has_models(&book.digest) => {
                sink.durable(Out::Providers(book.providers.clone(), book.tiers()));
                Ok(())
            }
            Ok(Book { digest, models, .. }) => {
                let body = Body::ModelsLoaded { digest, models };
                let input = Input::now(&*self.clock.clone(), body, Vec::new());
                self.begin(vec![input], sink)
            }
            Err(error) => {
                sink.durable(Out::Alarm(format!("the models were not loaded, those before stand: {error}")));
                Ok(())
            }
        }
    }

    /// Writes the shipped files that do not stand yet. Being born takes several transactions: it may have
    /// been cut off between any two of them. The policy comes last, so with one loaded all of them stand.
    fn ship(&mut self, operator: &str, sink: &mut dyn Sink) -> Result<(), Failed> {
        let mut inputs = Vec::new();
        for file in &shipped::FILES {
            let Ok(path) = TreePath::parse(file.0) else { continue };
            let stands = self.head(&path).map_err(|trouble| alone(Failure::Store(trouble)))?.is_some();
            if !stands {
                inputs.extend(write(&*self.clock, operator, file));
            }
        }
        self.begin(inputs, sink)
    }

    /// Snapshot and replay, without an event.
    pub fn load(setup: &Setup, begin: Begin) -> Result<Self, Failed> {
        Self::read(setup, begin).map_err(alone)
    }

    /// Snapshot and replay; a panic of `apply` is this workspace's failure and nobody else's.
    fn read(setup: &Setup, begin: Begin) -> Result<Self, Failure> {
        let opened = match Workspace::open_beside(&setup.dir, &setup.options, setup.pins.clone()) {
            Err(Trouble::Missing { .. }) if begin == Begin::May => {
                Workspace::create_beside(&setup.dir, &setup.options, setup.pins.clone())
            }
            opened => opened,
        };
        let store = opened.map_err(Failure::Store)?;
        let replay = || -> Result<Kernel, Trouble> {
            let mut kernel = match store.snapshot()? {
                Some((seq, bytes)) => Kernel::restore(&bytes).ok().filter(|kernel| kernel.seq() == seq),
                None => None,
            }
            .unwrap_or_default();
            store.replay(kernel.seq(), &mut |record| kernel.apply(&record))?;
            Ok(kernel)
        };
        let replayed =
            catch_unwind(AssertUnwindSafe(replay)).map_err(|_| Failure::Panic { at: usize::MAX })?;
        Ok(Self {
            name: setup.name.clone(),
            kernel: replayed.map_err(Failure::Store)?,
            store,
            clock: setup.clock.clone(),
            around: setup.around.clone(),
            secret: setup.secret,
            set_aside: setup.set_aside.clone(),
            since: (0, 0),
            long: 0,
            unkept: BTreeSet::new(),
            under_way: Vec::new(),
            // Whatever the daemon's end cut off.
            untidy: true,
            hindered: None,
        })
    }

    fn begin(&mut self, inputs: Vec<Input>, sink: &mut dyn Sink) -> Result<(), Failed> {
        let mut first = First { sink, refused: None };
        let mut rest = inputs;
        while !rest.is_empty() {
            rest = self.turn(rest, &mut first)?.rest;
        }
        match first.refused {
            None => Ok(()),
            Some(error) => {
                sink.durable(Out::Alarm(format!("a shipped file could not be written: {error}")));
                Ok(())
            }
        }
    }

    /// Takes the policy from the files' heads; a file that does not parse leaves the workspace without one,
    /// and then nothing starts in it.
    fn reload_policy(&mut self, sink: &mut dyn Sink) -> Result<(), Failed> {
        let found = self.policy_at_heads().map_err(|trouble| alone(Failure::Store(trouble)))?;
        match found {
            Some(Ok(body)) => {
                let input = Input::now(&*self.clock.clone(), body, Vec::new());
                self.begin(vec![input], sink)
            }
            Some(Err(error)) => {
                sink.durable(Out::Alarm(format!("no policy is loaded, so nothing starts: {error}")));
                Ok(())
            }
            None => {
                sink.durable(Out::Alarm("no policy is loaded, so nothing starts: a file is missing".into()));
                Ok(())
            }
        }
    }
}

fn alone(failure: Failure) -> Failed {
    Failed { failure, lost: Vec::new() }
}

fn write(clock: &dyn Clock, operator: &str, (path, bytes): &(&str, &[u8])) -> Option<Input> {
    let call = Call::Write {
        path: TreePath::parse(path).ok()?,
        write: Write::Whole { content: Content::of(bytes), mode: 0o644 },
        base: None,
        message: None,
        origin: Origin::Argument,
    };
    let caller = Caller::Operator(operator.to_owned());
    Some(Input::now(clock, Body::Call { caller, reply: NOBODY, call }, vec![bytes.to_vec()]))
}

/// The sink of a first turn: keeps what is answered to nobody, hands on all else.
struct First<'a> {
    sink: &'a mut dyn Sink,
    refused: Option<Error>,
}

impl Sink for First<'_> {
    fn ordered(&mut self, out: Out) {
        self.sink.ordered(out);
    }

    fn durable(&mut self, out: Out) {
        match out {
            Out::Reply { to: NOBODY, answer } => self.refused = answer.err().or(self.refused.take()),
            out => self.sink.durable(out),
        }
    }

    fn follows(&self) -> bool {
        self.sink.follows()
    }
}

#[cfg(test)]
mod tests;
