//! Who an agent is and what policy grants, after parsing: the machine reads the files, the kernel these.

use crate::{
    Content, Error, LabelId, VersionId,
    call::{Fields, Stdio},
    cap::Grant,
    money::Limit,
    money::Nano,
    path::{Pattern, TreePath},
};
use alloc::{format, string::String, vec::Vec};
use musli::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// Front matter and body of an `AGENT.md`. It asks; policy grants; the intersection runs.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct AgentDef {
    /// Its name.
    pub name: String,
    /// Model it wants.
    pub model: String,
    /// Tools its turns may call; names of calls.
    pub tools: Vec<String>,
    /// What it asks for.
    pub needs: Vec<Grant>,
    /// What its `budget` asks for; it can only lower what `/sys/budget.yaml` gives.
    pub limits: Vec<Limit>,
    /// How long one run of it may take; this can only lower too.
    pub wall_us: Option<u64>,
    /// What happens when a turn of it is faulted.
    pub restart: Restart,
    /// The body: its prompt.
    pub prompt: Content,
    /// Version of the file it was read from.
    pub version: VersionId,
    /// Flow label of that version.
    pub label: LabelId,
    /// What the file asks for and cannot have here, in words.
    pub withheld: Vec<String>,
    /// Skills it names; the prompt lists them.
    pub skills: Vec<Skill>,
    /// The task with the inputs that were given, when any were.
    pub task: Option<Content>,
    /// The program that it is, in the words of a shell; none: a turn.
    #[musli(default)]
    #[serde(default)]
    pub run: Option<Program>,
}

/// An agent that is a program.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Program {
    /// What is run, in the words of a shell.
    pub command: String,
    /// Where it begins.
    pub dir: TreePath,
    /// How one sees whether it works.
    pub probe: Option<Probe>,
    /// What it is given.
    #[musli(default)]
    #[serde(default)]
    pub guest: Guest,
}

/// What HOME a program has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Home {
    /// One that goes with its sandbox.
    #[default]
    Sandbox,
    /// One of its agent in this workspace, which is there again for the next run.
    Kept,
}

/// What a program speaks on its standard input and output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Nothing that is known here: they are for who sits before it.
    #[default]
    None,
    /// The Agent Client Protocol: it is given its task, and asks, by that.
    Acp,
}

/// What a program is given beside its words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(default)]
pub struct Guest {
    /// What it reads, and where to it writes.
    pub stdio: Stdio,
    /// More environment.
    pub env: Vec<(String, String)>,
    /// Directories of the host that it sees at their own paths, to be read and run. Only an operator says
    /// them.
    pub tools: Vec<String>,
    /// Files of its HOME, written where they do not stand yet: path below it, text.
    pub seed: Vec<(String, String)>,
    /// Variables that tell it where the model endpoint is: `anthropic`, `openai`, `gemini`, `token`, each
    /// with its name.
    pub endpoint: Vec<(String, String)>,
    /// What HOME it has.
    pub home: Home,
    /// It is logged in at its own service: what it spends there nobody here can cap.
    pub own_login: bool,
    /// What it writes waits beside the tree until an operator keeps or drops it.
    #[musli(default)]
    pub draft: bool,
    /// What it speaks.
    #[musli(default)]
    pub protocol: Protocol,
}

/// What an operator says of the program of one run: this wins over its agent's file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Given {
    /// Its words; none: those of its agent's file.
    pub command: Vec<String>,
    /// Where on the host the program of its agent's file is.
    pub path: Option<String>,
    /// Where it begins.
    pub dir: Option<TreePath>,
    /// What it is given.
    pub guest: Guest,
    /// Whether what it writes is a draft; none: as its agent's file says.
    #[musli(default)]
    #[serde(default)]
    pub draft: Option<bool>,
}

impl Given {
    /// From `{command: [...], path, dir, stdio, tools: [...], env: [NAME=VALUE, ...], view: draft|live,
    /// login: own}`.
    pub fn of(fields: Fields) -> Result<Self, Error> {
        let mut given = Self::default();
        for (key, values) in fields {
            let one =
                || values.first().filter(|_| values.len() == 1).ok_or_else(|| bad(&key, "takes one value"));
            match key.as_str() {
                "command" => given.command = values,
                "path" => given.path = Some(one()?.clone()),
                "dir" => given.dir = Some(TreePath::parse(one()?)?),
                "stdio" => given.guest.stdio = Stdio::parse(one()?)?,
                "view" => {
                    given.draft = match one()?.as_str() {
                        "draft" => Some(true),
                        "live" => Some(false),
                        _ => return Err(bad(&key, "is draft or live")),
                    };
                }
                "login" if one()? == "own" => given.guest.own_login = true,
                "login" => return Err(bad(&key, "is own, or is not said")),
                "tools" => {
                    let is_path =
                        |dir: &&String| !dir.starts_with('/') || dir.split('/').any(|name| name == "..");
                    if let Some(dir) = values.iter().find(is_path) {
                        return Err(bad(&key, &format!("are absolute paths, not {dir:?}")));
                    }
                    given.guest.tools = values;
                }
                "env" => {
                    let pairs = values.iter().map(|pair| {
                        let (name, value) = pair.split_once('=')?;
                        (!name.is_empty()).then(|| (String::from(name), String::from(value)))
                    });
                    let pairs = pairs.collect::<Option<Vec<_>>>();
                    given.guest.env = pairs.ok_or_else(|| bad(&key, "is a list of NAME=VALUE"))?;
                }
                other => {
                    let known = ["command", "path", "dir", "stdio", "tools", "env", "view", "login"];
                    return Err(
                        bad(other, "is nothing a program has").hint(crate::wire::nearest_hint(other, &known))
                    );
                }
            }
        }
        Ok(given)
    }

    /// The program of an agent's file with what the operator said; none if neither names a command.
    pub fn over(&self, file: Option<Program>) -> Option<Program> {
        let mut program = match (self.command.as_slice(), file) {
            ([], file) => file?,
            (words, file) => {
                let command =
                    format!("exec {}", words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "));
                let (dir, probe, guest) = match file {
                    Some(Program { dir, probe, guest, .. }) => (dir, probe, guest),
                    None => (TreePath::root(), None, Guest::default()),
                };
                Program { command, dir, probe, guest }
            }
        };
        if let (Some(path), Some(rest)) = (&self.path, program.command.strip_prefix("exec '"))
            && let Some((_, rest)) = rest.split_once('\'')
        {
            program.command = format!("exec {}{rest}", quoted(path));
        }
        if let Some(dir) = &self.dir {
            program.dir = dir.clone();
        }
        // Of one that speaks a protocol nobody else reads and writes what it says.
        if program.guest.protocol == Protocol::None {
            program.guest.stdio = self.guest.stdio;
        }
        program.guest.own_login |= self.guest.own_login;
        program.guest.draft = self.draft.unwrap_or(program.guest.draft);
        program.guest.tools.clone_from(&self.guest.tools);
        let theirs = |name: &str| self.guest.env.iter().any(|(own, _)| own == name);
        program.guest.env.retain(|(name, _)| !theirs(name));
        program.guest.env.extend(self.guest.env.iter().cloned());
        Some(program)
    }
}

fn bad(key: &str, why: &str) -> Error {
    Error::invalid("program", format!("{key} {why}"))
}

/// A word as a shell takes it, whatever stands in it.
pub fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// How one sees whether a program works, in the words of compose.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Probe {
    /// What is tried.
    pub test: Test,
    /// How often.
    pub interval_us: u64,
    /// How long one try may take.
    pub timeout_us: u64,
    /// So many failures in a row, and it does not work.
    pub retries: u32,
    /// Failures before this are its start.
    pub start_us: u64,
}

/// What a probe tries, inside the wall.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Test {
    /// A command that ends with 0.
    Exec(String),
    /// A port of its own that takes connections.
    Tcp(u16),
    /// A path at such a port that is answered with a status of 2xx or 3xx.
    Http(u16, String),
}

/// A skill that an agent names.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Skill {
    /// Its name.
    pub name: String,
    /// Label of its `SKILL.md`: an agent that is told of it knows that it stands there.
    pub label: LabelId,
}

/// Restart policy of an agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// Never.
    #[default]
    No,
    /// When it ends by a fault or with an exit code other than 0, at most so many times in ten minutes.
    OnFailure(u32),
    /// Whenever it ends by itself, at most five times in ten minutes.
    Always,
}

/// What one row of policy says about agents of a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct PolicyRow {
    /// Agent name, or `*`.
    pub agent: String,
    /// Never.
    pub deny: Vec<Grant>,
    /// Only with an operator's decision.
    pub ask: Vec<Grant>,
    /// Yes.
    pub allow: Vec<Grant>,
    /// What their programs write are drafts, whoever begins them.
    #[musli(default)]
    #[serde(default)]
    pub draft: bool,
}

/// `/sys/policy.yaml` and `/sys/budget.yaml`, parsed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Policy {
    /// Rows in file order.
    pub rows: Vec<PolicyRow>,
    /// Limits of the workspace's account.
    pub workspace: Vec<Limit>,
    /// Limits of every agent's account.
    pub agent: Vec<Limit>,
    /// Limits of every process's account (a run).
    pub run: Vec<Limit>,
    /// How much is done without asking.
    #[musli(default)]
    #[serde(default)]
    pub autonomy: Autonomy,
    /// Who may decide what; empty: whoever is at the socket decides everything.
    #[musli(default)]
    #[serde(default)]
    pub operators: Vec<OperatorRow>,
    /// Receivers that are vouched for in every run.
    #[musli(default)]
    #[serde(default)]
    pub standing: Vec<Standing>,
    /// Money that may move at a mount without a prompt.
    #[musli(default)]
    #[serde(default)]
    pub money: Vec<MoneyRow>,
    /// What else `/sys/budget.yaml` says.
    #[musli(default)]
    #[serde(default)]
    pub budget: Budget,
}

/// What `/sys/budget.yaml` says beyond the limits of the workspace, of every agent and of every run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(default)]
pub struct Budget {
    /// From which share of a limit the operator is told, in thousandths; none: never.
    pub warn: Option<u16>,
    /// Processes that may be alive at a time.
    pub processes: Option<u32>,
    /// How long a run may take.
    pub wall_us: Option<u64>,
    /// Rows of agents by name: each is tightened by what every agent has.
    pub agents: Vec<AgentBudget>,
    /// Limits of what is done at mounts: effects, and money that moves there.
    pub mounts: Vec<MountBudget>,
    /// What happens to those whose limit is reached.
    pub when_exhausted: WhenExhausted,
    /// What happens to a model that has no price.
    pub unknown_price: UnknownPrice,
    /// Limits of programs that pay at their own service.
    #[musli(default)]
    pub own_login: Option<OwnLogin>,
}

/// Limits of an agent's programs that are logged in at their own service, where no limit of money holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(default)]
pub struct OwnLogin {
    /// How often they may connect to it: `Resource::Calls`, in any window.
    pub limits: Vec<Limit>,
    /// How long one run may take.
    pub wall_us: Option<u64>,
    /// How long all of an agent's together may take on one day, in UTC.
    pub day_us: Option<u64>,
}

/// Limits of one agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct AgentBudget {
    /// Its name.
    pub agent: String,
    /// Of its account: hour, day, month.
    pub limits: Vec<Limit>,
    /// Of each of its runs.
    pub run: Vec<Limit>,
    /// How long one of its runs may take.
    pub wall_us: Option<u64>,
}

/// Limits at one mount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct MountBudget {
    /// Which mount.
    pub mount: String,
    /// Effects, and money that moves there, in an hour, a day, a month.
    pub limits: Vec<Limit>,
}

/// What happens to those whose limit is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenExhausted {
    /// They stand still with all they know.
    #[default]
    Freeze,
    /// They end.
    Kill,
}

impl WhenExhausted {
    /// The word, as written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Freeze => "freeze",
            Self::Kill => "kill",
        }
    }
}

/// What happens to a model that has no price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnknownPrice {
    /// It is not called: no limit of money could hold it.
    #[default]
    Refuse,
    /// It is called and costs nothing; its tokens and calls are counted, and limits of these hold.
    CountTokens,
}

impl UnknownPrice {
    /// The word, as written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::CountTokens => "count-tokens",
        }
    }
}

/// The autonomy dial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Autonomy {
    /// Every effect asks.
    Manual,
    /// As the table of sinks says.
    #[default]
    Bounded,
    /// And what can be taken back applies, whoever sees it.
    Autonomous,
}

impl Autonomy {
    /// The word, as written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Bounded => "bounded",
            Self::Autonomous => "autonomous",
        }
    }
}

/// What an operator may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything.
    Admin,
    /// See some of the tree, give tasks, decide some kinds of proposals.
    Member,
}

/// One operator.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct OperatorRow {
    /// User name at the socket.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// A member's part of the tree.
    pub sees: Vec<Pattern>,
    /// A member's kinds of proposals: words, as `mail.send`.
    pub decides: Vec<Pattern>,
}

/// A receiver that the operator vouches for, for a kind, in every run.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Standing {
    /// At which mounts; a word.
    pub mount: Pattern,
    /// Of which kinds; a word.
    pub kind: Pattern,
    /// The whole steering value.
    pub value: String,
}

/// Money at a mount.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct MoneyRow {
    /// Which mount.
    pub mount: String,
    /// In a UTC day, to vouched payees.
    pub day: Nano,
}

/// What must be so when a task ends, stated before the work; the kernel checks it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Postcondition {
    /// A file stands at the path.
    Exists(TreePath),
    /// And it contains this text.
    Contains(TreePath, String),
}

impl Postcondition {
    /// The path it is about.
    pub fn path(&self) -> &TreePath {
        match self {
            Self::Exists(path) | Self::Contains(path, _) => path,
        }
    }
}

/// Whether a task is done, as the kernel found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every postcondition holds.
    Done,
    /// One does not.
    Failed,
    /// None was stated, so nobody checked.
    Unverified,
}

impl Verdict {
    /// The word, as printed.
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Unverified => "unverified",
        }
    }
}

/// What parsing an agent's file came to.
pub type Parsed = Result<AgentDef, Error>;
