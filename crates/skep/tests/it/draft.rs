//! Drafts: several programs at once in one directory of work, through the real daemon, wall and disk. What
//! each writes stands nowhere but in its own view until an operator keeps it.

use crate::{
    exec::there,
    hive::{Hive, Ran, place_of_work, retry, run},
};
use serde_json::json;
use std::{fs, path::PathBuf};
use tempfile::TempDir;

const PLAN: &str =
    "//! Plan.\n\nfn one() {}\n\nfn two() {}\n\nfn three() {}\n\nfn four() {}\n\nfn five() {}\n";
/// Files that no version is kept of: enough to be seen if they were copied.
const IGNORED: usize = 2_000;

struct Repo {
    dir: TempDir,
    hive: Hive,
}

impl Repo {
    fn new() -> Self {
        let repo = Self { dir: place_of_work("draft-"), hive: Hive::new() };
        fs::write(repo.at("plan.rs"), PLAN).unwrap();
        fs::write(repo.at(".gitignore"), "/deps/\n").unwrap();
        fs::create_dir(repo.at("deps")).unwrap();
        (0..IGNORED).for_each(|ix| fs::write(repo.at(&format!("deps/{ix}")), "dependency\n").unwrap());
        repo
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.at(name)).unwrap_or_else(|error| format!("({error})"))
    }

    fn skep(&self, args: &[&str]) -> Ran {
        run(self.hive.command(args).current_dir(self.dir.path()))
    }

    /// Runs a line of a shell as a draft of its own, to its end.
    fn drafts(&self, line: &str) -> u64 {
        let ran = self.skep(&["run", "--draft", "--", "bash", "-c", line]).fine();
        pid(&ran.err)
    }

    fn path(&self, name: &str) -> String {
        self.at(name).to_str().unwrap().to_owned()
    }

    /// Nobody has to wait for it: what a command says was done stands there.
    #[track_caller]
    fn stands(&self, name: &str, want: &str) {
        assert_eq!(self.read(name), want, "{name}");
    }
}

/// Of the header: `  pid        12   …`.
#[track_caller]
fn pid(header: &str) -> u64 {
    let line = header.lines().find_map(|line| line.trim().strip_prefix("pid ")).expect(header);
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn five_drafts_of_one_directory_are_kept_one_after_the_other() {
    let repo = Repo::new();
    // Begun at once, each waits for all others before it ends: all five are at work on the same directory.
    let names = ["one", "two", "three", "four", "five"];
    let begun: Vec<u64> = names
        .iter()
        .map(|name| {
            let line = format!(
                "[ $(ls deps | wc -l) = {IGNORED} ] && sed -i 's/fn {name}() {{}}/fn {name}() {{ {name}(); }}/' plan.rs \
                 && echo {name} > {name}.txt && echo mine > deps/7 && rm -r deps/1* && [ $(cat deps/7) = mine ] \
                 && [ $(grep -c '();' plan.rs) = 1 ]"
            );
            let ran = repo.skep(&["run", "-d", "--", "bash", "-c", &line]).fine();
            ran.out.trim().parse().unwrap()
        })
        .collect();
    for pid in &begun {
        let ended = repo.hive.client().ok("wait", serde_json::json!({"pid": pid}));
        assert_eq!(ended["exit"], serde_json::json!({"exited": 0}), "{ended}");
    }
    // Nothing of it stands in the directory: neither files, nor what has no versions.
    assert_eq!(repo.read("plan.rs"), PLAN);
    assert_eq!(repo.read("one.txt"), "(No such file or directory (os error 2))");
    assert_eq!(repo.read("deps/7"), "dependency\n");
    assert_eq!(fs::read_dir(repo.at("deps")).unwrap().count(), IGNORED);
    let listed = repo.skep(&["keep"]).fine().out;
    assert_eq!(listed.matches(" waits ").count(), 5, "{listed}");
    // Each is kept over what came of the ones before it, and over what somebody saved meanwhile.
    let saved = PLAN.replace("Plan.", "Their plan.");
    fs::write(repo.at("plan.rs"), &saved).unwrap();
    let mut want = saved;
    for (name, pid) in names.iter().zip(&begun) {
        let diff = repo.skep(&["diff", &pid.to_string()]).fine().out;
        assert!(diff.contains(&format!("+fn {name}() {{ {name}(); }}")), "{diff}");
        let kept = repo.skep(&["keep", &pid.to_string()]).fine();
        assert!(kept.out.contains(&repo.path(&format!("{name}.txt"))), "{}", kept.out);
        assert!(!kept.err.contains("kept beside"), "{}", kept.err);
        want = want.replace(&format!("fn {name}() {{}}"), &format!("fn {name}() {{ {name}(); }}"));
        repo.stands("plan.rs", &want);
        repo.stands(&format!("{name}.txt"), &format!("{name}\n"));
    }
    assert_eq!(fs::read_dir(repo.at("deps")).unwrap().count(), IGNORED);
    repo.skep(&["keep", &begun[0].to_string()]).failed(1);
    // Who wrote it is who drafted it, and one word takes it back.
    let last = begun[4].to_string();
    let log = repo.skep(&["log", &repo.path("five.txt")]).fine().out;
    assert!(log.contains("agent:guest"), "{log}");
    repo.skep(&["undo", &last]).fine();
    repo.stands("plan.rs", &want.replace("{ five(); }", "{}"));
    // The control: the same without a draft stands at once.
    repo.skep(&["run", "--", "bash", "-c", "echo live > live.txt"]).fine();
    repo.stands("live.txt", "live\n");
}

#[test]
fn both_are_kept_where_a_draft_meets_another_change() {
    let repo = Repo::new();
    let ours = repo
        .drafts("sed -i 's/two() {}/two() { ours(); }/' plan.rs; mkdir sub; echo n > sub/n; rm .gitignore");
    let theirs = PLAN.replace("two() {}", "two() { theirs(); }");
    fs::write(repo.at("plan.rs"), &theirs).unwrap();
    let kept = repo.skep(&["keep", &ours.to_string()]).fine();
    assert!(
        kept.err.contains("plan.rs: another has changed it meanwhile; yours is kept beside it"),
        "{}",
        kept.err
    );
    repo.stands("sub/n", "n\n");
    repo.stands(".gitignore", "(No such file or directory (os error 2))");
    assert_eq!(repo.read("plan.rs"), theirs);
    let open = repo.skep(&["cat", "/sys/conflicts"]).fine().out;
    let version = open.split_whitespace().next().unwrap_or_default().to_owned();
    assert!(open.contains("plan.rs"), "{open}");
    repo.skep(&["resolve", &repo.path("plan.rs"), "--version", &version, "--take", "ours"]).fine();
    repo.stands("plan.rs", &PLAN.replace("two() {}", "two() { ours(); }"));
}

#[test]
fn what_is_dropped_was_nowhere_and_what_was_saved_outlives_the_daemon() {
    let mut repo = Repo::new();
    let dropped = repo.drafts("echo gone > plan.rs; echo new > new.rs");
    repo.skep(&["drop", &dropped.to_string()]).fine();
    repo.skep(&["keep", &dropped.to_string()]).failed(1);
    assert_eq!(repo.read("plan.rs"), PLAN);
    // A large file of which a part is changed, while somebody replaces it outside.
    let large = vec![b'a'; 3 << 20];
    fs::write(repo.at("large.bin"), &large).unwrap();
    let line = "printf B | dd of=large.bin bs=1 seek=100 conv=notrunc status=none; echo saved > saved.rs; \
                cp large.bin copy.bin; echo drafted; sleep 7171.5";
    let begun: u64 = repo.skep(&["run", "-d", "--", "bash", "-c", line]).fine().out.trim().parse().unwrap();
    let files = retry("the draft to be saved", || {
        let read =
            repo.hive.client().ask("read", &serde_json::json!({"path": format!("/proc/{begun}/draft")}));
        read["result"]["text"].as_str().filter(|text| text.contains("copy.bin")).map(str::to_owned)
    });
    assert!(files.contains("large.bin") && files.contains("saved.rs"), "{files}");
    repo.skep(&["keep", &begun.to_string()]).failed(1);
    fs::write(repo.at("other.bin"), vec![b'z'; 3 << 20]).unwrap();
    fs::rename(repo.at("other.bin"), repo.at("large.bin")).unwrap();
    repo.hive.kill();
    repo.hive.start();
    assert_eq!(repo.read("saved.rs"), "(No such file or directory (os error 2))");
    let kept = repo.skep(&["keep", &begun.to_string()]).fine();
    assert!(kept.err.contains("large.bin: another has changed it meanwhile"), "{}", kept.err);
    repo.stands("saved.rs", "saved\n");
    let mut want = large;
    want[100] = b'B';
    assert_eq!(fs::read(repo.at("copy.bin")).unwrap(), want);
    assert_eq!(fs::read(repo.at("large.bin")).unwrap(), vec![b'z'; 3 << 20]);
}

#[test]
fn a_draft_does_nothing_to_the_tree_by_its_calls() {
    let repo = Repo::new();
    let line = "echo x > beside.rs; python3 - <<'E'\nimport json, os, socket\ns = socket.socket(socket.AF_UNIX)\n\
                s.connect(os.environ['SKEP_SOCKET'])\nf = s.makefile('rw')\n\
                f.write(json.dumps({'jsonrpc': '2.0', 'id': 1, 'method': 'write', 'params': \
                {'path': '/data/x', 'text': 'x', 'origin': 'argument'}}) + '\\n'); f.flush()\nprint(f.readline())\nE";
    let ran = repo.skep(&["run", "--draft", "--", "bash", "-c", line]).fine();
    assert!(ran.out.contains("is a draft"), "{}", ran.out);
    let ran = repo.skep(&["run", "--live", "--", "bash", "-c", line]).fine();
    assert!(!ran.out.contains("is a draft"), "{}", ran.out);
}

/// What a program was told is lasting is in its draft, whatever becomes of the daemon in the next moment. The
/// control is the same without the wait.
#[test]
fn what_a_draft_synced_is_in_it() {
    for (waits, kept) in [("sync one.txt", 0), ("true", 1)] {
        let mut repo = Repo::new();
        let line = format!("echo one > one.txt; {waits}; touch $HOME/written; sleep 7171.5");
        let begun = repo.skep(&["run", "-d", "--", "bash", "-c", &line]).fine().out.trim().to_owned();
        there(&repo.hive, begun.parse().unwrap(), "written");
        repo.hive.kill();
        repo.hive.start();
        let said = repo.skep(&["keep", &begun]);
        assert_eq!(said.code, kept, "{waits}: {said:?}");
        let want = if kept == 0 { "one\n" } else { "(No such file or directory (os error 2))" };
        repo.stands("one.txt", want);
    }
}

/// Who asks for a command in the sandbox of a program before that stands gets it once it does, and not when
/// the program is over, which may be never.
#[test]
fn a_command_beside_a_program_waits_until_that_stands() {
    let repo = Repo::new();
    let mut client = repo.hive.client();
    let dir = repo.dir.path().canonicalize().unwrap().display().to_string();
    client.ok("write", json!({"path": "/sys/ctl", "text": format!("bind {dir}"), "origin": "argument"}));
    for round in 0..12 {
        let view = if round % 2 == 0 { "draft" } else { "live" };
        let program = json!({"command": ["sleep", "7474.5"], "dir": dir, "stdio": "null", "view": view});
        let params = json!({"agent": "guest", "text": "x", "origin": "argument", "program": program});
        let pid = client.ok("spawn", params)["pid"].clone();
        let order = json!({"text": "echo hi", "wall": "native", "pid": pid, "dir": dir});
        assert_eq!(client.ok("exec", order)["output"], "hi\n", "{view}");
        client.ok("signal", json!({"pid": pid, "signal": "kill"}));
    }
}
