//! `/agents/NAME/AGENT.md`: front matter between two lines `---`, then the prompt.
//!
//! ```text
//! ---
//! name: triage
//! model: scripted
//! tools: [read, write, propose]
//! needs: [read /data/**, ask mail.send]
//! budget: {run: 0.50, day: 2.00}
//! restart: "no"                      # no | on-failure[:5] | always
//! ---
//! You sort mail.
//! ```
//! It asks; policy grants. Unknown keys are errors that name the nearest known one; `x-` keys are free.

use crate::policy;
use abi::{
    Code, Content, Error,
    agent::{AgentDef, Restart},
    call, limits,
    money::Nano,
    tree::Version,
    wire,
};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Bytes of front matter: it is read at every start of the agent.
const FRONT_BYTES_MAX: usize = 16 * 1024;
const KEYS: [&str; 7] = ["name", "model", "tools", "needs", "budget", "restart", "description"];
const FILE: &str = "AGENT.md";

#[derive(Deserialize)]
struct Front {
    name: String,
    model: String,
    #[serde(default)]
    tools: Vec<String>,
    #[serde(default)]
    needs: Vec<String>,
    #[serde(default)]
    budget: BTreeMap<String, String>,
    #[serde(default)]
    restart: Option<String>,
}

/// Parses the file of the agent of this name; answers its definition and the bytes of its prompt.
pub fn parse(name: &str, bytes: &[u8], version: &Version) -> Result<(AgentDef, Vec<u8>), Error> {
    let (front, prompt) = split(bytes)?;
    let front: Front = policy::yaml(FILE, front, &KEYS)?;
    if front.name != name {
        return Err(wrong(format!("the AGENT.md of {name:?} names itself {:?}", cut(&front.name)))
            .hint("the directory and the key name must agree"));
    }
    wire::word("name", &front.name)?;
    check_model(&front.model)?;
    if prompt.len() as u64 > limits::ARGUMENT_BYTES_MAX {
        return Err(Error::new(Code::TooLarge, "the prompt is larger than 64 KiB").argument(FILE));
    }
    if front.tools.len() > call::CALLS.len() || front.needs.len() > limits::CAPS_HELD_MAX {
        return Err(Error::new(Code::TooLarge, "AGENT.md has too many tools or needs").argument(FILE));
    }
    check_tools(&front.tools)?;
    let needs = front.needs.iter().map(|need| policy::grant(need)).collect::<Result<_, _>>();
    let (mut run, mut day) = (None, None);
    for (key, amount) in &front.budget {
        let amount: Nano = amount.parse().map_err(|error: Error| error.argument(FILE))?;
        match key.as_str() {
            "run" => run = Some(amount),
            "day" => day = Some(amount),
            _ => return Err(policy::unknown("AGENT.md: budget", key, &["run", "day"])),
        }
    }
    let def = AgentDef {
        name: front.name,
        model: front.model,
        tools: front.tools,
        needs: needs.map_err(|error: Error| error.argument(FILE))?,
        budget_run: run,
        budget_day: day,
        restart: restart(front.restart.as_deref())?,
        prompt: Content::of(prompt),
        version: version.id,
        label: version.label,
    };
    Ok((def, prompt.to_vec()))
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

fn check_tools(tools: &[String]) -> Result<(), Error> {
    let known: Vec<&str> = call::CALLS.iter().filter(|spec| spec.served).map(|spec| spec.name).collect();
    match tools.iter().find(|tool| !known.contains(&tool.as_str())) {
        None => Ok(()),
        Some(tool) => {
            Err(wrong(format!("there is no tool {:?}", cut(tool))).hint(wire::nearest_hint(tool, &known)))
        }
    }
}

/// A model is a tier, or `PROVIDER/NAME`.
fn check_model(model: &str) -> Result<(), Error> {
    abi::model::name("model", model).map(drop)
}

fn restart(text: Option<&str>) -> Result<Restart, Error> {
    let bad =
        || wrong("restart is no, on-failure, on-failure:N or always".into()).hint("restart: on-failure:5");
    match text {
        None | Some("no" | "false") => Ok(Restart::No),
        Some("always") => Ok(Restart::Always),
        Some("on-failure") => Ok(Restart::OnFailure(5)),
        Some(text) => {
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
