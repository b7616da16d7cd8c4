//! What a driver declares: its effects, and where what it delivers comes from. A mount is pinned to the
//! digest of the manifest it was mounted with; what that does not list does not exist there, unless it says
//! `open`.

use crate::{
    Code, Error, Hash,
    label::{Integrity, Readers},
    limits,
    path::Pattern,
};
use alloc::{borrow::Cow, format, string::String, vec, vec::Vec};
use musli::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// What kind of consequence an effect has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// None outside.
    Pure,
    /// Can be taken back by a declared call, and only the operator sees it.
    Reversible,
    /// Others see it, or it cannot be taken back.
    ExternalIrreversible,
    /// Changes credentials or account data.
    Account,
    /// Moves money.
    Money,
    /// Fetches what its one steering argument, a whole URL, names.
    Get,
}

impl Class {
    /// In words.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pure => "pure",
            Self::Reversible => "reversible",
            Self::ExternalIrreversible => "irreversible",
            Self::Account => "account",
            Self::Money => "money",
            Self::Get => "get",
        }
    }
}

/// What may be done when an effect's outcome is unknown after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Recovery {
    /// Run it again: doing it twice is doing it once.
    Repeat,
    /// Run it again with the same key; the other side drops the second.
    Keyed,
    /// Ask the other side whether it happened, then adopt or repeat.
    Probe,
    /// Nobody can know: hold it in doubt and ask the operator.
    Opaque,
}

/// Who comes to see an effect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Audience {
    /// Anybody may.
    #[default]
    Others,
    /// The operator alone.
    Operator,
    /// Whom these arguments name; when none of them is given, the operator alone.
    Named(Vec<String>),
}

/// One kind of effect of one driver.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Kind {
    /// As `mail.send`.
    pub name: String,
    /// Its consequence.
    pub class: Class,
    /// Arguments that say where it goes: receiver, host, thing booked or destroyed.
    pub steering: Vec<String>,
    /// All other arguments it takes.
    pub payload: Vec<String>,
    /// What to do after a crash.
    pub recovery: Recovery,
    /// The kind of this mount that takes it back: called with those of the effect's arguments that it takes,
    /// and with `effect` (its id) and `answer` (what was answered to it) where it takes these.
    #[musli(default)]
    #[serde(default)]
    pub undo: Option<String>,
    /// Who sees it.
    #[musli(default)]
    #[serde(default)]
    pub audience: Audience,
    /// Money: the argument that says how much.
    #[musli(default)]
    #[serde(default)]
    pub amount: Option<String>,
    /// Money: the argument that names the standing order or the like that it changes; with it, a payee or an
    /// amount that is not given stays what it is. Without it both are given.
    #[musli(default)]
    #[serde(default)]
    pub changes: Option<String>,
    /// Arguments that name what is attached.
    #[musli(default)]
    #[serde(default)]
    pub attachments: Vec<String>,
    /// How far what the other side answers can be trusted; none is external. The asker's label rises by it.
    #[musli(default)]
    #[serde(default)]
    pub answer: Option<Integrity>,
    /// How it is shown to who decides, with `{argument}` for values; what it leaves out is shown below it.
    #[musli(default)]
    #[serde(default)]
    pub template: String,
}

impl Kind {
    /// A kind with nothing but what every kind needs.
    pub fn new(name: &str, class: Class, recovery: Recovery) -> Self {
        Self {
            name: name.into(),
            class,
            steering: vec![],
            payload: vec![],
            recovery,
            undo: None,
            audience: Audience::Others,
            amount: None,
            changes: None,
            attachments: vec![],
            answer: None,
            template: String::new(),
        }
    }

    /// What a kind counts as that nobody declared: it cannot be taken back, nobody can know whether it
    /// happened, and every argument says where it goes.
    pub fn undeclared(name: &str, arguments: Vec<String>) -> Self {
        Self { steering: arguments, ..Self::new(name, Class::ExternalIrreversible, Recovery::Opaque) }
    }

    /// Every argument it takes.
    pub fn arguments(&self) -> impl Iterator<Item = &String> {
        self.steering.iter().chain(&self.payload)
    }
}

/// Where what a mount delivers comes from: the first row whose pattern matches.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Brings {
    /// Below the mount, as `/contacts/**`.
    pub pattern: Pattern,
    /// At most `workspace`.
    pub integrity: Integrity,
    /// Who may see it.
    #[musli(default)]
    #[serde(default)]
    pub readers: Readers,
    /// The operator's own directory there (contacts, members, payees): whole words of it vouch for receivers.
    /// Never anything that was filled from the body of a message.
    #[musli(default)]
    #[serde(default)]
    pub directory: bool,
}

/// All that one driver declares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Manifest {
    /// Its effects.
    pub kinds: Vec<Kind>,
    /// Labels of what it delivers; what no row matches is external.
    #[musli(default)]
    #[serde(default)]
    pub brings: Vec<Brings>,
    /// Whether it takes kinds that are not listed; they count as [`Kind::undeclared`].
    #[musli(default)]
    #[serde(default)]
    pub open: bool,
}

impl Manifest {
    /// The effect kind of this name.
    pub fn kind(&self, name: &str) -> Option<&Kind> {
        self.kinds.iter().find(|kind| kind.name == name)
    }

    /// The same, also of a kind that an open mount takes undeclared.
    pub fn kind_for(&self, name: &str, arguments: impl Iterator<Item = String>) -> Option<Cow<'_, Kind>> {
        match self.kind(name) {
            Some(kind) => Some(Cow::Borrowed(kind)),
            None if self.open => Some(Cow::Owned(Kind::undeclared(name, arguments.collect()))),
            None => None,
        }
    }

    /// The row for something it delivers.
    pub fn brings(&self, path: &str) -> Option<&Brings> {
        self.brings.iter().find(|row| row.pattern.matches(path))
    }

    /// The name of exactly this manifest.
    pub fn digest(&self) -> Hash {
        // Encoding into memory cannot fail.
        Hash::of_fields("manifest", &[&musli::wire::to_vec(self).unwrap_or_default()])
    }

    /// Refuses a manifest that contradicts itself: the table of sinks would trust what it says.
    pub fn lint(&self) -> Result<(), Error> {
        if self.kinds.len() > limits::KINDS_MAX || self.brings.len() > limits::KINDS_MAX {
            return Err(Error::new(Code::TooLarge, "a manifest has at most 256 kinds").argument("manifest"));
        }
        for (ix, kind) in self.kinds.iter().enumerate() {
            if self.kinds.iter().take(ix).any(|other| other.name == kind.name) {
                return Err(wrong(kind, "is declared twice", "declare it once"));
            }
            self.lint_kind(kind)?;
        }
        for row in &self.brings {
            let what = row.pattern.as_str();
            let bad = |said: &str, hint: &str| {
                Err(Error::invalid("manifest", format!("what is delivered at {what} {said}")).hint(hint))
            };
            if row.integrity > Integrity::Workspace {
                return bad("says that it is the operator's", "at most workspace");
            }
            if row.directory && row.integrity != Integrity::Workspace {
                return bad("is a directory and external", "what vouches is at least workspace");
            }
        }
        Ok(())
    }

    fn lint_kind(&self, kind: &Kind) -> Result<(), Error> {
        crate::wire::word("manifest", &kind.name)?;
        let mut names: Vec<&String> = kind.arguments().collect();
        names.iter().try_for_each(|name| crate::wire::word("manifest", name).map(drop))?;
        let count = names.len();
        if count > limits::KINDS_MAX || kind.template.len() > limits::PATH_BYTES_MAX {
            return Err(wrong(kind, "is too large", "256 arguments, 4 KiB of template"));
        }
        names.sort_unstable();
        names.dedup();
        if names.len() != count {
            return Err(wrong(kind, "names an argument twice", "an argument steers or is payload"));
        }
        let takes = |name: &String| kind.arguments().any(|known| known == name);
        let steers = |name: &String| kind.steering.contains(name);
        let by = kind.undo.as_ref().map(|undo| self.kind(undo));
        if by.flatten().is_some_and(|by| matches!(by.class, Class::Money | Class::Account)) {
            return Err(wrong(
                kind,
                "is undone by money or account data",
                "nobody would be asked about that",
            ));
        }
        if by.is_some_and(|by| by.is_none()) {
            return Err(wrong(
                kind,
                "is undone by a kind that is not there",
                "undo names a kind of this mount",
            ));
        }
        if !kind.attachments.iter().chain(&kind.amount).chain(&kind.changes).all(takes) {
            return Err(wrong(kind, "has an amount or attachments it does not take", "name its arguments"));
        }
        match &kind.audience {
            Audience::Named(who) if who.is_empty() || !who.iter().all(steers) => {
                return Err(wrong(
                    kind,
                    "is seen by whom no steering argument names",
                    "who sees it steers it",
                ));
            }
            Audience::Others | Audience::Operator | Audience::Named(_) => {}
        }
        lint_class(kind)
    }
}

fn lint_class(kind: &Kind) -> Result<(), Error> {
    let (steers, named) = (!kind.steering.is_empty(), matches!(kind.audience, Audience::Named(_)));
    match kind.class {
        Class::Money | Class::Account if kind.recovery == Recovery::Repeat => {
            Err(wrong(kind, "would be done again after a crash", "recovery: keyed, probe or opaque"))
        }
        Class::Pure if !kind.attachments.is_empty() => {
            Err(wrong(kind, "is pure and attaches something", "what is attached is seen by others"))
        }
        Class::Pure if kind.undo.is_some() || named => {
            Err(wrong(kind, "is pure and has a consequence", "pure has no undo and no audience"))
        }
        Class::Reversible if kind.undo.is_none() => {
            Err(wrong(kind, "is reversible and nothing undoes it", "undo: NAME"))
        }
        Class::Reversible if kind.audience == Audience::Others => {
            Err(wrong(kind, "is reversible and others see it", "what was seen cannot be taken back"))
        }
        Class::ExternalIrreversible if kind.audience == Audience::Operator && kind.undo.is_some() => {
            Err(wrong(kind, "is irreversible and can be undone", "class: reversible"))
        }
        Class::Money if kind.amount.is_none() || !steers => {
            Err(wrong(kind, "moves money and does not say how much or to whom", "amount, steering"))
        }
        Class::Account if !steers => {
            Err(wrong(kind, "changes an account and nothing says to what", "its values steer"))
        }
        Class::Get if kind.steering.len() != 1 => {
            Err(wrong(kind, "fetches and is not steered by one URL", "one steering argument"))
        }
        Class::Pure
        | Class::Reversible
        | Class::ExternalIrreversible
        | Class::Account
        | Class::Money
        | Class::Get => Ok(()),
    }
}

fn wrong(kind: &Kind, said: &str, hint: &str) -> Error {
    let shown: String = kind.name.chars().take(limits::WORD_BYTES_MAX).collect();
    Error::invalid("manifest", format!("the kind {shown:?} {said}")).hint(hint)
}

#[cfg(test)]
mod tests;
