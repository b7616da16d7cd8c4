//! Capabilities: a resource pattern, rights, and an expiry. A child lies inside one parent, never a union.

use crate::{
    CapId, Error, Micros, Pid,
    net::{self, Hosts, Ports},
    path::Pattern,
};
use alloc::{format, string::String};
use core::fmt;
use musli::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// What may be done with a resource; a set of bits.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize,
)]
#[musli(transparent)]
#[serde(transparent)]
pub struct Rights(pub u16);

impl Rights {
    /// See the contents of a file.
    pub const READ: Self = Self(1);
    /// Change the contents of a file.
    pub const WRITE: Self = Self(1 << 1);
    /// Make a file, directory or link.
    pub const CREATE: Self = Self(1 << 2);
    /// Remove one.
    pub const REMOVE: Self = Self(1 << 3);
    /// See names.
    pub const LIST: Self = Self(1 << 4);
    /// Be told of changes.
    pub const WATCH: Self = Self(1 << 5);
    /// Run as a command.
    pub const EXEC: Self = Self(1 << 6);
    /// Have an effect carried out (the sink rules still decide).
    pub const APPLY: Self = Self(1 << 7);
    /// Ask for an effect; an operator decides.
    pub const ASK: Self = Self(1 << 8);
    /// Send to, call, spawn, or write the control file: whatever the resource is for.
    pub const USE: Self = Self(1 << 9);
    /// All of them.
    pub const ALL: Self = Self((1 << 10) - 1);
    /// What the word `read` grants.
    pub const READING: Self = Self(Self::READ.0 | Self::LIST.0 | Self::WATCH.0);
    /// What the word `write` grants.
    pub const WRITING: Self = Self(Self::WRITE.0 | Self::CREATE.0 | Self::REMOVE.0);

    const WORDS: [(Self, &'static str); 10] = [
        (Self::READ, "read"),
        (Self::WRITE, "write"),
        (Self::CREATE, "create"),
        (Self::REMOVE, "remove"),
        (Self::LIST, "list"),
        (Self::WATCH, "watch"),
        (Self::EXEC, "exec"),
        (Self::APPLY, "apply"),
        (Self::ASK, "ask"),
        (Self::USE, "use"),
    ];

    /// Whether all of `other` are in here.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// In either.
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// In both.
    pub fn meet(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// In this one only.
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// None at all.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for (right, word) in Self::WORDS {
            if self.contains(right) {
                out.write_str(if first { "" } else { "," })?;
                out.write_str(word)?;
                first = false;
            }
        }
        Ok(())
    }
}

/// What a capability is about. `chan` joins with the calls that use it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Object {
    /// Files whose path matches.
    Fs(Pattern),
    /// Models whose name matches.
    Model(Pattern),
    /// Agents that may be spawned or dispatched to.
    Spawn(Pattern),
    /// Effects of a mount and kind.
    Effect {
        /// Which mounts.
        mount: Pattern,
        /// Which kinds, as `mail.send`.
        kind: Pattern,
    },
    /// Control files whose path matches.
    Admin(Pattern),
    /// Hosts that programs may speak to: `read` what only looks, `write` all else, both what nobody looks
    /// into; with `apply`, an operator has said so of this very process, and is not asked again.
    Net {
        /// Which.
        hosts: Hosts,
        /// At which ports.
        ports: Ports,
    },
    /// A secret that is put into requests to a host, over TLS, by the name it is kept under.
    Secret {
        /// Which.
        name: Pattern,
        /// Where it may go: one host, but for the workspace's own.
        hosts: Hosts,
        /// There.
        ports: Ports,
    },
}

impl Object {
    /// Whether everything `other` names is named by this one.
    pub fn includes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Fs(outer), Self::Fs(inner))
            | (Self::Model(outer), Self::Model(inner))
            | (Self::Spawn(outer), Self::Spawn(inner))
            | (Self::Admin(outer), Self::Admin(inner)) => outer.includes(inner),
            (Self::Effect { mount: m, kind: k }, Self::Effect { mount, kind }) => {
                m.includes(mount) && k.includes(kind)
            }
            (Self::Net { hosts: h, ports: p }, Self::Net { hosts, ports }) => {
                h.includes(hosts) && p.includes(*ports)
            }
            (Self::Secret { name: n, hosts: h, ports: p }, Self::Secret { name, hosts, ports }) => {
                n.includes(name) && h.includes(hosts) && p.includes(*ports)
            }
            (Self::Fs(_) | Self::Model(_) | Self::Spawn(_) | Self::Effect { .. }, _) => false,
            (Self::Admin(_) | Self::Net { .. } | Self::Secret { .. }, _) => false,
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fs(pattern) => write!(out, "fs {pattern}"),
            Self::Model(pattern) => write!(out, "model {pattern}"),
            Self::Spawn(pattern) => write!(out, "spawn {pattern}"),
            Self::Effect { mount, kind } => write!(out, "effect {mount} {kind}"),
            Self::Admin(pattern) => write!(out, "admin {pattern}"),
            Self::Net { hosts, ports } => write!(out, "net {}", net::words(hosts, *ports)),
            Self::Secret { name, hosts, ports } => write!(out, "secret {name} {}", over_tls(hosts, *ports)),
        }
    }
}

/// A host at the port of the web over TLS is its name alone.
fn over_tls(hosts: &Hosts, ports: Ports) -> String {
    match (hosts, ports) {
        (Hosts::One(host), Ports::One(443)) => String::from(host.as_str()),
        _ => net::words(hosts, ports),
    }
}

/// What is asked for or granted, before it is a node of the tree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
pub struct Grant {
    /// What it is about.
    pub object: Object,
    /// What may be done.
    pub rights: Rights,
    /// When it ends; wall time.
    #[serde(default)]
    pub expires: Option<Micros>,
}

impl Grant {
    /// One that never ends.
    pub fn new(object: Object, rights: Rights) -> Self {
        Self { object, rights, expires: None }
    }

    /// Whether everything that `other` allows at any time is allowed by this one.
    pub fn includes(&self, other: &Self) -> bool {
        let lasts = match (self.expires, other.expires) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(mine), Some(theirs)) => theirs <= mine,
        };
        lasts && self.rights.contains(other.rights) && self.object.includes(&other.object)
    }

    /// The part of both, where one's object lies inside the other's.
    pub fn meet(&self, other: &Self) -> Option<Self> {
        let object = if self.object.includes(&other.object) {
            other.object.clone()
        } else if other.object.includes(&self.object) {
            self.object.clone()
        } else {
            return None;
        };
        let rights = self.rights.meet(other.rights);
        let expires = [self.expires, other.expires].into_iter().flatten().min();
        (!rights.is_empty()).then_some(Self { object, rights, expires })
    }

    /// The words of which this was made; of what no words make, object and rights.
    pub fn words(&self) -> String {
        let verb = match (&self.object, self.rights) {
            (Object::Fs(_), Rights::READING) => "read",
            (Object::Fs(_), Rights::WRITING) => "write",
            (Object::Effect { .. }, Rights::ASK) => "ask",
            (Object::Effect { .. }, rights) if rights == Rights::APPLY.union(Rights::ASK) => "apply",
            (Object::Model(_) | Object::Spawn(_), Rights::USE) => "",
            (Object::Secret { .. }, rights) if rights.without(Rights::APPLY) == Rights::USE => "",
            (Object::Net { .. }, rights) => match rights.without(Rights::APPLY) {
                Rights::READ => " read",
                Rights::WRITE => " write",
                rights if rights == Rights::READ.union(Rights::WRITE) => "",
                _ => return format!("{self}"),
            },
            _ => return format!("{self}"),
        };
        let any = |word: &Pattern| String::from(if word.as_str() == "*" { "any" } else { word.as_str() });
        match &self.object {
            Object::Fs(pattern) => format!("{verb} {pattern}"),
            Object::Effect { mount, kind } if mount.as_str() == "*" => format!("{verb} {}", any(kind)),
            Object::Effect { mount, kind } => format!("{verb} {mount} {kind}"),
            Object::Model(name) => format!("model {}", any(name)),
            Object::Spawn(name) => format!("spawn {}", any(name)),
            Object::Admin(_) => format!("{self}"),
            Object::Net { hosts, ports } => format!("net {}{verb}", net::words(hosts, *ports)),
            Object::Secret { .. } => format!("{}", self.object),
        }
    }

    /// Parses the words of `needs` and of policy: `read /data/**`, `write /data/x`, `ask mail.send`,
    /// `apply mail.send`, `model any`, `spawn triage`, `net HOST`, `net github read`, `secret NAME HOST`.
    pub fn parse(words: &str) -> Result<Self, Error> {
        let bad = || {
            Error::invalid("needs", format!("{words:?} is not a need")).hint(
                "read PATH, write PATH, exec [PATH], apply KIND, ask KIND, model NAME, spawn AGENT, net HOST, \
                 secret NAME HOST",
            )
        };
        // Programs are run in a directory; without one, in any.
        let exec = |pattern| Self::new(Object::Fs(pattern), Rights::EXEC);
        if words.trim() == "exec" {
            return Ok(exec(Pattern::everything()));
        }
        let (verb, rest) = words.trim().split_once(' ').ok_or_else(bad)?;
        let rest = rest.trim();
        let any = |text: &str| Pattern::word(if text == "any" { "*" } else { text });
        let effect = |rights| {
            let (mount, kind) = rest.split_once(' ').unwrap_or(("*", rest));
            let object = Object::Effect { mount: Pattern::word(mount)?, kind: Pattern::word(kind)? };
            Ok(Self::new(object, rights))
        };
        match verb {
            "read" => Ok(Self::new(Object::Fs(Pattern::parse(rest)?), Rights::READING)),
            "write" => Ok(Self::new(Object::Fs(Pattern::parse(rest)?), Rights::WRITING)),
            "exec" => Ok(exec(Pattern::parse(rest)?)),
            "apply" => effect(Rights::APPLY.union(Rights::ASK)),
            "ask" => effect(Rights::ASK),
            "model" => Ok(Self::new(Object::Model(any(rest)?), Rights::USE)),
            "net" => {
                let (hosts, rights) = match rest.split_once(' ').map(|(hosts, word)| (hosts, word.trim())) {
                    None => (rest, Rights::READ.union(Rights::WRITE)),
                    Some((hosts, "read")) => (hosts, Rights::READ),
                    Some((hosts, "write")) => (hosts, Rights::WRITE),
                    Some(_) => return Err(bad()),
                };
                let (hosts, ports) = net::parse(hosts)?;
                Ok(Self::new(Object::Net { hosts, ports }, rights))
            }
            "spawn" => Ok(Self::new(Object::Spawn(any(rest)?), Rights::USE)),
            "secret" => {
                let (name, host) = rest.split_once(' ').ok_or_else(bad)?;
                let name = Pattern::word(&crate::wire::word("needs", name)?)?;
                let (hosts, ports) = match net::parse(host.trim())? {
                    (hosts @ Hosts::One(_), Ports::Web) => (hosts, Ports::One(443)),
                    (hosts @ Hosts::One(_), Ports::One(port)) => (hosts, Ports::One(port)),
                    _ => return Err(bad()),
                };
                Ok(Self::new(Object::Secret { name, hosts, ports }, Rights::USE))
            }
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {{{}}}", self.object, self.rights)
    }
}

/// A node of the derivation tree.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Cap {
    /// Its name.
    pub id: CapId,
    /// The one it lies inside; the workspace's roots have none.
    pub parent: Option<CapId>,
    /// Who holds it.
    pub holder: Pid,
    /// What it allows.
    pub grant: Grant,
}

/// Names of principals are `operator:NAME`, `agent:NAME`, `mount:NAME`, `system:NAME`.
pub type Principal = String;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_are_words() {
        assert_eq!(Grant::parse("read /a/**").unwrap().rights, Rights::READING);
        assert_eq!(Grant::parse("exec").unwrap(), Grant::parse("exec /**").unwrap());
        assert!(!Grant::parse("exec /a/**").unwrap().includes(&Grant::parse("read /a/b").unwrap()));
        assert!(
            Grant::parse("apply mail.send").unwrap().includes(&Grant::parse("ask outbox mail.send").unwrap())
        );
        assert!(!Grant::parse("ask mail.send").unwrap().includes(&Grant::parse("apply mail.send").unwrap()));
        for bad in ["", "read", "fly /x", "read x", "write /a*b", "ask ", "secret gh", "secret * a.example"]
            .into_iter()
            .chain([
                "secret gh *",
                "secret gh *.a.example",
                "secret gh npm",
                "secret gh private",
                "secret gh a:*",
            ])
        {
            assert!(Grant::parse(bad).is_err(), "{bad:?} must be refused");
        }
    }

    #[test]
    fn a_grant_is_its_words() {
        for words in
            ["read /a/**", "write /a", "apply mail.send", "ask outbox mail.send", "ask any", "model any"]
                .into_iter()
                .chain([
                    "net a.example",
                    "net github read",
                    "net * write",
                    "net private",
                    "net [::1]:80 read",
                    "secret gh git.example",
                    "secret gh git.example:8443",
                ])
        {
            let asked = words.replace("ask any", "ask *");
            assert_eq!(Grant::parse(&asked).unwrap().words(), words);
        }
    }

    #[test]
    fn a_meet_lies_inside_both() {
        let (a, b) = (Grant::parse("write /data/**").unwrap(), Grant::parse("write /data/x").unwrap());
        assert_eq!(a.meet(&b), Some(b.clone()));
        assert_eq!(b.meet(&a), Some(b.clone()));
        assert_eq!(a.meet(&Grant::parse("read /data/x").unwrap()), None);
        assert_eq!(a.meet(&Grant::parse("write /home").unwrap()), None);
    }
}
