//! Section 3: the places of the tree that the system itself has. A test lists them in a real workspace and
//! holds what it finds against the table.

use super::Page;

/// A directory that is a page: its name, what it is, and what is in it.
pub struct Tree {
    /// The page.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Who sees it and what may be done there.
    pub text: &'static str,
    /// Paths, with what each is. `PID`, `ID`, `NAME` and `HASH` stand for names.
    pub places: &'static [(&'static str, &'static str)],
}

/// Every one.
pub const TREES: [Tree; 7] = [
    Tree {
        name: "proc",
        about: "processes as files",
        text: "Made when they are read, never stored: they have no past and no versions. A process reads its own \
               and those below it without a capability, except tokens. Processes that have ended stay.",
        places: &[
            ("/proc/PID/budget", "limits of its account: account, resource, window, used, reserved, limit"),
            ("/proc/PID/caps", "its capabilities, one a line"),
            ("/proc/PID/ctl", "write freeze, thaw, interrupt or kill; keep or drop, of a draft"),
            ("/proc/PID/label", "integrity, sources and readers of what it has seen, and its ceiling"),
            ("/proc/PID/status", "state, model, step, tokens, money, task: key and value, one a line"),
            ("/proc/PID/token", "what shows the socket that you are this process; for operators"),
        ],
    },
    Tree {
        name: "sys",
        about: "the workspace and the node as files",
        text: "What ends in .yaml are files with versions, an operator's to write; they are read before they are \
               kept, and refused with file, line and column where they make no sense. The others are made when \
               they are read.",
        places: &[
            ("/sys/blobs/HASH", "content by its name; for operators"),
            ("/sys/budget", "every limit with what is used and reserved"),
            ("/sys/budget.yaml", "what may be spent; see budget(6)"),
            ("/sys/conflicts", "diverged versions that nobody has resolved"),
            (
                "/sys/cost/2026-11",
                "what model calls came to in a month, or a day as 2026-11-28: day, agent, model, calls, failed, \
                 lost, tokens in, out, cached, written, money",
            ),
            ("/sys/ctl", "write a control word; see socket(5)"),
            ("/sys/ports", "what listens in sandboxes: process, agent, address, since, program"),
            ("/sys/halts", "what stands still and which limits are near, each with why and the way out"),
            ("/sys/health", "what a look at the disk and the files comes to"),
            ("/sys/key", "the public key of the node's checkpoints"),
            ("/sys/models", "providers and whether their keys are kept, tiers, prices"),
            ("/sys/models.yaml", "whom models are asked of, and what they cost; see models(6)"),
            ("/sys/bound", "directories of this machine that are part of the tree, and their label"),
            (
                "/sys/drafts",
                "what programs wrote that nobody has kept or dropped: process, who, state, changes, time",
            ),
            ("/sys/mounts", "what is mounted: name, driver, argument"),
            ("/sys/operators", "who may use the node: user id, name, whether they run it"),
            ("/sys/policy", "the policy in force, one line a thing, with its digest"),
            ("/sys/policy.yaml", "what agents and operators may do; see policy(6)"),
            ("/sys/principals", "who there is: operators, agents, mounts"),
            ("/sys/retain", "how many versions of which files keep their bytes"),
            ("/sys/rules", "the table by which is decided what may leave"),
            ("/sys/secrets", "names of the node's secrets; a value is never read"),
            ("/sys/status", "counts, money, the last record: key and value, one a line"),
            ("/sys/version", "of the daemon, and of its log"),
            ("/sys/workspaces", "those of the node: name, awake or asleep, last record"),
        ],
    },
    Tree {
        name: "proposals",
        about: "what waits for an operator's decision",
        text: "Made when they are read. skep inbox lists them in words; decide(2) decides one.",
        places: &[
            ("/proposals/ID/args", "the arguments, as they will be carried out"),
            ("/proposals/ID/shown", "what an operator is shown before deciding"),
            (
                "/proposals/ID/status",
                "kind, mount, who, rule, label, digest, expiry: key and value, one a line",
            ),
        ],
    },
    Tree {
        name: "agents",
        about: "who may be given tasks",
        text: "One directory an agent; agent(6) is the format. A steering place: an agent's change of it waits \
               for an operator.",
        places: &[("/agents/NAME/AGENT.md", "who the agent is, what it needs, and its prompt")],
    },
    Tree {
        name: "home",
        about: "a place of its own for each agent",
        text: "Files as everywhere, and conversations. A session is made when it is read, from what its reader and \
               the agent have said; what is appended to it is said to the agent, and nothing else is written there. A \
               file that stands at its path comes first.",
        places: &[
            ("/home/NAME", "what the agent keeps"),
            ("/home/NAME/chat/SLUG.md", "your session SLUG with the agent; see skep-chat(1)"),
        ],
    },
    Tree {
        name: "integrations",
        about: "what is mounted",
        text: "skep mount attaches an integration. What it delivered are files with the label of the mount; they \
               stay when it goes. What is sent goes by propose(2).",
        places: &[("/integrations/NAME", "the files of one mount; what they are is its driver's")],
    },
    Tree {
        name: "tree",
        about: "the places of a workspace",
        text: "Everything else is the operator's to name. Every file has versions: who wrote it, when, from what, \
               with which label.",
        places: &[
            ("/AGENTS.md", "what every agent reads first"),
            ("/agents", "agents(3)"),
            ("/data", "what operator and agents share"),
            ("/home", "home(3)"),
            ("/integrations", "integrations(3)"),
            ("/proc", "proc(3)"),
            ("/proposals", "proposals(3)"),
            ("/sys", "sys(3)"),
        ],
    },
];

/// All of them.
pub fn pages() -> Vec<Page> {
    TREES.iter().map(page).collect()
}

fn page(tree: &Tree) -> Page {
    let mut page = Page::new(tree.name, 3, tree.about);
    page.part("DESCRIPTION").text(tree.text);
    page.part("PLACES").items(tree.places.iter().copied());
    page
}
