//! Bare `skep`: what is here, and what to do next. Starts nothing.

use crate::{
    card::{self, Card},
    escape,
    fail::{Exit, Fail, Outcome},
    figures, halts,
    models::{self, KNOWN, Key, Models},
    past,
    session::{Session, aimed},
};
use serde_json::json;

/// What is here.
pub fn here(session: &mut Session) -> Outcome {
    if session.running()?.is_none() {
        return asleep(session);
    }
    let sys = session.card("/sys/status")?;
    let waiting = session.names("/proposals")?;
    let workspaces = card::rows(&session.glance("/sys/workspaces")?);
    let conflicts = past::conflicts(session)?.len();
    if session.is_json() {
        let text = session.call("read", json!({"path": "/sys/status"}))?;
        session.object(&text)?;
        halts::say(session)?;
        return Ok(Exit::Fine);
    }
    session.say("daemon      running")?;
    places(session, &workspaces)?;
    session.say(&format!("processes   {}", processes(&sys)))?;
    halts::say(session)?;
    let inbox = match waiting.len() {
        0 => "nothing waits for you".to_owned(),
        some => {
            format!("{} for your decision", if some == 1 { "1 waits".into() } else { format!("{some} wait") })
        }
    };
    session.say(&format!("inbox       {inbox}"))?;
    if conflicts > 0 {
        session.say(&format!("conflicts   {conflicts} open; skep inbox shows how to resolve"))?;
    }
    if !sys.get("money_today").is_empty() {
        session.say(&format!("money       {}", money(&sys)))?;
    }
    let known = Models::glance(session)?;
    let kept = known.providers.iter().filter(|row| row.key == Key::Kept);
    let mut kept: Vec<String> = kept.map(|row| format!("{} (key kept)", row.name)).collect();
    let answers = |name: &str| known.models.iter().any(|model| abi::model::provider_of(model) == name);
    let open = known.providers.iter().filter(|row| row.key == Key::Open && answers(&row.name));
    kept.extend(open.map(|row| format!("{} (no key needed)", row.name)));
    let (can, server) = models(session, kept)?;
    let add = adding(server.as_deref());
    let next: &[(&str, &str)] = if waiting.is_empty() && !can {
        &[
            ("skep demo", "a bad night on purpose: ten seconds, no key, no network"),
            (&add.0, add.1),
            ("skep run \"task\"", "give the agent helper something to do, once there is a model"),
            ("skep doctor", "what is wrong on this host, and what to do"),
        ]
    } else if waiting.is_empty() {
        &[
            ("skep run \"task\"", "give the agent helper something to do"),
            ("skep ps", "what runs, and what it has cost"),
            ("skep trace -f", "every step as it happens"),
            ("skep demo", "a bad night on purpose: ten seconds, no key, no network"),
        ]
    } else {
        &[
            ("skep inbox", "what waits for your decision"),
            ("skep why ID", "which files had a part in it"),
            ("skep ps", "what runs, and what it has cost"),
            ("skep trace -f", "every step as it happens"),
        ]
    };
    commands(session, next)?;
    Ok(Exit::Fine)
}

/// Running and frozen processes, in words.
pub fn processes(sys: &Card) -> String {
    let count = |key: &str| sys.get(key).split_whitespace().next().unwrap_or("0").to_owned();
    let (running, frozen) = (count("running"), count("frozen"));
    let running = if running.is_empty() { count("processes") } else { running };
    format!("{running} running, {} frozen", if frozen.is_empty() { "0".into() } else { frozen })
}

/// Money of today, in words.
pub fn money(sys: &Card) -> String {
    let today = figures::money_text(sys.get("money_today"));
    match sys.get("money_limit") {
        "" => format!("{today} today, no limit"),
        limit => format!("{today} today, limit {}", figures::money_text(limit)),
    }
}

fn asleep(session: &mut Session) -> Outcome {
    if session.is_json() {
        let home = session.place.home.display().to_string();
        session.object(&json!({"daemon": "stopped", "home": home}))?;
        return Ok(Exit::Fine);
    }
    session.say("daemon      not running; the first command that needs it starts it")?;
    places(session, &[])?;
    let (can, server) = models(session, Vec::new())?;
    let add = adding(server.as_deref());
    // Whether a key is kept, only the daemon knows, once there has been one.
    let second = if can || session.place.home.join("node.db").exists() {
        ("skep run \"task\"", "give the agent helper something to do: at most $1 a run, $5 a day")
    } else {
        (add.0.as_str(), add.1)
    };
    commands(
        session,
        &[
            ("skep demo", "a bad night on purpose: ten seconds, no key, no network"),
            second,
            ("skep doctor", "what is wrong on this host, and what to do"),
            ("skep --help", "every command"),
        ],
    )?;
    Ok(Exit::Fine)
}

/// How a model is had: a server that answers here needs no key.
fn adding(server: Option<&str>) -> (String, &'static str) {
    match server {
        Some(name) => (format!("skep model add {name}"), "use the server that answers here; it takes no key"),
        None => (
            "skep model add anthropic".to_owned(),
            "keep a key; openai, openrouter, gemini, ollama or a URL as well",
        ),
    }
}

/// What of models is there: kept, in the environment, on this host. Whether any of it can be asked, and a
/// server that would have to be added first.
fn models(session: &mut Session, kept: Vec<String>) -> Result<(bool, Option<String>), Fail> {
    let mut all = kept;
    for (name, variable, ..) in KNOWN.iter().filter(|(_, variable, ..)| !variable.is_empty()) {
        if models::of_environment(session, name).is_some() {
            all.push(format!("{name} ({variable}, for the runs of this shell)"));
        }
    }
    let can = !all.is_empty();
    let mut found = models::found_here(session);
    found.retain(|(name, _)| !all.iter().any(|row| row.split(' ').next() == Some(name)));
    let server = models::server_of(&found).map(|(name, _)| name.clone());
    all.extend(found.iter().map(|(name, place)| format!("{name} ({})", escape::line(place))));
    let found = if all.is_empty() {
        "none found: no key in the environment, no server here".to_owned()
    } else {
        all.join(", ")
    };
    session.say(&format!("models      {found}"))?;
    Ok((can, server))
}

fn places(session: &mut Session, workspaces: &[Vec<String>]) -> Result<(), Fail> {
    let home = escape::line(&session.place.home.display().to_string());
    session.say(&format!("home        {home}   (no telemetry)"))?;
    let named: Vec<String> = workspaces
        .iter()
        .filter_map(|row| row.first())
        .map(|name| if *name == session.workspace { format!("{name} (this one)") } else { name.clone() })
        .map(|name| escape::line(&name))
        .collect();
    if !named.is_empty() {
        let more = named.len().saturating_sub(8);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        session.say(&format!(
            "workspaces  {}{more}",
            named.into_iter().take(8).collect::<Vec<_>>().join(", ")
        ))?;
    }
    Ok(())
}

/// What to do next: commands with a meaning each, aligned.
pub fn commands(session: &mut Session, rows: &[(&str, &str)]) -> Result<(), Fail> {
    let rows = rows.iter().map(|(command, meaning)| (aimed(&session.aim, command), *meaning));
    let rows: Vec<(String, &str)> = rows.collect();
    let width = rows.iter().map(|(command, _)| command.chars().count()).max().unwrap_or(0);
    session.say("")?;
    for (command, meaning) in rows {
        session.say(&format!("  {command:width$}   {meaning}"))?;
    }
    Ok(())
}
