//! `skep model`.

use super::policy;
use crate::{
    escape,
    fail::{Exit, Fail, Outcome},
    figures,
    models::{self, FILE, KNOWN, Key, Models, Provider},
    session::{Session, Tone},
};
use serde_json::{Value, json};

/// Whom models are asked of: providers and their keys, tiers, prices
#[derive(Debug, clap::Args)]
pub struct Model {
    #[command(subcommand)]
    act: Option<Act>,
}

#[derive(Debug, clap::Subcommand)]
enum Act {
    /// Add a provider, or the key of one: asks for the key, makes one real call, keeps it
    Add {
        /// anthropic, openai, openrouter, gemini, ollama, lmstudio, or the URL of a server
        #[arg(value_name = "PROVIDER|URL")]
        which: String,
        /// What to call the server of that URL
        #[arg(long)]
        name: Option<String>,
        /// What it speaks: messages, responses, chat, gemini; several parted by commas
        #[arg(long, default_value = "chat")]
        wires: String,
        /// Never here: it would stand in the history of your shell
        #[arg(hide = true)]
        key: Option<String>,
    },
    /// Providers, whether their keys are kept, models of those that were asked, tiers and prices
    List,
    /// Ask a provider, or all that can be asked, which models they have; costs nothing
    Check {
        /// Which
        provider: Option<String>,
    },
    /// Destroy the key of a provider; the provider stays in /sys/models.yaml
    Rm {
        /// Which
        provider: String,
    },
}

impl Model {
    pub fn run(self, session: &mut Session) -> Outcome {
        match self.act {
            None | Some(Act::List) => list(session),
            Some(Act::Add { key: Some(_), .. }) => {
                Err(Fail::usage("a key is no argument: it would stand in your shell's history")
                    .hint("type it when asked, or give it to standard input"))
            }
            Some(Act::Add { which, name, wires, key: None }) => add(session, &which, name, &wires),
            Some(Act::Check { provider }) => check(session, provider),
            Some(Act::Rm { provider }) => {
                let row = found(session, &provider)?;
                if row.secret.is_empty() {
                    return Err(Fail::new(format!("{provider} takes no key"))
                        .hint("take it out of /sys/models.yaml, if it is not to be asked"));
                }
                let path = format!("/sys/secrets/{}", row.secret);
                let answer = session.call("remove", json!({"path": path}))?;
                said(session, &answer, &format!("the key of {provider} is destroyed"))
            }
        }
    }
}

fn said(session: &mut Session, answer: &Value, text: &str) -> Outcome {
    if session.is_json() {
        session.object(answer)?;
    } else {
        session.note(text);
    }
    Ok(Exit::Fine)
}

fn found(session: &mut Session, name: &str) -> Result<Provider, Fail> {
    let models = Models::read(session)?;
    models.provider(name).cloned().ok_or_else(|| {
        let names: Vec<&str> = models.providers.iter().map(|row| row.name.as_str()).collect();
        Fail::new(format!("there is no provider {name}")).hint(abi::wire::nearest_hint(name, &names))
    })
}

fn list(session: &mut Session) -> Outcome {
    if session.is_json() {
        let answer = session.call("read", json!({"path": "/sys/models"}))?;
        session.object(&answer)?;
        return Ok(Exit::Fine);
    }
    let models = Models::read(session)?;
    for row in &models.providers {
        let (word, tone) = match row.key {
            Key::Kept => ("key kept", Tone::Good),
            Key::Missing => ("no key", Tone::Held),
            Key::Open => ("no key needed", Tone::Good),
        };
        let word = session.paint(&format!("{word:13}"), tone);
        session.say(&format!("{:12} {word}  {:14}  {}", row.name, row.wires, escape::line(&row.url)))?;
        let own = |name: &&String| abi::model::provider_of(name) == row.name;
        for name in models.models.iter().filter(own) {
            session.say(&format!("               {}", escape::line(name)))?;
        }
    }
    for (name, tier) in &models.tiers {
        session.say(&format!("tier {name}: {}", tier.join(", ")))?;
    }
    session.say("dollars per million tokens, your own prices first:")?;
    for price in &models.prices {
        session.say(&format!("  {price}"))?;
    }
    session.note(&format!("list prices as known on {}: check before you rely on them", models.dated));
    session.hint("skep model add anthropic · skep model check · skep cat /sys/models.yaml");
    Ok(Exit::Fine)
}

fn check(session: &mut Session, provider: Option<String>) -> Outcome {
    let models = Models::read(session)?;
    // A server that ships in the file and that nobody uses need not run.
    let is_used = |row: &Provider| {
        let names = models.tiers.iter().flat_map(|(_, names)| names);
        row.key == Key::Kept || names.into_iter().any(|name| abi::model::provider_of(name) == row.name)
    };
    let rows = match &provider {
        Some(name) => vec![found(session, name)?],
        None => models.providers.iter().filter(|row| row.key != Key::Missing).cloned().collect(),
    };
    let (mut exit, mut bad) = (Exit::Fine, Vec::new());
    for row in rows {
        let asked = session.control(&format!("provider {}", row.name));
        let models = Models::read(session)?;
        let has = models.models.iter().filter(|name| abi::model::provider_of(name) == row.name).count();
        let (text, tone) = match &asked {
            Ok(_) => (format!("answers, {}", figures::plural(has as u64, "model")), Tone::Good),
            Err(fail) => {
                let head = format!("{} ", row.name);
                (fail.message.strip_prefix(&head).unwrap_or(&fail.message).to_owned(), Tone::Bad)
            }
        };
        if asked.is_err() && (provider.is_some() || is_used(&row)) {
            exit = Exit::Bad;
            bad.push(row.clone());
        }
        if session.is_json() {
            session.object(&json!({"provider": row.name, "answers": asked.is_ok(), "text": text}))?;
        } else {
            let text = session.paint(&escape::line(&text), tone);
            session.say(&format!("{:12} {text}", row.name))?;
        }
    }
    if session.is_json() {
        bad.clear();
    }
    for row in bad {
        session.hint(&match row.key {
            Key::Open => format!("start {}, or say in {FILE} where it is: skep cat {FILE}", row.name),
            _ => format!("skep model add {} gives it a key", row.name),
        });
    }
    Ok(exit)
}

fn add(session: &mut Session, which: &str, name: Option<String>, wires: &str) -> Outcome {
    let known = KNOWN.iter().find(|(known, ..)| *known == which);
    let (name, url, wires) = match known {
        Some((name, .., wires)) => {
            let url = models::place_of(session, name).unwrap_or_default();
            ((*name).to_owned(), url, (*wires).to_owned())
        }
        None if which.contains("://") => {
            let name = name.unwrap_or_else(|| named(which));
            (abi::wire::word("name", &name)?, which.to_owned(), wires.to_owned())
        }
        None if Models::read(session)?.provider(which).is_some() => {
            (which.to_owned(), String::new(), String::new())
        }
        None => {
            let names = KNOWN.map(|(name, ..)| name);
            return Err(Fail::usage(format!("{which} is no provider, and no URL"))
                .hint(format!("{}; or https://HOST", abi::wire::nearest_hint(which, &names))));
        }
    };
    match Models::read(session)?.provider(&name) {
        None => insert(session, (&name, &url, &wires), is_here(&url))?,
        Some(row) if name == "ollama" && row.url != url && ships(&row.url) => {
            relocate(session, &name, (&row.url, &url))?;
        }
        Some(_) => {}
    }
    let row = found(session, &name)?;
    let value = if row.secret.is_empty() { None } else { Some(key(session, &row)?) };
    if let Some(value) = &value {
        models::put(session, &row.secret, value, "lend")?;
    }
    session.control(&format!("provider {name}"))?;
    if let Some(value) = &value {
        models::put(session, &row.secret, value, "whole")?;
    }
    works(session, &row)
}

/// A name for the server of a URL.
fn named(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', ':']).next().unwrap_or_default();
    let word: String =
        host.chars().map(|sign| if sign.is_ascii_alphanumeric() { sign } else { '-' }).collect();
    word.trim_matches('-').to_owned()
}

/// Whether a URL is of this machine: what is asked there costs nothing.
fn is_here(url: &str) -> bool {
    ["http://127.0.0.1", "http://localhost", "http://[::1]"].iter().any(|here| {
        url.strip_prefix(here).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/']))
    })
}

/// The key: of the environment if there is one and the one who sits here agrees, else typed.
fn key(session: &mut Session, row: &Provider) -> Result<String, Fail> {
    if let Some((variable, value)) = models::of_environment(session, &row.name) {
        let asked = session.ask(&format!("keep the key that {variable} holds? Y/n "))?;
        if asked.is_none_or(|answer| !["n", "no"].contains(&answer.as_str())) {
            return Ok(value);
        }
    }
    models::typed(session, &format!("key of {}", row.name))
}

/// Adds a provider to the file, as a line below `providers:`.
fn insert(session: &mut Session, (name, url, wires): (&str, &str, &str), open: bool) -> Result<(), Fail> {
    let clever = || {
        Fail::new(format!("{FILE} is not written so that a provider can be put into it")).hint(format!(
            "write it by hand: skep cat {FILE} shows it, skep write {FILE} --file FILE sets it"
        ))
    };
    let text = session.read(FILE)?;
    let secret = if open { String::new() } else { format!(", secret: {name}") };
    let wires: Vec<&str> = wires.split(',').map(str::trim).collect();
    let row = format!("  {name}: {{url: \"{url}\", wires: [{}]{secret}}}", wires.join(", "));
    let mut text = below(&text, "providers:", &row).ok_or_else(clever)?;
    if open {
        text = below(&text, "prices:", &format!("  {name}/*: {{in: 0, out: 0}}")).ok_or_else(clever)?;
    }
    change(session, text, &|line| {
        line.starts_with(&format!("+ provider {name}")) || line.starts_with(&format!("+ price {name}/*"))
    })?;
    if !open {
        session.note(&format!(
            "what {name} costs stands nowhere: add it under prices in {FILE}, or it is not called"
        ));
    }
    Ok(())
}

/// Whether a URL is that of a provider as it ships, so that nobody chose it.
fn ships(url: &str) -> bool {
    KNOWN.iter().any(|(.., known, _)| *known == url)
}

/// Gives a provider another URL.
fn relocate(session: &mut Session, name: &str, (from, to): (&str, &str)) -> Result<(), Fail> {
    let place = escape::line(to);
    let (head, from, to) = (format!("  {name}: {{"), format!("url: \"{from}\""), format!("url: \"{to}\""));
    let put =
        |line: &str| if line.starts_with(&head) { line.replacen(&from, &to, 1) } else { line.to_owned() };
    let text = session.read(FILE)?.lines().map(|line| put(line) + "\n").collect();
    // Addresses are not what policy is made of: nothing else may change.
    let edit = policy::Edit::begin(session, FILE, text)?;
    if let Some(other) = edit.changes.first() {
        return Err(Fail::new(format!("this would change more than was meant: {other}"))
            .hint(format!("write {FILE} by hand: skep cat {FILE}")));
    }
    edit.quietly(session, "argument")?;
    session.note(&format!("{name} is looked for at {place} from now on, as OLLAMA_HOST says"));
    Ok(())
}

/// The text with a line more, right below the one that is this.
fn below(text: &str, head: &str, row: &str) -> Option<String> {
    let at = text.lines().position(|line| line.trim_end() == head)?;
    let mut lines: Vec<&str> = text.lines().collect();
    lines.insert(at + 1, row);
    Some(lines.join("\n") + "\n")
}

/// Puts a text of the file in force, if it changes what was meant and nothing else.
fn change(session: &mut Session, text: String, meant: &dyn Fn(&str) -> bool) -> Result<(), Fail> {
    let edit = policy::Edit::begin(session, FILE, text)?;
    if let Some(other) = edit.changes.iter().find(|line| !meant(line)) {
        return Err(Fail::new(format!("this would change more than was meant: {other}"))
            .hint(format!("write {FILE} by hand: skep cat {FILE}")));
    }
    if !session.is_json() {
        policy::print(session, &edit.changes)?;
    }
    edit.quietly(session, "argument")
}

/// What works now, and what to do with it.
fn works(session: &mut Session, row: &Provider) -> Outcome {
    let mut models = Models::read(session)?;
    let own = |models: &Models| -> Vec<String> {
        let of = |name: &&String| abi::model::provider_of(name) == row.name;
        models.models.iter().filter(of).cloned().collect()
    };
    let has = own(&models);
    let can = |models: &Models, tier: &str| models.behind(tier).iter().any(|row| row.key != Key::Missing);
    let dead: Vec<String> =
        models.tiers.iter().map(|(name, _)| name.clone()).filter(|name| !can(&models, name)).collect();
    if let (Some(first), false) = (has.first(), dead.is_empty()) {
        let text = session.read(FILE)?;
        let put = |line: &str| {
            let tier = dead.iter().find(|name| line.starts_with(&format!("  {name}: [")));
            tier.map_or_else(
                || line.to_owned(),
                |name| line.replacen(&format!("  {name}: ["), &format!("  {name}: [{first}, "), 1),
            )
        };
        let text: String = text.lines().map(|line| put(line) + "\n").collect();
        change(session, text, &|line| ["+ tier ", "- tier "].iter().any(|sign| line.starts_with(sign)))?;
        models = Models::read(session)?;
    }
    let tiers: Vec<&str> =
        models.tiers.iter().map(|(name, _)| name.as_str()).filter(|name| can(&models, name)).collect();
    if session.is_json() {
        session.object(&json!({"provider": row.name, "models": has, "tiers": tiers}))?;
        return Ok(Exit::Fine);
    }
    session.say(&format!("{} answers: {}", row.name, figures::plural(has.len() as u64, "model")))?;
    if has.is_empty() {
        session.note("it names no model that can be called here: a path, for one, is no name");
        session.hint("start the server with a short name for its model: --alias, --model_alias");
    }
    for name in has.iter().take(8) {
        session.say(&format!("  {}", escape::line(name)))?;
    }
    if !row.secret.is_empty() {
        session.say(&format!("its key is kept, sealed; skep model rm {} takes it away", row.name))?;
    }
    session.say(&format!(
        "tiers that work: {}",
        if tiers.is_empty() { "none".to_owned() } else { tiers.join(", ") }
    ))?;
    session.hint("skep run \"say hello\" · skep model list · skep budget");
    Ok(Exit::Fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_name_and_is_here_or_not() {
        for (url, name, here) in [
            ("http://127.0.0.1:8080", "127-0-0-1", true),
            ("http://localhost/v1", "localhost", true),
            ("https://llm.example.org/v1", "llm-example-org", false),
            ("http://127.0.0.1.evil.example", "127-0-0-1-evil-example", false),
        ] {
            assert_eq!((named(url).as_str(), is_here(url)), (name, here), "{url}");
        }
    }

    #[test]
    fn a_line_goes_below_its_head() {
        assert_eq!(below("a:\n  x: 1\nb:\n", "a:", "  y: 2").as_deref(), Some("a:\n  y: 2\n  x: 1\nb:\n"));
        assert_eq!(below("a: {x: 1}\n", "a:", "  y: 2"), None);
    }
}
