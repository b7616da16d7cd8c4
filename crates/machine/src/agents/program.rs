//! An agent that is a program: the key `run`.
//!
//! ```yaml
//! run:
//!   command: [python3, /agents/clock/main.py]   # or a line of a shell
//!   dir: /data
//!   healthcheck: {test: [curl, -f, http://127.0.0.1:8080/], interval: 30s, timeout: 5s, retries: 3}
//! ```
//! The words of `healthcheck` are those of compose files; `tcp: PORT` and `http: PORT/PATH` are tried by the
//! daemon itself, inside the wall. Never here: whether it may be run.

use super::{FILE, Front};
use crate::policy::{self, tree::Node};
use abi::{
    Code, Error,
    agent::{Probe, Program, Test},
    limits,
    path::TreePath,
};

const KEYS: [&str; 3] = ["command", "dir", "healthcheck"];
const CHECK_KEYS: [&str; 7] = ["test", "tcp", "http", "interval", "timeout", "retries", "start_period"];
const DIR: &str = "/data";
const INTERVAL_US: u64 = 30_000_000;
const TIMEOUT_US: u64 = 30_000_000;
const RETRIES: u32 = 3;
const RETRIES_MAX: u64 = 1_000;

/// What it runs; none if it is a turn.
pub(super) fn read(front: &Front<'_>) -> Result<Option<Program>, Error> {
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
    Ok(Some(Program { command, dir, probe }))
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

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
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
