//! Directories of this host as part of a workspace: through the real daemon, the real wall and a real disk.

use crate::{
    exec::{home_of, text},
    hive::{Hive, place_of_work, retry, run},
};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::PathBuf,
};
use tempfile::TempDir;

/// A directory of work that no wall lays anything over.
struct Repo(TempDir);

impl Repo {
    fn new() -> Self {
        Self(place_of_work("bound-"))
    }

    fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, content: &str) {
        fs::create_dir_all(self.at(name).parent().unwrap()).unwrap();
        fs::write(self.at(name), content).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.at(name)).unwrap_or_else(|error| format!("({error})"))
    }

    fn names(&self) -> Vec<String> {
        let all = fs::read_dir(self.0.path()).unwrap().flatten();
        let mut names: Vec<String> =
            all.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

fn bind(hive: &Hive, repo: &Repo) {
    assert_eq!(hive.cli(&["bind", repo.path()]).fine().out, format!("{}\n", repo.path()));
}

fn exec(hive: &Hive, repo: &Repo, line: &str) -> Value {
    let ran = hive.client().ok("exec", json!({"text": line, "wall": "native", "dir": repo.path()}));
    assert_eq!(ran["kept"], json!(true), "{line}: {ran}");
    ran
}

/// A program that waits for what it wrote goes on when it stands in the directory, on the host.
#[test]
fn what_a_program_waits_for_stands_on_the_host() {
    let hive = Hive::new();
    let repo = Repo::new();
    repo.put(".gitignore", "out/\n");
    repo.put("a.txt", "one\n");
    bind(&hive, &repo);
    let text = "for n in 1 2 3; do echo $n > a.txt; mkdir -p out; echo $n > out/b.txt; sync a.txt out/b.txt; \
                echo $n > $HOME/said; while [ -e $HOME/said ]; do sleep 0.02; done; done; sleep 1000";
    let given = json!({"command": ["bash", "-c", text], "dir": repo.path()});
    let born = hive
        .client()
        .ok("spawn", json!({"agent": "guest", "text": "go", "origin": "argument", "program": given}));
    let pid = born["pid"].as_u64().unwrap_or_else(|| panic!("{born}"));
    for n in 1..=3 {
        let said = retry("it to say so", || {
            home_of(&hive, pid).map(|home| home.join("said")).filter(|file| file.exists())
        });
        assert_eq!((repo.read("a.txt"), repo.read("out/b.txt")), (format!("{n}\n"), format!("{n}\n")));
        fs::remove_file(said).unwrap();
    }
    // A command beside it begins where it did.
    assert_eq!(hive.cli(&["exec", "-p", &pid.to_string(), "pwd"]).fine().out, format!("{}\n", repo.path()));
    hive.cli(&["kill", &pid.to_string()]).fine();
}

/// Editors and agents write beside a file, wait until that is lasting, and move it over: that is a new
/// version of the file, which is there all the time, also while it is taken back. Small and large, it is
/// read whole at any moment.
#[test]
fn what_is_written_beside_and_moved_over_is_a_version_of_the_file() {
    let hive = Hive::new();
    let repo = Repo::new();
    repo.put("a.txt", "old\n");
    repo.put("big.txt", "old\n");
    bind(&hive, &repo);
    let main = "import os\nfor name, text in [('a.txt', 'new\\n'), ('big.txt', 'y' * 300000)]:\n  \
                with open(name + '.new', 'w') as file:\n    file.write(text); file.flush(); os.fsync(file.fileno())\n  \
                os.rename(name + '.new', name)\n  os.fsync(os.open('.', os.O_RDONLY))\n  \
                assert open(name).read() == text\n";
    let given = json!({"command": ["python3", "-c", main], "stdio": "pipe", "dir": repo.path()});
    let params = json!({"agent": "guest", "text": "go", "origin": "argument", "program": given});
    let pid = hive.client().ok("spawn", params)["pid"].as_u64().unwrap();
    let ended = hive.client().ok("wait", json!({"pid": pid}));
    assert_eq!(ended["exit"], json!({"exited": 0}), "{ended}");
    stands(&repo, "a.txt", "new\n");
    stands(&repo, "big.txt", &"y".repeat(300_000));
    assert_eq!(repo.names(), ["a.txt", "big.txt"]);
    let path = format!("{}/a.txt", repo.path());
    let history = hive.client().ok("history", json!({"path": path}));
    assert_eq!(history["versions"].as_array().map(Vec::len), Some(2), "{history}");
    hive.cli(&["undo", &pid.to_string()]).fine();
    retry("what stood before", || (fs::read_to_string(repo.at("a.txt")).unwrap() == "old\n").then_some(()));
    stands(&repo, "big.txt", "old\n");
}

/// Waits until the file is this on the host.
fn stands(repo: &Repo, name: &str, want: &str) {
    retry(&format!("{name} to be {want:?}"), || (repo.read(name) == want).then_some(()));
}

#[test]
fn what_a_command_changes_stands_on_the_host_and_can_be_undone() {
    let (hive, repo) = (Hive::new(), Repo::new());
    repo.put("a.txt", "one\n");
    repo.put("old/b.txt", "b\n");
    repo.put("gone.txt", "gone\n");
    symlink("a.txt", repo.at("link")).unwrap();
    fs::set_permissions(repo.at("a.txt"), fs::Permissions::from_mode(0o755)).unwrap();
    bind(&hive, &repo);
    let ran = exec(&hive, &repo, "ls; cat a.txt link; readlink link; stat -c %a a.txt");
    assert_eq!(text(&ran, "output"), "a.txt\ngone.txt\nlink\nold\none\none\na.txt\n755\n");
    let ran = exec(
        &hive,
        &repo,
        "echo two > a.txt; mv old new; rm gone.txt; mkdir d; echo n > d/n; echo b2 >> new/b.txt",
    );
    for (name, want) in [("a.txt", "two\n"), ("new/b.txt", "b\nb2\n"), ("d/n", "n\n")] {
        stands(&repo, name, want);
    }
    retry("all of it", || (repo.names() == ["a.txt", "d", "link", "new"]).then_some(()));
    let owner = fs::metadata(repo.0.path()).unwrap().uid();
    assert_eq!(fs::metadata(repo.at("d/n")).unwrap().uid(), owner);
    assert_eq!(fs::metadata(repo.at("a.txt")).unwrap().mode() & 0o777, 0o755);
    // What stood there before is a version, of nobody Skep knows; then the command's.
    let log = hive.cli(&["log", &format!("{}/a.txt", repo.path())]).fine().out;
    assert!(log.contains("system:outside"), "{log}");
    // The same sandbox goes on over what stands there.
    assert_eq!(text(&exec(&hive, &repo, "cat a.txt d/n; ls"), "output"), "two\nn\na.txt\nd\nlink\nnew\n");
    let operation = ran["operation"].as_u64().unwrap();
    hive.cli(&["undo", &format!("op:{operation}")]).fine();
    for (name, want) in [("a.txt", "one\n"), ("old/b.txt", "b\n"), ("gone.txt", "gone\n")] {
        stands(&repo, name, want);
    }
    retry("the rest to go", || (repo.names() == ["a.txt", "gone.txt", "link", "old"]).then_some(()));
}

#[test]
fn what_people_change_outside_is_seen_and_never_lost() {
    let (hive, repo) = (Hive::new(), Repo::new());
    repo.put("notes.md", "one\ntwo\nthree\nfour\nfive\n");
    repo.put("code.rs", "fn a() {}\n");
    bind(&hive, &repo);
    assert_eq!(text(&exec(&hive, &repo, "wc -l < notes.md"), "output"), "5\n");
    // Between two commands: the next one sees it, whether the file was written or replaced.
    repo.put("notes.md", "one\ntwo\nthree\nfour\nfive\nsix\n");
    repo.put("code.new", "fn b() {}\n");
    fs::rename(repo.at("code.new"), repo.at("code.rs")).unwrap();
    repo.put("new.txt", "new\n");
    assert_eq!(
        text(&exec(&hive, &repo, "wc -l < notes.md; cat code.rs new.txt"), "output"),
        "6\nfn b() {}\nnew\n"
    );
    // In the middle of one: text that goes together is merged, all else is kept beside.
    let line = "sed -i s/one/ONE/ notes.md; echo '// ours' >> code.rs; touch $HOME/began; \
                while [ ! -e $HOME/go ]; do sleep 0.02; done";
    let mut client = hive.client();
    let dir = repo.path().to_owned();
    client.post("exec", &json!({"text": line, "wall": "native", "dir": dir})).unwrap();
    let home =
        retry("its beginning", || crate::exec::home_of(&hive, 0).filter(|home| home.join("began").exists()));
    repo.put("notes.md", "one\ntwo\nthree\nfour\nfive\nsix\nseven\n");
    repo.put("code.rs", "fn c() {}\n");
    fs::write(home.join("go"), "").unwrap();
    stands(&repo, "notes.md", "ONE\ntwo\nthree\nfour\nfive\nsix\nseven\n");
    let conflicts = retry("the conflict", || {
        Some(hive.cli(&["cat", "/sys/conflicts"]).fine().out).filter(|text| text.contains("code.rs"))
    });
    assert!(!conflicts.contains("notes.md"), "{conflicts}");
    let log = hive.cli(&["log", &format!("{}/code.rs", repo.path())]).fine().out;
    assert_eq!(log.matches("system:outside").count(), 2, "{log}");
}

#[test]
fn what_gitignore_names_has_no_versions() {
    let (hive, repo) = (Hive::new(), Repo::new());
    repo.put(".gitignore", "/out/\n*.log\n!keep.log\n");
    repo.put("sub/.gitignore", "made\n");
    bind(&hive, &repo);
    let ran = exec(
        &hive,
        &repo,
        "mkdir -p out/deep target && echo o > out/deep/o && echo l > x.log && echo k > keep.log && \
         echo m > sub/made && echo t > target/t && echo s > sub/s",
    );
    for (name, want) in [
        ("out/deep/o", "o\n"),
        ("x.log", "l\n"),
        ("sub/made", "m\n"),
        ("target/t", "t\n"),
        ("keep.log", "k\n"),
    ] {
        stands(&repo, name, want);
    }
    let changed: Vec<&str> = ran["changed"].as_array().unwrap().iter().map(|row| text(row, "path")).collect();
    let of = |name: &str| format!("{}/{name}", repo.path());
    assert!(
        changed.contains(&of("keep.log").as_str()) && changed.contains(&of("sub/s").as_str()),
        "{changed:?}"
    );
    assert!(
        !changed.iter().any(|path| path.contains("out") || path.contains("x.log") || path.contains("made")),
        "{changed:?}"
    );
    // It is changed and removed as the rest.
    exec(&hive, &repo, "echo p >> out/deep/o; rm x.log; mv target/t out/t; rm -r sub");
    stands(&repo, "out/deep/o", "o\np\n");
    stands(&repo, "out/t", "t\n");
    retry("the rest to go", || (!repo.at("x.log").exists() && !repo.at("sub").exists()).then_some(()));
    // A time that a program set is kept: tools go by it.
    exec(&hive, &repo, "touch -d @1000000000 out/t");
    retry("its time", || (fs::metadata(repo.at("out/t")).unwrap().mtime() == 1_000_000_000).then_some(()));
}

#[test]
fn a_home_and_what_is_no_work_are_not_bound() {
    let hive = Hive::new();
    let home = std::env::var("HOME").unwrap_or_else(|_| "/root".to_owned());
    for (dir, why) in [
        ("/", "not a directory of work"),
        ("/etc", "something else"),
        (home.as_str(), "home"),
        ("/nowhere/x", "cannot be bound"),
    ] {
        let said = hive.cli(&["bind", dir]);
        assert_ne!(said.code, 0, "{dir}");
        assert!(said.err.contains(why) && said.err.contains("hint"), "{dir}: {}", said.err);
    }
}

/// `skep run -- COMMAND` where the operator stands.
fn run_in(hive: &Hive, repo: &Repo, line: &str) -> crate::hive::Ran {
    run(hive.command(&["run", "--", "bash", "-c", line]).current_dir(repo.0.path()))
}

#[test]
fn a_program_that_is_run_in_a_directory_works_in_it() {
    let (hive, repo) = (Hive::new(), Repo::new());
    repo.put("a.txt", "one\n");
    repo.put(".git/hooks/pre-commit", "theirs\n");
    repo.put("AGENTS.md", "mine\n");
    repo.put(".env", "KEY=1\n");
    repo.put(".gitignore", "*.log\n");
    let line = "pwd; cat a.txt; echo two > a.txt; echo n > new.txt; \
                echo bad > .git/hooks/pre-commit; echo bad > AGENTS.md; mv .git g; cat .env; \
                echo x > .git/index; echo l > x.log; exit 3";
    let ran = run_in(&hive, &repo, line);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.out.starts_with(&format!("{}\none\n", repo.path())), "{ran:?}");
    for (name, want) in [("a.txt", "two\n"), ("new.txt", "n\n"), (".git/index", "x\n"), ("x.log", "l\n")] {
        stands(&repo, name, want);
    }
    // What tools outside run, and what steers agents, is as it was; what policy denies is not there.
    assert_eq!(repo.read(".git/hooks/pre-commit"), "theirs\n");
    assert_eq!(repo.read("AGENTS.md"), "mine\n");
    assert!(!ran.out.contains("KEY=1"), "{ran:?}");
    assert!(ran.err.contains("3 files changed"), "{ran:?}");
    let pid = ran.err.split("skep undo ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    hive.cli(&["undo", &pid]).fine();
    stands(&repo, "a.txt", "one\n");
    retry("the rest to go", || {
        (!repo.at("new.txt").exists() && !repo.at(".git/index").exists()).then_some(())
    });
    // The control: an operator's own command may.
    exec(&hive, &repo, "echo ours > .git/hooks/pre-commit");
    stands(&repo, ".git/hooks/pre-commit", "ours\n");
}

/// A time that lies beyond all clocks is an odd time of a file and nothing else.
#[test]
fn a_time_beyond_all_clocks_harms_nobody() {
    let (hive, repo) = (Hive::new(), Repo::new());
    repo.put("a.txt", "one\n");
    let line = "import os\nfor s in (2**63 - 1, 2**62, 2**44, 2**40, -2**62):\n  \
                try: os.utime('a.txt', (0, s))\n  \
                except (OverflowError, OSError): pass\nopen('b.txt', 'w').write('two\\n')\n";
    let ran = run(hive.command(&["run", "--", "python3", "-c", line]).current_dir(repo.0.path())).fine();
    stands(&repo, "b.txt", "two\n");
    assert_eq!(repo.read("a.txt"), "one\n", "{ran:?}");
    assert!(text(&exec(&hive, &repo, "stat a.txt && cat a.txt"), "output").ends_with("one\n"));
}

/// An editor saves all the time, by both of the ways that editors have, while a program writes in the same
/// files: of texts all lines of both are there, and of all else every version is kept.
#[test]
fn nothing_of_an_editor_and_a_program_is_lost() {
    let (hive, repo) = (Hive::new(), Repo::new());
    let text: String = (0..40).map(|n| format!("line {n}\n\n\n")).collect();
    repo.put("notes.md", &text);
    bind(&hive, &repo);
    let mut mine = 0;
    for round in 0..8 {
        // An editor that empties a file and then writes it is seen in between, as by anybody.
        let line = format!(
            "until cp notes.md $HOME/t && grep -q '^line {round}$' $HOME/t; do sleep 0.01; done; \
             sed 's/^line {round}$/agent {round}/' $HOME/t > notes.md"
        );
        std::thread::scope(|scope| {
            let agent = scope.spawn(|| exec(&hive, &repo, &line));
            // It saves what it last read, with a line of its own: over what came meanwhile it does not ask.
            for _ in 0..3 {
                let old = format!("line {}\n", 39 - mine);
                let now = repo.read("notes.md").replace(&old, &format!("editor {mine}\n"));
                if mine % 2 == 0 {
                    repo.put("notes.md", &now);
                } else {
                    repo.put(".notes.swp", &now);
                    fs::rename(repo.at(".notes.swp"), repo.at("notes.md")).unwrap();
                }
                mine += 1;
            }
            agent.join().unwrap();
        });
    }
    exec(&hive, &repo, "echo end >> notes.md");
    // What is not in the file stands in its history, as a head or beside one.
    let path = format!("{}/notes.md", repo.path());
    let seen = retry("every line", || {
        let history = hive.client().ok("history", json!({"path": path, "limit": 1000}));
        let versions = history["versions"].as_array().cloned().unwrap_or_default();
        let mut all = repo.read("notes.md");
        for version in versions {
            let Some(id) = version["version"].as_u64().or_else(|| version["id"].as_u64()) else { continue };
            let read = hive.client().ok("read", json!({"path": path, "version": id}));
            all.push_str(text_of(&read));
        }
        let agents = (0..8).all(|n| all.contains(&format!("agent {n}\n")));
        let editors = (0..mine).all(|n| all.contains(&format!("editor {n}\n")));
        (agents && editors).then_some(all)
    });
    assert!(seen.contains("agent 7\n"));
}

fn text_of(read: &Value) -> &str {
    text(read, "text")
}

/// The daemon is killed while what commands made is put into the directory: all of an operation stands
/// there in the end or none of it, and nothing lies beside it.
#[test]
fn a_daemon_that_is_killed_leaves_no_halves() {
    let (mut hive, repo) = (Hive::new(), Repo::new());
    for file in 0..60 {
        repo.put(&format!("d/f{file}"), "old\n");
    }
    bind(&hive, &repo);
    for round in 0..6 {
        let before = repo.read("d/f0");
        let line = format!("for n in $(seq 0 59); do echo {round} > d/f$n; done");
        let mut client = hive.client();
        client.post("exec", &json!({"text": line, "wall": "native", "dir": repo.path()})).unwrap();
        // At another moment each time: once the first files have come to stand there.
        if round % 2 == 0 {
            retry("the first of them", || (repo.read(&format!("d/f{}", round * 7)) != before).then_some(()));
        }
        hive.kill();
        hive.start();
        exec(&hive, &repo, "true");
        let all: Vec<String> = (0..60).map(|file| repo.read(&format!("d/f{file}"))).collect();
        let same = retry("an end", || {
            let all: Vec<String> = (0..60).map(|file| repo.read(&format!("d/f{file}"))).collect();
            all.iter().all(|text| *text == all[0]).then_some(all[0].clone())
        });
        assert!(same == before || same == format!("{round}\n"), "{all:?}");
        if round % 2 == 0 {
            assert_eq!(same, format!("{round}\n"), "what was decided is put there");
        }
        let names: Vec<String> = fs::read_dir(repo.at("d"))
            .unwrap()
            .flatten()
            .map(|e| e.file_name().into_string().unwrap())
            .collect();
        assert!(names.iter().all(|name| name.starts_with('f')), "{names:?}");
    }
    assert_eq!(hive.cli(&["cat", "/sys/conflicts"]).fine().out, "");
}

/// Where a wall lays memory or the system's tools, a directory of work is still at its own path, for real
/// programs and for the shell that needs none, and all else there is not.
#[test]
fn what_stands_below_tmp_and_var_is_bound_where_it_is() {
    // Only root may put something into the other two.
    let tops: &[&str] =
        if rustix::process::geteuid().is_root() { &["/tmp", "/var", "/opt"] } else { &["/tmp"] };
    for top in tops {
        let hive = Hive::new();
        let [repo, second, beside] =
            ["repo", "second", "beside"].map(|name| Repo(TempDir::with_prefix_in(name, top).unwrap()));
        repo.put("a.txt", "one\n");
        second.put("b.txt", "second\n");
        let line = format!(
            "pwd; cat a.txt; echo two > a.txt; mkdir d; echo x > d/y; mv d/y z; rmdir d; \
             touch {top}/mine 2> /dev/null; [ -e {} ] && echo seen; true",
            beside.path()
        );
        let ran = run_in(&hive, &repo, &line).fine();
        assert_eq!(ran.out, format!("{}\none\n", repo.path()), "{ran:?}");
        stands(&repo, "a.txt", "two\n");
        stands(&repo, "z", "x\n");
        assert_eq!(repo.names(), ["a.txt", "z"]);
        assert!(!PathBuf::from(top).join("mine").exists());
        let light = json!({"text": "cat a.txt; echo three > a.txt", "wall": "shell", "dir": repo.path()});
        assert_eq!(text(&hive.client().ok("exec", light), "output"), "two\n");
        assert_eq!(text(&exec(&hive, &repo, "cat a.txt"), "output"), "three\n");
        // The wall that stands was not built for another one: it is built anew.
        bind(&hive, &second);
        let both = format!("cat {}/a.txt b.txt", repo.path());
        assert_eq!(text(&exec(&hive, &second, &both), "output"), "three\nsecond\n");
        hive.cli(&["undo", "1"]).fine();
        retry("what it made to go", || (!repo.at("z").exists()).then_some(()));
    }
    let hive = Hive::new();
    let linked = TempDir::new_in("/var/tmp").unwrap();
    for dir in ["/tmp", linked.path().to_str().unwrap()] {
        let said = hive.cli(&["bind", dir]);
        assert!(said.code != 0 && said.err.contains("something else"), "{dir}: {said:?}");
    }
}

/// Calls show what stands there, whether or not it has a version: for an operator, and for a turn as far as
/// its capabilities go. What is looked at gets a version, by whoever was there before.
#[test]
fn what_stands_there_is_seen_by_calls() {
    let (hive, repo) = (Hive::new(), Repo::new());
    repo.put("src/a.rs", "fn a() {}\n");
    repo.put("src/b.rs", "fn b() {}\n");
    repo.put(".gitignore", "out/\n");
    repo.put("out/x", "scratch\n");
    bind(&hive, &repo);
    let at = |name: &str| format!("{}/{name}", repo.path());
    let names = |text: &str| -> Vec<String> {
        let row = |line: &str| line.split_whitespace().last().unwrap_or_default().to_owned();
        text.lines().skip(1).map(row).collect()
    };
    assert_eq!(names(&hive.cli(&["ls", repo.path()]).fine().out), [".gitignore", "out/", "src/"]);
    assert_eq!(names(&hive.cli(&["ls", &at("src")]).fine().out), ["a.rs", "b.rs"]);
    assert_eq!(hive.cli(&["cat", &at("src/a.rs")]).fine().out, "fn a() {}\n");
    let versions = hive.client().ok("history", json!({"path": at("src/a.rs")}));
    let versions = versions["versions"].as_array().unwrap().clone();
    assert_eq!((versions.len(), &versions[0]["actor"]), (1, &json!("system:outside")), "{versions:?}");
    // It is only looked at: what nobody named has none.
    assert_eq!(hive.client().ok("read", json!({"path": at("src/b.rs")}))["text"], json!("fn b() {}\n"));
    // Somebody edits: the next look shows it, and whose it is. A file that is gone is gone.
    repo.put("src/a.rs", "fn a() { 1 }\n");
    assert_eq!(hive.cli(&["cat", &at("src/a.rs")]).fine().out, "fn a() { 1 }\n");
    fs::remove_file(repo.at("src/b.rs")).unwrap();
    assert!(hive.cli(&["cat", &at("src/b.rs")]).failed(1).err.contains("does not exist"));
    // A write over what stands there is made from it, and taken back to it.
    let wrote = hive
        .client()
        .ok("write", json!({"path": at("src/a.rs"), "text": "fn a() { 2 }\n", "origin": "argument"}));
    stands(&repo, "src/a.rs", "fn a() { 2 }\n");
    let log = hive.client().ok("history", json!({"path": at("src/a.rs")}));
    assert_eq!(log["versions"].as_array().map(Vec::len), Some(3), "{wrote} {log}");
    hive.cli(&["undo", &format!("op:{}", wrote["operation"])]).fine();
    stands(&repo, "src/a.rs", "fn a() { 1 }\n");
    // What has no versions is not brought in by a look, and nobody is let past what they may not name.
    assert_ne!(hive.cli(&["cat", &at("out/x")]).code, 0);
    let secret = at("secret.txt");
    repo.put("secret.txt", "theirs\n");
    let reads = |dir: &str, path: &str| {
        let mut client = hive.client();
        let program = json!({"command": ["sleep", "1000"], "dir": dir});
        let params = json!({"agent": "guest", "text": "wait", "origin": "argument", "program": program});
        let pid = client.ok("spawn", params)["pid"].clone();
        let token = client.text(&format!("/proc/{pid}/token"));
        let read = hive.client().ask("read", &json!({"path": path, "token": token.trim()}));
        client.ok("signal", json!({"pid": pid, "signal": "kill"}));
        read
    };
    let refused = reads("/data", &secret);
    assert_eq!(refused["error"]["data"]["code"], json!("Denied"), "{refused}");
    let mut log = hive.client().log("home").into_iter().map(|record| record.to_string());
    assert!(!log.any(|record| record.contains("secret.txt") && record.contains("system:outside")));
    assert_eq!(
        hive.cli(&["log", &secret]).out.matches("outside").count(),
        1,
        "an operator's look notices it"
    );
    // The control: who may name it reads it.
    let read = reads(repo.path(), &at("src/a.rs"));
    assert_eq!(read["result"]["text"], json!("fn a() { 1 }\n"), "{read}");
}
