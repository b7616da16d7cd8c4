//! Places that steer agents, or that tools outside the walls run or obey: what a program changes there waits
//! for an operator, through the real daemon, the real wall, real git and a real disk.

use crate::{
    exec::home_of,
    hive::{Hive, Ran, place_of_work, retry, run},
};
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt, path::Path, path::PathBuf, process::Command};
use tempfile::TempDir;

struct Repo {
    dir: TempDir,
    hive: Hive,
}

/// A program says how far it is, and goes on when that was heard.
const SAY: &str = "say() { echo $1 > $HOME/said; while [ -e $HOME/said ]; do sleep 0.02; done; }; ";

impl Repo {
    fn new() -> Self {
        let repo = Self { dir: place_of_work("guarded-"), hive: Hive::new() };
        git(repo.dir.path(), &["init", "-q"]);
        repo.put("AGENTS.md", "theirs\n");
        repo.put(".vscode/tasks.json", "{}\n");
        repo.put(".gitignore", ".envrc\n");
        repo
    }

    fn path(&self) -> &str {
        self.dir.path().to_str().unwrap()
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn put(&self, name: &str, content: &str) {
        fs::create_dir_all(self.at(name).parent().unwrap()).unwrap();
        fs::write(self.at(name), content).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.at(name)).unwrap_or_else(|_| "(none)".to_owned())
    }

    fn stands(&self, name: &str, want: &str) {
        retry(&format!("{name} to be {want:?}"), || (self.read(name) == want).then_some(()));
    }

    fn skep(&self, args: &[&str]) -> Ran {
        run(self.hive.command(args).current_dir(self.dir.path()))
    }

    /// Begins a line of a shell, which goes on by itself.
    fn begin(&self, line: &str) -> u64 {
        self.skep(&["bind", self.path()]);
        let program = json!({"command": ["bash", "-ec", format!("{SAY}{line}")], "dir": self.path()});
        let params = json!({"agent": "guest", "text": "go", "origin": "argument", "program": program});
        self.hive.client().ok("spawn", params)["pid"].as_u64().unwrap()
    }

    /// Waits until it says this; it goes on when the answer is called.
    fn says(&self, pid: u64, word: &str) -> impl FnOnce() + use<> {
        let said = retry("the program to say so", || {
            let file = home_of(&self.hive, pid).map(|home| home.join("said"))?;
            fs::read_to_string(&file).ok().filter(|said| said.trim() == word).map(|_| file)
        });
        move || fs::remove_file(said).unwrap()
    }

    /// What waits: which call, below the directory, as which proposal.
    fn waits(&self) -> Vec<(String, String, u64)> {
        let mut client = self.hive.client();
        let ids = client.ok("list", json!({"path": "/proposals"}));
        let ids = ids["entries"].as_array().cloned().unwrap_or_default();
        let row = |entry: Value| {
            let id: u64 = entry["name"].as_str().unwrap().parse().unwrap();
            let status = client.text(&format!("/proposals/{id}/status"));
            let value = |key: &str| crate::hive::field(&status, key).to_owned();
            assert_eq!(value("rule"), "guarded place", "{status}");
            let path = value("about").replace(&format!("{}/", self.path()), "");
            (value("kind"), path, id)
        };
        let mut rows: Vec<_> = ids.into_iter().map(row).collect();
        rows.sort();
        rows
    }

    fn waits_for(&self, path: &str) -> u64 {
        let waits = self.waits();
        waits.iter().find(|(_, at, _)| at == path).unwrap_or_else(|| panic!("{path}: {waits:?}")).2
    }
}

fn git(dir: &Path, args: &[&str]) -> String {
    let mut git = Command::new("git");
    git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    let said = git.arg("-C").arg(dir).args(args).output().unwrap();
    String::from_utf8_lossy(&said.stdout).into_owned()
}

/// Everything that a program does there stands in its view, and nowhere else until somebody has decided: what
/// was agreed to stands on the host with its mode, what was turned down is out of the view again.
#[test]
fn what_a_program_changes_there_waits_with_its_bytes() {
    let repo = Repo::new();
    let line = "echo mine > AGENTS.md; printf '#!/bin/sh\\n' > .git/hooks/post-merge; \
                chmod 755 .git/hooks/post-merge; echo export A=1 > .envrc; rm .vscode/tasks.json; \
                mkdir .husky; echo free > a.txt; sync a.txt; [ $(cat AGENTS.md) = mine ]; \
                [ -x .git/hooks/post-merge ]; [ ! -e .vscode/tasks.json ]; say one; \
                until [ $(cat AGENTS.md) = theirs ] && [ ! -e .envrc ]; do sleep 0.05; done; \
                [ -x .git/hooks/post-merge ]; [ ! -e .vscode/tasks.json ]; [ -d .husky ]; \
                echo mine > AGENTS.md; echo B=2 > .envrc; sync .envrc; say two; exit 3";
    let pid = repo.begin(line);
    let goes_on = repo.says(pid, "one");
    repo.stands("a.txt", "free\n");
    let stood =
        || [".git/hooks/post-merge", ".envrc", "AGENTS.md", ".vscode/tasks.json"].map(|at| repo.read(at));
    assert_eq!(stood(), ["(none)", "(none)", "theirs\n", "{}\n"]);
    assert!(!repo.at(".husky").exists());
    let waits: Vec<(String, String)> = repo.waits().into_iter().map(|(kind, at, _)| (kind, at)).collect();
    let want = [
        ("remove", ".vscode/tasks.json"),
        ("write", ".envrc"),
        ("write", ".git/hooks/post-merge"),
        ("write", "AGENTS.md"),
    ];
    assert_eq!(waits, want.map(|(kind, at)| (kind.to_owned(), at.to_owned())));
    // What is decided is what is shown.
    let hook = repo.waits_for(".git/hooks/post-merge").to_string();
    let shown = repo.skep(&["inbox", &hook]).fine().out;
    assert!(shown.contains("#!/bin/sh") && shown.contains("outside every wall"), "{shown}");
    for (at, word) in [
        (".git/hooks/post-merge", "approve"),
        (".vscode/tasks.json", "approve"),
        (".envrc", "reject"),
        ("AGENTS.md", "reject"),
    ] {
        repo.skep(&[word, "--one", &repo.waits_for(at).to_string()]).fine();
    }
    repo.stands(".git/hooks/post-merge", "#!/bin/sh\n");
    assert_eq!(fs::metadata(repo.at(".git/hooks/post-merge")).unwrap().permissions().mode() & 0o777, 0o755);
    repo.stands(".vscode/tasks.json", "(none)");
    goes_on();
    // The same again is not asked again; something else is.
    let goes_on = repo.says(pid, "two");
    let waits: Vec<String> = repo.waits().into_iter().map(|(_, at, _)| at).collect();
    assert_eq!(waits, [".envrc"]);
    goes_on();
    let ended = repo.hive.client().ok("wait", json!({"pid": pid}));
    assert_eq!(ended["exit"], json!({"exited": 3}), "{ended}");
    // It has ended, and what it asked is still there to be decided.
    repo.skep(&["approve", "--one", &repo.waits_for(".envrc").to_string()]).fine();
    repo.stands(".envrc", "B=2\n");
    assert_eq!((repo.read("AGENTS.md"), repo.at(".husky").exists()), ("theirs\n".to_owned(), false));
    // The control: the operator's own hand waits for nobody.
    let text = "echo ours > AGENTS.md";
    repo.hive.client().ok("exec", json!({"text": text, "wall": "native", "dir": repo.path()}));
    repo.stands("AGENTS.md", "ours\n");
}

/// Ways to have tools outside run something: none of them stands there afterwards, each does where nobody
/// guards.
#[test]
fn nothing_that_tools_outside_obey_comes_to_stand_unasked() {
    let hook = "printf '#!/bin/sh\\ntouch pwned\\n' > h; chmod 755 h; ";
    let evil = "git init -q evil; git -C evil config core.fsmonitor 'touch pwned; false'; ";
    let sample = "mv h .git/hooks/x.sample; mv .git/hooks/x.sample .git/hooks/post-index-change";
    let plans = [
        // What git runs, in each of the places where it looks for it.
        ("a hook", format!("{hook}cp h .git/hooks/post-index-change")),
        ("a moved hook", format!("{hook}mv h .git/hooks/post-index-change")),
        ("a renamed sample", format!("{hook}{sample}")),
        ("a linked hook", format!("{hook}ln -s ../../h .git/hooks/post-index-change")),
        ("hooks elsewhere", format!("{hook}mkdir k; mv h k/post-index-change; git config core.hooksPath k")),
        ("a configuration", "git config core.fsmonitor 'touch pwned; false'".to_owned()),
        ("a common directory", format!("{evil}echo $PWD/evil/.git > .git/commondir")),
        ("another repository", format!("{evil}rm -rf .git; echo gitdir: $PWD/evil/.git > .git")),
        ("a linked repository", format!("{evil}rm -rf .git; ln -s evil/.git .git")),
        ("a moved repository", format!("{evil}mv .git g; mv evil/.git .git")),
        (
            "one out of what is installed",
            "mkdir -p node_modules/x; git init -q node_modules/x; git -C node_modules/x config core.fsmonitor \
             'touch pwned; false'; sync node_modules/x/.git/config; rm -rf .git; mv node_modules/x y; \
             [ -e .git ] || mv y/.git .git"
                .to_owned(),
        ),
    ];
    for (what, line) in plans {
        for guarded in [true, false] {
            let repo = Repo::new();
            git(repo.dir.path(), &["add", "AGENTS.md"]);
            let script = format!("export GIT_CONFIG_GLOBAL=/dev/null; {line}; true");
            if guarded {
                repo.skep(&["run", "--", "bash", "-c", &script]).fine();
            } else {
                let ran = Command::new("bash").args(["-c", &script]).current_dir(repo.dir.path()).output();
                assert!(ran.unwrap().status.success(), "{what}");
            }
            // What an operator does next.
            repo.put("AGENTS.md", "next\n");
            git(repo.dir.path(), &["status"]);
            git(repo.dir.path(), &["add", "-A"]);
            assert_ne!(repo.at("pwned").exists(), guarded, "{what}");
        }
    }
}

/// A program works on in what it has made there: git asks for nothing but where it was told to obey.
#[test]
fn git_works_where_its_configuration_waits() {
    let repo = Repo::new();
    let line = "export GIT_CONFIG_GLOBAL=/dev/null; git init -q sub; git -C sub config user.name A; \
                git -C sub config user.email a@b.c; echo one > sub/f; git -C sub add f; \
                git -C sub commit -qm one; sync sub/f; git -C sub log --oneline | grep -q one; \
                [ $(git -C sub config user.name) = A ]; npm=node_modules/p; mkdir -p $npm; \
                echo x > $npm/.npmrc; echo x > $npm/AGENTS.md; mv $npm/AGENTS.md $npm/CLAUDE.md";
    let ran = repo.skep(&["run", "--", "bash", "-ec", line]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let waits: Vec<String> = repo.waits().into_iter().map(|(_, at, _)| at).collect();
    assert_eq!(waits, ["sub/.git/config", "sub/.git/info/exclude"]);
    assert!(ran.err.contains("held for you: proposals"), "{ran:?}");
    // What has no versions is put there after the program has ended.
    retry("all else to stand", || {
        let there = ["sub/.git/objects", "node_modules/p/CLAUDE.md"].map(|name| repo.at(name).exists());
        (there == [true, true]).then_some(())
    });
    assert!(!repo.at("sub/.git/config").exists());
    // One decision about all that it asked.
    let id = repo.waits_for("sub/.git/config").to_string();
    let shown = repo.skep(&["inbox", &id]).fine();
    let said = format!("{}{}", shown.out, shown.err);
    let digest = said.split("--digest ").nth(1).unwrap_or_else(|| panic!("{said}"));
    let digest = digest.split_whitespace().next().unwrap().to_owned();
    repo.skep(&["approve", &id, "--digest", &digest]).fine();
    retry("both to stand", || repo.at("sub/.git/info/exclude").exists().then_some(()));
    assert_eq!(git(&repo.at("sub"), &["log", "--format=%an"]), "A\n");
}

/// A draft waits whole; who keeps it decides of these apart.
#[test]
fn a_draft_is_kept_and_what_steers_waits() {
    let repo = Repo::new();
    let line = "echo mine > AGENTS.md; mkdir -p .github/workflows; echo on: push > .github/workflows/ci.yml; \
                echo free > a.txt";
    let ran = repo.skep(&["run", "--draft", "--", "bash", "-ec", line]).fine();
    assert!(repo.waits().is_empty(), "{ran:?}");
    let pid = ran.err.split("skep keep ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    let kept = repo.skep(&["keep", &pid]).fine();
    assert!(kept.err.contains("held for you: 2 changes where agents or your own tools obey"), "{kept:?}");
    repo.stands("a.txt", "free\n");
    assert_eq!(
        (repo.read("AGENTS.md"), repo.at(".github/workflows").exists()),
        ("theirs\n".to_owned(), false)
    );
    for at in ["AGENTS.md", ".github/workflows/ci.yml"] {
        repo.skep(&["approve", "--one", &repo.waits_for(at).to_string()]).fine();
    }
    repo.stands("AGENTS.md", "mine\n");
    repo.stands(".github/workflows/ci.yml", "on: push\n");
}
