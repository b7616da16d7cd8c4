//! Answers as JSON: what clients and models read (docs/how/speak-to-the-socket.md).
//!
//! Queries are filled here from the batch's open transaction, so that an answer shows exactly what was
//! decided before it. Records are written as they stand in the log, with their labels and the first 400
//! characters of the texts they name beside them.

use crate::bound::look::Standing;
use crate::{chat, clock::Clock, search::Kept};
use abi::{
    Code, Content, Error, Hash, LabelId, VersionId,
    answer::{Answer, Name},
    calendar,
    call::{At, Call, Fields, Part, Subject},
    fact::{Fact, Lookup, Place, Query, View},
    limits,
    path::TreePath,
    record::{Entry, Record},
    tree::{self, Version},
    wire,
};
use kernel::Kernel;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use store::{Reasons, Shown, Trouble};

/// Characters of a text that a record shows.
const TEXT_CHARS_MAX: usize = 400;
/// Fields of a record's body that name a blob of text.
const TEXTS: [&str; 11] =
    ["task", "args", "outcome", "message", "reason", "answer", "result", "text", "prompt", "output", "why"];

/// What only the node knows.
pub trait Around: Send + Sync {
    /// The node's workspaces, one a line: name, awake or asleep, seq.
    fn workspaces(&self) -> String;
    /// What a look at its disk and its files comes to.
    fn health(&self) -> String;
    /// The providers of a workspace, one a line, and whether their secrets are kept.
    fn models(&self, _workspace: &str) -> String {
        String::new()
    }
    /// The names of its secrets, one a line.
    fn secrets(&self) -> String {
        String::new()
    }
    /// Its operators, one a line: user id, name, whose the node is, and which of them asks.
    fn operators(&self, _me: &str) -> String {
        String::new()
    }
    /// The public key of its checkpoints.
    fn key(&self) -> String;
}

/// What a caller is told.
pub type Told = Result<Value, Error>;

/// A window on an open transaction.
pub struct Page<'a, 'b> {
    /// For the meaning of labels.
    pub kernel: &'a Kernel,
    /// The transaction.
    pub batch: &'a mut store::Batch<'b>,
    /// The node.
    pub around: &'a dyn Around,
    /// The node's secret.
    pub secret: &'a [u8; 32],
    /// The workspace.
    pub name: &'a str,
    /// How long something takes.
    pub(crate) clock: &'a dyn Clock,
    /// What a search of this event found.
    pub(crate) kept: &'a mut Option<Kept>,
    /// What stands on the host in the directory that is listed.
    pub(crate) looked: &'a [Standing],
}

impl Page<'_, '_> {
    /// An answer as its reader sees it; or that what was asked for is not kept any more.
    pub fn answer(&mut self, answer: &Answer) -> Result<Told, Trouble> {
        let named = match answer {
            Answer::Query(query) => return self.query(query),
            Answer::Completed { answer, .. } => Some(*answer),
            Answer::Ended { result, .. } => *result,
            Answer::Effected { outcome, .. } => Some(*outcome),
            Answer::Done { .. } | Answer::Text { .. } | Answer::Names { .. } | Answer::Wrote { .. } => None,
            Answer::Same { .. } | Answer::Diverged { .. } | Answer::Undone { .. } => None,
            Answer::Merged { .. } | Answer::Upload { .. } | Answer::Purged { .. } => None,
            Answer::Spawned { .. } | Answer::Queued { .. } | Answer::Held { .. } | Answer::Ruled { .. } => {
                None
            }
            Answer::Preview { .. } | Answer::Ran { .. } | Answer::Kept { .. } => None,
            Answer::TimedOut { .. } | Answer::Granted { .. } | Answer::Revoked { .. } => None,
            Answer::Connect { .. } => None,
        };
        let mut value = plain(answer);
        if let (Some(content), Value::Object(map)) = (named, &mut value) {
            let bytes = self.batch.blob(&content.hash)?.unwrap_or_default();
            let text = match answer {
                Answer::Completed { .. } | Answer::Ended { .. } => said(&bytes),
                _ => String::from_utf8_lossy(&bytes).into_owned(),
            };
            map.insert("text".into(), text.into());
        }
        Ok(Ok(value))
    }

    /// The answer of a query.
    pub fn query(&mut self, query: &Query) -> Result<Told, Trouble> {
        match self.queried(query) {
            // Only who asks for what is sealed has that trouble.
            Err(trouble @ Trouble::Segment { .. }) => Ok(Err(trouble.to_error())),
            told => told,
        }
    }

    fn queried(&mut self, query: &Query) -> Result<Told, Trouble> {
        match query {
            Query::Read { path, at, version, part } => self.read(path, *at, (*version, *part)),
            Query::Session { path, unless_file, lines, part } => {
                if *unless_file && crate::street::stands(self.batch, path)? {
                    return self.read(path, None, (None, *part));
                }
                chat::shown(self.batch, path, lines, *part).map(Ok)
            }
            Query::Why { subject } => self.why(*subject),
            Query::Costs { from, to } => self.costs((*from, *to)),
            Query::Content { content, part } => self.content(content, *part),
            query => self.rows(query).map(Ok),
        }
    }

    fn listing(
        &mut self,
        (path, at): (&TreePath, Option<At>),
        view: &View,
        also: &[Name],
    ) -> Result<Value, Trouble> {
        let listing = self.batch.list(path, at, view)?;
        let mut entries = self.entries(&listing.entries, also);
        if !self.looked.is_empty() {
            let name =
                |entry: &Value| entry.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
            entries.extend(self.beside(path, &listing.entries, view));
            entries.sort_by_key(name);
        }
        let more = entries.len() >= limits::LISTING_MAX as usize;
        let mut told = json!({ "entries": entries });
        // Nothing is left out without a word.
        if let (true, Value::Object(map)) = (more, &mut told) {
            map.insert("more".into(), true.into());
        }
        tell_below(&mut told, listing.below);
        Ok(told)
    }

    /// The months in which model calls were booked, at most so many, the last ones.
    fn months(&mut self) -> Result<Value, Trouble> {
        let days = self.batch.cost_days()?;
        let months = days
            .map_or(0..0, |(first, last)| calendar::month(first)..calendar::month(last).saturating_add(1));
        let months = months.rev().take(limits::LISTING_MAX as usize);
        let file = |name: String| json!({ "name": name, "node": "file" });
        let mut entries: Vec<Value> = months.map(|count| file(calendar::month_name(count))).collect();
        entries.reverse();
        Ok(json!({ "entries": entries }))
    }

    /// What the model calls of these days came to: a line a day, agent and model.
    fn costs(&mut self, (from, to): (u64, u64)) -> Result<Told, Trouble> {
        let rows = self.batch.costs((from, to), limits::COST_ROWS_MAX + 1)?;
        if rows.len() > limits::COST_ROWS_MAX as usize {
            let most = limits::COST_ROWS_MAX;
            return Ok(Err(Error::new(Code::TooLarge, format!("it has more than {most} lines"))
                .argument("path")
                .hint("read it day by day, as /sys/cost/2026-11-28")));
        }
        let mut text = String::new();
        for row in &rows {
            let word = |name: &str| match name {
                "" => "-".to_owned(),
                name => on_one_line(name).replace(char::is_whitespace, "_"),
            };
            let charged = &row.charged;
            let (agent, model, money) = (word(&row.agent), word(&row.model), charged.money);
            let counts = [row.calls, row.failed, row.lost].map(|count| count.to_string()).join(" ");
            let tokens =
                [charged.tokens_in, charged.tokens_out, charged.tokens_cached, charged.tokens_written];
            let tokens = tokens.map(|count| count.to_string()).join(" ");
            let day = calendar::day_name(row.day);
            text.push_str(&format!("{day} {agent} {model} {counts} {tokens} {money}\n"));
        }
        Ok(Ok(json!({ "text": text })))
    }

    fn rows(&mut self, query: &Query) -> Result<Value, Trouble> {
        match query {
            Query::List { path, at, view, also } => self.listing((path, *at), view, also),
            Query::History { path, before, limit, view } => {
                let shown = self.batch.history(path, (*before, *limit), view)?;
                self.versions(&shown)
            }
            Query::Operation { op, view, limit } => {
                let shown = self.batch.operation(*op, view, *limit)?;
                self.versions(&shown)
            }
            Query::Conflicts { view } => {
                let mut text = String::new();
                for (path, ours, head) in self.batch.conflicts(view)? {
                    let base = ours.parents.first().map_or_else(|| "-".to_owned(), ToString::to_string);
                    let path = on_one_line(path.as_str());
                    text.push_str(&format!("{} {path} {base} {} {}\n", ours.id, head.id, ours.actor));
                }
                Ok(json!({ "text": text }))
            }
            Query::Search { sought, view } => self.hits(sought, view),
            // Answered above: what they ask for may be gone.
            Query::Read { .. }
            | Query::Why { .. }
            | Query::Costs { .. }
            | Query::Session { .. }
            | Query::Content { .. } => Ok(Value::Null),
            Query::Trace { from, limit, pids, follow: _ } => {
                let rows = self.batch.records(*from, *limit, pids.as_ref())?;
                let next = rows.last().map_or(*from, |(record, _)| record.seq);
                let mut records = Vec::with_capacity(rows.len());
                for (row, hash) in &rows {
                    let batch = &mut *self.batch;
                    let mut shown = record(self.kernel, row, &mut |hash| batch.blob(hash))?;
                    if let Value::Object(map) = &mut shown {
                        map.insert("hash".into(), plain(hash));
                    }
                    records.push(shown);
                }
                Ok(json!({ "records": records, "next": next }))
            }
            Query::Health => Ok(json!({ "text": self.around.health() })),
            Query::Key => Ok(json!({ "text": format!("{}\n", self.around.key()) })),
            Query::Models { lines } => {
                let mut text = self.around.models(self.name);
                lines.iter().for_each(|line| text.extend([line.as_str(), "\n"]));
                Ok(json!({ "text": text }))
            }
            Query::Secrets => Ok(json!({ "text": self.around.secrets() })),
            Query::Months => self.months(),
            Query::Operators { me } => Ok(json!({ "text": self.around.operators(me) })),
            Query::Workspaces => Ok(json!({ "text": self.around.workspaces() })),
            Query::Blob { hash } => {
                let bytes = self.batch.blob(hash)?.unwrap_or_default();
                let mut value = json!({ "bytes": bytes.len() });
                put_bytes(&mut value, bytes);
                Ok(value)
            }
            Query::Token { pid } => Ok(json!({ "text": crate::token::mint(self.secret, self.name, *pid) })),
        }
    }

    /// The same for a reader that takes at most one inline blob: a turn. What does not fit is cut, and says
    /// so.
    pub fn filled(&mut self, query: &Query) -> Result<Vec<u8>, Trouble> {
        let max = usize::try_from(limits::BLOB_INLINE_BYTES_MAX).unwrap_or(usize::MAX);
        let mut value = match self.query(query)? {
            Ok(value) => value,
            Err(error) => return Ok(abi::answer::error_json(&error).into_bytes()),
        };
        // The same hits are the same answer, however long the log has got meanwhile: a turn that searches in
        // circles is known by that.
        if let (Query::Search { .. }, Value::Object(map)) = (query, &mut value)
            && map.get("indexed") == map.get("seq")
        {
            map.remove("indexed");
            map.remove("seq");
        }
        let mut bytes = value.to_string().into_bytes();
        while bytes.len() > max {
            shorten(&mut value);
            bytes = value.to_string().into_bytes();
        }
        Ok(bytes)
    }

    fn versions(&mut self, shown: &Shown) -> Result<Value, Trouble> {
        let rows = shown.versions.iter().map(|row| self.version(row));
        let mut told = json!({ "versions": rows.collect::<Result<Vec<Value>, Trouble>>()? });
        tell_below(&mut told, shown.below);
        Ok(told)
    }

    /// Every record that led to something.
    fn why(&mut self, subject: Subject) -> Result<Told, Trouble> {
        let Some(Reasons { records, cut }) = self.batch.why(subject)? else {
            let none = Error::new(Code::NotFound, "the log knows nothing of that").argument("why");
            return Ok(Err(none.hint("skep log shows operations, skep ps --all processes")));
        };
        let mut shown = Vec::with_capacity(records.len());
        for (row, _) in &records {
            let batch = &mut *self.batch;
            shown.push(record(self.kernel, row, &mut |hash| batch.blob(hash))?);
        }
        Ok(Ok(json!({ "records": shown, "cut": cut })))
    }

    /// Why bytes are not there: who destroyed them, and what for.
    fn lost(&mut self, path: &TreePath, hash: &Hash) -> Result<Error, Trouble> {
        let error = |what: String| Error::new(Code::NotFound, what).argument("path");
        let Some(record) = self.batch.gone(hash)? else {
            return Ok(error(format!("the bytes of {path} are not kept any more")).hint("skep doctor"));
        };
        let reason = match &record.body {
            Entry::Purged { reason, .. } => self.batch.blob(&reason.hash)?,
            _ => None,
        };
        let (actor, seq) = (&record.actor, record.seq);
        Ok(match reason {
            Some(reason) => {
                let reason = String::from_utf8_lossy(&reason).into_owned();
                error(format!("the bytes of {path} were purged by {actor} (record {seq}): {reason}"))
            }
            None => error(format!("the bytes of {path} went by a retention rule (record {seq})")),
        }
        .hint("its hash, size and author stay: skep log"))
    }

    /// The head at that moment; the kernel has seen in the same transaction that there is one.
    fn read(
        &mut self,
        path: &TreePath,
        at: Option<At>,
        (version, part): (Option<VersionId>, Option<Part>),
    ) -> Result<Told, Trouble> {
        let row = match version {
            Some(id) => self.batch.version(id)?,
            None => match self.batch.answer(&Lookup::Path { path: path.clone(), at })? {
                Fact::Place(Place { head, .. }) => head,
                _ => None,
            },
        };
        let Some(row) = row else { return Ok(Ok(json!({ "text": "" }))) };
        let most = limits::VALUE_BYTES_MAX as u64;
        if part.is_none() && row.content.bytes > most {
            let error = Error::new(Code::TooLarge, format!("{path} has {} bytes", row.content.bytes));
            return Ok(Err(error.hint("read it in parts of at most 1 MiB: offset, length; skep cat does")));
        }
        let part = part.unwrap_or(Part { offset: 0, length: most });
        let large = row.content.bytes > limits::BLOB_INLINE_BYTES_MAX;
        let bytes = match self.batch.part(&row.content, part) {
            // A chunk file that was lost or changed is no reason to stop the workspace.
            Err(trouble @ Trouble::Corrupt { .. }) if large => return Ok(Err(trouble.to_error())),
            found => found?,
        };
        let Some(bytes) = bytes else { return Ok(Err(self.lost(path, &row.content.hash)?)) };
        let mut value = json!({
            "version": row.id, "node": row.node, "bytes": row.content.bytes, "mode": row.mode,
            "mtime": row.mtime, "label": label(self.kernel, row.label), "actor": row.actor,
        });
        put_bytes(&mut value, bytes);
        Ok(Ok(value))
    }

    fn content(&mut self, content: &Content, part: Option<Part>) -> Result<Told, Trouble> {
        let part = part.unwrap_or(Part { offset: 0, length: limits::VALUE_BYTES_MAX as u64 });
        let Some(bytes) = self.batch.part(content, part)? else {
            let error = Error::new(Code::NotFound, format!("{} is not kept any more", content.hash));
            return Ok(Err(error));
        };
        let mut value = json!({ "bytes": content.bytes });
        put_bytes(&mut value, bytes);
        Ok(Ok(value))
    }

    /// What stands in a directory, and what is rendered there under a name that is free.
    fn entries(&self, rows: &[tree::Entry], also: &[Name]) -> Vec<Value> {
        let is_free = |name: &&Name| rows.iter().all(|row| row.name != name.name);
        let stands = rows.iter().map(|row| self.entry(row));
        stands.chain(also.iter().filter(is_free).map(plain)).collect()
    }

    /// What stands in a directory of the host, and has no version.
    fn beside(&self, path: &TreePath, rows: &[tree::Entry], view: &View) -> Vec<Value> {
        let label = self.kernel.bound().iter().find(|row| path.is_below(&row.dir)).map(|row| row.label);
        let Some(label) = label else { return Vec::new() };
        let known: BTreeSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        let shown = |row: &&Standing| {
            let here = format!("{}/{}", path.as_str().trim_end_matches('/'), row.name);
            !known.contains(row.name.as_str()) && view.shows_version(&here, label)
        };
        let entry = |row: &Standing| {
            json!({
                "name": row.name, "node": row.node, "bytes": row.bytes, "mode": row.mode, "mtime": row.mtime,
                "label": self::label(self.kernel, label), "actor": kernel::OUTSIDE,
            })
        };
        self.looked.iter().filter(shown).map(entry).collect()
    }

    fn entry(&self, row: &tree::Entry) -> Value {
        json!({
            "name": row.name, "node": row.node, "bytes": row.bytes, "mode": row.mode, "mtime": row.mtime,
            "version": row.version, "label": label(self.kernel, row.label), "actor": row.actor,
        })
    }

    fn version(&mut self, row: &Version) -> Result<Value, Trouble> {
        let message = match &row.message {
            None => None,
            Some(content) => self.batch.blob(&content.hash)?,
        };
        let message = message.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Ok(json!({
            "version": row.id, "file": row.file, "node": row.node, "bytes": row.content.bytes,
            "hash": row.content.hash, "mode": row.mode, "mtime": row.mtime,
            "label": label(self.kernel, row.label), "actor": row.actor, "pid": row.pid,
            "operation": row.op, "seq": row.seq, "diverged": row.diverged, "parents": row.parents,
            "message": message, "path": row.path,
        }))
    }
}

/// That something was left out, since it lies below the ceiling of who asks.
fn tell_below(told: &mut Value, below: u64) {
    let Value::Object(map) = told else { return };
    if below > 0 {
        map.insert("below".into(), below.into());
        let hint = "so many lie below the ceiling of this process: an operator can endorse them";
        map.insert("hint".into(), hint.into());
    }
}

/// Bytes as text where they are text.
fn put_bytes(value: &mut Value, bytes: Vec<u8>) {
    let Value::Object(map) = value else { return };
    match String::from_utf8(bytes) {
        Ok(text) => map.insert("text".into(), text.into()),
        Err(raw) => map.insert("base64".into(), wire::to_base64(raw.as_bytes()).into()),
    };
}

/// Where a record's texts are read.
pub type Blobs<'a> = &'a mut dyn FnMut(&Hash) -> Result<Option<Vec<u8>>, Trouble>;

/// A record as a reader of the log sees it.
pub fn record(kernel: &Kernel, record: &Record, blob: Blobs<'_>) -> Result<Value, Trouble> {
    let mut value = plain(record);
    let (joined, named) = {
        let body = value.get("body").and_then(Value::as_object).and_then(|body| body.values().next());
        let id = ["joined", "label"].iter().find_map(|key| body?.get(key)?.as_u64());
        let of_change = || body?.get("changes")?.get(0)?.get("label")?.as_u64();
        let names: Vec<(&str, Hash)> = TEXTS
            .iter()
            .filter_map(|key| Some((*key, body?.get(key)?.get("hash")?.as_str()?.parse().ok()?)))
            .collect();
        (id.or_else(of_change), names)
    };
    let joined = joined.and_then(|id| u32::try_from(id).ok()).map(|id| label(kernel, LabelId(id)));
    let mut texts = Map::new();
    for (key, hash) in named {
        if let Some(bytes) = blob(&hash)? {
            let text = match key {
                "args" => arguments(&record.body, &bytes),
                "answer" | "result" => Some(said(&bytes)),
                _ => None,
            };
            let text = text.unwrap_or_else(|| String::from_utf8_lossy(&bytes).into_owned());
            let shown: String = text.chars().take(TEXT_CHARS_MAX).collect();
            texts.insert(hash.to_string(), shown.into());
        }
    }
    if let Value::Object(map) = &mut value {
        if let Some(label) = joined {
            map.insert("label_text".into(), label.into());
        }
        if !texts.is_empty() {
            map.insert("texts".into(), Value::Object(texts));
        }
    }
    Ok(value)
}

/// Arguments of an effect are bytes of `Fields`, those of a held write of its call; of anything else they are
/// text.
fn arguments(body: &Entry, bytes: &[u8]) -> Option<String> {
    if !matches!(body, Entry::Proposed { .. } | Entry::Intended { .. } | Entry::Decided { .. }) {
        return None;
    }
    if let Ok(Call::Write { path, .. }) = musli::wire::from_slice(bytes) {
        return Some(format!("write {path}"));
    }
    let fields: Fields = musli::wire::from_slice(bytes).ok()?;
    let lines: Vec<String> =
        fields.iter().map(|(name, values)| format!("{name}: {}", values.join(", "))).collect();
    Some(lines.join("\n"))
}

/// A label in words.
pub fn label(kernel: &Kernel, id: LabelId) -> String {
    kernel.label(id).map_or_else(|| "external".to_owned(), ToString::to_string)
}

/// What a model said, if these bytes are an answer; else they are text themselves.
pub fn said(bytes: &[u8]) -> String {
    let value: Option<Value> = serde_json::from_slice(bytes).ok();
    let answer = value.as_ref().filter(|value| value.get("tools").is_some_and(Value::is_array));
    let text = answer.and_then(|answer| answer.get("text")).and_then(Value::as_str);
    text.map_or_else(|| String::from_utf8_lossy(bytes).into_owned(), str::to_owned)
}

/// Serialising our own words into memory cannot fail; null if it does.
fn plain<T: serde::Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

/// Halves the one long thing in an answer.
fn shorten(value: &mut Value) {
    let Value::Object(map) = value else { return };
    map.insert("truncated".into(), true.into());
    for list in ["entries", "versions", "records", "hits"] {
        if let Some(Value::Array(rows)) = map.get_mut(list) {
            rows.truncate(rows.len() / 2);
            if let (Some(next), "records") = (rows.last().and_then(|row| row.get("seq")).cloned(), list) {
                map.insert("next".into(), next);
            }
            return;
        }
    }
    for key in ["text", "base64"] {
        if let Some(Value::String(text)) = map.get_mut(key) {
            let half = text.floor_char_boundary(text.len() / 4 * 2);
            text.truncate(half);
            return;
        }
    }
    *value = json!({ "truncated": true });
}
/// A name may hold any character; in a file of lines it begins none.
fn on_one_line(name: &str) -> String {
    let shown = |c: char| if c.is_control() { c.escape_unicode().to_string() } else { c.to_string() };
    name.chars().map(shown).collect()
}
