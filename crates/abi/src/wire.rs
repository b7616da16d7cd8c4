//! The one decoder of calls: what a client sends over the socket and what a model writes as a tool call pass
//! through the same function. Everything is bounded and checked against the table in `call`.
//!
//! The wire is JSON-RPC 2.0, one message a line (docs/how/speak-to-the-socket.md). Values are
//! `"text": "…"` or `"base64": "…"`, at most 1 MiB.

use crate::{
    CapId, Content, Error, LabelId, OpId, Pid, ProposalId, Seq, VersionId,
    agent::{Given, Postcondition},
    call::{
        self, At, Call, Fields, Lane, Origin, Part, ProcessKind, Ruling, Shape, Sought, Spec, Stdio, Subject,
        Take, Text, Undo, Wall, Write,
    },
    cap::Grant,
    control,
    label::Integrity,
    limits,
    path::TreePath,
    query::Query,
};
use alloc::{borrow::ToOwned, boxed::Box, format, string::String, string::ToString, vec, vec::Vec};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

/// A call and the bytes it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The call, with hashes in place of bytes.
    pub call: Call,
    /// The bytes.
    pub blobs: Vec<Vec<u8>>,
    /// What the door does with an upload first.
    pub upload: Option<Upload>,
}

/// A call that needs an upload of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upload {
    /// The one blob is the next part of it; the call goes no further.
    Part(u64),
    /// The written content is what was uploaded.
    Whole(u64),
}

/// Decodes a call by name. Unknown names, unknown or missing arguments and wrong shapes are `Invalid` and
/// name the nearest known word.
pub fn decode(name: &str, params: Value) -> Result<Decoded, Error> {
    let spec = call::spec(name).ok_or_else(|| {
        let names: Vec<&str> = call::CALLS.iter().map(|spec| spec.name).collect();
        let shown: String = name.chars().take(64).collect();
        Error::invalid("method", format!("there is no call {shown:?}")).hint(nearest_hint(name, &names))
    })?;
    if !spec.served {
        return Err(call::unavailable(spec));
    }
    let mut args = Args::new(spec, params)?;
    let call = args.call()?;
    Ok(Decoded { call, blobs: args.blobs, upload: args.upload })
}

/// Whether JSON is nested deeper than so many levels; looked at before it is parsed, byte by byte.
pub fn deeper_than(json: &[u8], levels: usize) -> bool {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in json {
        match (quoted, escaped, byte) {
            (true, true, _) => escaped = false,
            (true, false, b'\\') => escaped = true,
            (_, false, b'"') => quoted = !quoted,
            (false, _, b'[' | b'{') => depth += 1,
            (false, _, b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > levels {
            return true;
        }
    }
    false
}

/// Bytes as base64 (RFC 4648, with padding), for values that are not UTF-8.
pub fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The bytes of such a text.
pub fn from_base64(argument: &str, text: &str) -> Result<Vec<u8>, Error> {
    STANDARD.decode(text).map_err(|_| Error::invalid(argument, "not base64 (RFC 4648, with padding)"))
}

/// Checks a name: letters, digits, `.`, `_`, `-`, not longer than 64 bytes.
pub fn word(argument: &str, text: &str) -> Result<String, Error> {
    let ok = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if text.is_empty()
        || text.len() > limits::WORD_BYTES_MAX
        || !text.chars().all(ok)
        || text.starts_with('.')
    {
        let shown: String = text.chars().take(64).collect();
        return Err(Error::invalid(argument, format!("{shown:?} is not a name"))
            .hint("letters, digits, . _ - and at most 64 of them"));
    }
    Ok(text.to_owned())
}

/// A hint with the known word nearest to the one that is not known.
pub fn nearest_hint(unknown: &str, known: &[&str]) -> String {
    let unknown: String = unknown.chars().take(64).collect();
    let best = known.iter().map(|word| (distance(&unknown, word), *word)).min();
    match best {
        Some((away, word)) if away <= 3 => format!("did you mean {word}?"),
        _ => format!("known: {}", known.join(" ")),
    }
}

/// Edit distance (Levenshtein) of two short words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut last = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (y, above) in b.iter().zip(row.iter().skip(1)) {
            let cost = (last + usize::from(x != *y)).min(left + 1).min(above + 1);
            last = *above;
            left = cost;
            next.push(cost);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

/// The arguments of one call while they are taken out.
struct Args {
    spec: &'static Spec,
    map: Map<String, Value>,
    blobs: Vec<Vec<u8>>,
    upload: Option<Upload>,
}

impl Args {
    fn new(spec: &'static Spec, params: Value) -> Result<Self, Error> {
        let map = match params {
            Value::Object(map) => map,
            Value::Null => Map::new(),
            _ => return Err(Error::invalid("params", "arguments are an object")),
        };
        let mut known: Vec<&str> = spec.params.iter().map(|param| param.name).collect();
        if spec.params.iter().any(|param| param.shape == Shape::Value) {
            known.push("base64");
        }
        for key in map.keys() {
            if !known.contains(&key.as_str()) {
                let shown: String = key.chars().take(64).collect();
                return Err(Error::invalid(&shown, format!("{} has no argument {shown:?}", spec.name))
                    .hint(nearest_hint(key, &known)));
            }
        }
        for param in spec.params.iter().filter(|param| param.required) {
            let here = map.contains_key(param.name) || (param.name == "text" && map.contains_key("base64"));
            if !here {
                let message = format!("{} needs {}: {}", spec.name, param.name, param.meaning);
                return Err(Error::invalid(param.name, message));
            }
        }
        Ok(Self { spec, map, blobs: Vec::new(), upload: None })
    }

    fn call(&mut self) -> Result<Call, Error> {
        match self.spec.name {
            "list" => Ok(Call::List { path: self.path("path")?, at: self.at()? }),
            "read" => self.read(),
            "search" => self.search(),
            "write" => self.write(),
            "move" => Ok(Call::Move {
                from: self.path("from")?,
                to: self.path("to")?,
                base: self.number("base")?.map(VersionId),
            }),
            "remove" => Ok(Call::Remove {
                path: self.path("path")?,
                base: self.number("base")?.map(VersionId),
                tree: self.flag("tree")?,
            }),
            "history" => self.history(),
            "spawn" => self.spawn(),
            "wait" => self.wait(),
            "signal" => Ok(Call::Signal {
                pid: Pid(self.must("pid")?),
                signal: control::signal(&self.name("signal")?)?,
            }),
            "dispatch" => self.dispatch(),
            "exec" => self.exec(),
            "complete" => Ok(Call::Complete {
                model: self.model()?,
                text: self.text()?,
                max_out: self.number("max_out")?.unwrap_or(limits::OUTPUT_STEP_TOKENS),
                request: None,
            }),
            "propose" => Ok(Call::Propose {
                mount: self.name("mount")?,
                kind: self.name("kind")?,
                fields: self.fields("args")?,
            }),
            "decide" => self.decide(),
            "grant" => Ok(Call::Grant {
                pid: Pid(self.must("pid")?),
                grant: Grant::parse(&self.string("need")?.unwrap_or_default())?,
                expires_us: self.number("expires_ms")?.map(|ms| ms.saturating_mul(1000)),
            }),
            "revoke" => Ok(Call::Revoke { cap: CapId(self.must("cap")?) }),
            "trace" => self.trace(),
            _ => Err(call::unavailable(self.spec)),
        }
    }

    fn at(&mut self) -> Result<Option<At>, Error> {
        match (self.number("at")?, self.number("at_us")?) {
            (None, None) => Ok(None),
            (Some(seq), None) => Ok(Some(At::Seq(Seq(seq)))),
            (None, Some(time)) => Ok(Some(At::Time(time))),
            (Some(_), Some(_)) => Err(Error::invalid("at", "at and at_us say two moments; give one")),
        }
    }

    fn read(&mut self) -> Result<Call, Error> {
        let (path, at) = (self.path("path")?, self.at()?);
        let version = self.number("version")?.map(VersionId);
        if at.is_some() && version.is_some() {
            return Err(Error::invalid("version", "at and version say two things to read; give one"));
        }
        let (offset, length) = (self.number("offset")?, self.number("length")?);
        let most = limits::VALUE_BYTES_MAX as u64;
        let part = Part { offset: offset.unwrap_or(0), length: length.unwrap_or(most).min(most) };
        let part = (offset.is_some() || length.is_some()).then_some(part);
        Ok(Call::Read { path, at, version, part })
    }

    fn search(&mut self) -> Result<Call, Error> {
        let query = self.string("query")?.unwrap_or_default();
        Query::parse(&query)?;
        let path = if self.map.contains_key("path") { Some(self.path("path")?) } else { None };
        let label = self.integrity("label")?;
        let author = self.string("author")?;
        let (since, until) = (self.number("since_us")?, self.number("until_us")?);
        let at = self.at()?;
        let limit = if self.map.contains_key("limit") { self.limit()? } else { limits::HITS_DEFAULT };
        let limit = limit.min(limits::HITS_MAX);
        Ok(Call::Search(Sought { query, path, author, label, since, until, at, limit }))
    }

    fn history(&mut self) -> Result<Call, Error> {
        if let Some(op) = self.number("operation")? {
            if self.map.contains_key("path") || self.map.contains_key("before") {
                return Err(Error::invalid("operation", "history takes a path or an operation"));
            }
            return Ok(Call::Operation { op: OpId(op), limit: self.limit()? });
        }
        if !self.map.contains_key("path") {
            return Err(Error::invalid("path", "history needs a path or an operation"));
        }
        let before = self.number("before")?.map(VersionId);
        Ok(Call::History { path: self.path("path")?, before, limit: self.limit()? })
    }

    fn trace(&mut self) -> Result<Call, Error> {
        if let Some(subject) = self.string("why")? {
            return Ok(Call::Why(subject_of(&subject)?));
        }
        Ok(Call::Trace {
            from: Seq(self.number("from")?.unwrap_or(0)),
            limit: self.limit()?,
            pid: self.number("pid")?.map(Pid),
            follow: self.flag("follow")?,
        })
    }

    fn resolve(&mut self) -> Result<Write, Error> {
        let take = match self.string("take")?.as_deref() {
            Some("ours") => Take::Ours,
            Some("theirs") => Take::Theirs,
            Some("text") => Take::Text(self.blob("text")?),
            _ => return Err(Error::invalid("take", "take is ours, theirs or text")),
        };
        Ok(Write::Resolve { version: VersionId(self.must("version")?), take })
    }

    fn write(&mut self) -> Result<Call, Error> {
        let path = self.path("path")?;
        if control::is_control(&path) {
            let bytes = self.value("text")?.unwrap_or_default();
            let text =
                String::from_utf8(bytes).map_err(|_| Error::invalid("text", "control words are text"))?;
            return Ok(Call::Control { word: control::parse(&path, &text)?, path });
        }
        let mode = self.string("mode")?.unwrap_or_else(|| "whole".to_owned());
        let write = match mode.as_str() {
            "whole" => {
                let mode = if self.flag("exec")? { 0o755 } else { 0o644 };
                self.upload = self.number("upload")?.map(Upload::Whole);
                let content = if self.upload.is_some() { Content::default() } else { self.blob("text")? };
                Write::Whole { content, mode }
            }
            "begin" => Write::Begin,
            "part" => {
                self.upload = Some(Upload::Part(self.must("upload")?));
                self.blob("text")?;
                Write::Begin
            }
            "resolve" => self.resolve()?,
            "append" => Write::Append(self.blob("text")?),
            "patch" => Write::Patch { find: self.blob("find")?, put: self.blob("text")? },
            "dir" => Write::Dir,
            "link" => Write::Link(self.blob("text")?),
            "check" => Write::Check(self.blob("text")?),
            "restore" if self.map.contains_key("effect") => {
                let effect = self.string("effect")?.unwrap_or_default().parse();
                return effect
                    .map(|effect| Call::Revert { effect })
                    .map_err(|()| Error::invalid("effect", "effect is 64 hexadecimal digits"));
            }
            "restore" => Write::Restore(self.undo()?),
            other => {
                let known = [
                    "whole", "append", "patch", "dir", "link", "restore", "resolve", "begin", "part", "check",
                ];
                return Err(Error::invalid("mode", format!("{other:?} is not a mode of write"))
                    .hint(nearest_hint(other, &known)));
            }
        };
        let base = self.number("base")?.map(VersionId);
        let message = if self.map.contains_key("message") { Some(self.blob("message")?) } else { None };
        Ok(Call::Write { path, write, base, message, origin: self.origin()? })
    }

    fn undo(&mut self) -> Result<Undo, Error> {
        let version = self.number("version")?.map(|id| Undo::Version(VersionId(id)));
        let operation = self.number("operation")?.map(|id| Undo::Operation(OpId(id)));
        let pid = self.number("pid")?.map(|id| Undo::Process(Pid(id)));
        let mut named = [version, operation, pid].into_iter().flatten();
        match (named.next(), named.next()) {
            (Some(undo), None) => Ok(undo),
            _ => Err(Error::invalid("version", "restore takes one of version, operation, pid, effect")),
        }
    }

    fn spawn(&mut self) -> Result<Call, Error> {
        let post = match self.map.remove("post") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(rows)) if rows.len() <= limits::POSTCONDITIONS_MAX => {
                rows.iter().map(postcondition).collect::<Result<_, _>>()?
            }
            Some(_) => return Err(Error::invalid("post", "post is a list of at most 8 postconditions")),
        };
        let budget = self.string("budget")?.map(|text| text.parse()).transpose()?;
        let ceiling = self.integrity("ceiling")?.unwrap_or_default();
        if ceiling == Integrity::System {
            return Err(Error::invalid("ceiling", "ceiling is external, workspace or operator"));
        }
        let kind = match self.string("kind")?.as_deref() {
            None | Some("turn") => ProcessKind::Turn,
            Some("client") => ProcessKind::Client,
            Some(_) => {
                return Err(Error::invalid("kind", "kind is turn or client; programs are said by AGENT.md"));
            }
        };
        let (agent, inputs) = (self.name("agent")?, self.inputs()?);
        let program = if self.map.contains_key("program") {
            Some(Box::new(Given::of(self.fields("program")?)?))
        } else {
            None
        };
        Ok(Call::Spawn { agent, text: self.text()?, post, budget, ceiling, inputs, kind, program })
    }

    fn wait(&mut self) -> Result<Call, Error> {
        let pid = self.number("pid")?.map(Pid);
        let proposal = self.number("proposal")?.map(ProposalId);
        let timeout_us = self.number("timeout_ms")?.map(|ms| ms.saturating_mul(1000));
        if pid.is_none() && proposal.is_none() && timeout_us.is_none() {
            return Err(Error::invalid("pid", "wait needs a pid, a proposal or a timeout_ms"));
        }
        Ok(Call::Wait { pid, proposal, timeout_us })
    }

    fn exec(&mut self) -> Result<Call, Error> {
        let text = self.text()?;
        if text.content.bytes == 0 {
            return Err(Error::invalid("text", "there is nothing to run"));
        }
        let dir = if self.map.contains_key("dir") { Some(self.path("dir")?) } else { None };
        let wall = match self.string("wall")?.as_deref() {
            None | Some("auto") => Wall::Auto,
            Some("shell") => Wall::Shell,
            Some("native") => Wall::Native,
            Some(other) => {
                return Err(Error::invalid("wall", format!("{other:?} is no wall"))
                    .hint(nearest_hint(other, &["auto", "shell", "native"])));
            }
        };
        let timeout_us = match self.number("timeout_ms")? {
            None => limits::EXEC_US_DEFAULT,
            Some(ms) if (1..=limits::EXEC_US_MAX / 1000).contains(&ms) => ms * 1000,
            Some(_) => return Err(Error::invalid("timeout_ms", "a command takes from 1 ms to 24 hours")),
        };
        let stdio = self.string("stdio")?.map_or(Ok(Stdio::Null), |text| Stdio::parse(&text))?;
        Ok(Call::Exec { pid: self.number("pid")?.map(Pid), text, dir, wall, timeout_us, stdio })
    }

    fn dispatch(&mut self) -> Result<Call, Error> {
        let lane = match self.string("mode")?.as_deref() {
            None | Some("follow_up") => Lane::FollowUp,
            Some("steer") => Lane::Steer,
            Some("interrupt") => Lane::Interrupt,
            Some(other) => {
                return Err(Error::invalid("mode", format!("{other:?} is not a mode of dispatch"))
                    .hint("follow_up, steer, interrupt"));
            }
        };
        let inputs = self.inputs()?;
        let session = self.string("session")?.map(|slug| word("session", &slug)).transpose()?;
        Ok(Call::Dispatch { agent: self.name("agent")?, text: self.text()?, lane, inputs, session })
    }

    fn inputs(&mut self) -> Result<Fields, Error> {
        if !self.map.contains_key("inputs") {
            return Ok(Fields::new());
        }
        let inputs = self.fields("inputs")?;
        match inputs.iter().find(|(_, values)| values.len() != 1) {
            Some((name, _)) => Err(Error::invalid("inputs", format!("input {name} takes one value"))),
            None => Ok(inputs),
        }
    }

    fn decide(&mut self) -> Result<Call, Error> {
        let ruling = match self.string("verdict")?.as_deref() {
            Some("approve") => Ruling::Approve,
            Some("reject") => Ruling::Reject,
            Some("answer") => Ruling::Answer,
            Some("modify") => Ruling::Modify,
            _ => return Err(Error::invalid("verdict", "verdict is approve, reject, answer or modify")),
        };
        let args = match (ruling == Ruling::Modify, self.map.contains_key("args")) {
            (true, true) => Some(self.fields("args")?),
            (false, false) => None,
            (true, false) => return Err(Error::invalid("args", "modify needs the arguments that change")),
            (false, true) => return Err(Error::invalid("args", "only modify takes arguments")),
        };
        let reason = if self.map.contains_key("reason") { Some(self.blob("reason")?) } else { None };
        if reason.is_some_and(|reason| reason.bytes > limits::ARGUMENT_BYTES_MAX) {
            return Err(
                Error::new(crate::Code::TooLarge, "the reason is larger than 64 KiB").argument("reason")
            );
        }
        let digest = self.string("digest")?;
        let digest = digest.map(|digest| digest.parse()).transpose();
        let digest = digest.map_err(|()| Error::invalid("digest", "digest is 64 hexadecimal digits"))?;
        Ok(Call::Decide { proposal: ProposalId(self.must("proposal")?), ruling, reason, digest, args })
    }

    fn integrity(&mut self, key: &str) -> Result<Option<Integrity>, Error> {
        match self.string(key)?.as_deref() {
            None => Ok(None),
            Some("system") => Ok(Some(Integrity::System)),
            Some("operator") => Ok(Some(Integrity::Operator)),
            Some("workspace") => Ok(Some(Integrity::Workspace)),
            Some("external") => Ok(Some(Integrity::External)),
            Some(_) => Err(Error::invalid(key, format!("{key} is system, operator, workspace or external"))),
        }
    }

    fn text(&mut self) -> Result<Text, Error> {
        let content = self.blob("text")?;
        if content.bytes > limits::ARGUMENT_BYTES_MAX {
            return Err(Error::new(crate::Code::TooLarge, "the text is larger than 64 KiB")
                .argument("text")
                .hint("write it to a file and name the file"));
        }
        Ok(Text { content, origin: self.origin()? })
    }

    fn origin(&mut self) -> Result<Origin, Error> {
        match self.string("origin")?.as_deref() {
            None | Some("pipe") => Ok(Origin::Pipe),
            Some("typed") => Ok(Origin::Typed),
            Some("argument") => Ok(Origin::Argument),
            Some("file") => Ok(Origin::File),
            Some(_) => Err(Error::invalid("origin", "origin is typed, argument, pipe or file")),
        }
    }

    fn string(&mut self, key: &str) -> Result<Option<String>, Error> {
        match self.map.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.len() <= limits::PATH_BYTES_MAX * 2 => Ok(Some(text)),
            Some(Value::String(_)) => {
                Err(Error::new(crate::Code::TooLarge, format!("{key} is too long")).argument(key))
            }
            Some(_) => Err(Error::invalid(key, format!("{key} is text"))),
        }
    }

    fn name(&mut self, key: &str) -> Result<String, Error> {
        word(key, &self.string(key)?.unwrap_or_default())
    }

    /// A model's name may hold a `/`: `provider/name`.
    fn model(&mut self) -> Result<String, Error> {
        let name = self.string("model")?.unwrap_or_default();
        for part in name.split('/') {
            word("model", part)?;
        }
        Ok(name)
    }

    fn path(&mut self, key: &str) -> Result<TreePath, Error> {
        TreePath::parse(&self.string(key)?.unwrap_or_default()).map_err(|error| error.argument(key))
    }

    fn number(&mut self, key: &str) -> Result<Option<u64>, Error> {
        match self.map.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value
                .as_u64()
                .map(Some)
                .ok_or_else(|| Error::invalid(key, format!("{key} is a whole number, not negative"))),
        }
    }

    fn must(&mut self, key: &str) -> Result<u64, Error> {
        self.number(key)?.ok_or_else(|| Error::invalid(key, format!("{} needs {key}", self.spec.name)))
    }

    fn limit(&mut self) -> Result<u32, Error> {
        let asked = self.number("limit")?.unwrap_or(u64::from(limits::LISTING_MAX));
        Ok(u32::try_from(asked).unwrap_or(u32::MAX).min(limits::LISTING_MAX))
    }

    fn flag(&mut self, key: &str) -> Result<bool, Error> {
        match self.map.remove(key) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(_) => Err(Error::invalid(key, format!("{key} is true or false"))),
        }
    }

    /// A value's bytes; the main value of a call may be given as `base64` instead of `text`.
    fn value(&mut self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let bytes = match (self.map.remove(key), key) {
            (Some(Value::String(text)), _) => text.into_bytes(),
            (None | Some(Value::Null), "text") => match self.map.remove("base64") {
                None | Some(Value::Null) => return Ok(None),
                Some(Value::String(text)) => STANDARD
                    .decode(text)
                    .map_err(|_| Error::invalid("base64", "not base64 (RFC 4648, with padding)"))?,
                Some(_) => return Err(Error::invalid("base64", "base64 is text")),
            },
            (None | Some(Value::Null), _) => return Ok(None),
            (Some(_), _) => return Err(Error::invalid(key, format!("{key} is text"))),
        };
        if bytes.len() > limits::VALUE_BYTES_MAX {
            return Err(
                Error::new(crate::Code::TooLarge, format!("{key} is larger than 1 MiB")).argument(key)
            );
        }
        Ok(Some(bytes))
    }

    fn blob(&mut self, key: &str) -> Result<Content, Error> {
        let bytes = self.value(key)?.unwrap_or_default();
        let content = Content::of(&bytes);
        self.blobs.push(bytes);
        Ok(content)
    }

    fn fields(&mut self, key: &str) -> Result<Fields, Error> {
        let Some(Value::Object(map)) = self.map.remove(key) else {
            return Err(Error::invalid(key, format!("{key} is an object")));
        };
        let mut fields = Fields::new();
        let mut bytes = 0_u64;
        for (name, value) in map {
            let name = word(key, &name)?;
            let values = match value {
                Value::Array(values) => {
                    values.iter().map(|one| field(key, one)).collect::<Result<Vec<_>, _>>()?
                }
                one => vec![field(key, &one)?],
            };
            bytes += values.iter().map(|value| value.len() as u64 + 8).sum::<u64>() + name.len() as u64;
            if bytes > limits::ARGUMENT_BYTES_MAX {
                return Err(Error::new(crate::Code::TooLarge, "arguments are larger than 64 KiB in all")
                    .argument(key));
            }
            fields.insert(name, values);
        }
        Ok(fields)
    }
}

fn field(key: &str, value: &Value) -> Result<String, Error> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        _ => Err(Error::invalid(key, "every argument is text, a number, or a list of them")),
    }
}

/// What `why` asks about: `version:12`.
fn subject_of(text: &str) -> Result<Subject, Error> {
    let bad =
        || Error::invalid("why", "why is version:N, operation:N, proposal:N, effect:HASH, pid:N or label:N");
    let (kind, id) = text.split_once(':').ok_or_else(bad)?;
    if kind == "effect" {
        return id.parse().map(Subject::Effect).map_err(|_| bad());
    }
    let id: u64 = id.parse().map_err(|_| bad())?;
    match kind {
        "version" => Ok(Subject::Version(VersionId(id))),
        "operation" | "op" => Ok(Subject::Operation(OpId(id))),
        "proposal" => Ok(Subject::Proposal(ProposalId(id))),
        "pid" => Ok(Subject::Process(Pid(id))),
        "label" => Ok(Subject::Label(LabelId(u32::try_from(id).map_err(|_| bad())?))),
        _ => Err(bad()),
    }
}

fn postcondition(row: &Value) -> Result<Postcondition, Error> {
    let text = |key: &str| row.get(key).and_then(Value::as_str);
    let path = |text: &str| TreePath::parse(text).map_err(|error| error.argument("post"));
    match (text("exists"), text("contains"), text("text")) {
        (Some(at), None, None) => Ok(Postcondition::Exists(path(at)?)),
        (None, Some(at), Some(literal)) if !literal.is_empty() && literal.len() <= limits::PATH_BYTES_MAX => {
            Ok(Postcondition::Contains(path(at)?, literal.to_owned()))
        }
        _ => Err(Error::invalid(
            "post",
            "a postcondition is {\"exists\": PATH} or {\"contains\": PATH, \"text\": TEXT}",
        )),
    }
}

#[cfg(test)]
mod tests;
