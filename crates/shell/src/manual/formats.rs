//! Section 6: files of the tree that have a format of ours. A test gives every example to a real daemon, and
//! asks it for the keys it knows.

use super::Page;

/// A format.
pub struct Format {
    /// The page.
    pub name: &'static str,
    /// Which file.
    pub file: &'static str,
    /// What it is.
    pub about: &'static str,
    /// How it is read.
    pub text: &'static str,
    /// Keys at its top, with what each means.
    pub keys: &'static [(&'static str, &'static str)],
    /// One that is valid.
    pub example: &'static str,
}

/// What is so in all of them.
const ALL: &str = "Unknown keys are errors that name the nearest known one; keys that begin with x- are yours. Money \
                   is decimal text, never a float.";

/// Every one.
pub const FORMATS: [Format; 4] = [
    Format {
        name: "agent",
        file: "/agents/NAME/AGENT.md",
        about: "who an agent is",
        text: "Front matter between two lines ---, then the prompt. It asks, policy grants.",
        keys: &[
            ("name", "the agent's name, as the directory's"),
            ("description", "one sentence, for people"),
            ("model", "a tier, or provider/name"),
            ("tools", "calls that the model is offered"),
            (
                "needs",
                "what it asks for: read|write PATH, exec [PATH], ask|apply KIND, model NAME, spawn AGENT",
            ),
            ("run", "a program, no model: command, dir, healthcheck (test, tcp or http; interval …)"),
            ("budget", "run and day: it can only lower what budget(6) gives"),
            ("restart", "no, on-failure[:5] or always"),
            ("skills", "skills whose text it is told"),
            ("inputs", "what a task may be given: for each name type and default"),
            ("disallowedTools", "of subagent files: tools it is not offered"),
            ("background", "of subagent files; means nothing here"),
            ("color", "of subagent files; means nothing here"),
            ("effort", "of subagent files; means nothing here"),
            ("hooks", "of subagent files; means nothing here"),
            ("initialPrompt", "of subagent files; means nothing here"),
            ("isolation", "of subagent files; means nothing here"),
            ("maxTurns", "of subagent files; means nothing here"),
            ("mcpServers", "of subagent files; means nothing here"),
            ("memory", "of subagent files; means nothing here"),
            ("permissionMode", "of subagent files; means nothing here"),
        ],
        example: "---\nname: triage\ndescription: Sorts new mail.\nmodel: scripted\ntools: [read, write, propose]\n\
                  needs: [read /data/**, write /data/triage/**, ask mail.send]\nbudget: {run: 0.50, day: 2.00}\n\
                  restart: \"no\"\n---\nYou sort mail.\n",
    },
    Format {
        name: "policy",
        file: "/sys/policy.yaml",
        about: "what agents and operators may do",
        text: "Deny, then ask, then allow; no rule means no. docs/how/write-a-policy.md explains it.",
        keys: &[
            ("format", "1"),
            (
                "autonomy",
                "manual: every effect asks; bounded: by the rules; autonomous: what can be undone applies",
            ),
            ("agents", "for each name, or \"*\": lists of needs under deny, ask and allow"),
            (
                "operators",
                "for each name: role (admin, member), sees (paths), decides (kinds); none: who runs the node",
            ),
            ("standing", "receivers that are vouched for in every run: [MOUNT] KIND RECEIVER"),
            ("money", "for each mount: what may move in a day to those vouched for"),
        ],
        example: "format: 1\nautonomy: bounded\nagents:\n  \"*\": {deny: [read /**/.env], ask: [], \
                  allow: [read /data/**, ask any, model any]}\n  triage: {allow: [write /data/triage/**]}\n\
                  operators: {}\nstanding: [mail.send anna@tiles.example]\nmoney: {bank: {day: 250.00}}\n",
    },
    Format {
        name: "budget",
        file: "/sys/budget.yaml",
        about: "what may be spent",
        text: "A limit holds before a call is made, not after. An agent's own file can only lower it.",
        keys: &[
            ("format", "1"),
            (
                "workspace",
                "limits of all agents together: money a run, hour, day, month; tokens and calls the same way; \
                 warn (a part of each limit), processes",
            ),
            (
                "agents",
                "for each name, or \"*\": limits of each agent alone, and wall (a time a run may take)",
            ),
            ("mounts", "for each mount: its effects and money"),
            ("when_exhausted", "freeze (default): state intact, until an operator acts; or kill"),
            (
                "unknown_price",
                "refuse (default): no price, no call; or count-tokens: only token limits hold it",
            ),
            (
                "guests_with_own_login",
                "of each agent that pays at its own service: calls (connections), wall (a run, a day)",
            ),
        ],
        example: "format: 1\nworkspace: {day: 10.00, month: 150.00, warn: 0.8, processes: 64}\nagents:\n  \
                  \"*\": {run: 0.50, wall: 30m}\n  triage: {day: 2.00, tokens_out: {run: 400k}}\nmounts: \
                  {mail: {effects: {day: 50}}}\nwhen_exhausted: freeze\nunknown_price: refuse\n",
    },
    Format {
        name: "models",
        file: "/sys/models.yaml",
        about: "whom models are asked of, and what they cost",
        text: "A turn asks the first model of its tier that it may use and that has a price; what fails for good is \
               given up and the next is asked. A secret's value never stands here. A workspace without the file has \
               what the shipped one says.",
        keys: &[
            ("format", "1"),
            (
                "providers",
                "for each name: url, which ends before /v1; wires (messages, responses, chat, gemini); \
                 secret",
            ),
            ("tiers", "for each name: [PROVIDER/NAME, ...], the first and its fallbacks"),
            (
                "prices",
                "for each PROVIDER/NAME or PROVIDER/*: in, out, cached, written, in dollars per million tokens; \
                 they count before the dated list that ships",
            ),
        ],
        example: "format: 1\nproviders:\n  anthropic: {url: \"https://api.anthropic.com\", wires: [messages], \
                  secret: anthropic}\n  local: {url: \"http://127.0.0.1:8080\", wires: [chat]}\ntiers:\n  \
                  smart: [anthropic/claude-opus-5-5, local/qwen3]\nprices:\n  local/*: {in: 0, out: 0}\n",
    },
];

/// All of them.
pub fn pages() -> Vec<Page> {
    FORMATS.iter().map(page).collect()
}

fn page(format: &Format) -> Page {
    let mut page = Page::new(format.name, 6, format.about);
    page.part("FILE").text(format.file);
    page.part("DESCRIPTION").text(format.text).text(ALL);
    page.part("KEYS").items(format.keys.iter().copied());
    page.part("EXAMPLE").lines(format.example);
    page
}
