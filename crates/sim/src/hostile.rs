//! Bytes of nobody's making, handed to everything that reads bytes from outside: each function is one fuzz
//! target, and takes anything without a panic, a hang or memory out of proportion.
//!
//! | target      | bytes are                                          | read by                            |
//! | ----------- | -------------------------------------------------- | ---------------------------------- |
//! | log         | bodies of records, two bytes of length before each | the record's decoder, the chain    |
//! | database    | a `workspace.db`, or changes of one or of its log  | all that the store can be asked    |
//! | wire        | a line of the socket                               | the decoder of calls               |
//! | path        | paths and patterns, one a line                     | their parsers, matching, inclusion |
//! | frontmatter | AGENT.md; or policy.yaml, a NUL, budget.yaml       | the machine's parsers              |
//! | manifest    | a manifest as JSON, or as the log keeps it         | its decoders, the lint             |
//! | acp         | what an agent that speaks ACP wrote                | the reader of its messages         |
//! | shown       | a kind and its arguments as JSON, a NUL between    | the rendering of what is asked     |
//! | messages, chat, responses, gemini | an answer of the format, streamed or whole | its reader |
//!
//! `cargo xtask torture` lets libFuzzer run them (fuzz/); the tests run them over the corpus and over changes
//! of it drawn from a seed. Never here: what a right answer is, beyond what must hold of any.

use crate::{chance::Chance, disk};
use abi::{
    Hash, LabelId, OpId, Pid, Seq, VersionId,
    call::{At, Fields, Undo},
    fact::{Haystack, Lookup, Match, View},
    label::Integrity,
    limits,
    manifest::{Audience, Class, Kind, Manifest},
    net,
    path::{Pattern, TreePath},
    record::Record,
    wire,
};
use drivers::{
    Wire, acp as protocol,
    egress::{Hello, hello, target},
};
use rusqlite::{Connection, params};
use serde_json::Value;
use std::{fs, io, path::Path, sync::OnceLock};
use store::{Batch, Durable, Options, Trouble, Workspace};
use tempfile::TempDir;

/// A target.
pub type Target = fn(&[u8]);

/// Every target by its name.
pub const TARGETS: [(&str, Target); 13] = [
    ("log", log),
    ("database", database),
    ("wire", line),
    ("path", path),
    ("egress", egress),
    ("frontmatter", frontmatter),
    ("manifest", manifest),
    ("acp", acp),
    ("shown", shown),
    ("messages", messages),
    ("chat", chat),
    ("responses", responses),
    ("gemini", gemini),
];

/// Records and rows that are asked for.
const ASKED: u32 = 200;
const NULL: Options = Options { durable: Durable::Null, pages_max: None, segment: None };

/// A whole workspace to change: its file with all in it, and its file with the newest in the log beside.
struct Whole {
    file: Vec<u8>,
    split: (Vec<u8>, Vec<u8>),
}

fn whole() -> &'static Whole {
    static WHOLE: OnceLock<Whole> = OnceLock::new();
    WHOLE.get_or_init(|| make().unwrap_or_else(|error| panic!("no workspace to change: {error}")))
}

fn make() -> io::Result<Whole> {
    let dir = TempDir::new()?;
    let said = |error: &dyn std::fmt::Display| io::Error::other(error.to_string());
    disk::settle(1, dir.path()).map_err(|trouble| said(&trouble))?;
    let (file, log) = (dir.path().join("workspace.db"), dir.path().join("workspace.db-wal"));
    let split = (fs::read(&file)?, fs::read(&log)?);
    let open = Connection::open(&file).map_err(|error| said(&error))?;
    let done = open.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    done.map_err(|error| said(&error))?;
    drop(open);
    Ok(Whole { file: fs::read(&file)?, split })
}

/// Bodies of records, read by the decoder alone and as a log whose hashes are right.
pub fn log(bytes: &[u8]) {
    let mut bodies: Vec<&[u8]> = Vec::new();
    let mut rest = bytes;
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_le_bytes(*length)).min(after.len());
        let (body, end) = after.split_at(length);
        bodies.push(body);
        rest = end;
    }
    for body in &bodies {
        let Ok(record) = musli::wire::from_slice::<Record>(body) else { continue };
        // What was read can be written, and is the same when read again.
        let again = musli::wire::to_vec(&record).map(|bytes| musli::wire::from_slice::<Record>(&bytes));
        assert!(again.is_ok_and(|again| again.is_ok_and(|again| again == record)), "{record:?}");
    }
    let Ok(dir) = TempDir::new() else { return };
    let kept = plant(dir.path(), &bodies);
    if let Err(error) = kept {
        panic!("the log could not be planted: {error}");
    }
    let Ok(workspace) = Workspace::open(dir.path(), &NULL) else { return };
    let mut count = 0;
    let all = workspace.replay(Seq(0), &mut |record: Record| {
        count += 1;
        assert_eq!(record.seq, Seq(count), "a record in another's place");
    });
    let _ = workspace.records(Seq(0), ASKED, None);
    assert!(all.is_err() || count == bodies.len() as u64, "the end of the log is not there");
}

/// A workspace whose log is these bodies.
fn plant(dir: &Path, bodies: &[&[u8]]) -> Result<(), Box<dyn std::error::Error>> {
    let file = dir.join("workspace.db");
    fs::write(&file, &whole().file)?;
    let mut open = Connection::open(file)?;
    open.pragma_update(None, "synchronous", "OFF")?;
    let turn = open.transaction()?;
    turn.execute("DELETE FROM records", [])?;
    let mut prev = Hash::default();
    for (seq, body) in (1_i64..).zip(bodies) {
        let hash = Hash::of_fields("skep-record", &[&prev.0, body]);
        let pid = musli::wire::from_slice::<Record>(body).map_or(0, |record| record.pid.0.cast_signed());
        turn.execute("INSERT INTO records VALUES(?,?,?,?,?)", params![seq, pid, prev.0, hash.0, body])?;
        prev = hash;
    }
    Ok(turn.commit()?)
}

/// A file of a workspace. The first byte says how: the bytes themselves, or changes of a whole one (an offset
/// of three bytes, a length, the bytes), of the log beside one, or of one cut short.
pub fn database(bytes: &[u8]) {
    let Some((how, rest)) = bytes.split_first() else { return };
    let Ok(dir) = TempDir::new() else { return };
    let whole = whole();
    let (file, log) = match how % 4 {
        0 => (rest.to_vec(), Vec::new()),
        1 => (changed(&whole.file, rest), Vec::new()),
        2 => (whole.split.0.clone(), changed(&whole.split.1, rest)),
        _ => {
            let (end, rest) = rest.split_first_chunk::<3>().unwrap_or((&[0; 3], &[]));
            let short = whole.file.get(..offset(end, whole.file.len())).unwrap_or_default();
            (changed(short, rest), Vec::new())
        }
    };
    let lay = || {
        fs::write(dir.path().join("workspace.db"), &file)?;
        if log.is_empty() { Ok(()) } else { fs::write(dir.path().join("workspace.db-wal"), &log) }
    };
    if lay().is_ok() {
        // Whatever it says is an answer; that it comes is what is asked.
        let _ = ask(dir.path());
    }
}

fn offset(three: &[u8; 3], length: usize) -> usize {
    let [low, middle, high] = three.map(usize::from);
    (low | middle << 8 | high << 16).checked_rem(length).unwrap_or(0)
}

fn changed(whole: &[u8], mut changes: &[u8]) -> Vec<u8> {
    let mut all = whole.to_vec();
    while let Some((head, rest)) = changes.split_first_chunk::<4>() {
        let [low, middle, high, length] = *head;
        let at = offset(&[low, middle, high], all.len());
        let (new, end) = rest.split_at(usize::from(length).min(rest.len()));
        all.iter_mut().skip(at).zip(new).for_each(|(old, new)| *old = *new);
        changes = end;
    }
    all
}

/// Everything the store can be asked, and one more record.
pub(crate) fn ask(dir: &Path) -> Result<(), Trouble> {
    let mut workspace = Workspace::open(dir, &NULL)?;
    let mut hashes: Vec<Hash> = Vec::new();
    let _ = workspace.replay(Seq(0), &mut |record| hashes.push(Hash::of(record.actor.as_bytes())));
    let _ = workspace.snapshot();
    let mut batch = workspace.begin()?;
    let _ = ask_tree(&mut batch);
    let _ = batch.records(Seq(0), ASKED, Some(&[Pid(1)].into()));
    let _ = batch.put_blob(b"more");
    let _ = batch.commit();
    workspace.save_snapshot(Seq(1), &[7; 300])
}

fn ask_tree(batch: &mut Batch<'_>) -> Result<(), Trouble> {
    let all = View::everything();
    for text in ["/", "/a", "/b", "/a/b", "/c/d", "/e.md"] {
        let Ok(path) = TreePath::parse(text) else { continue };
        let entries = batch.list(&path, None, &all).unwrap_or_default().entries;
        let _ = batch.list(&path, Some(At::Seq(Seq(9))), &all);
        for version in batch.history(&path, (None, ASKED), &all).unwrap_or_default().versions {
            let _ = batch.blob(&version.content.hash);
            let _ = batch.answer(&Lookup::Undo { undo: Undo::Version(version.id) });
        }
        for entry in entries.iter().take(ASKED as usize) {
            let _ = batch.version(entry.version);
        }
        for at in [None, Some(At::Seq(Seq(9)))] {
            let _ = batch.answer(&Lookup::Path { path: path.clone(), at });
            let _ = batch.answer(&Lookup::Names { path: path.clone(), at });
        }
        let below = std::collections::BTreeSet::from([abi::LabelId(1)]);
        let _ = batch.answer(&Lookup::Hidden { path: path.clone(), at: None, below });
        let text = Haystack::Path(path.clone());
        let _ = batch.answer(&Lookup::Match { text, literal: "a".to_owned(), how: Match::Bytes });
        let _ = batch.answer(&Lookup::Past {
            path: path.clone(),
            before: None,
            limit: ASKED,
            view: View::everything(),
        });
        let _ = batch.answer(&Lookup::Below { path });
    }
    let _ = batch.answer(&Lookup::Undo { undo: Undo::Operation(OpId(2)) });
    batch.answer(&Lookup::Undo { undo: Undo::Process(Pid(1)) }).map(drop)
}

/// A line of the socket, as the door takes it.
pub fn line(bytes: &[u8]) {
    if bytes.len() > limits::LINE_BYTES_MAX || wire::deeper_than(bytes, limits::JSON_DEPTH_MAX) {
        return;
    }
    let Ok(Value::Object(mut request)) = serde_json::from_slice::<Value>(bytes) else { return };
    let params = request.remove("params").unwrap_or(Value::Null);
    let Some(Value::String(method)) = request.remove("method") else { return };
    match wire::decode(&method, params) {
        Ok(decoded) => {
            let kept: usize = decoded.blobs.iter().map(Vec::len).sum();
            assert!(kept <= bytes.len(), "{kept} bytes out of {}", bytes.len());
        }
        Err(error) => assert!(!error.message.is_empty() && error.message.len() < 4 * limits::PATH_BYTES_MAX),
    }
}

/// First bytes of a tunnel, and hosts as requests name them. Whatever was cut off: no part of a hello says
/// another name than all of it.
pub fn egress(bytes: &[u8]) {
    let whole = hello(bytes);
    for at in [1, 5, 9, bytes.len() / 2, bytes.len().saturating_sub(1)] {
        let part = hello(bytes.get(..at).unwrap_or(bytes));
        if let (Hello::For(part), Hello::For(whole)) = (&part, &whole) {
            assert_eq!(part, whole);
        }
    }
    let text = String::from_utf8_lossy(bytes);
    for line in text.split('\n').take(8) {
        if let Ok((host, port)) = target(line, Some(80)) {
            assert_eq!(target(&format!("{host}:{port}"), None), Ok((host, port)));
        }
        if let Ok((hosts, ports)) = net::parse(line) {
            assert_eq!(net::parse(&net::words(&hosts, ports)), Ok((hosts, ports)));
        }
    }
}

/// Paths and patterns, one a line.
pub fn path(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut patterns: Vec<Pattern> = Vec::new();
    let mut paths: Vec<TreePath> = Vec::new();
    for line in text.split('\n').take(8) {
        patterns.extend(Pattern::parse(line).or_else(|_| Pattern::word(line)).ok());
        paths.extend(TreePath::parse(line).ok());
    }
    for path in &paths {
        assert_eq!(TreePath::parse(path.as_str()).as_ref(), Ok(path));
        assert!(
            path.names().count() <= limits::PATH_DEPTH_MAX && path.as_str().len() <= limits::PATH_BYTES_MAX
        );
        assert!(Pattern::everything().matches(path.as_str()));
        let up = path.parent().map(|parent| parent.join(path.name()));
        assert!(up.is_none_or(|up| up.as_ref() == Ok(path)), "{path} is not in its parent");
    }
    for one in &patterns {
        for other in &patterns {
            // Whatever the included one matches, the including one matches.
            let includes = one.includes(other);
            let odd = paths.iter().find(|path| other.matches(path.as_str()) && !one.matches(path.as_str()));
            assert!(!includes || odd.is_none(), "{one} includes {other}, but not {odd:?}");
        }
    }
}

/// The files by which an operator says who may what.
pub fn frontmatter(bytes: &[u8]) {
    let _ = machine::agents::parse("triage", bytes, (VersionId(1), LabelId(0)), 0);
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let (policy, budget) = (parts.next().unwrap_or_default(), parts.next().unwrap_or(b"format: 1\n"));
    let _ = machine::policy::parse(policy, budget);
}

/// What a driver declares. Whatever the lint lets pass says of each kind where it goes and what undoes it.
pub fn manifest(bytes: &[u8]) {
    let by_json = serde_json::from_slice::<Manifest>(bytes).ok();
    let Some(manifest) = by_json.or_else(|| musli::wire::from_slice(bytes).ok()) else { return };
    if manifest.lint().is_err() {
        return;
    }
    let again = musli::wire::to_vec(&manifest).map(|bytes| musli::wire::from_slice::<Manifest>(&bytes));
    assert!(again.is_ok_and(|again| again.is_ok_and(|again| again.digest() == manifest.digest())));
    for kind in &manifest.kinds {
        assert_eq!(manifest.kind(&kind.name), Some(kind), "two of one name");
        let undone = kind.undo.as_ref().is_some_and(|undo| manifest.kind(undo).is_some());
        let steers = !kind.steering.is_empty();
        let whole = match kind.class {
            Class::Pure | Class::ExternalIrreversible => true,
            Class::Reversible => undone && kind.audience != Audience::Others,
            Class::Account => steers,
            Class::Money => steers && kind.amount.is_some(),
            Class::Get => kind.steering.len() == 1,
        };
        assert!(whole, "{kind:?}");
    }
    assert!(manifest.brings.iter().all(|row| row.integrity <= Integrity::Workspace), "an operator's words");
}

/// What an operator is asked: nothing in it is anything else than it looks like, and every field is there.
pub fn shown(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let (kind, fields) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let Ok(kind) = serde_json::from_slice::<Kind>(kind) else { return };
    let Ok(fields) = serde_json::from_slice::<Fields>(fields) else { return };
    let text = kernel::shown(&kind, &fields);
    let odd = |c: &char| *c != '\n' && (c.is_control() || abi::scan::is_hidden(*c));
    assert_eq!(text.chars().find(odd), None, "{text:?}");
    let values = fields.values().flatten().count();
    let empty = fields.values().filter(|values| values.is_empty()).count();
    // In quotes at the template, or on a line of its own.
    let told = text.matches('"').count() / 2 + text.lines().count();
    assert!(told >= values + empty, "{values} values, {told} shown: {text:?}");
}

/// Lines of a program that says it speaks ACP. What is sent back to it is one line each, and what it shall
/// be known by is bounded.
pub fn acp(bytes: &[u8]) {
    for line in bytes.split(|byte| *byte == b'\n') {
        let heard = protocol::hear(line);
        if let Ok(protocol::Heard::Asked { id, ask, .. }) = &heard {
            let (said, wrong) = match ask {
                Ok(ask) => (format!("{ask:?}"), None),
                Err(wrong) => (String::new(), Some(wrong.clone())),
            };
            assert!(said.len() <= 16 * line.len() + 1024, "{} bytes of {}", said.len(), line.len());
            let answer = protocol::answer(id, &wrong.map_or(Ok(Value::Null), Err));
            assert_eq!(answer.find('\n'), Some(answer.len() - 1), "{answer:?}");
            assert!(answer.len() <= 8192, "{answer:?}");
        }
        if let Ok(protocol::Heard::Answered { answer: Ok(answer), .. }) = heard {
            let _ = (protocol::logins(&answer), protocol::session(&answer), protocol::stopped(&answer));
            let _ = (protocol::loads(&answer), protocol::servers(&answer.to_string()));
        }
    }
}

/// An answer in the Messages format.
pub fn messages(bytes: &[u8]) {
    answer(Wire::Messages, bytes);
}

/// An answer in the chat format.
pub fn chat(bytes: &[u8]) {
    answer(Wire::Chat, bytes);
}

/// An answer in the Responses format.
pub fn responses(bytes: &[u8]) {
    answer(Wire::Responses, bytes);
}

/// An answer in the Gemini format.
pub fn gemini(bytes: &[u8]) {
    answer(Wire::Gemini, bytes);
}

/// However the stream is cut into reads it says the same, and the end that we would write to it is no error.
fn answer(wire: Wire, bytes: &[u8]) {
    if let Err(why) = drivers::fuzz::answer(wire, bytes) {
        panic!("{wire}: {why}");
    }
}

/// A change of some bytes: what a fuzzer without eyes would try. `other` is something to take pieces from.
pub fn mutated(bytes: &[u8], other: &[u8], chance: &mut Chance) -> Vec<u8> {
    let mut all = bytes.to_vec();
    for _ in 0..1 + chance.below(4) {
        let at = chance.index(all.len() + 1);
        let length = chance.index(1 + all.len().saturating_sub(at).min(32));
        match chance.below(7) {
            0 => all.truncate(at),
            1 => drop(all.drain(at..at + length)),
            2 => {
                let again: Vec<u8> = all[at..at + length].repeat(1 + chance.index(20));
                drop(all.splice(at..at, again));
            }
            3 => {
                let from = chance.index(other.len() + 1);
                let piece = &other[from..other.len().min(from + 1 + chance.index(64))];
                drop(all.splice(at..at + length, piece.iter().copied()));
            }
            4 => {
                let odd = *chance.pick(&ODD).unwrap_or(&ODD[0]);
                drop(all.splice(at..at, odd.iter().copied()));
            }
            5 => all.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << chance.below(8)),
            _ => all.iter_mut().skip(at).take(1).for_each(|byte| *byte = chance.draw() as u8),
        }
    }
    all
}

/// Bytes that readers stumble over.
const ODD: [&[u8]; 14] = [
    b"\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff\xff\xff\xff\xff",
    b"/**",
    b"/*",
    b"..",
    b"\xef\xbb\xbf",
    "e\u{301}".as_bytes(),
    b"\"",
    b"[[[[[[[[",
    b"{\"a\":",
    b"&a [*a, *a]",
    b"18446744073709551616",
    b"\n---\n",
];
