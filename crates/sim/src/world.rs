//! The world outside: mounts that keep a ledger of everything that was done to them, one for each recovery
//! class.
//!
//! | site   | doing it twice                                   | asked whether it happened |
//! | ------ | ------------------------------------------------ | ------------------------- |
//! | repeat | is doing it once                                 | does not know             |
//! | keyed  | the second of a key is dropped                   | does not know             |
//! | probe  | happens twice                                    | knows, but for a few      |
//! | opaque | happens twice                                    | does not know             |
//!
//! Whether a site refuses an effect depends on the effect's id alone, so a repetition meets the same answer.

use abi::{
    EffectId,
    call::Fields,
    event::Probed,
    manifest::{Audience, Class, Kind, Manifest, Recovery},
};
use drivers::{Delivery, Mount};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Names of the sites.
pub const SITES: [(&str, Recovery); 4] = [
    ("repeat", Recovery::Repeat),
    ("keyed", Recovery::Keyed),
    ("probe", Recovery::Probe),
    ("opaque", Recovery::Opaque),
];

/// What was done at a site under one effect id.
#[derive(Clone, Debug, Default)]
pub struct Deed {
    /// Times it was sent.
    pub sends: u32,
    /// Times it happened.
    pub happened: u32,
    /// Times it was sent with other arguments than the first.
    pub changed: u32,
    kind: String,
    fields: Fields,
}

/// A mount in memory.
pub struct Site {
    recovery: Recovery,
    deeds: Mutex<BTreeMap<EffectId, Deed>>,
}

impl Site {
    /// One at which nothing has happened.
    pub fn new(recovery: Recovery) -> Self {
        Self { recovery, deeds: Mutex::default() }
    }

    /// Everything that was done.
    pub fn deeds(&self) -> MutexGuard<'_, BTreeMap<EffectId, Deed>> {
        self.deeds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the other side will not do this one.
    pub fn refuses(effect: &EffectId) -> bool {
        effect.short().is_multiple_of(11)
    }
}

impl Mount for Site {
    fn manifest(&self) -> Manifest {
        let kind = |name: &str, class| Kind {
            steering: vec!["to".to_owned()],
            payload: vec!["body".to_owned()],
            ..Kind::new(name, class, self.recovery)
        };
        let put = Kind {
            undo: Some("note.put".to_owned()),
            audience: Audience::Operator,
            ..kind("note.put", Class::Reversible)
        };
        let kinds = vec![kind("mail.send", Class::ExternalIrreversible), put];
        Manifest { kinds, ..Manifest::default() }
    }

    fn poll(&self) -> Result<Vec<Delivery>, String> {
        Ok(Vec::new())
    }

    fn accept(&self, _: &Delivery) {}

    fn send(&self, effect: &EffectId, kind: &str, fields: &Fields) -> Result<Vec<u8>, String> {
        let mut deeds = self.deeds();
        let deed = deeds.entry(*effect).or_default();
        deed.sends += 1;
        if deed.sends == 1 {
            deed.kind = kind.to_owned();
            deed.fields = fields.clone();
        } else if deed.kind != kind || deed.fields != *fields {
            deed.changed += 1;
        }
        if Self::refuses(effect) {
            return Err("the other side will not".to_owned());
        }
        match self.recovery {
            Recovery::Repeat | Recovery::Keyed => deed.happened = 1,
            Recovery::Probe | Recovery::Opaque => deed.happened += 1,
        }
        Ok(b"done".to_vec())
    }

    fn probe(&self, effect: &EffectId, _: &str, _: &Fields) -> Probed {
        let happened = self.deeds().get(effect).is_some_and(|deed| deed.happened > 0);
        match (self.recovery, happened) {
            (Recovery::Probe, _) if effect.short().is_multiple_of(13) => Probed::Unknown,
            (Recovery::Probe, true) => Probed::Happened(abi::Content::of(b"")),
            (Recovery::Probe, false) => Probed::Absent,
            (Recovery::Repeat | Recovery::Keyed | Recovery::Opaque, _) => Probed::Unknown,
        }
    }
}
