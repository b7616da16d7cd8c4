//! Providers, tiers and keys as a face knows them: `/sys/models` read, and keys of the environment lent.
//!
//! ```text
//! provider anthropic kept anthropic messages https://api.anthropic.com     kept | none | open
//! model anthropic/claude-opus-5-5                                           of a provider that was asked
//! tier smart anthropic/claude-opus-5-5 openai/gpt-5.5
//! price anthropic/claude-opus-5-5 in $4.00 out $20.00 cached $0.20 written $5.00
//! dated 2026-11-28
//! ```
//! A key of the environment is lent to this connection and so to the runs that it starts; it is kept only by
//! `skep model add` and `skep secret add`. Never here: a key in an argument, a file or a line of output.

use crate::{Found, fail::Fail, session::Session};
use abi::Code;
use serde_json::{Value, json};
use std::io::{IsTerminal, Read};

/// The file of providers.
pub const FILE: &str = "/sys/models.yaml";
/// Bytes of a key that are read from a pipe: more than the daemon takes, so that it says so.
const KEY_BYTES_MAX: u64 = 8192;

/// A provider that ships: its name, the variable that people keep its key in, where it is, what it speaks.
pub const KNOWN: [(&str, &str, &str, &str); 6] = [
    ("anthropic", "ANTHROPIC_API_KEY", "https://api.anthropic.com", "messages"),
    ("openai", "OPENAI_API_KEY", "https://api.openai.com", "responses, chat"),
    ("openrouter", "OPENROUTER_API_KEY", "https://openrouter.ai/api", "chat"),
    ("gemini", "GEMINI_API_KEY", "https://generativelanguage.googleapis.com/v1beta/openai", "chat, gemini"),
    ("ollama", "", "http://127.0.0.1:11434", "chat"),
    ("lmstudio", "", "http://127.0.0.1:1234", "chat"),
];

/// Whether a provider can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Its secret is kept by the node.
    Kept,
    /// It takes one, and there is none.
    Missing,
    /// It takes none.
    Open,
}

/// A provider of the workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Its name.
    pub name: String,
    /// Whether it can be asked.
    pub key: Key,
    /// Name of its secret; empty if it takes none.
    pub secret: String,
    /// What it speaks.
    pub wires: String,
    /// Where it is.
    pub url: String,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Models {
    /// In the order of the file.
    pub providers: Vec<Provider>,
    /// Models of those that were asked.
    pub models: Vec<String>,
    /// Name and models of each tier.
    pub tiers: Vec<(String, Vec<String>)>,
    /// Prices, one a line.
    pub prices: Vec<String>,
    /// The day of the shipped list.
    pub dated: String,
}

impl Models {
    /// As they are now.
    pub fn read(session: &mut Session) -> Result<Self, Fail> {
        Ok(Self::parse(&session.read("/sys/models")?))
    }

    /// The same; none where who asks may not look.
    pub fn glance(session: &mut Session) -> Result<Self, Fail> {
        Ok(Self::parse(&session.glance("/sys/models")?))
    }

    fn parse(text: &str) -> Self {
        let mut all = Self::default();
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["provider", name, key, secret, wires, url] => {
                    let key = match *key {
                        "kept" => Key::Kept,
                        "open" => Key::Open,
                        _ => Key::Missing,
                    };
                    let secret = if *secret == "-" { String::new() } else { (*secret).to_owned() };
                    let (name, wires, url) = ((*name).to_owned(), (*wires).to_owned(), (*url).to_owned());
                    all.providers.push(Provider { name, key, secret, wires, url });
                }
                ["model", name] => all.models.push((*name).to_owned()),
                ["tier", name, models @ ..] => {
                    let models = models.iter().map(|name| (*name).to_owned()).collect();
                    all.tiers.push(((*name).to_owned(), models));
                }
                ["price", ..] => all.prices.push(line.trim_start_matches("price ").to_owned()),
                ["dated", day] => all.dated = (*day).to_owned(),
                _ => {}
            }
        }
        all
    }

    /// The provider of this name.
    pub fn provider(&self, name: &str) -> Option<&Provider> {
        self.providers.iter().find(|row| row.name == name)
    }

    /// Providers that a name may need: of a tier's models, or of the one model.
    pub fn behind(&self, model: &str) -> Vec<&Provider> {
        let tier = self.tiers.iter().find(|(name, _)| name == model);
        let models = tier.map_or_else(|| vec![model.to_owned()], |(_, models)| models.clone());
        let mut found: Vec<&Provider> = Vec::new();
        for name in models {
            let row = self.provider(abi::model::provider_of(&name));
            found.extend(row.filter(|row| !found.contains(row)));
        }
        found
    }
}

/// The key that the environment has for a provider, and the name of the variable.
pub fn of_environment(session: &Session, provider: &str) -> Option<(&'static str, String)> {
    let (_, variable, ..) = KNOWN.iter().find(|(name, ..)| *name == provider)?;
    let value = (session.hands.variable)(variable).filter(|value| !value.trim().is_empty());
    value.map(|value| (*variable, value))
}

/// Where a provider that ships is: as it ships, but Ollama listens where its own variable says.
pub fn place_of(session: &Session, provider: &str) -> Option<String> {
    let (.., url, _) = KNOWN.iter().find(|(name, ..)| *name == provider)?;
    let own = (session.hands.variable)("OLLAMA_HOST").filter(|value| !value.trim().is_empty());
    Some(match own {
        Some(value) if provider == "ollama" => of_ollama(value.trim()),
        _ => (*url).to_owned(),
    })
}

/// The URL of a value of `OLLAMA_HOST`, which is also what its server binds: `[SCHEME://][HOST][:PORT]`.
fn of_ollama(value: &str) -> String {
    let value = value.trim_end_matches('/');
    if value.contains("://") {
        return value.to_owned();
    }
    let (host, port) = match value.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => (host, port),
        _ => (value, "11434"),
    };
    let host = if ["", "0.0.0.0", "[::]", "localhost"].contains(&host) { "127.0.0.1" } else { host };
    format!("http://{host}:{port}")
}

/// Servers of models and programs on this host: what, and where.
pub fn found_here(session: &Session) -> Vec<Found> {
    let port = |name: &str| place_of(session, name)?.strip_prefix("http://127.0.0.1:")?.parse().ok();
    let ports: Vec<(&str, u16)> = KNOWN.iter().filter_map(|(name, ..)| Some((*name, port(name)?))).collect();
    (session.hands.look)(&ports)
}

/// The first of those that is a server: it can be added, and takes no key.
pub fn server_of(found: &[Found]) -> Option<&Found> {
    found.iter().find(|(_, place)| place.starts_with("127."))
}

/// Keeps or lends a secret.
pub fn put(session: &mut Session, name: &str, value: &str, mode: &str) -> Result<Value, Fail> {
    session.call("write", json!({"path": format!("/sys/secrets/{name}"), "text": value, "mode": mode}))
}

/// Before a run: keys of the environment are lent to it, where none is kept. Says what is missing before
/// anything is started.
pub fn ready(session: &mut Session, agent: &str, stays: bool) -> Result<(), Fail> {
    let Some(model) = model_of(session, agent)? else { return Ok(()) };
    if abi::model::provider_of(&model) == "scripted" {
        return Ok(());
    }
    let models = match Models::read(session) {
        // Who may not look is told by the run.
        Err(fail) if fail.is(Code::Denied) => return Ok(()),
        models => models?,
    };
    let behind: Vec<Provider> = models.behind(&model).into_iter().cloned().collect();
    let mut can = behind.iter().any(|row| row.key != Key::Missing);
    let mut first = None;
    for row in behind.iter().filter(|row| row.key == Key::Missing) {
        first.get_or_insert_with(|| row.name.clone());
        let Some((variable, value)) = of_environment(session, &row.name) else { continue };
        if !stays {
            if !can {
                return Err(Fail::new(format!("{variable} serves only a run that this command waits for"))
                    .hint(format!("skep model add {} keeps the key; then -d works", row.name)));
            }
            continue;
        }
        put(session, &row.secret, &value, "lend")?;
        session.note(&format!(
            "model   your key of {variable}, for this run only; skep model add {} keeps it",
            row.name
        ));
        can = true;
    }
    if can {
        return Ok(());
    }
    let name = first.unwrap_or_else(|| "anthropic".to_owned());
    let found = found_here(session);
    let hint = match server_of(&found) {
        Some((server, place)) => format!("skep model add {server}; it answers at {place} and takes no key"),
        None => match KNOWN.iter().find(|(known, ..)| *known == name) {
            Some((_, variable, ..)) if stays && !variable.is_empty() => {
                format!("skep model add {name}; or export {variable}=KEY, for the runs of this shell alone")
            }
            _ => format!("skep model add {name}"),
        },
    };
    Err(Fail::new(format!("agent {agent} wants {model}, and there is no key for it")).hint(hint))
}

/// The model that an agent's file asks for; none if there is no such file, which the daemon tells better.
fn model_of(session: &mut Session, agent: &str) -> Result<Option<String>, Fail> {
    let answer = session.call("read", json!({"path": format!("/agents/{agent}/AGENT.md")}));
    let Ok(answer) = answer else { return Ok(None) };
    let text = answer.get("text").and_then(Value::as_str).unwrap_or_default();
    let front = text.trim_start().strip_prefix("---").and_then(|rest| rest.split("\n---").next());
    let line = front.unwrap_or_default().lines().find_map(|line| line.strip_prefix("model:"));
    Ok(line
        .map(|value| value.split('#').next().unwrap_or_default().trim().trim_matches(['"', '\'']).to_owned()))
}

/// A key from whoever types it, unseen, or from a pipe.
pub fn typed(session: &mut Session, what: &str) -> Result<String, Fail> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        let mut text = String::new();
        input.lock().take(KEY_BYTES_MAX).read_to_string(&mut text)?;
        return given(text, what);
    }
    let _ = write!(session.err, "{what} (not shown): ");
    let _ = session.err.flush();
    let shown = rustix::termios::tcgetattr(&input).map_err(std::io::Error::from)?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(rustix::termios::LocalModes::ECHO);
    let set = |modes: &rustix::termios::Termios| {
        rustix::termios::tcsetattr(&input, rustix::termios::OptionalActions::Flush, modes)
    };
    set(&hidden).map_err(std::io::Error::from)?;
    let mut line = String::new();
    let read = std::io::BufRead::read_line(&mut input.lock().take(KEY_BYTES_MAX), &mut line);
    let _ = set(&shown);
    session.note("");
    read?;
    given(line, what)
}

fn given(text: String, what: &str) -> Result<String, Fail> {
    if text.trim().is_empty() {
        return Err(Fail::new(format!("nothing was given as {what}"))
            .hint("type it when asked, or give it to standard input"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ollama_is_where_it_says() {
        for (value, url) in [
            ("127.0.0.1:11500", "http://127.0.0.1:11500"),
            ("0.0.0.0", "http://127.0.0.1:11434"),
            (":8080", "http://127.0.0.1:8080"),
            ("[::]:11434", "http://127.0.0.1:11434"),
            ("box.lan", "http://box.lan:11434"),
            ("https://box.example/", "https://box.example"),
        ] {
            assert_eq!(of_ollama(value), url, "{value}");
        }
    }

    #[test]
    fn the_page_is_read() {
        let text = "provider a kept a messages https://a\nprovider b none key chat https://b\n\
                    provider c open - chat http://127.0.0.1:1\nmodel c/x\ndated 2026-11-28\n\
                    tier smart a/big b/big\nprice a/* in $1.00 out $2.00\nsomething new\n";
        let models = Models::parse(text);
        let names = |model: &str| models.behind(model).iter().map(|row| row.name.clone()).collect::<Vec<_>>();
        assert_eq!(names("smart"), ["a", "b"]);
        assert_eq!(names("c/x"), ["c"]);
        assert_eq!(names("scripted/x"), Vec::<String>::new());
        let keys: Vec<Key> = models.providers.iter().map(|row| row.key).collect();
        assert_eq!(keys, [Key::Kept, Key::Missing, Key::Open]);
        assert_eq!(
            (models.models, models.prices),
            (vec!["c/x".to_owned()], vec!["a/* in $1.00 out $2.00".to_owned()])
        );
        assert_eq!(models.dated, "2026-11-28");
    }
}
