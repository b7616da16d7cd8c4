//! guest: what a program that people use already takes longer behind the wall, in a directory of this
//! machine: until its first words, and for a whole short task of Claude Code on a scripted model. Beside it
//! the same program without a wall, in the same directory, on the same endpoint.

use super::{
    Rig, Row, Target, Times,
    client::{self, Daemon},
};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const STARTS: usize = 40;
const TASKS: usize = 5;
/// What both do: look, repair, run the test.
const TASK: &str = "repair boxes.sh";
const BROKEN: &str = "echo $(($1 / $2))\n";
const WHOLE: &str = "echo $((($1 + $2 - 1) / $2))\n";
const TEST: &str = "[ \"$(sh boxes.sh 5 2)\" = 3 ] && echo green\n";
const REPAIR: &str = "sed -i 's|(($1 / $2))|((($1 + $2 - 1) / $2))|' boxes.sh && sh test.sh";

/// Measures both.
pub fn guest(rig: &Rig<'_>) -> Result<Vec<Row>, String> {
    let io = |error: std::io::Error| error.to_string();
    let place = tempfile::TempDir::new_in(rig.root.join("target")).map_err(io)?;
    let dir = place.path().canonicalize().map_err(io)?;
    let home = client::home()?;
    fs::create_dir_all(home.path().join("scripted")).map_err(io)?;
    fs::write(home.path().join("scripted/short.json"), rules().to_string()).map_err(io)?;
    let (_daemon, _) = Daemon::start(rig.skep, home.path())?;
    let outside = Outside::new(rig, home.path())?;
    let (mut bare, mut walled) = (Times::default(), Times::default());
    for _ in 0..STARTS {
        let words = ["sh", "-c", "echo x"];
        bare.push(first_word(host(&dir, &words))?);
        walled.push(first_word(ours(rig, (home.path(), &dir), &words))?);
    }
    let added = (walled.percentile_us(0.5) - bare.percentile_us(0.5)) / 1e3;
    let (mut alone, mut within) = (Times::default(), Times::default());
    let claude = outside.claude.display().to_string();
    let words = [&claude, "-p", TASK, "--model", "scripted/short", "--permission-mode", "bypassPermissions"];
    for _ in 0..TASKS {
        alone.push(task(&dir, outside.over(host(&dir, &words)))?);
        within.push(task(&dir, ours(rig, (home.path(), &dir), &words))?);
    }
    let ratio = within.percentile_us(0.5) / alone.percentile_us(0.5);
    rig.beside("a guest's first word", &mut bare, &mut walled);
    rig.beside("a short task of Claude Code", &mut alone, &mut within);
    let row = |part, target, measured, unit, n| Row {
        name: "guest",
        part,
        target: Target::AtMost(target),
        measured,
        unit,
        barriers: 0,
        n,
    };
    Ok(vec![
        row("added to the first word, p50", 50.0, added, "ms", bare.n()),
        row("a short task, to the same without a wall", 1.1, ratio, "×", alone.n()),
    ])
}

fn rules() -> Value {
    let bash = |line: &str| json!([{"name": "Bash", "arguments": {"command": line, "description": "work"}}]);
    json!({"rules": [
        {"when": {"step": 0}, "then": {"say": "I look.", "tools": bash("sh test.sh; cat boxes.sh")}},
        {"when": {"step": 1}, "then": {"say": "I repair it.", "tools": bash(REPAIR)}},
        {"then": {"say": "It is green."}},
    ]})
}

fn host(dir: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(words.first().copied().unwrap_or_default());
    command.args(words.iter().skip(1)).current_dir(dir);
    command
}

fn ours(rig: &Rig<'_>, (home, dir): (&Path, &Path), words: &[&str]) -> Command {
    let mut command = Command::new(rig.skep);
    command.args(["run", "--"]).args(words).current_dir(dir);
    command.env("SKEP_HOME", home).env_remove("SKEP_WORKSPACE");
    command
}

/// How long until it says its first word.
fn first_word(mut command: Command) -> Result<Duration, String> {
    let begun = Instant::now();
    let mut child = piped(&mut command)?;
    let mut word = [0; 1];
    let read = child.stdout.as_mut().map(|out| out.read_exact(&mut word));
    let took = begun.elapsed();
    ended(child)?;
    match read {
        Some(Ok(())) => Ok(took),
        _ => Err(format!("{command:?} said nothing")),
    }
}

/// How long it takes over the task, which it does.
fn task(dir: &Path, mut command: Command) -> Result<Duration, String> {
    let io = |error: std::io::Error| error.to_string();
    fs::write(dir.join("boxes.sh"), BROKEN).map_err(io)?;
    fs::write(dir.join("test.sh"), TEST).map_err(io)?;
    let begun = Instant::now();
    ended(piped(&mut command)?)?;
    let took = begun.elapsed();
    match fs::read_to_string(dir.join("boxes.sh")) {
        Ok(text) if text == WHOLE => Ok(took),
        other => Err(format!("it was not repaired: {other:?}")),
    }
}

fn piped(command: &mut Command) -> Result<Child, String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().map_err(|error| format!("{command:?}: {error}"))
}

fn ended(child: Child) -> Result<(), String> {
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    let said = [output.stdout, output.stderr].concat();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&said).into_owned()) }
}

/// The program without a wall: where it is, a home of its own, and a listener of the same endpoint.
struct Outside {
    claude: PathBuf,
    home: tempfile::TempDir,
    endpoint: Child,
    url: String,
    key: String,
}

impl Outside {
    fn new(rig: &Rig<'_>, home: &Path) -> Result<Self, String> {
        let io = |error: std::io::Error| error.to_string();
        let claude = rig.root.join("target/tmp/guests/node_modules/.bin/claude");
        if !claude.exists() {
            return Err(format!("{} is not there\nhint: make test installs it (npm)", claude.display()));
        }
        let mut command = Command::new(rig.skep);
        command.args(["endpoint", "--budget", "2.00", "--json"]).env("SKEP_HOME", home);
        let mut endpoint = piped(&mut command)?;
        let mut line = String::new();
        if let Some(out) = endpoint.stdout.as_mut() {
            BufReader::new(out).read_line(&mut line).map_err(io)?;
        }
        let told: Value = serde_json::from_str(&line).map_err(|error| format!("{line:?}: {error}"))?;
        let word = |key: &str| told.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (url, key) = (word("url"), word("key"));
        let home = client::home()?;
        let seed = json!({"hasCompletedOnboarding": true});
        fs::write(home.path().join(".claude.json"), seed.to_string()).map_err(io)?;
        Ok(Self { claude, home, endpoint, url, key })
    }

    /// The same environment as the recipe gives.
    fn over(&self, mut command: Command) -> Command {
        for name in ["DISABLE_AUTOUPDATER", "DISABLE_TELEMETRY", "DISABLE_ERROR_REPORTING"] {
            command.env(name, "1");
        }
        command.env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1").env("IS_SANDBOX", "1");
        command.env("HOME", self.home.path()).env_remove("ANTHROPIC_API_KEY");
        command.env("ANTHROPIC_BASE_URL", &self.url).env("ANTHROPIC_AUTH_TOKEN", &self.key);
        command
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.endpoint.kill();
        let _ = self.endpoint.wait();
    }
}
