//! `skep run`.

use crate::{
    escape,
    fail::{Exit, Fail, Outcome},
    guest::{self, Stay, Wish},
    models,
    session::Session,
    watch::Watch,
};
use abi::{Pid, Seq};
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// Give an agent a task, or run a program as one, and wait for it
///
/// With words behind `--`, these are a program: it runs walled off, in a sandbox of an agent of its name if
/// there is one (claude, codex and others are known), else of the agent `guest`. It has your terminal;
/// Ctrl-\ then d leaves it running, and its status is that of the program. Of a turn, Ctrl-C interrupts it
/// and so stops the bill.
#[derive(Debug, clap::Args)]
pub struct Run {
    /// Which agent; a task alone goes to the agent `helper`
    #[arg(value_name = "AGENT|TASK", required_unless_present = "command")]
    first: Option<String>,
    /// The task
    #[arg(value_name = "TASK")]
    second: Option<String>,
    /// A value of an input that the agent's AGENT.md declares; may be said more than once
    #[arg(short, long, value_name = "NAME=VALUE")]
    input: Vec<String>,
    /// Only done if this file stands at the end
    #[arg(long, value_name = "PATH")]
    post_exists: Vec<String>,
    /// Only done if this file contains this text at the end
    #[arg(long, value_name = "PATH=TEXT")]
    post_contains: Vec<String>,
    /// Money for this run; can only lower what the agent has
    #[arg(long, value_name = "AMOUNT")]
    budget: Option<String>,
    /// What lies below it is invisible to the run, whatever it may read
    #[arg(long, value_name = "INTEGRITY", value_parser = ["external", "workspace", "operator"])]
    ceiling: Option<String>,
    /// Do not wait; prints the process's number
    #[arg(short, long)]
    detach: bool,
    /// What the program behind `--` is to do by itself, where its recipe knows how it is told
    #[arg(long, value_name = "TASK", requires = "command")]
    task: Option<String>,
    /// As this agent [default: the one of the program's name, else guest]
    #[arg(long = "as", value_name = "AGENT", requires = "command")]
    agent: Option<String>,
    /// Show this directory of the host to the program, read-only, at its own path; may be said more than once
    #[arg(long, value_name = "DIR", requires = "command")]
    tool: Vec<PathBuf>,
    /// What it writes waits until you keep or drop it [default with -d: it has nobody before it]
    #[arg(long, requires = "command", conflicts_with = "live")]
    draft: bool,
    /// What it writes stands at once [default without -d]
    #[arg(long, requires = "command")]
    live: bool,
    /// It is logged in at its own service and pays there, not through the model endpoint
    #[arg(long, value_name = "WHOSE", value_parser = ["own"], requires = "command")]
    login: Option<String>,
    /// A program and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    #[arg(conflicts_with_all = ["first", "second", "post_exists", "post_contains"])]
    command: Vec<String>,
}

impl Run {
    pub fn run(self, session: &mut Session) -> Outcome {
        let detach = self.detach;
        if !self.command.is_empty() {
            let Self { command, task, agent, tool, budget, ceiling, draft, live, login, .. } = self;
            let leave = if detach { Stay::Leaves } else { Stay::Sits };
            let draft = draft || (detach && !live);
            let dir = PathBuf::from(".");
            let (tools, own_login) = (tool, login.is_some());
            let wish = Wish { command, task, agent, tools, budget, ceiling, draft, own_login, dir };
            return guest::run(session, &wish, leave);
        }
        let params = self.params()?;
        let agent = params.get("agent").and_then(Value::as_str).unwrap_or_default().to_owned();
        models::ready(session, &agent, !detach)?;
        // Before the process exists, so that nothing it does is missed.
        let seq = Seq(session.card("/sys/status")?.number("seq"));
        let answer = session.call("spawn", params)?;
        if session.is_json() && detach {
            session.object(&answer)?;
        }
        withheld(session, &answer);
        let Some(pid) = answer.get("pid").and_then(Value::as_u64).map(Pid) else {
            return other(session, &answer);
        };
        if detach {
            if !session.is_json() {
                session.say(&pid.to_string())?;
                session.hint(&format!("skep attach {pid}, skep trace {pid} -f, skep logs {pid}"));
            }
            return Ok(Exit::Fine);
        }
        let limits = limits(session);
        session.note(&format!("pid {pid}{limits}; Ctrl-C interrupts it"));
        Watch::new(session, pid, seq)?.run(session)
    }

    fn params(self) -> Result<Value, Fail> {
        let first = self.first.unwrap_or_default();
        let (agent, task) = match self.second {
            Some(task) => (first, task),
            None => ("helper".to_owned(), first),
        };
        if task.trim().is_empty() {
            return Err(Fail::usage("there is no task").hint("skep run \"say hello\""));
        }
        let mut post: Vec<Value> = self.post_exists.iter().map(|path| json!({"exists": path})).collect();
        for pair in &self.post_contains {
            let (path, text) = pair.split_once('=').ok_or_else(|| {
                Fail::usage(format!("--post-contains {pair:?} names no text"))
                    .hint("write it as PATH=TEXT: --post-contains /data/a.md=hello")
            })?;
            post.push(json!({"contains": path, "text": text}));
        }
        let mut map = Map::new();
        map.insert("agent".into(), json!(agent));
        map.insert("text".into(), json!(task));
        map.insert("origin".into(), json!("argument"));
        if !post.is_empty() {
            map.insert("post".into(), json!(post));
        }
        if !self.input.is_empty() {
            map.insert("inputs".into(), inputs(&self.input)?);
        }
        if let Some(ceiling) = self.ceiling {
            map.insert("ceiling".into(), json!(ceiling));
        }
        if let Some(budget) = self.budget {
            let _: abi::money::Nano = budget.parse()?;
            map.insert("budget".into(), json!(budget));
        }
        Ok(Value::Object(map))
    }
}

/// The limits in force for a run, in words: they hold before a call is made.
pub fn limits(session: &mut Session) -> String {
    let Ok(policy) = session.read("/sys/policy") else { return String::new() };
    let of = |head: &str, tail: &str| {
        let amount = policy.lines().find_map(|line| line.strip_prefix(head));
        amount.map(|amount| format!("{} {tail}", escape::line(amount.trim())))
    };
    let all: Vec<String> =
        [of("limit run money run ", "a run"), of("limit workspace money day ", "a day, all agents")]
            .into_iter()
            .flatten()
            .collect();
    if all.is_empty() { String::new() } else { format!("; limits {}", all.join(", ")) }
}

/// `NAME=VALUE` each, as the argument of a call.
pub fn inputs(pairs: &[String]) -> Result<Value, Fail> {
    let mut inputs = Map::new();
    for pair in pairs {
        let (name, value) = pair.split_once('=').ok_or_else(|| {
            Fail::usage(format!("--input {pair:?} has no value")).hint("--input since=yesterday")
        })?;
        if inputs.insert(name.to_owned(), json!(value)).is_some() {
            return Err(Fail::usage(format!("--input {name} is said twice")));
        }
    }
    Ok(Value::Object(inputs))
}

/// What an agent asks for and does not get.
pub fn withheld(session: &mut Session, answer: &Value) {
    let withheld = answer.get("withheld").and_then(Value::as_array).into_iter().flatten();
    for need in withheld.filter_map(Value::as_str) {
        session.note(&format!("withheld: {}", escape::line(need)));
    }
}

/// A spawn that did not begin at once: held or queued.
pub fn other(session: &mut Session, answer: &Value) -> Outcome {
    if session.is_json() {
        session.object(answer)?;
    } else if let Some(proposal) = answer.get("proposal").and_then(Value::as_u64) {
        session.say(&format!("held as proposal {proposal}"))?;
        session.hint(&format!("skep inbox {proposal}"));
    } else {
        session.say("queued")?;
    }
    Ok(Exit::Bad)
}
