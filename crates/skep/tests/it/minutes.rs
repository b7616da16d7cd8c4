//! The README's first five minutes, line by line, in a home that does not exist yet: what it shows is what is
//! said, to root and to an ordinary user; and what the first screen offers can be done. Then without a key,
//! with one, and with a server of models on this host: every command that is printed on the way is run.

use crate::{
    endpoint::aimock::Aimock,
    hive::{Hive, Ran, run_on},
    users::User,
};
use ollama::Ollama;
use serde_json::json;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;

mod ollama;
mod printed;

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");

/// A command of the transcript and the lines that are shown below it.
struct Step {
    command: Vec<String>,
    shown: Vec<String>,
}

/// The words of a line, as a shell takes `"…"` apart.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (ix, part) in line.split('"').enumerate() {
        match ix % 2 {
            1 => words.push(part.to_owned()),
            _ => words.extend(part.split_whitespace().map(str::to_owned)),
        }
    }
    words
}

fn transcript(readme: &str) -> Vec<Step> {
    let block = readme.split("```console\n").nth(1).expect("a console block");
    let block = block.split("```").next().unwrap();
    let mut steps: Vec<Step> = Vec::new();
    for line in block.lines() {
        match line.strip_prefix("$ ") {
            Some(command) => steps.push(Step { command: words(command), shown: Vec::new() }),
            None => steps.last_mut().expect("a command first").shown.push(line.to_owned()),
        }
    }
    steps
}

/// Plays it all: every command ends well, and says what is shown below it.
fn play(skep: impl Fn(&[&str]) -> Ran) {
    let steps = transcript(&std::fs::read_to_string(README).unwrap());
    assert!(steps.len() >= 10, "{} commands", steps.len());
    assert!(steps.iter().filter(|step| !step.shown.is_empty()).count() >= 4, "it shows little");
    for Step { command, shown } in steps {
        assert_eq!(command[0], "skep");
        let args: Vec<&str> = command[1..].iter().map(String::as_str).collect();
        let ran = skep(&args).fine();
        assert!(ran.took < Duration::from_secs(10), "{command:?} took {:?}", ran.took);
        if !shown.is_empty() {
            assert_eq!(ran.out.lines().collect::<Vec<_>>(), shown, "{command:?}");
        }
    }
}

#[test]
fn the_readme_tells_what_happens() {
    let hive = Hive::bare();
    play(|args| hive.cli(args));
}

#[test]
fn the_readme_tells_what_happens_to_an_ordinary_user() {
    let user = User::new();
    play(|args| user.skep(args));
}

/// Commands that a screen offers: lines that begin with one, up to the gap before its meaning.
fn offered(screen: &str) -> Vec<String> {
    let lines = screen.lines().filter_map(|line| line.strip_prefix("  skep "));
    lines.map(|line| line.split("   ").next().unwrap().trim().to_owned()).collect()
}

#[test]
fn what_the_first_screens_offer_can_be_done() {
    let user = User::new();
    let asleep = offered(&user.skep(&[]).fine().out);
    assert!(asleep.len() >= 4, "{asleep:?}");
    user.skep(&["up", "-d"]).fine();
    let awake = offered(&user.skep(&[]).fine().out);
    assert!(awake.len() >= 4, "{awake:?}");
    for command in asleep.iter().chain(&awake) {
        let words = words(command);
        let mut args: Vec<&str> = words.iter().map(String::as_str).collect();
        // What needs a model, a key or a person, and what does not end, shows that it is known.
        let waits = ["run", "model", "trace", "why"].contains(&args[0]);
        if waits {
            args.push("--help");
        }
        let ran = user.skep(&args).fine();
        assert!(!waits || ran.out.contains("Usage: skep"), "{command}: {ran:?}");
    }
}

/// Who sits down: root, or an ordinary user, with nothing but a home.
enum Seat {
    Root(Hive),
    User(User),
}

/// What may not be asked of the host that the test runs on: whether it has an Ollama of its own.
const NO_OLLAMA: (&str, &str) = ("OLLAMA_HOST", "127.0.0.1:9");

impl Seat {
    fn both() -> [Self; 2] {
        [Self::Root(Hive::bare()), Self::User(User::new())]
    }

    /// Runs a command line with these variables and this input.
    fn skep(&self, variables: &[(&str, &str)], args: &[&str], input: &str) -> Ran {
        let variables = [&[NO_OLLAMA][..], variables].concat();
        match self {
            Self::Root(hive) => run_on(hive.command(args).envs(variables), input),
            Self::User(user) => user.skep_with(&variables, args, input),
        }
    }

    /// Runs what was printed, and what that prints, until nothing new comes: nothing of it is a usage error,
    /// and what fails says what is next. Answers all that was run.
    fn follow(&self, variables: &[(&str, &str)], printed: &[&Ran]) -> BTreeSet<String> {
        let mut open: Vec<String> = printed.iter().flat_map(|ran| printed::commands(ran)).collect();
        let mut done = BTreeSet::new();
        while let Some(command) = open.pop() {
            if !done.insert(command.clone()) {
                continue;
            }
            assert!(done.len() < 60, "there is no end of it: {done:#?}");
            let mut args = printed::filled(&command);
            // An undo names the undo of itself, for ever.
            if args[0] == "undo" && done.iter().filter(|done| done.starts_with("skep undo ")).count() > 3 {
                continue;
            }
            // What does not end by itself, or is a test of its own, shows that it is known.
            let stays = ["up", "attach", "endpoint", "demo", "top"].contains(&args[0].as_str());
            if stays || args.iter().any(|arg| ["-f", "--follow"].contains(&arg.as_str())) {
                args.push("--help".to_owned());
            }
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let ran = self.skep(variables, &args, "");
            assert!([0, 1].contains(&ran.code), "{command}: {ran:#?}");
            assert!(ran.code == 0 || ran.err.contains("hint: "), "{command} leads nowhere: {ran:#?}");
            open.extend(printed::commands(&ran));
        }
        done
    }
}

fn has(done: &BTreeSet<String>, commands: &[&str]) {
    for command in commands {
        assert!(done.contains(*command), "{command} is not offered: {done:#?}");
    }
}

#[test]
fn without_a_key_everything_says_what_is_next() {
    for seat in Seat::both() {
        let bare = seat.skep(&[], &[], "").fine();
        assert!(bare.out.contains("models      none found"), "{bare:?}");
        let mut ends = vec![bare];
        for args in [&["run", "say hello"][..], &["run", "-d", "say hello"], &["chat"]] {
            let ran = seat.skep(&[], args, "hello\n").failed(1);
            assert!(ran.out.is_empty(), "nobody answers: {ran:?}");
            assert!(ran.err.contains("there is no key for it\nhint: skep model add anthropic"), "{ran:?}");
            ends.push(ran);
        }
        // Nothing is no task, with a key or without.
        ends.push(seat.skep(&[], &["run", " "], "").failed(2));
        ends.push(seat.skep(&[], &["ps", "--all"], "").fine());
        ends.push(seat.skep(&[], &["cost"], "").fine());
        ends.push(seat.skep(&[], &[], "").fine());
        let done = seat.follow(&[], &ends.iter().collect::<Vec<_>>());
        has(&done, &["skep demo", "skep doctor", "skep model add anthropic", "skep run \"task\""]);
        let trace = seat.skep(&[], &["trace", "--all", "--json"], "").fine();
        assert!(!trace.out.contains("\"spawned\""), "nothing was begun: {trace:?}");
    }
}

const KEY: &str = "sk-ant-first-five-minutes";

/// What the scripted provider says.
fn plan(dir: &Path) -> PathBuf {
    let write = json!({"path": "/data/summary.md", "text": "It greets.\n"});
    let fixtures = json!({"fixtures": [
        {"match": {"userMessage": "summarise", "hasToolResult": false},
         "response": {"toolCalls": [{"name": "write", "arguments": write}]}},
        {"match": {"userMessage": "summarise", "hasToolResult": true},
         "response": {"content": "It is in /data/summary.md."}},
        {"match": {"userMessage": "hello"}, "response": {"content": "Good day."}},
        {"match": {"userMessage": "task"}, "response": {"content": "Done."}},
    ]});
    let file = dir.join("plan.json");
    std::fs::write(&file, fixtures.to_string()).unwrap();
    file
}

#[test]
fn a_key_of_the_shell_serves_its_run_and_a_kept_one_all() {
    let dir = TempDir::new().unwrap();
    let server = Aimock::start(&plan(dir.path()), Some(KEY));
    for seat in Seat::both() {
        let plain = |args: &[&str]| seat.skep(&[], args, "");
        // Anthropic is this server, in this workspace.
        let models = plain(&["cat", "/sys/models.yaml"]).fine().out;
        let models = models.replacen("https://api.anthropic.com", &server.url, 1);
        seat.skep(&[], &["write", "/sys/models.yaml"], &models).fine();
        plain(&["write", "/data/hello.md", "hello"]).fine();
        let key = [("ANTHROPIC_API_KEY", KEY)];
        let bare = seat.skep(&key, &[], "").fine();
        assert!(bare.out.contains("anthropic (ANTHROPIC_API_KEY, for the runs of this shell)"), "{bare:?}");

        let lent = seat.skep(&key, &["run", "say hello"], "").fine();
        assert!(lent.out.contains("Good day.") && lent.err.contains("for this run only"), "{lent:?}");
        assert!(!format!("{lent:?}").contains(KEY), "{lent:?}");
        let none = plain(&["run", "say hello"]).failed(1);
        assert!(none.err.contains("there is no key for it"), "it served one run: {none:?}");
        let away = seat.skep(&key, &["run", "-d", "say hello"], "").failed(1);
        assert!(away.err.contains("serves only a run that this command waits for"), "{away:?}");

        let wrong = seat.skep(&[], &["model", "add", "anthropic"], "sk-wrong\n").failed(1);
        assert!(wrong.err.contains("hint: "), "{wrong:?}");
        plain(&["run", "say hello"]).failed(1);
        let kept = seat.skep(&[], &["model", "add", "anthropic"], &format!("{KEY}\n")).fine();
        assert!(kept.out.contains("its key is kept") && kept.out.contains("smart"), "{kept:?}");
        let ran = plain(&["run", "summarise /data/hello.md", "--post-exists", "/data/summary.md"]).fine();
        assert!(ran.out.contains("It is in /data/summary.md."), "{ran:?}");
        assert_eq!(plain(&["cat", "/data/summary.md"]).fine().out, "It greets.\n");
        let chat = seat.skep(&[], &["chat"], "hello\n").fine();
        assert_eq!(chat.out, "Good day.\n", "{chat:?}");
        let cost = plain(&["cost"]).fine();
        assert!(cost.out.contains("helper"), "{cost:?}");
        let ps = plain(&["ps", "--all"]).fine();
        assert_eq!(ps.out.lines().filter(|line| line.contains("helper")).count(), 3, "{ps:?}");
        let top = plain(&["top", "--once"]).fine();
        assert!(top.out.contains("no process runs; skep run"), "{top:?}");
        let awake = plain(&[]).fine();
        assert!(awake.out.contains("anthropic (key kept)"), "{awake:?}");
        let done =
            seat.follow(&[], &[&bare, &lent, &away, &wrong, &kept, &ran, &chat, &cost, &ps, &top, &awake]);
        has(&done, &["skep run \"say hello\"", "skep model list", "skep budget", "skep ps", "skep trace -f"]);
    }
}

#[test]
fn a_server_of_this_host_is_found_added_and_asked() {
    for (seat, by_url) in
        Seat::both().into_iter().zip([false, true]).chain(Seat::both().into_iter().zip([true, false]))
    {
        let server = Ollama::start();
        let here = [("OLLAMA_HOST", server.host.as_str())];
        let bare = seat.skep(&here, &[], "").fine();
        assert!(bare.out.contains(&format!("models      ollama ({})", server.host)), "{bare:?}");
        assert!(bare.out.contains("skep model add ollama"), "{bare:?}");
        let before = seat.skep(&here, &["run", "say hello"], "").failed(1);
        assert!(before.err.contains("hint: skep model add ollama; it answers at 127."), "{before:?}");
        let url = format!("http://{}", server.host);
        let add: &[&str] =
            if by_url { &["model", "add", &url, "--name", "mine"] } else { &["model", "add", "ollama"] };
        let added = seat.skep(&here, add, "").fine();
        let name = if by_url { "mine" } else { "ollama" };
        assert!(added.out.contains(&format!("  {name}/{}", ollama::MODEL)), "{added:?}");
        assert!(added.out.contains("tiers that work: smart, fast"), "{added:?}");
        // From now on it stands in the file: the variable was for finding it.
        let ran = seat.skep(&[], &["run", "say hello"], "").fine();
        assert!(ran.out.contains("Good morning.") && ran.err.contains("$0.00"), "{ran:?}");
        assert_eq!(seat.skep(&[], &["chat"], "hello\n").fine().out, "Good morning.\n");
        assert!(server.count("/v1/chat/completions") >= 2);
        let awake = seat.skep(&here, &[], "").fine();
        let (cost, ps) = (seat.skep(&[], &["cost"], "").fine(), seat.skep(&[], &["ps", "--all"], "").fine());
        let done = seat.follow(&here, &[&bare, &before, &added, &ran, &awake, &cost, &ps]);
        has(&done, &["skep model add ollama", "skep run \"say hello\"", "skep model list"]);
    }
}
