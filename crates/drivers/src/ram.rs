//! A store in memory. The template: the smallest complete driver, to copy from.
//!
//! A driver is four things, and this file shows each once:
//!  1. what it keeps between calls, behind a lock, since calls come from several threads;
//!  2. a manifest: the effects it can have, what consequence each has, and which arguments say where it goes;
//!  3. `poll` and `accept`: what has come in, offered again and again until it is durable in the tree;
//!  4. `send` and `probe`: an effect carried out once for an id, and whether it was.
//!
//! `ram.put {name, text}` keeps a text, which is then delivered as the file `/NAME`; `ram.remove {name}`
//! forgets it. What was delivered stays in the tree: a file there is the tree's, not the driver's.
//! Everything kept here is gone with the daemon; nothing here is ever written to disk or sent anywhere.

use crate::{Delivery, Mount, check, single};
use abi::event::Probed;
use abi::manifest::{Audience, Class, Kind, Manifest, Recovery};
use abi::{EffectId, call::Fields, label::Integrity, path::TreePath};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Texts kept at once, so that a program in a loop fills a table and not the memory.
const TEXTS_MAX: usize = 1024;

/// One text, and whether the tree has it.
struct Text {
    bytes: Vec<u8>,
    delivered: bool,
}

/// The driver.
pub struct Ram {
    /// By path. A lock, not a channel: every call is short and none waits for another while it holds it.
    texts: Mutex<BTreeMap<TreePath, Text>>,
}

impl Ram {
    /// An empty store.
    pub fn new() -> Self {
        Self { texts: Mutex::new(BTreeMap::new()) }
    }

    /// A thread that panicked while it held the lock left the map whole: each change of it is one insert or
    /// remove.
    fn texts(&self) -> MutexGuard<'_, BTreeMap<TreePath, Text>> {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a name is put. What comes from outside is checked by the words of `abi`, never by hand.
fn place(fields: &Fields) -> Result<TreePath, String> {
    let name = abi::wire::word("name", single(fields, "name")?).map_err(|error| error.message)?;
    TreePath::root().join(&name).map_err(|error| error.message)
}

impl Mount for Ram {
    fn manifest(&self) -> Manifest {
        // Reversible: only the operator sees it and `ram.remove` takes it back. Repeat: put twice is put
        // once. No steering arguments: nothing here reaches anybody else.
        let kind = |name: &str, payload: &[&str], undo: &str| Kind {
            payload: payload.iter().map(|name| (*name).to_owned()).collect(),
            undo: Some(undo.to_owned()),
            audience: Audience::Operator,
            answer: Some(Integrity::Workspace),
            ..Kind::new(name, Class::Reversible, Recovery::Repeat)
        };
        let put = kind("ram.put", &["name", "text"], "ram.remove");
        let kinds = vec![put, kind("ram.remove", &["name"], "ram.put")];
        Manifest { kinds, ..Manifest::default() }
    }

    fn poll(&self) -> Result<Vec<Delivery>, String> {
        let waiting = |(path, text): (&TreePath, &Text)| Delivery {
            key: path.name().to_owned(),
            path: path.clone(),
            bytes: text.bytes.clone(),
        };
        Ok(self.texts().iter().filter(|(_, text)| !text.delivered).map(waiting).collect())
    }

    fn accept(&self, delivery: &Delivery) {
        if let Some(text) = self.texts().get_mut(&delivery.path) {
            // Another text may have been put since: only the one that was accepted is delivered.
            text.delivered = text.bytes == delivery.bytes;
        }
    }

    fn send(&self, _: &EffectId, kind: &str, fields: &Fields) -> Result<Vec<u8>, String> {
        check(&self.manifest(), kind, fields)?;
        let path = place(fields)?;
        let mut texts = self.texts();
        if kind == "ram.remove" {
            let was = if texts.remove(&path).is_some() { "removed" } else { "was not there" };
            return Ok(format!("{}: {was}", path.name()).into_bytes());
        }
        let bytes = single(fields, "text")?.as_bytes().to_vec();
        if !texts.contains_key(&path) && texts.len() >= TEXTS_MAX {
            return Err(format!("{TEXTS_MAX} texts are kept already"));
        }
        let said = format!("{}: {} bytes kept", path.name(), bytes.len());
        texts.insert(path, Text { bytes, delivered: false });
        Ok(said.into_bytes())
    }

    fn probe(&self, _: &EffectId, kind: &str, fields: &Fields) -> Probed {
        let (Ok(()), Ok(path)) = (check(&self.manifest(), kind, fields), place(fields)) else {
            return Probed::Absent;
        };
        let kept = self.texts().contains_key(&path);
        if kept == (kind == "ram.put") {
            return Probed::Happened(abi::Content::of(b""));
        }
        Probed::Absent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(rows: &[(&str, &str)]) -> Fields {
        rows.iter().map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()])).collect()
    }

    #[test]
    fn what_is_put_is_delivered_until_accepted() {
        let ram = Ram::new();
        let id = EffectId::of(b"1");
        let put = fields(&[("name", "a.md"), ("text", "hello")]);
        let said = ram.send(&id, "ram.put", &put).unwrap();
        assert_eq!(String::from_utf8(said).unwrap(), "a.md: 5 bytes kept");
        let path = TreePath::parse("/a.md").unwrap();
        let want = Delivery { key: "a.md".to_owned(), path, bytes: b"hello".to_vec() };
        assert_eq!(ram.poll().unwrap(), vec![want.clone()]);
        assert_eq!(ram.poll().unwrap(), vec![want.clone()], "offered again until accepted");
        ram.accept(&want);
        assert_eq!(ram.poll().unwrap(), vec![]);
        ram.send(&id, "ram.remove", &fields(&[("name", "a.md")])).unwrap();
        assert_eq!(ram.probe(&id, "ram.put", &put), Probed::Absent);
    }

    #[test]
    fn bad_effects_are_refused() {
        let ram = Ram::new();
        for (kind, rows, want) in [
            ("ram.fly", vec![], "there is no effect \"ram.fly\" here; known: ram.put, ram.remove"),
            ("ram.remove", vec![("text", "x")], "ram.remove has no argument \"text\"; it takes name"),
            ("ram.put", vec![("name", "../x")], "\"../x\" is not a name"),
            ("ram.put", vec![("text", "x")], "\"\" is not a name"),
        ] {
            assert_eq!(ram.send(&EffectId::of(b"1"), kind, &fields(&rows)), Err(want.to_owned()));
        }
    }
}
