//! `skep allow`.

use super::policy::{Edit, print};
use crate::{
    escape,
    fail::{Exit, Fail, Outcome},
    rules,
    session::Session,
};

/// Vouch for a receiver in every run, or let one process speak to a host
///
/// KIND VALUE: effects of KIND may go to VALUE without asking you first, in every run. PID net HOST [PORT]
/// [read|write]: programs of this process may speak to HOST, at 80 and 443 if no PORT is given; `read` is
/// GET, HEAD and OPTIONS only, and then what they send is looked into. HOST is also *.NAME, github, npm,
/// pypi, crates, or private: addresses that are not public. PID secret NAME HOST [PORT]: the secret NAME is
/// put into what they ask HOST over TLS, and they never see it.
///
/// Without words: the standing rules there are. A rule is one line under `standing` in /sys/policy.yaml; what
/// it says holds at once, also for agents that run.
#[derive(Debug, clap::Args)]
pub struct Allow {
    /// Of which kind, as mail.send; or a process
    #[arg(requires = "value")]
    kind: Option<String>,
    /// To whom or where: the whole value, as an address; or `net`, `secret`
    value: Option<String>,
    /// After `net`: HOST [PORT] [read|write]; after `secret`: NAME HOST [PORT]
    #[arg(value_name = "HOST", num_args = 0..=3, conflicts_with_all = ["mount", "remove"])]
    net: Vec<String>,
    /// Only at this mount
    #[arg(long, value_name = "NAME")]
    mount: Option<String>,
    /// Vouch no longer
    #[arg(long)]
    remove: bool,
}

impl Allow {
    pub fn run(self, session: &mut Session) -> Outcome {
        let (Some(kind), Some(value)) = (&self.kind, &self.value) else { return show(session) };
        if !self.net.is_empty() {
            return net(session, (kind, value), &self.net);
        }
        if !abi::scan::is_token(value) || value.len() > abi::limits::STANDING_BYTES_MAX {
            return Err(Fail::usage(format!("{} is not one whole word or address", escape::line(value)))
                .hint("give it whole, as it stands in the argument: no space, quote, comma or * in it"));
        }
        let named = self.mount.iter().chain([kind]);
        for word in named {
            abi::path::Pattern::word(word)?;
        }
        let mount = self.mount.as_deref().filter(|mount| *mount != "*");
        let rule = mount.map_or_else(|| format!("{kind} {value}"), |mount| format!("{mount} {kind} {value}"));
        let (sign, word) = if self.remove { ("-", "stands not") } else { ("+", "stands already") };
        let make = |text: &str| {
            if !self.remove {
                return rules::add(text, &rule);
            }
            // What is not there changes nothing.
            let any = rules::remove(text, &rule);
            any.or_else(|| rules::remove(text, &format!("* {rule}"))).or_else(|| Some(text.to_owned()))
        };
        if !self.remove && stands(session, &rule)? {
            session.note(&format!("{} {word}", escape::line(&rule)));
            return Ok(Exit::Fine);
        }
        // As the kernel shows it: what nobody sees is escaped there, and a token holds none of it.
        let meant = |line: &str| line == format!("{sign} standing: {}", rule.replace('\\', "\\\\"));
        match Edit::of(session, make, meant)? {
            None => {
                Err(Fail::new(format!("{} {word}", escape::line(&rule)))
                    .hint("skep allow lists those there are"))
            }
            Some(edit) => {
                if !session.is_json() {
                    print(session, &edit.changes)?;
                }
                edit.put(session, "argument")
            }
        }
    }
}

/// Gives a process hosts, or a secret for one, as an operator's own act.
fn net(session: &mut Session, (pid, word): (&str, &str), words: &[String]) -> Outcome {
    let usage = |what: &str| {
        Fail::usage(format!("{} is no {what}", escape::line(&words.join(" "))))
            .hint("skep allow PID net HOST [PORT] [read|write], skep allow PID secret NAME HOST [PORT]")
    };
    let pid: u64 = pid.parse().map_err(|_| usage("host of a process"))?;
    if word == "secret" {
        let need = match words {
            [name, host] => format!("secret {name} {}", bracketed(host)),
            [name, host, port] => format!("secret {name} {}:{port}", bracketed(host)),
            _ => return Err(usage("secret and host")),
        };
        return give(session, pid, &need);
    }
    let (host, rest) = words.split_first().filter(|_| word == "net").ok_or_else(|| usage("host"))?;
    let (port, rest) = match rest.split_first() {
        Some((port, rest)) if port == "*" || abi::net::port_of(port).is_some() => (Some(port), rest),
        _ => (None, rest),
    };
    let only = match rest {
        [] => "",
        // Who may change something there may look.
        [word] if word == "write" => "",
        [word] if word == "read" => " read",
        _ => return Err(usage("host with a port")),
    };
    let host = bracketed(host);
    let hosts = port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
    give(session, pid, &format!("net {hosts}{only}"))
}

/// An address as it stands before a port.
fn bracketed(host: &str) -> String {
    let address = abi::net::Host::parse(host).ok().filter(|host| host.address().is_some());
    address.map_or_else(|| host.to_owned(), |host| host.to_string())
}

fn give(session: &mut Session, pid: u64, need: &str) -> Outcome {
    abi::cap::Grant::parse(need)?;
    let answer = session.call("grant", serde_json::json!({"pid": pid, "need": need}))?;
    if session.is_json() {
        session.object(&answer)?;
    } else {
        session.say(&format!("{pid} may {need}"))?;
    }
    if let Some(cap) = answer.get("cap") {
        session.hint(&format!("it ends with the process; capability {cap} can be revoked before"));
    }
    Ok(Exit::Fine)
}

fn stands(session: &mut Session, rule: &str) -> Result<bool, Fail> {
    let rule = format!("standing {rule}");
    Ok(session.read("/sys/policy")?.lines().any(|line| line == rule))
}

fn show(session: &mut Session) -> Outcome {
    let text = session.read("/sys/policy")?;
    let rules: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("standing ")).collect();
    if session.is_json() {
        session.object(&serde_json::json!({"standing": rules}))?;
        return Ok(Exit::Fine);
    }
    for rule in &rules {
        session.say(&escape::line(rule))?;
    }
    if rules.is_empty() {
        session.note("no standing rule: who is not in your words or your directories is asked about");
    }
    session.hint("skep allow KIND VALUE [--mount NAME], skep allow --remove KIND VALUE");
    Ok(Exit::Fine)
}
