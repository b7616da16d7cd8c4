//! `/agents/NAME/AGENT.md`: front matter between two lines `---`, then the prompt.
//!
//! ```text
//! ---
//! name: triage
//! description: Sorts new mail, one note each.
//! model: smart                       # a tier of /sys/models.yaml, or PROVIDER/NAME
//! tools: [read, write, propose]
//! skills: [memory]                   # /skills/memory/SKILL.md has to stand
//! inputs: {since: {type: date, default: yesterday}}
//! needs: [read /data/**, ask mail.send]
//! budget: {run: 0.50, day: 2.00}     # can only lower
//! restart: "no"                      # no | on-failure[:5] | always
//! ---
//! You sort mail.
//! ```
//! It asks; policy grants. Unknown keys are errors that name the nearest known one; `x-` keys are free. A
//! subagent file of Claude Code is such a file, too (see `foreign`). Inputs are checked here (see `input`):
//! those that were given stand at the end of the task, as the caller's words; what holds where none was given
//! stands in the prompt, as words of this file.

use crate::{
    policy::{self, budget::Row, tree::Node},
    shipped,
};
use abi::{
    Code, Content, Error, Hash, LabelId, Micros, VersionId,
    agent::{AgentDef, Restart, Skill},
    call,
    cap::Grant,
    fact::{Fact, Lookup, Task},
    limits,
    path::TreePath,
    wire,
};
use input::Input;
use std::{collections::BTreeMap, fmt::Write};
use store::{Batch, Trouble};

mod date;
mod foreign;
mod input;
mod program;

pub(crate) use program::is_draft;

/// Bytes of front matter: it is read at every start of the agent.
const FRONT_BYTES_MAX: usize = 16 * 1024;
const KEYS: [&str; 11] = [
    "name",
    "description",
    "model",
    "tools",
    "skills",
    "inputs",
    "needs",
    "budget",
    "restart",
    "run",
    "disallowedTools",
];
const FILE: &str = "AGENT.md";

/// What a file says.
#[derive(Debug)]
pub struct Sheet {
    /// Who the agent is.
    pub def: AgentDef,
    /// What its tasks may be given.
    inputs: Vec<Input>,
    /// What its program is told when nobody sits before it.
    unattended: Vec<String>,
    /// Skills it names.
    skills: Vec<String>,
    /// The body.
    body: Vec<u8>,
}

type Front<'a> = BTreeMap<&'a str, &'a Node>;

/// The agent as it would begin on this task: its file at its head, its skills, its inputs. What it is told is
/// put into the blob table.
pub(crate) fn find(
    batch: &mut Batch<'_>,
    (name, task): (&str, Option<&Task>),
    now: Micros,
) -> Result<Result<AgentDef, Error>, Trouble> {
    let path = match TreePath::parse(&format!("/agents/{name}/{FILE}")) {
        Ok(path) => path,
        Err(error) => return Ok(Err(error.argument("agent"))),
    };
    let head = crate::street::head(batch, &path)?;
    let head = head.map(|(version, bytes)| ((version.id, version.label), bytes));
    let shipped = || shipped::guest(name).map(|text| (<(VersionId, LabelId)>::default(), text.to_vec()));
    let Some((version, bytes)) = head.or_else(shipped) else {
        return Ok(Err(Error::new(Code::NotFound, format!("there is no agent {name}"))
            .argument("agent")
            .hint("list /agents shows those there are")));
    };
    let mut sheet = match parse(name, &bytes, version, now) {
        Ok(sheet) => sheet,
        Err(error) => return Ok(Err(error)),
    };
    for skill in std::mem::take(&mut sheet.skills) {
        match stands(batch, &skill)? {
            Ok(skill) => sheet.def.skills.push(skill),
            Err(error) => return Ok(Err(error)),
        }
    }
    let prompt = sheet.prompt();
    sheet.def.prompt = batch.put_blob(&prompt)?;
    let Some(task) = task else { return Ok(Ok(sheet.def)) };
    if let Some(run) = &mut sheet.def.run {
        let words = batch.blob(&task.text)?.unwrap_or_default();
        program::set(run, &sheet.unattended, &String::from_utf8_lossy(&words));
    }
    match input::given(name, &sheet.inputs, &task.inputs, now) {
        Ok(None) => {}
        Ok(Some(block)) => sheet.def.task = extended(batch, &task.text, &block)?,
        Err(error) => return Ok(Err(error)),
    }
    Ok(Ok(sheet.def))
}

/// The task with its inputs; a text that is lost stays as it is.
fn extended(batch: &mut Batch<'_>, text: &Hash, block: &str) -> Result<Option<Content>, Trouble> {
    let Some(mut bytes) = batch.blob(text)? else { return Ok(None) };
    bytes.extend(format!("\n\ninputs: {block}\n").bytes());
    batch.put_blob(&bytes).map(Some)
}

/// A skill that an agent names, if it is there.
fn stands(batch: &mut Batch<'_>, name: &str) -> Result<Result<Skill, Error>, Trouble> {
    let path = match TreePath::parse(&format!("/skills/{name}/SKILL.md")) {
        Ok(path) => path,
        Err(error) => return Ok(Err(error.argument(FILE))),
    };
    if let Fact::Place(place) = batch.answer(&Lookup::Path { path, at: None })?
        && let Some(head) = place.head
    {
        return Ok(Ok(Skill { name: name.to_owned(), label: head.label }));
    }
    let mut known = Vec::new();
    if let Ok(path) = TreePath::parse("/skills")
        && let Fact::Below(Ok(rows)) = batch.answer(&Lookup::Below { path })?
    {
        let skill = |path: &TreePath| {
            let name = path.as_str().strip_prefix("/skills/")?.strip_suffix("/SKILL.md")?;
            (!name.contains('/')).then(|| name.to_owned())
        };
        known.extend(rows.iter().filter_map(|(path, ..)| skill(path)).take(limits::SKILLS_MAX));
    }
    let error = wrong(format!("there is no skill {name:?}: /skills/{name}/SKILL.md does not stand"));
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    Ok(Err(if names.is_empty() {
        error.hint(format!("write it, or take {name} out of skills"))
    } else {
        error.hint(wire::nearest_hint(name, &names))
    }))
}

/// Parses the file of the agent of this name.
pub fn parse(
    name: &str,
    bytes: &[u8],
    (version, label): (VersionId, LabelId),
    now: Micros,
) -> Result<Sheet, Error> {
    let (front, body) = split(bytes)?;
    // Behind the line that opens it, so that lines count as in the file.
    let text = [b"\n", front].concat();
    let file = Node::read(FILE, &text)?;
    let known: Vec<&str> = KEYS.iter().chain(&foreign::KEYS).copied().collect();
    let front: Front<'_> = file.section(FILE, &known)?.collect();
    if body.len() as u64 > limits::ARGUMENT_BYTES_MAX {
        return Err(Error::new(Code::TooLarge, "the prompt is larger than 64 KiB").argument(FILE));
    }
    named(&front, name)?;
    let (tools, mut withheld) = tools(&front)?;
    let (run, unattended) = program::read(&front)?.unzip();
    withheld.extend(foreign::ignored(&front));
    let skills = skills(&front)?;
    let Row { limits, wall_us } = budget(&front)?;
    let def = AgentDef {
        name: name.to_owned(),
        model: model(&front)?,
        needs: needs(&front, &tools, &skills)?,
        tools,
        run,
        limits,
        wall_us,
        restart: restart(&front)?,
        prompt: Content::of(body),
        version,
        label,
        withheld,
        skills: Vec::new(),
        task: None,
    };
    let inputs = front.get("inputs").map(|node| input::declared(node, now)).transpose()?.unwrap_or_default();
    Ok(Sheet { def, inputs, unattended: unattended.unwrap_or_default(), skills, body: body.to_vec() })
}

impl Sheet {
    /// The body, the skills there are, and what holds where a task gives no input.
    pub fn prompt(&self) -> Vec<u8> {
        let mut more = String::new();
        if !self.def.skills.is_empty() {
            more.push_str("\n\nSkills you have. Read one before you do what it is about:\n");
            for skill in &self.def.skills {
                let _ = writeln!(more, "- {name}: /skills/{name}/SKILL.md", name = skill.name);
            }
        }
        if let Some(block) = input::defaults(&self.inputs) {
            let _ = write!(
                more,
                "\n\nInputs stand at the end of a task, as JSON behind `inputs:`. Where a task gives none, \
                 these hold: {block}\n"
            );
        }
        [self.body.as_slice(), more.as_bytes()].concat()
    }
}

fn named(front: &Front<'_>, name: &str) -> Result<(), Error> {
    let Some(node) = front.get("name") else {
        return Err(wrong("AGENT.md says no name".into()).hint(format!("write name: {name}")));
    };
    let said = node.text("name")?;
    if said != name {
        let error = node.mark.error(format!("the AGENT.md of {name:?} names itself {:?}", cut(said)));
        return Err(error.hint("the directory and the key name must agree"));
    }
    wire::word("name", said).map(drop).map_err(|error| node.mark.wrap(&error))
}

/// A tier is `NAME`, a model `PROVIDER/NAME`.
fn model(front: &Front<'_>) -> Result<String, Error> {
    let Some(node) = front.get("model") else { return Ok(foreign::SMART.to_owned()) };
    let word = node.text("model")?;
    let word = foreign::model(word).unwrap_or(word);
    abi::model::name("model", word).map_err(|error| node.mark.wrap(&error))
}

/// The tools it has here, and those it asks for that are not here.
fn tools(front: &Front<'_>) -> Result<(Vec<String>, Vec<String>), Error> {
    let known: Vec<&str> = call::CALLS.iter().filter(|spec| spec.served).map(|spec| spec.name).collect();
    let (mut tools, mut withheld) = (Vec::new(), Vec::new());
    let asked = match front.get("tools") {
        Some(node) => node.words("tools")?,
        // Who says nothing of tools and needs has those that a subagent inherits.
        None if !front.contains_key("needs") => vec![],
        None => return Ok((tools, withheld)),
    };
    if asked.len() > 2 * limits::CAPS_HELD_MAX {
        return Err(Error::new(Code::TooLarge, "AGENT.md has too many tools").argument(FILE));
    }
    for (mark, word) in &asked {
        if known.contains(word) || *word == call::BASH {
            tools.push((*word).to_owned());
            continue;
        }
        match foreign::tools(word) {
            Some([]) => withheld.push(format!("tool {}: there is none of its kind here", cut(word))),
            Some(ours) => tools.extend(ours.iter().map(|tool| (*tool).to_owned())),
            None => {
                let error = mark.error(format!("there is no tool {:?}", cut(word)));
                let all: Vec<&str> = known.iter().copied().chain(foreign::names()).collect();
                return Err(error.hint(wire::nearest_hint(word, &all)));
            }
        }
    }
    if !front.contains_key("tools") {
        tools.extend(foreign::INHERITED.map(str::to_owned));
    }
    if let Some(node) = front.get("disallowedTools") {
        let gone = node.words("disallowedTools")?;
        let of = |tool: &String| gone.iter().any(|(_, word)| tool == word || foreign::is(word, tool));
        tools.retain(|tool| !of(tool));
    }
    let mut seen = std::collections::BTreeSet::new();
    tools.retain(|tool| seen.insert(tool.clone()));
    Ok((tools, withheld))
}

/// What it asks for: as it says; else, if it is a file that knows no needs, what its tools are for.
fn needs(front: &Front<'_>, tools: &[String], skills: &[String]) -> Result<Vec<Grant>, Error> {
    let mut needs = Vec::new();
    match front.get("needs") {
        Some(node) => {
            for item in node.list("needs")? {
                let need = policy::grant(item.text("a need")?);
                needs.push(need.map_err(|error| item.mark.wrap(&error))?);
            }
        }
        None if foreign::knows_no_needs(front) => {
            needs.extend(foreign::needs(tools).map(Grant::parse).collect::<Result<Vec<_>, _>>()?);
        }
        None => {}
    }
    for skill in skills {
        needs.push(Grant::parse(&format!("read /skills/{skill}/**"))?);
    }
    if needs.len() > limits::CAPS_HELD_MAX {
        return Err(Error::new(Code::TooLarge, "AGENT.md has too many needs").argument(FILE));
    }
    Ok(needs)
}

fn skills(front: &Front<'_>) -> Result<Vec<String>, Error> {
    let Some(node) = front.get("skills") else { return Ok(Vec::new()) };
    let words = node.words("skills")?;
    if words.len() > limits::SKILLS_MAX {
        return Err(node.mark.error(format!("there are more than {} skills", limits::SKILLS_MAX)));
    }
    let name = |(mark, word): (policy::tree::Mark, &str)| {
        wire::word("skills", word).map_err(|error| mark.wrap(&error))
    };
    words.into_iter().map(name).collect()
}

/// Its row of a budget: what it asks for can only lower what it is given.
fn budget(front: &Front<'_>) -> Result<Row, Error> {
    front
        .get("budget")
        .map_or_else(|| Ok(Row::default()), |node| policy::budget::row("AGENT.md: budget", node))
}

/// Front matter and what stands behind it.
fn split(bytes: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    let no_front =
        || wrong("AGENT.md does not open with front matter".into()).hint("start it with a line ---");
    let rest =
        bytes.strip_prefix(b"---\n").or_else(|| bytes.strip_prefix(b"---\r\n")).ok_or_else(no_front)?;
    let mut at = 0;
    for line in rest.split_inclusive(|byte| *byte == b'\n') {
        let end = at + line.len();
        if line.trim_ascii_end() == b"---" {
            return Ok((rest.get(..at).unwrap_or_default(), rest.get(end..).unwrap_or_default()));
        }
        at = end;
        if at > FRONT_BYTES_MAX {
            return Err(Error::new(Code::TooLarge, "front matter is larger than 16 KiB").argument(FILE));
        }
    }
    Err(wrong("the front matter of AGENT.md does not end".into()).hint("end it with a line ---"))
}

fn restart(front: &Front<'_>) -> Result<Restart, Error> {
    let Some(node) = front.get("restart") else { return Ok(Restart::No) };
    let bad =
        || node.mark.error("restart is no, on-failure, on-failure:N or always").hint("restart: on-failure:5");
    match node.text("restart")? {
        "no" | "false" => Ok(Restart::No),
        "always" => Ok(Restart::Always),
        "on-failure" => Ok(Restart::OnFailure(5)),
        text => {
            let times = text.strip_prefix("on-failure:").and_then(|times| times.parse().ok());
            times.filter(|times| (1..=100).contains(times)).map(Restart::OnFailure).ok_or_else(bad)
        }
    }
}

fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}

fn wrong(message: String) -> Error {
    Error::invalid(FILE, message)
}

#[cfg(test)]
mod tests;
