//! Errands: work at drivers that a workspace's room does not wait for, and that outlives the room.
//!
//! An errand is away from the moment it is handed out until what came of it has been decided and is durable.
//! A room that is loaded meanwhile is told so and leaves it alone, so nothing is sent, asked or bought a
//! second time while the first still runs. Never here: how an errand is run.

use crate::turn::Input;
use abi::{EffectId, event::Body};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// One errand; the same errand is never out twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Errand {
    /// A model call, and which attempt.
    Model(EffectId, u32),
    /// Have an effect done.
    Send(EffectId),
    /// Ask whether it was.
    Probe(EffectId),
}

impl Errand {
    /// The errand that this event ends.
    pub fn of(body: &Body) -> Option<Self> {
        match body {
            Body::ModelEnded { effect, attempt, .. } => Some(Self::Model(*effect, *attempt)),
            Body::EffectEnded { effect, .. } => Some(Self::Send(*effect)),
            Body::EffectProbed { effect, .. } => Some(Self::Probe(*effect)),
            _ => None,
        }
    }

    fn effect(self) -> EffectId {
        match self {
            Self::Model(effect, _) | Self::Send(effect) | Self::Probe(effect) => effect,
        }
    }
}

/// How far an errand is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Somebody works at it, or will.
    Out,
    /// What came of it waits to be decided.
    Back,
}

/// The errands of one workspace.
#[derive(Debug, Default)]
pub(crate) struct Away(BTreeMap<Errand, Stage>);

impl Away {
    /// It is handed out; false if it is away already, and must not be.
    pub fn leave(&mut self, errand: Errand) -> bool {
        if self.0.contains_key(&errand) {
            return false;
        }
        self.0.insert(errand, Stage::Out);
        true
    }

    /// What came of it stands in the inbox.
    pub fn back(&mut self, errand: Errand) {
        self.0.insert(errand, Stage::Back);
    }

    /// It is decided, or never will be.
    pub fn end(&mut self, errand: Errand) {
        self.0.remove(&errand);
    }

    /// Those whose outcome came back and stands nowhere any more were lost in a failure.
    pub fn miss(&mut self, inbox: &VecDeque<Input>) {
        let held: BTreeSet<Errand> = inbox.iter().filter_map(|input| Errand::of(&input.event.body)).collect();
        self.0.retain(|errand, stage| *stage == Stage::Out || held.contains(errand));
    }

    /// The effects that are away.
    pub fn effects(&self) -> Vec<EffectId> {
        let all: BTreeSet<EffectId> = self.0.keys().map(|errand| errand.effect()).collect();
        all.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::{
        Hash,
        event::{Event, Probed},
    };

    fn probed(effect: EffectId) -> Input {
        let body = Body::EffectProbed { effect, found: Probed::Unknown };
        Input { event: Event { at: 1, mono: 1, body }, blobs: Vec::new(), uploads: Vec::new(), looked: None }
    }

    #[test]
    fn an_errand_is_away_until_it_is_decided() {
        let (a, b) = (Hash::of(b"a"), Hash::of(b"b"));
        let mut away = Away::default();
        assert!(away.leave(Errand::Send(a)) && !away.leave(Errand::Send(a)));
        assert!(away.leave(Errand::Probe(b)) && away.leave(Errand::Model(b, 2)));
        assert_eq!(away.effects().len(), 2);
        away.back(Errand::Probe(b));
        away.back(Errand::Send(a));
        assert!(!away.leave(Errand::Send(a)), "its outcome is still to be decided");
        // What came back and is in no inbox is lost; what is still out is not.
        away.miss(&VecDeque::from([probed(b)]));
        assert!(
            away.leave(Errand::Send(a)) && !away.leave(Errand::Probe(b)) && !away.leave(Errand::Model(b, 2))
        );
        for errand in [Errand::Send(a), Errand::Probe(b), Errand::Model(b, 2)] {
            away.end(errand);
        }
        assert_eq!(away.effects(), []);
    }
}
