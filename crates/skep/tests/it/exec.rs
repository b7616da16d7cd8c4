//! Commands through the real daemon, the real wall and the real view: whole or not at all, whoever breaks
//! off.

use crate::{
    hive::{Hive, SKEP, retry, run},
    users::{NOBODY, User, is_root},
};
use serde_json::{Value, json};
use std::{fs, path::PathBuf, process::Command};

/// What is HOME in the sandbox of a process now, if it has one.
pub fn home_of(hive: &Hive, pid: u64) -> Option<PathBuf> {
    let homes = fs::read_dir(hive.home().join("workspaces/home/homes")).into_iter().flatten().flatten();
    let own = |path: &PathBuf| path.file_stem().and_then(|stem| stem.to_str()) == Some(&pid.to_string());
    // One that goes meanwhile is none.
    let made = |home: PathBuf| Some((fs::metadata(&home).and_then(|meta| meta.modified()).ok()?, home));
    homes.map(|home| home.path()).filter(own).filter_map(made).max().map(|(_, home)| home)
}

/// Waits for this file in its HOME.
pub fn there(hive: &Hive, pid: u64, name: &str) -> PathBuf {
    retry(name, || home_of(hive, pid).map(|home| home.join(name)).filter(|file| file.exists()))
}

fn exec(hive: &Hive, line: &str) -> Value {
    hive.client().ok("exec", json!({"text": line, "wall": "native"}))
}

pub fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Processes on this host whose command line holds the word.
pub fn running(word: &str) -> usize {
    those(word).len()
}

/// The same, by their process ids.
pub fn those(word: &str) -> Vec<i32> {
    let found = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let own = pid.cast_unsigned() == std::process::id();
        (!own && String::from_utf8_lossy(&line).contains(word)).then_some(pid)
    });
    found.collect()
}

/// Whose child it is, while it runs.
fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut rest = stat.rsplit(") ").next()?.split(' ');
    rest.next().filter(|state| *state != "Z")?;
    rest.next()?.parse().ok()
}

/// All that a process and its children have started, as far as it still runs.
fn below(pid: u32) -> Vec<u32> {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let all: Vec<u32> = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    let (mut found, mut next) = (Vec::new(), vec![pid]);
    while let Some(one) = next.pop() {
        let own: Vec<u32> = all.iter().copied().filter(|child| parent(*child) == Some(one)).collect();
        next.extend(&own);
        found.extend(own);
    }
    found
}

/// Mounts of views on this host outside of sandboxes.
pub fn mounts() -> usize {
    fs::read_to_string("/proc/self/mounts").unwrap().lines().filter(|line| line.contains("fuse.skep")).count()
}

#[test]
fn what_a_command_changes_is_one_operation_and_can_be_undone() {
    let hive = Hive::new();
    hive.cli(&["write", "/data/old.md", "old\n"]).fine();
    hive.cli(&["write", "/data/gone.md", "gone\n"]).fine();
    let ran = hive.cli(&[
        "exec",
        "-C",
        "/data",
        "--",
        "mkdir d && echo new > d/n && echo OLD > old.md && rm gone.md; id -u",
    ]);
    assert_eq!(ran.out, "1000\n", "{ran:?}");
    assert!(ran.err.contains("paths changed · skep undo op:"), "{}", ran.err);
    let log = hive.cli(&["ls", "/data"]).fine().out;
    assert!(log.contains("old.md") && log.contains(" d") && !log.contains("gone.md"), "{log}");
    assert_eq!(hive.cli(&["cat", "/data/d/n"]).fine().out, "new\n");
    let operation = ran.err.split("op:").nth(1).unwrap().trim().to_owned();
    hive.cli(&["undo", &format!("op:{operation}")]).fine();
    assert_eq!(hive.cli(&["cat", "/data/old.md"]).fine().out, "old\n");
    assert_eq!(hive.cli(&["cat", "/data/gone.md"]).fine().out, "gone\n");
    hive.cli(&["cat", "/data/d/n"]).failed(1);
    // Its status is passed on; what failed has changed what it changed.
    hive.cli(&["exec", "--", "echo kept > /data/k; exit 7"]).failed(7);
    assert_eq!(hive.cli(&["cat", "/data/k"]).fine().out, "kept\n");
    hive.cli(&["exec", "--", "kill -9 $$"]).failed(137);
}

#[test]
fn a_command_that_is_ended_leaves_nothing() {
    let hive = Hive::new();
    let late = hive.cli(&[
        "exec",
        "--timeout",
        "1s",
        "--",
        "echo half > /data/half; (sleep 7777.25 &) ; sleep 7777.25",
    ]);
    assert_eq!(late.code, 124, "{late:?}");
    assert!(late.err.contains("took too long"), "{}", late.err);
    hive.cli(&["cat", "/data/half"]).failed(1);
    assert_eq!(running("sleep\x007777.25"), 0);
    // A client that goes takes its command along.
    let mut gone = hive.client();
    let line = "echo half > /data/half; touch $HOME/began; setsid -w sleep 6666.25";
    gone.post("exec", &json!({"text": line, "wall": "native"})).unwrap();
    there(&hive, 0, "began");
    drop(gone);
    retry("its end", || (running("sleep\x006666.25") == 0).then_some(()));
    hive.cli(&["cat", "/data/half"]).failed(1);
    // The next one finds a sandbox as if nothing had been.
    assert_eq!(text(&exec(&hive, "ls /data /tmp"), "output"), "/data:\n\n/tmp:\n");
    assert_eq!(mounts(), 0, "a view is mounted in its sandbox and nowhere else");
}

#[test]
fn the_daemon_is_killed_in_the_middle_of_commands() {
    let mut hive = Hive::new();
    for round in 0..5 {
        let mut client = hive.client();
        let line = format!(
            "for n in 1 2 3 4 5 6 7 8; do echo x > /data/f$n; done; rm -f /data/a; \
             touch $HOME/began-{round}; sleep 5555.25"
        );
        hive.cli(&["write", "/data/a", &format!("{round}\n")]).fine();
        client.post("exec", &json!({"text": line, "wall": "native"})).unwrap();
        there(&hive, 0, &format!("began-{round}"));
        let family = below(hive.pid());
        assert!(family.len() > 2, "the helper, an init and what runs: {family:?}");
        hive.kill();
        retry("its sandbox to end", || family.iter().all(|pid| parent(*pid).is_none()).then_some(()));
        hive.start();
        assert_eq!(hive.cli(&["cat", "/data/a"]).fine().out, format!("{round}\n"));
        hive.cli(&["cat", "/data/f1"]).failed(1);
        assert_eq!(mounts(), 0);
    }
    assert_eq!(text(&exec(&hive, "cat /data/a"), "output"), "4\n");
}

/// Who reads slowly is waited for, as at a pipe, and misses nothing.
#[test]
fn all_of_its_output_reaches_who_reads_it() {
    let rows = [
        ("shell", "for n in 1 2 3 4 5 6 7 8; do seq 12000; done", "487152"),
        ("native", "seq 1000000", "6888896"),
    ];
    let hive = Hive::new();
    for (wall, line, bytes) in rows {
        let home = hive.home();
        let script = format!("'{SKEP}' --home '{}' exec --wall {wall} -- '{line}' | wc -c", home.display());
        let ran = run(Command::new("bash").args(["-c", &script])).fine();
        assert_eq!(ran.out.trim(), bytes, "{wall}: {ran:?}");
    }
}

#[test]
fn what_another_changed_meanwhile_is_merged_or_kept_beside() {
    let hive = Hive::new();
    hive.cli(&["write", "/data/a.md", "one\ntwo\nthree\nfour\nfive\n"]).fine();
    hive.cli(&["write", "/data/b.bin", "one\n"]).fine();
    let mut client = hive.client();
    let line = "cat /data/a.md /data/b.bin > /dev/null; touch $HOME/began; until [ -e $HOME/go ]; do sleep 0.02; done; \
                sed -i s/five/FIVE/ /data/a.md; echo ours > /data/b.bin; cat /data/a.md";
    let id = client.post("exec", &json!({"text": line, "wall": "native"})).unwrap();
    let began = there(&hive, 0, "began");
    hive.cli(&["write", "/data/a.md", "ONE\ntwo\nthree\nfour\nfive\n"]).fine();
    hive.cli(&["write", "/data/b.bin", "theirs\n"]).fine();
    fs::write(began.with_file_name("go"), "").unwrap();
    let answer = loop {
        let line = client.line().unwrap();
        if line["id"] == json!(id) {
            break line["result"].clone();
        }
    };
    // It saw the tree as it was when it began, and its own writes.
    assert_eq!(text(&answer, "output"), "one\ntwo\nthree\nfour\nFIVE\n");
    assert_eq!(answer["conflicts"].as_array().unwrap().len(), 2, "{answer}");
    assert_eq!(hive.cli(&["cat", "/data/a.md"]).fine().out, "ONE\ntwo\nthree\nfour\nFIVE\n");
    assert_eq!(hive.cli(&["cat", "/data/b.bin"]).fine().out, "theirs\n");
    assert!(hive.client().text("/sys/conflicts").contains("/data/b.bin"));
}

#[test]
fn bad_input_has_a_clear_end_and_nothing_is_lost() {
    let hive = Hive::new();
    let ran = |line: &str| exec(&hive, line);
    let unknown = ran("no-such-program");
    assert_eq!((unknown["status"].as_i64(), unknown["kept"].as_bool()), (Some(127), Some(true)));
    assert!(text(&unknown, "output").contains("not found"), "{unknown}");
    let bytes = ran(r"printf 'a\377\376b'");
    assert_eq!(text(&bytes, "output"), "a\u{fffd}\u{fffd}b");
    let flood = ran("head -c 100000000 /dev/zero | tr '\\0' x; echo end");
    assert_eq!(flood["bytes"].as_u64(), Some(100_000_004));
    let output = text(&flood, "output");
    assert!(
        output.len() < 20_000 && output.contains("bytes left out here") && output.ends_with("end\n"),
        "{}",
        output.len()
    );
    let quiet = ran("exec >&- 2>&- <&-; echo lost; true");
    assert_eq!(quiet["status"].as_i64(), Some(0), "{quiet}");
    // Who ignores SIGTERM, forks twice and leaves its session ends with the sandbox.
    let stubborn = hive.client().ok(
        "exec",
        json!({
            "text": "trap '' TERM; (setsid sh -c 'trap \"\" TERM; sleep 4444' &); sleep 4444",
            "wall": "native", "timeout_ms": 500,
        }),
    );
    assert_eq!(stubborn["status"].as_i64(), Some(124), "{stubborn}");
    retry("the stubborn to end", || (running("4444") == 0).then_some(()));
    let names = ran("mkdir -p /data/x && cd /data/x && printf e > \"$(printf 'e\\314\\201')\"; echo $?; \
         rmdir /data/x; pwd; ls");
    assert!(
        text(&names, "output").starts_with("sh: ") || text(&names, "output").contains("Invalid"),
        "{names}"
    );
    let gone = hive.client().refused("exec", json!({"text": "ls", "dir": "/data/none", "wall": "native"}));
    assert!(gone.to_string().contains("/data/none"), "{gone}");
    assert_eq!(text(&ran("echo still here"), "output"), "still here\n");
}

#[test]
fn many_files_are_kept_whole_or_refused_whole() {
    let hive = Hive::new();
    let many =
        exec(&hive, "mkdir /data/many && cd /data/many && for n in $(seq 3000); do echo $n > f$n; done");
    assert_eq!(many["kept"].as_bool(), Some(true), "{many}");
    assert_eq!(many["changed"].as_array().unwrap().len() as u64 + many["more"].as_u64().unwrap(), 3001);
    assert_eq!(hive.cli(&["cat", "/data/many/f2999"]).fine().out, "2999\n");
    let more = exec(&hive, "mkdir /data/more && cd /data/more && seq 12000 | split -l 1 -a 4 -");
    assert_eq!(more["kept"].as_bool(), Some(false), "{more}");
    assert!(text(&more, "how").contains("more than 10000 files"), "{more}");
    hive.cli(&["cat", "/data/more/xaaaa"]).failed(1);
    // Where only what stands counts, more can be.
    let scratch = exec(
        &hive,
        "mkdir -p /data/node_modules/x && cd /data/node_modules/x && seq 12000 | split -l 1 -a 4 -",
    );
    assert_eq!(scratch["kept"].as_bool(), Some(true), "{scratch}");
    let large = exec(&hive, "head -c 30000000 /dev/urandom > /data/large; sha256sum < /data/large");
    let again = exec(&hive, "sha256sum < /data/large");
    assert_eq!(text(&large, "output"), text(&again, "output"));
}

#[test]
fn the_shell_in_the_daemon_runs_what_it_can_and_leaves_the_rest_to_real_programs() {
    let hive = Hive::new();
    let ran = |line: &str, wall: &str| hive.client().ok("exec", json!({"text": line, "wall": wall}));
    let light = ran("cd /data; for n in 1 2 3; do echo line $n >> a; done; wc -l < a; [ -f a ]", "auto");
    assert_eq!((text(&light, "wall"), text(&light, "output").trim()), ("shell", "3"), "{light}");
    assert_eq!(light["changed"][0]["path"], "/data/a", "{light}");
    // What it lacks: nothing of the first try is left, and all of it runs in the wall.
    let real = ran("cd /data; echo one more >> a; perl -e 'print 6 * 7'", "auto");
    assert_eq!((text(&real, "wall"), text(&real, "output")), ("native", "42"), "{real}");
    assert_eq!(hive.cli(&["cat", "/data/a"]).fine().out.lines().count(), 4);
    // While real programs stand, it would not see what they see.
    let stands = ran("wc -l < /data/a", "auto");
    assert_eq!((text(&stands, "wall"), text(&stands, "output").trim()), ("native", "4"), "{stands}");
    let hive = Hive::new();
    let ran = |line: &str| hive.client().ok("exec", json!({"text": line, "wall": "shell"}));
    let only = ran("perl -e 1 || echo no perl; cat /etc/passwd; echo kept > /data/k");
    assert!(text(&only, "output").contains("no perl"), "{only}");
    assert!(!text(&only, "output").contains("root:"), "{only}");
    assert_eq!(hive.cli(&["cat", "/data/k"]).fine().out, "kept\n");
    let undone = hive.cli(&["undo", &format!("op:{}", only["operation"])]);
    undone.fine();
    hive.cli(&["cat", "/data/k"]).failed(1);
}

/// The daemon of an ordinary user, where its device may be opened: distributions give it to everybody.
fn with_fuse(user: &User, args: &[&str]) -> crate::hive::Ran {
    let inner = user.command(args);
    let words = [inner.get_program()].into_iter().chain(inner.get_args());
    let words: Vec<String> =
        words.map(|word| format!("'{}'", word.to_str().unwrap().replace('\'', "'\\''"))).collect();
    let script = format!(
        "set -e; d=$(mktemp -d); mknod $d/fuse c 10 229; chmod 666 $d/fuse; mount --bind $d/fuse /dev/fuse; \
         rm $d/fuse; rmdir $d; cd /; exec {}",
        words.join(" ")
    );
    run(Command::new("unshare").args(["--mount", "--propagation", "private", "sh", "-c", &script]))
}

#[test]
fn an_ordinary_user_has_the_same_walls() {
    let user = User::new();
    let skep = |args: &[&str]| if is_root() { with_fuse(&user, args) } else { user.skep(args) };
    let ran = skep(&["exec", "--", "id -u; echo hi > /data/x; cat /data/x; touch /usr/x"]);
    assert!(ran.out.starts_with("1000\nhi\n"), "{ran:?}");
    assert!(ran.err.contains("1 path changed"), "{ran:?}");
    assert_eq!(user.skep(&["cat", "/data/x"]).fine().out, "hi\n");
    let wall = skep(&["exec", "--", "cat /etc/shadow; ls ~/.. /root; cat /proc/1/environ | wc -c"]);
    assert!(!wall.out.contains("root:") && wall.out.ends_with("0\n"), "{wall:?}");
    assert_ne!(NOBODY, 1000);
}

#[test]
fn without_a_device_for_views_nothing_runs_and_it_is_said_why() {
    if is_root() {
        // The device is root's alone on this host, so another user has none.
        let user = User::new();
        let ran = user.skep(&["exec", "--", "id"]).failed(1);
        assert!(ran.err.contains("/dev/fuse"), "{ran:?}");
        assert!(ran.err.contains("hint:"), "{ran:?}");
        let doctor = user.skep(&["doctor"]);
        assert!(doctor.out.contains("walls"), "{doctor:?}");
    }
    assert!(PathBuf::from(SKEP).exists());
}

/// Six processes, each with its own line of one text: every command reads the file through its own view and
/// writes it back whole, as programs do, while the others do the same.
#[test]
fn what_many_write_through_their_views_is_all_there() {
    const WRITERS: usize = 6;
    const EDITS: usize = 12;
    let hive = Hive::new();
    let mut client = hive.client();
    let lines: Vec<String> = (0..WRITERS).map(|writer| format!("{writer}=0\n\nbetween\n\n")).collect();
    hive.cli(&["write", "/data/shared.md", &lines.concat()]).fine();
    let agent =
        "---\nname: writer\ntools: [bash]\nneeds: [read /data/**, write /data/**, exec /data/**]\n---\nx\n";
    client.ok("write", json!({"path": "/agents/writer/AGENT.md", "text": agent, "origin": "argument"}));
    let mut spawn = |_| {
        let params = json!({"agent": "writer", "text": "x", "kind": "client", "origin": "argument"});
        client.ok("spawn", params)["pid"].as_u64().unwrap()
    };
    let pids: Vec<u64> = (0..WRITERS).map(&mut spawn).collect();
    std::thread::scope(|scope| {
        for (writer, pid) in pids.into_iter().enumerate() {
            let hive = &hive;
            scope.spawn(move || {
                let mut client = hive.client();
                for edit in 1..=EDITS {
                    let line = format!("sed -i s/^{writer}=.*/{writer}={edit}/ shared.md");
                    let order = json!({"pid": pid, "dir": "/data", "text": line, "wall": "native"});
                    // Who could not be merged in time is told, and does it again.
                    let told = |ran: &Value| ran["conflicts"].to_string().contains("kept beside");
                    let mut ran = client.ok("exec", order.clone());
                    while ran["kept"] == true && told(&ran) {
                        ran = client.ok("exec", order.clone());
                    }
                    assert_eq!(ran["kept"], true, "{ran}");
                }
            });
        }
    });
    let text = hive.cli(&["cat", "/data/shared.md"]).fine().out;
    for writer in 0..WRITERS {
        assert!(text.contains(&format!("{writer}={EDITS}\n")), "{writer} has lost its last edit:\n{text}");
    }
    let log = hive.cli(&["log", "/data/shared.md"]).fine().out;
    assert!(log.matches("merge").count() > 0, "control: they met\n{log}");
}

/// A turn's own `bash`: real programs, one operation a command, taken back like any other.
#[test]
fn a_turn_runs_real_programs_and_what_they_made_is_one_operation() {
    let hive = Hive::new();
    let mut client = hive.client();
    let agent = "---\nname: maker\nmodel: scripted/maker\ntools: [bash]\nneeds:\n  - read /data/**\n  - \
                 write /data/**\n  - exec /data/**\n  - model any\n---\nYou make.\n";
    client.ok("write", json!({"path": "/agents/maker/AGENT.md", "text": agent, "origin": "argument"}));
    client.ok("write", json!({"path": "/data/sum.py", "text": "print(2 - 3)\n", "origin": "argument"}));
    let line = "[ \"$PWD\" = /data ] && sed -i 's/-/+/' sum.py && python3 sum.py > sum.txt && \
                id -u > who.txt && cat sum.txt";
    // Nothing is said of where: it begins in the first place of its own where programs may run.
    let call = json!({"name": "bash", "arguments": {"text": line}});
    let rules = json!([
        {"when": {"role": "tool"}, "then": {"say": "It is done."}},
        {"then": {"say": "I do.", "tools": [call]}},
    ]);
    fs::create_dir_all(hive.home().join("scripted")).unwrap();
    let text = json!({"about": "Makes.", "rules": rules}).to_string();
    fs::write(hive.home().join("scripted/maker.json"), text).unwrap();
    let ran = hive.cli(&["run", "maker", "mend the sum"]).fine();
    assert!(ran.out.contains("It is done."), "{ran:?}");
    // Python is a real program, walled: it is nobody's root.
    assert_eq!(hive.cli(&["cat", "/data/sum.txt"]).fine().out, "5\n");
    assert_eq!(hive.cli(&["cat", "/data/who.txt"]).fine().out, "1000\n");
    let of = |path: &str| {
        let history = hive.client().ok("history", json!({"path": path}));
        history["versions"][0]["operation"].as_u64().unwrap_or_else(|| panic!("{history}"))
    };
    let operation = of("/data/sum.py");
    assert_eq!((of("/data/sum.txt"), of("/data/who.txt")), (operation, operation));
    hive.cli(&["undo", &format!("op:{operation}")]).fine();
    assert_eq!(hive.cli(&["cat", "/data/sum.py"]).fine().out, "print(2 - 3)\n");
    hive.cli(&["cat", "/data/sum.txt"]).failed(1);
}

/// Who has a process end, or takes back what it runs on, hears of it when all of it has ended: not one of
/// many that will not go by themselves is left then.
#[test]
fn what_is_said_to_have_ended_has_ended() {
    let hive = Hive::new();
    let mut client = hive.client();
    let line = "trap '' TERM HUP INT; for n in $(seq 40); do (trap '' TERM; exec -a sleep-8383.25 sleep 1000) & done; \
                touch $HOME/up; wait";
    let agent = format!(
        "---\nname: many\nrun: {{command: [bash, -c, {line:?}]}}\nneeds: [read /data/**, write /data/**, exec \
         /data/**]\n---\n"
    );
    client.ok("write", json!({"path": "/agents/many/AGENT.md", "text": agent, "origin": "argument"}));
    for round in 0..6 {
        let born = client.ok("spawn", json!({"agent": "many", "text": "go", "origin": "argument"}));
        let pid = born["pid"].as_u64().unwrap_or_else(|| panic!("{born}"));
        // And the one that began them.
        retry("all of them", || (running("sleep-8383.25") == 41).then_some(()));
        if round % 2 == 0 {
            client.ok("signal", json!({"pid": pid, "signal": "kill"}));
        } else {
            let caps = client.text(&format!("/proc/{pid}/caps"));
            let cap = caps.lines().find(|line| line.contains("fs /data/** {read")).unwrap();
            client.ok("revoke", json!({"cap": cap.split(' ').next().unwrap().parse::<u64>().unwrap()}));
        }
        assert_eq!(running("sleep-8383.25"), 0, "round {round}");
    }
}

/// Under load, a capability is taken back: the program that reads and writes by it ends, and nothing that it
/// writes after the answer is kept. Another beside it, of which nothing is taken back, is the control.
#[test]
fn what_is_taken_back_ends_a_program_under_load() {
    let hive = Hive::new();
    let mut client = hive.client();
    client.ok("write", json!({"path": "/data/in.txt", "text": "in\n", "origin": "argument"}));
    let begin = |client: &mut crate::hive::Client, name: &str, mark: &str| {
        let agent = format!(
            "---\nname: {name}\nrun: {{command: [sh, -c, \"exec sh /data/{name}.sh {mark}\"]}}\nneeds: [read \
             /data/**, write /data/**, exec /data/**]\n---\n"
        );
        // Its number comes first: what is kept at any moment is not what was kept before.
        let script =
            format!("n=0; while :; do n=$((n+1)); {{ echo $n; cat /data/in.txt; }} > /data/{name}.out; done");
        for (path, text) in
            [(format!("/data/{name}.sh"), script), (format!("/agents/{name}/AGENT.md"), agent)]
        {
            client.ok("write", json!({"path": path, "text": text, "origin": "argument"}));
        }
        let born = client.ok("spawn", json!({"agent": name, "text": "go", "origin": "argument"}));
        born["pid"].as_u64().unwrap_or_else(|| panic!("{born}"))
    };
    let (pid, other) = (begin(&mut client, "busy", "8181.25"), begin(&mut client, "calm", "8282.25"));
    for name in ["busy", "calm"] {
        retry("its work", || (hive.cli(&["cat", &format!("/data/{name}.out")]).code == 0).then_some(()));
    }
    let caps = client.text(&format!("/proc/{pid}/caps"));
    let cap = caps.lines().find(|line| line.contains("fs /data/** {read")).unwrap();
    let cap: u64 = cap.split(' ').next().unwrap().parse().unwrap();
    client.ok("revoke", json!({"cap": cap}));
    let seq = || client_versions(&hive, "/data/busy.out");
    let after = seq();
    retry("its end", || (running("8181.25") == 0).then_some(()));
    assert_eq!(seq(), after, "it was kept after the answer");
    // The control goes on, and is kept.
    let before = client_versions(&hive, "/data/calm.out");
    retry("the other to go on", || (client_versions(&hive, "/data/calm.out") != before).then_some(()));
    assert_eq!(running("8282.25"), 1);
    hive.cli(&["kill", &other.to_string()]).fine();
}

/// The head of a file.
fn client_versions(hive: &Hive, path: &str) -> Value {
    hive.client().ok("history", json!({"path": path, "limit": 1}))["versions"][0]["version"].clone()
}
