//! A model that answers from a rules file, for rehearsals and tests. It always says so: every text it says
//! begins with `[scripted] `.
//!
//! The rules of `scripted/NAME` lie in `HOME/scripted/NAME.json` (`scripted` alone means `default`) and are
//! read again at each call, so that an edit counts at once. The format is described in `rules.rs`, the
//! patterns in `pattern.rs`. The first rule that matches answers; when none does, it says so and ends.
//!
//! Its usage is honest unless the rule lies: a token for each four bytes of what went in and came out, and
//! what stood in the conversation up to the last answer counts as cached.
//!
//! Agent programs may ask it as well, in each of the four wires (`spoken`).
//!
//! Never here: randomness, memory of a conversation (all a rule sees is the prompt; only `times` is
//! counted, in the model itself), an answer that could be taken for a real model's.

use crate::{Flow, Model, ModelError, Prompt, RawUsage, Said, Secret, ToolCall};
use abi::{effect::Role, event::Stop, limits, money::Nano, money::Price};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

mod pattern;
mod rules;
mod spoken;
mod wires;

use pattern::Captures;
use rules::{Misbehave, Rule, Rules, Then};

/// What it costs: an invented list price of about a small model's, so that rehearsals fill a real ledger.
/// $1.00 for a million input tokens, $5.00 for a million output tokens, $0.10 for a million cached ones.
pub const PRICE: Price =
    Price { token_in: Nano(1000), token_out: Nano(5000), token_cached: Nano(100), token_written: Nano(0) };

/// How every text begins.
const MARK: &str = "[scripted] ";
/// Bytes of a rules file.
const RULES_BYTES_MAX: u64 = 1024 * 1024;
/// Bytes of one piece of the stream.
const DELTA_BYTES: usize = 16;
/// Bytes of the last item that `{last}` stands for.
const LAST_BYTES_MAX: usize = 8 * 1024;
/// Bytes after which even endless text ends.
const ENDLESS_BYTES: usize = 10 * 1024 * 1024;
/// Signs of life of a model that hangs, a millisecond each, before its connection breaks.
const HANG_BEATS: u64 = 30_000;

/// The model.
pub struct Scripted {
    file: PathBuf,
    /// How often each rule with `times` was used, by its place in the file.
    uses: Mutex<BTreeMap<usize, u32>>,
}

/// The conversation as rules see it: lossy text, the system prompt apart.
struct Seen {
    system: String,
    task: String,
    items: Vec<(Role, String)>,
    step: u64,
}

impl Seen {
    fn of(prompt: &Prompt) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut seen = Self { system: String::new(), task: String::new(), items: Vec::new(), step: 0 };
        for (role, bytes) in &prompt.items {
            match role {
                Role::System => seen.system.push_str(&text(bytes)),
                Role::User if seen.task.is_empty() => {
                    seen.task = text(bytes);
                    seen.items.push((*role, text(bytes)));
                }
                Role::User | Role::Tool(_) => seen.items.push((*role, text(bytes))),
                Role::Assistant => {
                    seen.step += 1;
                    seen.items.push((*role, text(bytes)));
                }
            }
        }
        seen
    }

    fn last(&self) -> &str {
        self.items.last().map_or("", |(_, text)| text)
    }

    /// Whether a rule holds, with what its patterns caught.
    fn matches(&self, rule: &Rule) -> Option<Captures> {
        let when = &rule.when;
        let is_tool = matches!(self.items.last(), Some((Role::Tool(_), _)));
        let plain = when.step.is_none_or(|step| step == self.step)
            && when.role.is_none_or(|role| (role == rules::Speaker::Tool) == is_tool)
            && when.agent.as_ref().is_none_or(|text| self.system.contains(text))
            && when.task.as_ref().is_none_or(|text| abi::scan::has_token(&self.task, text));
        if !plain {
            return None;
        }
        let mut caught = Captures::new();
        if let Some(pattern) = &when.says {
            caught.extend(pattern::find(pattern, self.last())?);
        }
        if let Some(pattern) = &when.seen {
            caught.extend(self.items.iter().find_map(|(_, text)| pattern::find(pattern, text))?);
        }
        let forbidden =
            |pattern: &String| self.items.iter().any(|(_, text)| pattern::find(pattern, text).is_some());
        if when.not_seen.as_ref().is_some_and(forbidden) {
            return None;
        }
        // What is known of every conversation; a pattern cannot catch under these names.
        caught.insert("n".to_owned(), self.step.to_string());
        let last = self.last();
        let last = last.get(..last.floor_char_boundary(LAST_BYTES_MAX)).unwrap_or(last);
        caught.insert("last".to_owned(), last.to_owned());
        Some(caught)
    }
}

/// A stream that is being written: what was said, and whether the receiver wants more.
struct Voice<'a> {
    stream: &'a mut dyn FnMut(&str) -> Flow,
    text: String,
    open: bool,
}

impl Voice<'_> {
    fn say(&mut self, text: &str) {
        let mut rest = text;
        while self.open && !rest.is_empty() {
            let cut = rest.floor_char_boundary(DELTA_BYTES.min(rest.len()));
            let (now, later) = rest.split_at(cut);
            self.text.push_str(now);
            self.open = (self.stream)(now) == Flow::Go;
            rest = later;
        }
    }

    /// Lets time pass with a sign of life each millisecond, until it is over or the receiver has enough.
    fn pass(&mut self, milliseconds: u64) {
        for _ in 0..milliseconds {
            self.open = self.open && (self.stream)("") == Flow::Go;
            if !self.open {
                return;
            }
            // Real time on purpose: a model call blocks its worker thread, and a rule asked for a slow one.
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// What a person hears who has no model: there is no other yet, and it never answers out of nothing.
const NO_RULES: &str = "there is no real model in this version, and the scripted one has no such file of rules \
                        (examples/scripted shows some)";

impl Scripted {
    /// The model of `HOME/scripted/NAME.json`. The file may appear later.
    pub fn new(home: &Path, name: &str) -> Self {
        let file = home.join("scripted").join(format!("{name}.json"));
        Self { file, uses: Mutex::new(BTreeMap::new()) }
    }

    fn rules(&self) -> Result<Rules, String> {
        let failed = |why: String| format!("{}: {why}", self.file.display());
        let opened = std::fs::File::open(&self.file).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => failed(NO_RULES.to_owned()),
            _ => failed(error.to_string()),
        });
        let file = opened?;
        let mut text = String::new();
        let read = file.take(RULES_BYTES_MAX + 1).read_to_string(&mut text);
        read.map_err(|error| failed(error.to_string()))?;
        if text.len() as u64 > RULES_BYTES_MAX {
            return Err(failed("a rules file is at most 1 MiB".to_owned()));
        }
        rules::parse(&text).map_err(failed)
    }

    /// The first rule that holds and is not used up; counts the use.
    fn choose(&self, rules: &Rules, seen: &Seen) -> Option<(Then, Captures)> {
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        for (ix, rule) in rules.rules.iter().enumerate() {
            let left = rule.then.times.is_none_or(|times| uses.get(&ix).copied().unwrap_or(0) < times);
            let Some(caught) = seen.matches(rule).filter(|_| left) else {
                continue;
            };
            if rule.then.times.is_some() {
                *uses.entry(ix).or_insert(0) += 1;
            }
            return Some((rule.then.clone(), caught));
        }
        None
    }
}

impl Model for Scripted {
    fn call(
        &self,
        prompt: &Prompt,
        _: Option<&Secret<'_>>,
        stream: &mut dyn FnMut(&str) -> Flow,
    ) -> Result<Said, ModelError> {
        let rules = self.rules().map_err(|message| ModelError { message, again: false, after_us: None })?;
        let (then, caught) = self.choose(&rules, &Seen::of(prompt)).unwrap_or_else(|| {
            let say = Some("I have no rule for this.".to_owned());
            (Then { say, stop: Some(Stop::End), ..Then::default() }, Captures::new())
        });
        let mut voice = Voice { stream, text: String::new(), open: true };
        voice.pass(then.takes_ms);
        match then.misbehave {
            None => Ok(answer(prompt, &then, &caught, voice)),
            Some(kind) => misbehave(kind, prompt, &then, &caught, voice),
        }
    }
}

/// An answer as the rule has it, within the output tokens it may use.
fn answer(prompt: &Prompt, then: &Then, caught: &Captures, mut voice: Voice<'_>) -> Said {
    let tools: Vec<ToolCall> = then.tools.iter().map(|tool| tool.call(caught)).collect();
    let text = spoken(then, &tools, caught);
    let room = usize::try_from(prompt.max_out).unwrap_or(usize::MAX);
    let room = room.saturating_mul(limits::COUNT_BYTES_PER_TOKEN as usize);
    let asked: usize = tools.iter().map(|tool| tool.name.len() + tool.arguments.len()).sum();
    if text.len().saturating_add(asked) > room {
        // As a real one does: the text breaks off, and calls that were not finished are not made.
        voice.say(text.get(..text.floor_char_boundary(room)).unwrap_or(&text));
        return ended(prompt, then, voice, Vec::new(), Stop::Length);
    }
    voice.say(&text);
    let natural = if tools.is_empty() { Stop::End } else { Stop::Tools };
    ended(prompt, then, voice, tools, then.stop.unwrap_or(natural))
}

/// The text of an answer, marked. One that only calls tools names them, so that it is never silent about
/// itself.
fn spoken(then: &Then, tools: &[ToolCall], caught: &Captures) -> String {
    match &then.say {
        Some(say) => format!("{MARK}{}", pattern::fill(say, caught)),
        None => {
            let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
            format!("{MARK}calls {}", names.join(", "))
        }
    }
}

/// Closes a stream: what was said so far, cut if the receiver had enough.
fn ended(prompt: &Prompt, then: &Then, voice: Voice<'_>, tools: Vec<ToolCall>, stop: Stop) -> Said {
    let (tools, stop) = if voice.open { (tools, stop) } else { (Vec::new(), Stop::Cut) };
    let mut said = Said { text: voice.text, tools, stop, usage: RawUsage::default() };
    said.usage = usage(prompt, &said);
    if let Some(lie) = &then.usage {
        said.usage.tokens_in = lie.tokens_in.unwrap_or(said.usage.tokens_in);
        said.usage.tokens_out = lie.tokens_out.unwrap_or(said.usage.tokens_out);
        said.usage.tokens_cached = lie.tokens_cached.unwrap_or(said.usage.tokens_cached);
    }
    said
}

/// The honest count.
fn usage(prompt: &Prompt, said: &Said) -> RawUsage {
    let tokens = |bytes: usize| {
        i64::try_from(bytes.div_ceil(limits::COUNT_BYTES_PER_TOKEN as usize)).unwrap_or(i64::MAX)
    };
    let bytes = |items: &[(Role, Vec<u8>)]| items.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
    let known = prompt.items.iter().rposition(|(role, _)| *role == Role::Assistant).map_or(0, |ix| ix + 1);
    let tokens_cached = tokens(bytes(prompt.items.get(..known).unwrap_or_default()));
    let asked: usize = said.tools.iter().map(|tool| tool.name.len() + tool.arguments.len()).sum();
    RawUsage {
        tokens_in: tokens(bytes(&prompt.items)).saturating_sub(tokens_cached),
        tokens_out: tokens(said.text.len() + asked),
        tokens_cached,
        tokens_written: 0,
    }
}

/// What no model should do and some do.
fn misbehave(
    kind: Misbehave,
    prompt: &Prompt,
    then: &Then,
    caught: &Captures,
    mut voice: Voice<'_>,
) -> Result<Said, ModelError> {
    let failed = |again| {
        let why = then.say.clone().unwrap_or_else(|| "the rules say that this call fails".to_owned());
        Err(ModelError { message: format!("{MARK}{}", pattern::fill(&why, caught)), again, after_us: None })
    };
    match kind {
        Misbehave::Fail => failed(false),
        Misbehave::FailAgain => failed(true),
        Misbehave::Hang => {
            voice.say(MARK);
            voice.pass(HANG_BEATS);
            if voice.open { failed(true) } else { Ok(ended(prompt, then, voice, Vec::new(), Stop::Cut)) }
        }
        Misbehave::Endless => {
            voice.say(MARK);
            while voice.open && voice.text.len() < ENDLESS_BYTES {
                voice.say("and so on and so forth, ");
            }
            Ok(ended(prompt, then, voice, Vec::new(), Stop::Length))
        }
        Misbehave::InvalidJson => {
            let mut tools: Vec<ToolCall> = then.tools.iter().map(|tool| tool.call(caught)).collect();
            if tools.is_empty() {
                let arguments = "{\"path\": \"/data/notes.md\"}".to_owned();
                tools.push(ToolCall { name: "read".to_owned(), arguments });
            }
            voice.say(&spoken(then, &tools, caught));
            for tool in &mut tools {
                // Half of it, with what models put around JSON.
                let half = tool.arguments.floor_char_boundary(tool.arguments.len() / 2);
                tool.arguments = format!("Sure!\n```json\n{}", tool.arguments.get(..half).unwrap_or(""));
            }
            Ok(ended(prompt, then, voice, tools, Stop::Tools))
        }
        Misbehave::Garbage => {
            voice.say(MARK);
            voice.say(&"\u{0}\u{1b}[2J\u{202e}\u{fffd}{]\"\\\n".repeat(64));
            let name = "\u{0}../".repeat(50);
            let tools = vec![ToolCall { name, arguments: "[[[[{\"\u{0}\":1e999}".to_owned() }];
            Ok(ended(prompt, then, voice, tools, Stop::Tools))
        }
    }
}

#[cfg(test)]
mod tests;
