//! An agent that is a program: the key `run`.
//!
//! ```yaml
//! run:
//!   command: [python3, /agents/clock/main.py]   # or a line of a shell
//!   dir: /data
//!   tty: true                       # a terminal of its own: skep attach
//!   protocol: acp                   # it is told its task, and asks, by that: no tty, no args_unattended
//!   args_unattended: [-p, $task]    # what it is told when nobody sits before it
//!   endpoint: {anthropic: ANTHROPIC_BASE_URL, token: ANTHROPIC_AUTH_TOKEN}
//!   environment: {NAME: value}
//!   seed: {.config/it.json: {asked: true}}      # files of its HOME; $cwd is where it begins
//!   home: kept                      # there again for the next run; else it goes with the sandbox
//!   login: own                      # it pays at its own service
//!   view: draft                     # what it writes waits until an operator keeps it; else live
//!   healthcheck: {test: [curl, -f, http://127.0.0.1:8080/], interval: 30s, timeout: 5s, retries: 3}
//! ```
//! The words of `healthcheck` are those of compose files; `tcp: PORT` and `http: PORT/PATH` are tried by the
//! daemon itself, inside the wall. Never here: whether it may be run.

use super::{FILE, Front};
use crate::policy::{self, tree::Node};
use abi::{
    Code, Error,
    agent::{Guest, Home, Probe, Program, Protocol, Test, quoted},
    call::Stdio,
    limits,
    path::TreePath,
};

const KEYS: [&str; 12] = [
    "command",
    "dir",
    "tty",
    "protocol",
    "healthcheck",
    "args_unattended",
    "endpoint",
    "environment",
    "seed",
    "home",
    "login",
    "view",
];
/// What the endpoint can be told as.
const ENDPOINT_KEYS: [&str; 4] = ["anthropic", "openai", "gemini", "token"];
/// Bytes of the files that a recipe puts into a HOME.
const SEED_BYTES_MAX: usize = 16 * 1024;
/// What stands for the words of a task, and for the directory it begins in.
const TASK: &str = "$task";
const CHECK_KEYS: [&str; 7] = ["test", "tcp", "http", "interval", "timeout", "retries", "start_period"];
const DIR: &str = "/data";
const INTERVAL_US: u64 = 30_000_000;
const TIMEOUT_US: u64 = 30_000_000;
const RETRIES: u32 = 3;
const RETRIES_MAX: u64 = 1_000;

/// What it runs; none if it is a turn.
pub(super) fn read(front: &Front<'_>) -> Result<Option<(Program, Vec<String>)>, Error> {
    let Some(node) = front.get("run") else { return Ok(None) };
    let keys: Front<'_> = node.section("AGENT.md: run", &KEYS)?.collect();
    let Some(command) = keys.get("command") else {
        return Err(node.mark.error("run needs a command").hint("command: [python3, main.py]"));
    };
    let command = line(command)?;
    if command.len() as u64 > limits::ARGUMENT_BYTES_MAX {
        return Err(Error::new(Code::TooLarge, "the command is larger than 64 KiB").argument(FILE));
    }
    let dir = match keys.get("dir") {
        Some(node) => TreePath::parse(node.text("dir")?).map_err(|error| node.mark.wrap(&error))?,
        None => TreePath::parse(DIR)?,
    };
    let probe = keys.get("healthcheck").map(|node| probe(node)).transpose()?;
    let unattended = match keys.get("args_unattended") {
        Some(node) => texts(node, "an argument")?,
        None => Vec::new(),
    };
    Ok(Some((Program { command, dir, probe, guest: guest(&keys)? }, unattended)))
}

fn guest(keys: &Front<'_>) -> Result<Guest, Error> {
    let endpoint = match keys.get("endpoint") {
        Some(node) => node.section("AGENT.md: endpoint", &ENDPOINT_KEYS)?.collect(),
        None => Vec::new(),
    };
    let endpoint = endpoint.iter().map(|(kind, node)| Ok(((*kind).to_owned(), variable(node)?)));
    let env = keys.get("environment").map_or(Ok(&[][..]), |node| node.map("environment"))?;
    let env = env.iter().map(|(name, node)| Ok((variable(name)?, node.text("a value")?.to_owned())));
    let own_login = match keys.get("login") {
        None => false,
        Some(node) if node.text("login")? == "own" => true,
        Some(node) => return Err(node.mark.error("login is own, or is not said")),
    };
    let home = match keys.get("home") {
        None => Home::Sandbox,
        Some(node) => match node.text("home")? {
            "kept" => Home::Kept,
            "sandbox" => Home::Sandbox,
            other => return Err(node.mark.error(format!("home is kept or sandbox, not {other:?}"))),
        },
    };
    let draft = keys.get("view").map_or(Ok(false), |node| is_draft(node))?;
    let (stdio, protocol) = spoken(keys)?;
    Ok(Guest {
        draft,
        home,
        stdio,
        protocol,
        env: env.collect::<Result<_, Error>>()?,
        tools: Vec::new(),
        seed: keys.get("seed").map_or(Ok(Vec::new()), |node| seed(node))?,
        endpoint: endpoint.collect::<Result<_, Error>>()?,
        own_login,
    })
}

/// What becomes of what a program writes.
pub(crate) fn is_draft(node: &Node) -> Result<bool, Error> {
    match node.text("view")? {
        "draft" => Ok(true),
        "live" => Ok(false),
        other => Err(node.mark.error(format!("view is draft or live, not {other:?}"))),
    }
}

fn texts(node: &Node, what: &str) -> Result<Vec<String>, Error> {
    node.list(what)?.iter().map(|item| item.text(what).map(str::to_owned)).collect()
}

/// The name of a variable of the environment.
fn variable(node: &Node) -> Result<String, Error> {
    let name = node.text("a variable")?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || name.starts_with(|sign: char| sign.is_ascii_digit()) || !name.bytes().all(plain) {
        return Err(node.mark.error(format!("{name:?} is no name of a variable")));
    }
    Ok(name.to_owned())
}

/// Files of its HOME: a text as it is, anything else as JSON.
fn seed(node: &Node) -> Result<Vec<(String, String)>, Error> {
    let mut files = Vec::new();
    for (path, content) in node.map("seed")? {
        let name = path.text("a path")?;
        if name.starts_with('/') || name.split('/').any(|part| ["", ".", ".."].contains(&part)) {
            return Err(path.mark.error(format!("{name:?} is no path below HOME")));
        }
        let text =
            if content.is_text() { content.text("a file")?.to_owned() } else { content.json()?.to_string() };
        files.push((name.to_owned(), text));
    }
    if files.iter().map(|(_, text)| text.len()).sum::<usize>() > SEED_BYTES_MAX {
        return Err(node.mark.error("the files of seed are larger than 16 KiB"));
    }
    Ok(files)
}

/// The words for a program before which nobody sits.
pub(super) fn set(run: &mut Program, unattended: &[String], task: &str) {
    for word in unattended {
        run.command.push(' ');
        run.command.push_str(&quoted(&word.replace(TASK, task)));
    }
}

/// What it speaks, and on what.
fn spoken(keys: &Front<'_>) -> Result<(Stdio, Protocol), Error> {
    let Some(node) = keys.get("protocol") else {
        return Ok((stdio(keys.get("tty").copied())?, Protocol::None));
    };
    let word = node.text("protocol")?;
    if word != "acp" {
        return Err(node.mark.error(format!("protocol is acp, not {word:?}")));
    }
    let beside = ["tty", "args_unattended"].iter().find(|key| keys.contains_key(*key));
    match beside {
        // Others may look at what it says; what it reads is the protocol's.
        None => Ok((Stdio::Pipe, Protocol::Acp)),
        Some(key) => Err(node.mark.error(format!("with protocol: acp there is no {key}"))),
    }
}

/// Whether it has a terminal of its own.
fn stdio(tty: Option<&Node>) -> Result<Stdio, Error> {
    let Some(node) = tty else { return Ok(Stdio::Null) };
    match node.text("tty")? {
        "true" => Ok(Stdio::TERMINAL),
        "false" => Ok(Stdio::Null),
        other => Err(node.mark.error(format!("tty is true or false, not {other:?}"))),
    }
}

/// Words, each quoted for a shell, or a line of one.
fn line(node: &Node) -> Result<String, Error> {
    if node.is_text() {
        return Ok(node.text("command")?.to_owned());
    }
    let words = node.list("command")?;
    let words = words.iter().map(|word| word.text("a word of the command").map(quoted));
    let words = words.collect::<Result<Vec<_>, _>>()?;
    if words.is_empty() {
        return Err(node.mark.error("the command is empty"));
    }
    // The shell becomes the program: signals and the end are its own.
    Ok(format!("exec {}", words.join(" ")))
}

fn probe(node: &Node) -> Result<Probe, Error> {
    let keys: Front<'_> = node.section("AGENT.md: healthcheck", &CHECK_KEYS)?.collect();
    let length =
        |key: &str, default: u64| keys.get(key).map_or(Ok(default), |node| policy::budget::duration(node));
    let number = |key: &str, default: u64, most: u64| match keys.get(key) {
        None => Ok(default),
        Some(node) => {
            let text = node.text(key)?;
            let number = text.parse().ok().filter(|number| *number <= most && *number > 0);
            number.ok_or_else(|| node.mark.error(format!("{key} is from 1 to {most}, not {text:?}")))
        }
    };
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    let test = match (keys.get("test"), keys.get("tcp"), keys.get("http")) {
        (Some(node), None, None) => Test::Exec(check(node)?),
        (None, Some(node), None) => {
            let text = node.text("tcp")?;
            Test::Tcp(port(text).ok_or_else(|| node.mark.error(format!("{text:?} is no port")))?)
        }
        (None, None, Some(node)) => {
            let text = node.text("http")?;
            let (number, path) = text.split_once('/').unwrap_or((text, ""));
            let plain = path.bytes().all(|byte| byte.is_ascii_graphic());
            let number = port(number).filter(|_| plain && path.len() < 1024);
            let bad = || node.mark.error(format!("{text:?} is no PORT/PATH")).hint("http: 8080/health");
            Test::Http(number.ok_or_else(bad)?, format!("/{path}"))
        }
        _ => return Err(node.mark.error("a healthcheck has one of test, tcp, http")),
    };
    Ok(Probe {
        test,
        interval_us: length("interval", INTERVAL_US)?,
        timeout_us: length("timeout", TIMEOUT_US)?,
        retries: u32::try_from(number("retries", u64::from(RETRIES), RETRIES_MAX)?).unwrap_or(RETRIES),
        start_us: length("start_period", 1)?,
    })
}

/// As compose has it: words, with `CMD` or `CMD-SHELL` before them or not; or a line of a shell.
fn check(node: &Node) -> Result<String, Error> {
    if node.is_text() {
        return line(node);
    }
    let words = node.list("test")?;
    let words = words.iter().map(|word| word.text("a word of the test"));
    let words = words.collect::<Result<Vec<_>, _>>()?;
    match words.as_slice() {
        ["CMD-SHELL", line] => Ok((*line).to_owned()),
        ["CMD", rest @ ..] | rest if !rest.is_empty() => {
            Ok(rest.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "))
        }
        _ => Err(node.mark.error("the test is empty")),
    }
}
