//! What every call may answer: the one table, for the manual, the JSON schema and the clients in other
//! languages. Tests of the real daemon hold every answer they see against it.
//!
//! The words of the answers are made by [`crate::answer`] and, where bytes and records are filled in, by the
//! machine. An answer may be longer than the table by nothing: a key that is not here is a fault.

/// What stands under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// Text.
    Text,
    /// A whole number, not negative.
    Number,
    /// `true` or `false`.
    Flag,
    /// A list of text.
    Texts,
    /// A list of whole numbers.
    Numbers,
    /// An object, or text, as the log has it (docs/how/read-the-log.md).
    Logged,
    /// A list of such objects.
    LoggedRows,
    /// A list of pairs of numbers.
    Pairs,
    /// A list of objects of this form.
    Rows(&'static [Field]),
}

/// Whether a key is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum There {
    /// Always.
    Always,
    /// Always, and `null` when there is nothing.
    OrNull,
    /// Only when there is something to say.
    Sometimes,
}

/// One key of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What stands there.
    pub holds: Holds,
    /// Whether it is there.
    pub there: There,
    /// What it means.
    pub meaning: &'static str,
}

/// One form of answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// Its name.
    pub name: &'static str,
    /// Which calls may answer so.
    pub calls: &'static [&'static str],
    /// When.
    pub meaning: &'static str,
    /// Its keys.
    pub fields: &'static [Field],
}

const fn has(name: &'static str, holds: Holds, meaning: &'static str) -> Field {
    Field { name, holds, there: There::Always, meaning }
}

const fn null(name: &'static str, holds: Holds, meaning: &'static str) -> Field {
    Field { name, holds, there: There::OrNull, meaning }
}

const fn some(name: &'static str, holds: Holds, meaning: &'static str) -> Field {
    Field { name, holds, there: There::Sometimes, meaning }
}

const fn form(
    name: &'static str,
    calls: &'static [&'static str],
    meaning: &'static str,
    fields: &'static [Field],
) -> Form {
    Form { name, calls, meaning, fields }
}

const BELOW: Field =
    some("below", Holds::Number, "so many were left out: they lie below the caller's ceiling");
const HINT: Field = some("hint", Holds::Text, "what can be done about it");
const LABEL: Field = has("label", Holds::Text, "its label in words");
const ACTOR: Field = has("actor", Holds::Text, "who made it: a principal");
const MTIME: Field = has("mtime", Holds::Number, "when, in microseconds since 1970");
const NODE: Field = has("node", Holds::Text, "file, dir, link or gone");
const BYTES: Field = has("bytes", Holds::Number, "how long its content is");
const MODE: Field = has("mode", Holds::Number, "permission bits");
const OPERATION: Field = has("operation", Holds::Number, "the operation that undo takes back");
const PID: Field = has("pid", Holds::Number, "the process");
const PROPOSAL: Field = has("proposal", Holds::Number, "the proposal");
const MESSAGE: Field = has("message", Holds::Text, "in a sentence");
const TRUE: Holds = Holds::Flag;

const ENTRY: &[Field] = &[
    has("name", Holds::Text, "the name"),
    NODE,
    some("bytes", Holds::Number, "how long its content is"),
    some("mode", Holds::Number, "permission bits"),
    some("mtime", Holds::Number, "when, in microseconds since 1970"),
    some("version", Holds::Number, "the version at its head"),
    some("label", Holds::Text, "its label in words"),
    some("actor", Holds::Text, "who made it: a principal"),
];

const CHANGED: &[Field] = &[
    has("path", Holds::Text, "where"),
    has("change", Holds::Text, "new, changed, moved or removed"),
    has("version", Holds::Number, "its version"),
];

const CLASH: &[Field] = &[has("path", Holds::Text, "where"), MESSAGE];

const VERSION: &[Field] = &[
    has("version", Holds::Number, "the version"),
    has("file", Holds::Number, "the file, whatever it is called"),
    NODE,
    BYTES,
    has("hash", Holds::Text, "BLAKE3 of its content"),
    MODE,
    MTIME,
    LABEL,
    ACTOR,
    has("pid", Holds::Number, "as which process"),
    OPERATION,
    has("seq", Holds::Number, "the record that made it"),
    has("diverged", Holds::Flag, "kept beside the head, unresolved"),
    has("parents", Holds::Numbers, "the versions it was made from"),
    null("message", Holds::Text, "why, as its author said"),
    null("path", Holds::Text, "where it stood"),
];

const HIT: &[Field] = &[
    has("path", Holds::Text, "where"),
    has("version", Holds::Number, "the version that was looked at"),
    has("file", Holds::Number, "the file, whatever it is called"),
    LABEL,
    ACTOR,
    MTIME,
    has("snippet", Holds::Text, "a line around what was found"),
    has("marks", Holds::Pairs, "begin and end of each word in the snippet, in bytes"),
];

/// Every form. Of the forms of a call, the first whose keys are all there is the one.
pub const FORMS: &[Form] = &[
    form(
        "listed",
        &["list"],
        "the names of a directory",
        &[
            has("entries", Holds::Rows(ENTRY), "each name with what it is"),
            some("more", TRUE, "the listing was cut"),
            BELOW,
            HINT,
        ],
    ),
    form(
        "contents",
        &["read"],
        "the bytes of a file that has versions",
        &[
            has("version", Holds::Number, "the version that was read"),
            NODE,
            BYTES,
            MODE,
            MTIME,
            LABEL,
            ACTOR,
            some("text", Holds::Text, "the bytes, if they are text"),
            some("base64", Holds::Text, "the bytes, if they are not"),
        ],
    ),
    form(
        "rendered",
        &["read"],
        "a file that is made when it is read",
        &[
            some("bytes", Holds::Number, "how long the content is"),
            some("text", Holds::Text, "the text"),
            some("base64", Holds::Text, "the bytes, if they are no text"),
        ],
    ),
    form(
        "merged",
        &["write", "move", "remove"],
        "it had changed meanwhile, and both changes went together",
        &[
            has("merged", TRUE, "true"),
            OPERATION,
            has("version", Holds::Number, "the new head, made of both"),
            has("ours", Holds::Number, "the version of your text"),
            has("theirs", Holds::Number, "the head before"),
            has("path", Holds::Text, "where"),
            MESSAGE,
        ],
    ),
    form(
        "diverged",
        &["write", "move", "remove"],
        "it had changed meanwhile; yours is kept beside it and waits to be resolved",
        &[
            has("code", Holds::Text, "Conflict"),
            MESSAGE,
            OPERATION,
            has("base", Holds::Number, "the version it was made from"),
            has("ours", Holds::Number, "the version of your text"),
            has("theirs", Holds::Number, "the head"),
        ],
    ),
    form(
        "wrote",
        &["write", "move", "remove"],
        "the tree changed",
        &[OPERATION, has("version", Holds::Number, "the new version"), has("path", Holds::Text, "where")],
    ),
    form(
        "same",
        &["write", "move", "remove"],
        "it was so already; nothing was written",
        &[has("version", Holds::Number, "the version that stands"), has("unchanged", TRUE, "true")],
    ),
    form(
        "upload",
        &["write"],
        "bytes may be uploaded, or so many are there so far",
        &[
            has("upload", Holds::Number, "the upload, on this connection"),
            some("bytes", Holds::Number, "so many bytes are there"),
        ],
    ),
    form(
        "undone",
        &["write"],
        "mode restore: what was taken back, and what was not",
        &[
            null("operation", Holds::Number, "the operation that took it back, if anything was"),
            has("restored", Holds::Texts, "paths that are as before"),
            has("left", Holds::Texts, "paths that somebody has changed since"),
            has("merged", Holds::Texts, "taken back from under later changes, which stay"),
            has("diverged", Holds::Texts, "what stood before is kept beside what contradicts it"),
        ],
    ),
    form(
        "purged",
        &["write"],
        "to /sys/ctl: bytes were destroyed",
        &[
            null("operation", Holds::Number, "the operation that says so, if there was a file"),
            has("versions", Holds::Number, "so many versions"),
            has("bytes", Holds::Number, "bytes of their contents"),
            has("kept", Holds::Texts, "other paths that hold some of the same bytes"),
        ],
    ),
    form(
        "checked",
        &["write"],
        "mode check: what it would change, one line a thing",
        &[has("text", Holds::Text, "the lines")],
    ),
    form(
        "found",
        &["search"],
        "what was found, best first",
        &[
            has("hits", Holds::Rows(HIT), "the files"),
            null("label", Holds::Text, "that of all hits together"),
            has("indexed", Holds::Number, "the record up to which the index has come"),
            has("seq", Holds::Number, "the last record"),
            has("cut", Holds::Flag, "there may be more"),
        ],
    ),
    form(
        "versions",
        &["history"],
        "versions, newest first",
        &[has("versions", Holds::Rows(VERSION), "each with who, when and from what"), BELOW, HINT],
    ),
    form(
        "spawned",
        &["spawn", "dispatch", "write"],
        "the process began",
        &[PID, has("withheld", Holds::Texts, "needs of the agent that policy did not grant")],
    ),
    form(
        "ended",
        &["wait"],
        "the process has ended",
        &[
            PID,
            has("exit", Holds::Logged, "how: exited, killed or faulted"),
            has("verdict", Holds::Text, "done, failed or unverified"),
            null("result", Holds::Logged, "hash and length of its last words"),
            some("text", Holds::Text, "its last words"),
        ],
    ),
    form(
        "ruled",
        &["wait", "decide"],
        "the proposal was decided",
        &[
            PROPOSAL,
            has("state", Holds::Text, "approved, rejected, expired, answered or modified"),
            some("answer", Holds::Text, "to a question; why it was rejected; what was done instead"),
        ],
    ),
    form(
        "previewed",
        &["decide"],
        "modify without a digest: what would be done; nothing is decided",
        &[
            PROPOSAL,
            has("args", Holds::Logged, "all arguments, each a list of text"),
            has("shown", Holds::Text, "what the kernel shows of them"),
            has("digest", Holds::Text, "what decides them: 64 hexadecimal digits"),
            has("pages", Holds::Number, "pages that it takes"),
        ],
    ),
    form(
        "ran",
        &["exec"],
        "the command ended",
        &[
            has("exec", Holds::Number, "its number"),
            has(
                "status",
                Holds::Number,
                "as a shell has it: 128 and the number of the signal, 124: too long",
            ),
            has("how", Holds::Text, "the same in words"),
            has("wall", Holds::Text, "in which wall it ran: shell or native"),
            has(
                "output",
                Holds::Text,
                "what it said, both streams as they came; a long one without its middle",
            ),
            has("bytes", Holds::Number, "bytes that it said"),
            some("whole", Holds::Text, "BLAKE3 of all that, if it is more"),
            has("kept", Holds::Flag, "whether what it changed is kept: all of it, or nothing"),
            some("operation", Holds::Number, "the operation that undo takes back"),
            has("changed", Holds::Rows(CHANGED), "what it changed; the first of it"),
            some("more", Holds::Number, "so many more"),
            some("conflicts", Holds::Rows(CLASH), "where somebody else had changed the same: both are kept"),
            has("used", Holds::Logged, "wall_us, cpu_us, memory_bytes"),
        ],
    ),
    form(
        "kept",
        &["write"],
        "keep, of a draft: what came of it",
        &[
            some("operation", Holds::Number, "the operation that undo takes back; none if all of it stood"),
            has("changed", Holds::Rows(CHANGED), "what it changed; the first of it"),
            some("more", Holds::Number, "so many more"),
            some(
                "conflicts",
                Holds::Rows(CLASH),
                "where others had changed the same: merged, or both are kept",
            ),
        ],
    ),
    form("timed_out", &["wait"], "the time is over", &[has("timed_out", TRUE, "true")]),
    form(
        "queued",
        &["dispatch", "write"],
        "it waits in the agent's lane",
        &[has("queued", Holds::Number, "at this place; 1 is next")],
    ),
    form(
        "completed",
        &["complete"],
        "the model answered",
        &[
            has("answer", Holds::Logged, "hash and length of the answer"),
            has("usage", Holds::Logged, "tokens that were charged"),
            some("text", Holds::Text, "what it said"),
        ],
    ),
    form(
        "held",
        &["propose", "write", "move", "remove", "decide", "complete", "spawn", "dispatch"],
        "it waits for an operator's decision",
        &[has("held", TRUE, "true"), PROPOSAL, has("rule", Holds::Logged, "by which rule"), MESSAGE],
    ),
    form(
        "effected",
        &["propose", "decide", "write"],
        "the effect happened, or failed",
        &[
            has("effect", Holds::Text, "its name: 64 hexadecimal digits"),
            has("done", Holds::Flag, "whether it happened"),
            has("outcome", Holds::Logged, "hash and length of what the other side said"),
            some("text", Holds::Text, "what the other side said"),
        ],
    ),
    form("granted", &["grant"], "the capability was given", &[has("cap", Holds::Number, "its id")]),
    form(
        "revoked",
        &["revoke"],
        "it was taken back",
        &[has("revoked", Holds::Number, "so many, with those below")],
    ),
    form(
        "records",
        &["trace"],
        "records of the log",
        &[
            has("records", Holds::LoggedRows, "each as the log has it, with its label and texts in words"),
            some("next", Holds::Number, "where to go on: from"),
            some("cut", Holds::Flag, "why: there are more"),
        ],
    ),
    form(
        "done",
        &["write", "signal", "decide", "dispatch", "move", "remove", "propose"],
        "done, nothing to say",
        &[has("ok", TRUE, "true")],
    ),
];

/// The forms of a call.
pub fn forms(call: &str) -> impl Iterator<Item = &'static Form> {
    FORMS.iter().filter(move |form| form.calls.contains(&call))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::CALLS;

    #[test]
    fn every_served_call_has_a_form_and_every_form_a_call() {
        for spec in CALLS.iter().filter(|spec| spec.served) {
            assert!(forms(spec.name).next().is_some(), "{} answers nothing", spec.name);
        }
        for call in FORMS.iter().flat_map(|form| form.calls) {
            assert!(CALLS.iter().any(|spec| spec.name == *call && spec.served), "{call}");
        }
    }
}
