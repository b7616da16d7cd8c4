//! Words written to control files: `/sys/ctl` and `/proc/PID/ctl`. The one table of them, and their parser.

use crate::{
    Code, Error, Pid,
    call::Signal,
    money::{Nano, Resource, Window},
    path::{Pattern, TreePath},
    tree::{Keep, Retain},
};
use alloc::{format, string::String, vec::Vec};
use musli::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// Every word: control file, form, meaning.
pub const WORDS: [(&str, &str, &str); 25] = [
    ("/sys/ctl", "mount NAME DRIVER [ARGUMENT]", "attach an integration at /integrations/NAME"),
    ("/sys/ctl", "unmount NAME", "detach it; what it delivered stays"),
    (
        "/sys/ctl",
        "bind [external] DIR",
        "a directory of this host is part of the tree from now on, at its own path",
    ),
    ("/sys/ctl", "unbind DIR", "it is no more; what stands in it stays, and so do its versions"),
    (
        "/sys/ctl",
        "workspace NAME [lacks RULE...]",
        "make a workspace; only a demo daemon may leave rules out",
    ),
    (
        "/sys/ctl",
        "budget ACCOUNT [RESOURCE] run|hour|day|month AMOUNT",
        "set a limit, of money if no other resource is named: workspace, agent:NAME, process:PID, mount:NAME",
    ),
    (
        "/sys/ctl",
        "purge PATH REASON...",
        "destroy the bytes of every version of a file, for ever; a path with spaces in double quotes",
    ),
    (
        "/sys/ctl",
        "retain PATTERN last N|days N|all",
        "how many versions of files there keep their bytes; all is the default",
    ),
    ("/sys/ctl", "backup FILE", "write all of this workspace to a new host file, while it goes on"),
    ("/sys/ctl", "restore NAME FILE", "make a workspace of a backup: all in it frozen, nothing mounted"),
    ("/sys/ctl", "checkpoint FILE", "append a signed checkpoint of the log to a file on the host"),
    ("/sys/ctl", "provider NAME", "ask a provider of /sys/models.yaml which models it has"),
    (
        "/sys/ctl",
        "operator add UID NAME",
        "let a user of this host in at a socket of their own; policy says what they may do",
    ),
    (
        "/sys/ctl",
        "operator rm NAME",
        "let them in no more: their connections are cut, what they began is ended",
    ),
    ("/sys/ctl", "estop", "nothing in this workspace starts, steps or leaves, also after a restart"),
    ("/sys/ctl", "thaw", "lift an estop: everything goes on from where it stood"),
    ("/sys/ctl", "down", "let running effects end, put every workspace to sleep, stop the daemon"),
    ("/proc/PID/ctl", "freeze", "no new step, no new effect"),
    ("/proc/PID/ctl", "thaw", "go on"),
    ("/proc/PID/ctl", "interrupt", "end the turn with what there is"),
    ("/proc/PID/ctl", "kill", "end now"),
    ("/proc/PID/ctl", "attach", "an operator's connection looks at its terminal, and types into it"),
    ("/proc/PID/ctl", "keep", "what it left as a draft becomes one operation; others' changes are merged"),
    ("/proc/PID/ctl", "drop", "what it left as a draft does not"),
    (
        "/proc/PID/ctl",
        "open PORT at PORT",
        "where its programs listen is reached at this port of 127.0.0.1, while the connection is open",
    ),
];

/// A parsed word.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub enum Control {
    /// Attach an integration.
    Mount {
        /// At `/integrations/NAME`.
        name: String,
        /// Which driver.
        driver: String,
        /// What the driver needs to know (a host directory, for instance).
        argument: String,
    },
    /// Detach it.
    Unmount {
        /// Which.
        name: String,
    },
    /// A directory of the host becomes part of the tree.
    Bind {
        /// Which; it has the same path inside.
        dir: TreePath,
        /// It is not the operator's own work: its label says so.
        external: bool,
    },
    /// And is no more.
    Unbind {
        /// Which.
        dir: TreePath,
    },
    /// Make a workspace.
    Workspace {
        /// Its name.
        name: String,
        /// Rules of the sink table it is made without.
        lacks: Vec<u8>,
    },
    /// Set a limit.
    Budget {
        /// Account name.
        account: String,
        /// Over what time.
        window: Window,
        /// How much: nano-units, or a count.
        amount: Nano,
        /// Of what.
        #[musli(default)]
        #[serde(default)]
        resource: Resource,
    },
    /// Destroy the bytes of every version of a file.
    Purge {
        /// Which.
        path: TreePath,
        /// Why.
        reason: String,
    },
    /// How many versions are kept.
    Retain(Retain),
    /// A signed checkpoint.
    Checkpoint {
        /// On the host; absolute.
        file: String,
    },
    /// Stop the daemon.
    Down,
    /// To a process.
    Signal {
        /// Which.
        pid: Pid,
        /// What.
        signal: Signal,
    },
    /// Write all of the workspace to a host file.
    Backup {
        /// Absolute; not there yet.
        file: String,
    },
    /// Make a workspace of a backup.
    Restore {
        /// Its name; not taken yet.
        name: String,
        /// Absolute.
        file: String,
    },
    /// Keep, lend or destroy a secret. Its value never comes here: the door holds it beside the event.
    Secret {
        /// Its name.
        name: String,
        /// Which of the three.
        act: SecretAct,
    },
    /// Ask a provider which models it has.
    Provider {
        /// Its name.
        name: String,
    },
    /// Let a user of this host in, or no more.
    Operator {
        /// What they are called.
        name: String,
        /// Which user; none lets them in no more.
        uid: Option<u32>,
    },
    /// The connection that says so looks at the terminal of a process, and may type into it.
    Attach {
        /// Which.
        pid: Pid,
    },
    /// Where programs of a process listen is reached from the host, as long as the connection that says so is
    /// open.
    Open {
        /// Which process.
        pid: Pid,
        /// Where they listen.
        port: u16,
        /// The port of the host's own address.
        at: u16,
    },
    /// Nothing starts.
    Stop,
    /// It goes on.
    Lift,
    /// The draft of a process becomes one operation, or does not.
    Draft {
        /// Whose.
        pid: Pid,
        /// Which of the two.
        keep: bool,
    },
}

/// What happens to a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretAct {
    /// It is sealed and kept by the node.
    Keep,
    /// It serves the runs that this connection starts, as long as the connection is open.
    Lend,
    /// It is destroyed.
    Forget,
}

/// The name of the secret that a path stands for: `/sys/secrets/NAME`.
pub fn secret_of(path: &TreePath) -> Option<&str> {
    path.as_str().strip_prefix("/sys/secrets/")
}

/// Whether writes to this path are words, not bytes.
pub fn is_control(path: &TreePath) -> bool {
    path.as_str() == "/sys/ctl" || (path.as_str().starts_with("/proc/") && path.name() == "ctl")
}

/// Parses what was written to a control file.
pub fn parse(path: &TreePath, text: &str) -> Result<Control, Error> {
    let words: Vec<&str> = text.split_whitespace().collect();
    match path.as_str().strip_prefix("/proc/") {
        Some(rest) => {
            let pid = rest.strip_suffix("/ctl").and_then(|pid| pid.parse().ok());
            let pid =
                pid.ok_or_else(|| Error::new(Code::NotFound, format!("{path} is not a control file")))?;
            let pid = Pid(pid);
            match words.as_slice() {
                ["attach"] => Ok(Control::Attach { pid }),
                ["keep"] => Ok(Control::Draft { pid, keep: true }),
                ["open", port, "at", at] => Ok(Control::Open { pid, port: tcp(port)?, at: tcp(at)? }),
                ["open", ..] => Err(unknown(&words)),
                ["drop"] => Ok(Control::Draft { pid, keep: false }),
                _ => Ok(Control::Signal { pid, signal: signal(words.first().copied().unwrap_or(""))? }),
            }
        }
        None => match quoted(text)? {
            Some((path, reason)) if !reason.is_empty() => Ok(Control::Purge { path, reason }),
            _ => system(&words),
        },
    }
}

/// `purge "PATH" REASON`, so that a path may hold spaces: in the quotes, a backslash takes the next sign as
/// it is.
fn quoted(text: &str) -> Result<Option<(TreePath, String)>, Error> {
    let Some(rest) = text.trim().strip_prefix("purge").map(str::trim_start) else { return Ok(None) };
    let Some(rest) = rest.strip_prefix('"') else { return Ok(None) };
    let (mut path, mut signs) = (String::new(), rest.chars());
    loop {
        match signs.next() {
            None => return Err(Error::invalid("text", "the path's second quote is missing")),
            Some('"') => break,
            Some('\\') => path.extend(signs.next()),
            Some(sign) => path.push(sign),
        }
    }
    let reason: Vec<&str> = signs.as_str().split_whitespace().collect();
    Ok(Some((TreePath::parse(&path)?, reason.join(" "))))
}

/// A port of TCP.
fn tcp(word: &str) -> Result<u16, Error> {
    let port = word.parse().ok().filter(|port: &u16| *port != 0);
    port.ok_or_else(|| {
        Error::invalid("text", format!("{word:?} is no port")).hint("a number from 1 to 65535")
    })
}

/// The signal of this name.
pub fn signal(word: &str) -> Result<Signal, Error> {
    match word {
        "freeze" => Ok(Signal::Freeze),
        "thaw" => Ok(Signal::Thaw),
        "interrupt" => Ok(Signal::Interrupt),
        "kill" => Ok(Signal::Kill),
        _ => Err(Error::invalid("signal", format!("{word:?} is not a signal"))
            .hint("freeze, thaw, interrupt, kill")),
    }
}

fn system(words: &[&str]) -> Result<Control, Error> {
    match words {
        ["mount", "operator", ..] => {
            Err(Error::invalid("name", "operator is where agents ask you").hint("take another name"))
        }
        ["mount", name, driver, rest @ ..] => Ok(Control::Mount {
            name: crate::wire::word("name", name)?,
            driver: crate::wire::word("driver", driver)?,
            argument: rest.join(" "),
        }),
        ["bind", "external", dir @ ..] if !dir.is_empty() => {
            Ok(Control::Bind { dir: TreePath::parse(&dir.join(" "))?, external: true })
        }
        ["bind", dir @ ..] if !dir.is_empty() => {
            Ok(Control::Bind { dir: TreePath::parse(&dir.join(" "))?, external: false })
        }
        ["unbind", dir @ ..] if !dir.is_empty() => {
            Ok(Control::Unbind { dir: TreePath::parse(&dir.join(" "))? })
        }
        ["down"] => Ok(Control::Down),
        ["estop"] => Ok(Control::Stop),
        ["thaw"] => Ok(Control::Lift),
        ["operator", "add", uid, name] => {
            let uid = uid.parse().ok().filter(|uid| *uid != u32::MAX);
            let uid = uid.ok_or_else(|| {
                Error::invalid("text", "a user id is a number")
                    .hint("operator add 1001 tom; id -u NAME says it")
            })?;
            Ok(Control::Operator { name: crate::wire::word("name", name)?, uid: Some(uid) })
        }
        ["operator", "rm", name] => {
            Ok(Control::Operator { name: crate::wire::word("name", name)?, uid: None })
        }
        ["provider", name] => Ok(Control::Provider { name: crate::wire::word("name", name)? }),
        ["purge", path, reason @ ..] if !reason.is_empty() => {
            Ok(Control::Purge { path: TreePath::parse(path)?, reason: reason.join(" ") })
        }
        ["retain", pattern, keep @ ..] => {
            let keep = match keep {
                ["all"] => Keep::All,
                ["last", count] => Keep::Last(number(count, words)?),
                ["days", count] => Keep::Days(number(count, words)?),
                _ => return Err(unknown(words)),
            };
            Ok(Control::Retain(Retain { pattern: Pattern::parse(pattern)?, keep }))
        }
        ["backup", file @ ..] => Ok(Control::Backup { file: host_file(file)? }),
        ["restore", name, file @ ..] => {
            Ok(Control::Restore { name: crate::wire::word("name", name)?, file: host_file(file)? })
        }
        ["checkpoint", file @ ..] => Ok(Control::Checkpoint { file: host_file(file)? }),
        ["unmount", name] => Ok(Control::Unmount { name: crate::wire::word("name", name)? }),
        ["workspace", name, rest @ ..] => {
            let lacks = match rest {
                [] => Vec::new(),
                ["lacks", rules @ ..] => rules
                    .iter()
                    .map(|rule| rule.parse().map_err(|_| unknown(words)))
                    .collect::<Result<_, _>>()?,
                _ => return Err(unknown(words)),
            };
            Ok(Control::Workspace { name: crate::wire::word("name", name)?, lacks })
        }
        ["budget", account, window, amount] => budget((account, "money", window, amount), words),
        ["budget", account, resource, window, amount] => budget((account, resource, window, amount), words),
        _ => Err(unknown(words)),
    }
}

fn budget(
    (account, resource, window, amount): (&str, &str, &str, &str),
    words: &[&str],
) -> Result<Control, Error> {
    let (Some(resource), Some(window)) = (Resource::of(resource), Window::of(window)) else {
        return Err(unknown(words));
    };
    Ok(Control::Budget { account: account.into(), window, amount: Nano(resource.amount(amount)?), resource })
}

fn number(text: &str, words: &[&str]) -> Result<u32, Error> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| unknown(words))
}

/// A file of the host, as the last argument of a word: it may hold single spaces. The daemon has a working
/// directory of its own, so only an absolute path says which file is meant.
fn host_file(words: &[&str]) -> Result<String, Error> {
    let file = words.join(" ");
    if file.starts_with('/') && file.len() > 1 && file.len() <= crate::limits::PATH_BYTES_MAX {
        return Ok(file);
    }
    Err(Error::invalid("file", "the file is not named by an absolute path").hint("start it with /"))
}

fn unknown(words: &[&str]) -> Error {
    let forms: Vec<&str> =
        WORDS.iter().filter(|(file, ..)| *file == "/sys/ctl").map(|(_, form, _)| *form).collect();
    let said: String = words.join(" ").chars().take(80).collect();
    Error::invalid("text", format!("/sys/ctl does not know {said:?}")).hint(forms.join(" · "))
}
