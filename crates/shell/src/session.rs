//! One run of the command line: where the daemon is, which workspace is meant, and where output goes. Starts
//! the daemon when the first call needs it.

use crate::{
    Hands, Place, Start,
    card::Card,
    client::Client,
    clock::{self, Deadline},
    escape::{self, Keep},
    fail::Fail,
};
use abi::{Code, Micros, request::SHARED};
use serde_json::{Value, json};
use std::{
    io::{self, BufRead, Read, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// How long a daemon may take to answer after it was started.
const START_WAIT: Duration = Duration::from_secs(5);
/// Bytes of a line that is typed as an answer.
const TYPED_BYTES_MAX: u64 = 4096;
/// A socket's path, with its ending zero, has to fit the address the host's kernel takes.
const SOCKET_BYTES_MAX: usize = 107;

/// How output is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// The daemon's own objects, one a line.
    Json,
}

/// Whether output is coloured. Nothing is said by colour alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// No.
    Plain,
    /// Yes.
    Colour,
}

/// Who can be asked something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Desk {
    /// Nobody: input or output is no terminal.
    Nobody,
    /// Who sits at the terminal.
    Terminal,
}

/// What a text is, where that deserves a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As asked.
    Good,
    /// Not so.
    Bad,
    /// Waits for somebody.
    Held,
    /// What was looked for.
    Strong,
}

/// See the file's head.
pub struct Session<'a> {
    /// Where the daemon is.
    pub place: Place,
    /// Which workspace is meant.
    pub workspace: String,
    /// Options of this command line that say where, with a space after each: a command that is offered needs
    /// them too.
    pub aim: String,
    /// How output is written.
    pub format: Format,
    /// Whether it is coloured.
    pub ink: Ink,
    /// Data.
    pub out: &'a mut dyn Write,
    /// All else.
    pub err: &'a mut dyn Write,
    /// What is handed in: starts a daemon, proves a log.
    pub hands: Hands<'a>,
    /// Wall time.
    pub clock: fn() -> Micros,
    /// Who can be asked.
    pub desk: Desk,
    client: Option<Client>,
}

impl<'a> Session<'a> {
    /// A session that has not connected yet.
    pub fn new(place: Place, hands: Hands<'a>, out: &'a mut dyn Write, err: &'a mut dyn Write) -> Self {
        Self {
            place,
            workspace: "home".to_owned(),
            aim: String::new(),
            format: Format::Text,
            ink: Ink::Plain,
            out,
            err,
            hands,
            clock: clock::now,
            desk: Desk::Nobody,
            client: None,
        }
    }

    /// The connection; starts the daemon if none answers.
    pub fn client(&mut self) -> Result<&mut Client, Fail> {
        if self.client.is_none() {
            self.client = Some(match self.try_connect()? {
                Some(client) => client,
                None => self.start(Start::Background)?,
            });
        }
        self.client.as_mut().ok_or_else(|| Fail::new("no connection"))
    }

    /// The connection to a daemon that runs already; starts nothing.
    pub fn running(&mut self) -> Result<Option<&mut Client>, Fail> {
        if self.client.is_none() {
            self.client = self.try_connect()?;
        }
        Ok(self.client.as_mut())
    }

    /// Forgets the connection, so that the next call makes a new one.
    pub fn disconnect(&mut self) -> Option<Client> {
        self.client.take()
    }

    /// A second connection, for what must not be mixed with the replies of the first.
    pub fn another(&mut self) -> Result<Client, Fail> {
        self.client()?;
        self.try_connect()?.ok_or_else(|| Fail::new("the daemon has gone").hint("skep doctor"))
    }

    fn try_connect(&self) -> Result<Option<Client>, Fail> {
        let socket = self.place.socket.as_path();
        if socket.as_os_str().len() > SOCKET_BYTES_MAX {
            let shown = escape::line(&socket.display().to_string());
            return Err(Fail::new(format!("{shown} is too long for a socket's path"))
                .hint("choose a shorter one: --home DIR, or $SKEP_HOME"));
        }
        match Client::connect(socket) {
            Ok(client) => Ok(Some(client)),
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(None),
                io::ErrorKind::PermissionDenied => self.by_the_shared_door().map(Some),
                _ => Err(Fail::new(format!("{}: {error}", socket.display())).hint("skep doctor")),
            },
        }
    }

    /// The connection for operators who were added. Not to whatever somebody else laid beside the home.
    fn by_the_shared_door(&self) -> Result<Client, Fail> {
        let socket = shared(&self.place.home);
        let owner = |path: Option<&Path>| Some(std::fs::symlink_metadata(path?).ok()?.uid());
        let home = owner(Some(&self.place.home));
        let is_theirs = home.is_some() && owner(socket.parent()) == home;
        let error = match is_theirs.then(|| Client::connect(&socket)) {
            Some(Ok(client)) => return Ok(client),
            Some(Err(error)) => error.kind(),
            None => io::ErrorKind::PermissionDenied,
        };
        if matches!(error, io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) {
            return Err(Fail::new(format!("no daemon runs at {}", self.place.home.display()))
                .hint("whoever runs the node starts it: skep up"));
        }
        Err(Fail::new(format!("the socket {} is not yours", self.place.socket.display())).hint(
            "use the account that started the daemon, have an admin add you (skep operator add), or use \
             another --home",
        ))
    }

    /// Starts the daemon and waits until it answers.
    pub fn start(&mut self, how: Start) -> Result<Client, Fail> {
        // Twice: the first may have met one that was just ending and still held the lock.
        for _ in 0..2 {
            (self.hands.start)(&self.place, how).map_err(|error| {
                Fail::new(format!("the daemon could not be started: {error}")).hint("skep doctor")
            })?;
            let deadline = Deadline::after(START_WAIT / 2);
            let mut pause = Duration::from_millis(2);
            while deadline.left().is_some() {
                if let Some(client) = self.try_connect()? {
                    return Ok(client);
                }
                clock::pause(pause);
                pause = (pause * 2).min(Duration::from_millis(50));
            }
        }
        let log = self.place.home.join("daemon.log");
        let words = last_line(&log);
        let said = if words.is_empty() { String::new() } else { format!(": {words}") };
        Err(Fail::new(format!("the daemon did not come up within 5 s{said}"))
            .hint(format!("read {}, or run it here to see: skep up", log.display())))
    }

    /// Connects to a daemon started in this way.
    pub fn start_and_keep(&mut self, how: Start) -> Result<(), Fail> {
        self.client = Some(self.start(how)?);
        Ok(())
    }

    /// The arguments with the workspace in them.
    pub fn aim(&self, mut params: Value) -> Value {
        if let Some(map) = params.as_object_mut() {
            map.insert("workspace".into(), json!(self.workspace));
        }
        params
    }

    /// One call.
    pub fn call(&mut self, method: &str, params: Value) -> Result<Value, Fail> {
        let params = self.aim(params);
        self.client()?.call(method, params)
    }

    /// Many calls at once, replies in their order.
    pub fn calls(&mut self, method: &str, params: Vec<Value>) -> Result<Vec<Result<Value, Fail>>, Fail> {
        let params = params.into_iter().map(|one| self.aim(one)).collect();
        self.client()?.calls(method, params)
    }

    /// The text of a file.
    pub fn read(&mut self, path: &str) -> Result<String, Fail> {
        let answer = self.call("read", json!({"path": path}))?;
        Ok(answer.get("text").and_then(Value::as_str).unwrap_or_default().to_owned())
    }

    /// The same; nothing where who asks may not look.
    pub fn glance(&mut self, path: &str) -> Result<String, Fail> {
        match self.read(path) {
            Err(fail) if fail.is(Code::Denied) => Ok(String::new()),
            read => read,
        }
    }

    /// A status file.
    pub fn card(&mut self, path: &str) -> Result<Card, Fail> {
        Ok(Card::parse(&self.read(path)?))
    }

    /// Names in a directory, numbers in order of number.
    pub fn names(&mut self, path: &str) -> Result<Vec<String>, Fail> {
        let answer = self.call("list", json!({"path": path}))?;
        let mut names: Vec<String> = entries(&answer)
            .filter_map(|entry| entry.get("name").and_then(Value::as_str))
            .map(str::to_owned)
            .collect();
        names.sort_by_key(|name| (name.parse::<u64>().unwrap_or(u64::MAX), name.clone()));
        Ok(names)
    }

    /// Words to `/sys/ctl`.
    pub fn control(&mut self, words: &str) -> Result<Value, Fail> {
        self.call("write", json!({"path": "/sys/ctl", "text": words, "origin": "argument"}))
    }

    /// A line of data, as it is.
    pub fn say(&mut self, line: &str) -> Result<(), Fail> {
        Ok(writeln!(self.out, "{line}")?)
    }

    /// Data that ends its own lines.
    pub fn print(&mut self, text: &str) -> Result<(), Fail> {
        Ok(self.out.write_all(text.as_bytes())?)
    }

    /// One of the daemon's objects, for `--json`.
    pub fn object(&mut self, value: &Value) -> Result<(), Fail> {
        Ok(writeln!(self.out, "{value}")?)
    }

    /// Asks who sits at the terminal and answers the line typed, without spaces around it; none when nobody
    /// can be asked, or the input has ended.
    pub fn ask(&mut self, question: &str) -> Result<Option<String>, Fail> {
        if self.desk == Desk::Nobody {
            return Ok(None);
        }
        write!(self.err, "{question}")?;
        self.err.flush()?;
        let mut line = String::new();
        let count = io::stdin().lock().take(TYPED_BYTES_MAX).read_line(&mut line)?;
        Ok((count > 0).then(|| line.trim().to_owned()))
    }

    /// A line that is not data. Nobody is to blame when it cannot be written.
    pub fn note(&mut self, line: &str) {
        let _ = writeln!(self.err, "{line}");
    }

    /// What to do next, as a line that is not data.
    pub fn hint(&mut self, hint: &str) {
        self.note(&format!("hint: {}", aimed(&self.aim, hint)));
    }

    /// Whether the daemon's objects are printed as they are.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// The text in the colour of its tone.
    pub fn paint(&self, text: &str, tone: Tone) -> String {
        paint(text, tone, self.ink)
    }

    /// Prints a refusal.
    pub fn report(&mut self, fail: &Fail) {
        if fail.is_quiet() {
            return;
        }
        if self.is_json() {
            let _ = writeln!(self.out, "{}", fail.to_json());
        }
        let word = self.paint("error:", Tone::Bad);
        self.note(&format!("{word} {}", escape::escape(&fail.message, Keep::Lines)));
        if !fail.hint.is_empty() {
            self.hint(&escape::escape(&fail.hint, Keep::Lines));
        }
    }
}

/// The text with these options in every command that it names.
pub fn aimed(aim: &str, text: &str) -> String {
    let mut parts = text.split("skep ");
    let mut made = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_command = made.is_empty() || made.ends_with([' ', '\n']);
        made.push_str("skep ");
        if is_command && part.starts_with(|sign: char| sign.is_ascii_lowercase()) {
            made.push_str(aim);
        }
        made.push_str(part);
    }
    made
}

/// Where the operators of a home come in who were added.
pub fn shared(home: &Path) -> PathBuf {
    let mut name = home.file_name().unwrap_or_default().to_owned();
    name.push(SHARED);
    home.with_file_name(name).join("sock")
}

/// The text in the colour of its tone.
pub fn paint(text: &str, tone: Tone, ink: Ink) -> String {
    let code = match tone {
        Tone::Good => 32,
        Tone::Bad => 31,
        Tone::Held => 33,
        Tone::Strong => 1,
    };
    match ink {
        Ink::Plain => text.to_owned(),
        Ink::Colour => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
    }
}

/// The entries of a listing.
pub fn entries(answer: &Value) -> impl Iterator<Item = &Value> {
    answer.get("entries").and_then(Value::as_array).into_iter().flatten()
}

/// The last line of a log, escaped and cut.
fn last_line(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    crate::figures::cut(&escape::line(last), 200)
}
