//! Guests whose daemon is killed with -9, or who are killed themselves: their sessions go on, and what they
//! wrote in a directory of this host stands there whole.

use crate::{
    exec::{home_of, mounts, running, those},
    guests::{claude_code, exchanged, pid_in, scripted},
    hive::{Hive, place_of_work, retry, run},
    kill::Chance,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::{fs, path::Path};

/// It has no sleep in it: those Claude Code refuses.
const WAIT: &str = "python3 -c 'import signal; signal.pause()' resumed-7474";

/// Claude Code is in the middle of a command when somebody is killed. The next run finds its session in its
/// HOME and knows what was said; what it wrote before stands.
fn goes_on_after(kill: impl FnOnce(&mut Hive)) {
    let (repo, mut hive) = (place_of_work("resumed-"), Hive::new());
    let note = repo.path().join("note.txt");
    let calls = json!([
        {"name": "Write", "arguments": {"file_path": note, "content": "half way\n"}},
        {"name": "Bash", "arguments": {"command": WAIT, "description": "wait"}},
    ]);
    let rule = |words: &str, response| json!({"match": {"userMessage": words}, "response": response});
    let _server = scripted(
        &hive,
        &json!([
            rule("begin with the note", json!({"toolCalls": calls})),
            rule("where were we", json!({"content": "Half way."})),
        ]),
    );
    let path = format!("{}:/usr/bin:/bin", claude_code().display());
    let skep = |hive: &Hive, args: &[&str]| {
        let mut command = hive.command(&[&["run", "--live"], args].concat());
        run(command.current_dir(repo.path()).env("PATH", &path))
    };
    skep(&hive, &["-d", "--task", "begin with the note", "--", "claude"]).fine();
    retry("its command", || (running("resumed-7474") > 0).then_some(()));
    retry("its note", || fs::read_to_string(&note).is_ok_and(|text| text == "half way\n").then_some(()));
    kill(&mut hive);
    retry("its end", || (running("resumed-7474") == 0).then_some(()));
    let words = ["-p", "where were we", "--permission-mode", "bypassPermissions"];
    let ran = skep(&hive, &[&["--", "claude", "--continue"][..], &words].concat()).fine();
    assert!(ran.out.contains("Half way."), "{ran:?}");
    let sent = exchanged(&hive, &pid_in(&ran));
    assert!(sent.contains("begin with the note") && sent.contains("resumed-7474"), "{sent}");
    assert_eq!(fs::read_to_string(&note).unwrap(), "half way\n");
    assert_eq!(hive.cli(&["cat", note.to_str().unwrap()]).fine().out, "half way\n");
    // The control: who does not go on with it knows nothing of it.
    let ran = skep(&hive, &[&["--", "claude"][..], &words].concat()).fine();
    assert!(!exchanged(&hive, &pid_in(&ran)).contains("begin with the note"));
}

#[test]
fn claude_code_goes_on_with_its_session_after_a_kill() {
    goes_on_after(|hive| {
        hive.kill();
        hive.start();
    });
    goes_on_after(|hive| {
        for one in those("begin with the note") {
            // It may have ended with the one before it.
            let _ = kill_process(Pid::from_raw(one).unwrap(), Signal::KILL);
        }
        retry("its process", || hive.cli(&["ps", "-a"]).fine().out.contains(" faulted ").then_some(()));
    });
}

/// Of all that is random here.
const SEED: u64 = 0x0007_6E57_0DEA_D000;
/// So many times somebody is killed.
const ROUNDS: u64 = 10;
/// Files that are written one after the other, each whole, all with one number.
const FILES: usize = 5;
/// Writes them with one number after the other, waits until that is lasting, and says so.
const WRITER: &str = "import os, sys\nn = int(sys.argv[1])\nwhile True:\n  n += 1\n  for name in 'abcde':\n    \
                      with open(name + '.new', 'w') as file:\n      file.write(f'{n}\\n' * 2000); file.flush(); \
                      os.fsync(file.fileno())\n    os.rename(name + '.new', name)\n  \
                      os.fsync(os.open('.', os.O_RDONLY))\n  said = os.environ['HOME'] + '/said'\n  \
                      open(said + '.new', 'w').write(str(n)); os.rename(said + '.new', said)";

/// The number of each file, which is the same in all its lines.
fn numbers(dir: &Path) -> Option<Vec<u64>> {
    let number = |name: char| {
        let text = fs::read_to_string(dir.join(name.to_string())).ok()?;
        let first = text.lines().next()?;
        let whole = text.lines().count() == 2000 && text.lines().all(|line| line == first);
        assert!(whole, "{name} is no file that was written: {} bytes", text.len());
        first.parse().ok()
    };
    ('a'..='e').map(number).collect()
}

/// What stands in the directory is what the history says, whole, and no older than what was promised.
fn agrees(hive: &Hive, dir: &Path, promised: u64) -> u64 {
    let mut client = hive.client();
    let found = retry("history and directory to agree", || {
        let found = numbers(dir)?;
        let same = |name: char| {
            let path = dir.join(name.to_string());
            Some(client.text(path.to_str().unwrap())) == fs::read_to_string(&path).ok()
        };
        ('a'..='e').all(same).then_some(found)
    });
    assert_eq!(found.len(), FILES);
    assert!(found.iter().all(|number| *number >= promised), "{promised} was promised: {found:?}");
    // One is written after the other, so two numbers may stand there, and none in between.
    let (least, most) = (found.iter().min().unwrap(), found.iter().max().unwrap());
    assert!(most - least <= 1 && found.is_sorted_by(|one, next| one >= next), "{found:?}");
    let ours = |entry: fs::DirEntry| entry.file_name().into_string().unwrap().starts_with(".skep-");
    retry("what lies beside them to go", || (!fs::read_dir(dir).unwrap().flatten().any(ours)).then_some(()));
    *most
}

#[test]
fn guests_and_daemons_that_are_killed_leave_no_halves_and_nobody() {
    println!("seed {SEED:#x}");
    let (repo, mut hive, mut chance) = (place_of_work("halves-"), Hive::new(), Chance(SEED));
    let mut last = 0;
    for round in 0..ROUNDS {
        let mark = format!("halves-{round}-{}", std::process::id());
        let begin = last.to_string();
        let words = ["run", "-d", "--live", "--", "python3", "-c", WRITER, &begin, &mark];
        let ran = run(hive.command(&words).current_dir(repo.path())).fine();
        let pid: u64 = ran.out.trim().parse().unwrap();
        let said =
            || -> Option<u64> { fs::read_to_string(home_of(&hive, pid)?.join("said")).ok()?.parse().ok() };
        let goal = last + 1 + chance.below(6);
        let met = retry("what it promises", || said().filter(|number| *number >= goal));
        (0..chance.below(3_000_000)).for_each(|_| std::hint::spin_loop());
        let promised = said().unwrap_or(met);
        if chance.below(2) == 0 {
            hive.kill();
            retry("its end", || (running(&mark) == 0).then_some(()));
            hive.start();
        } else {
            for one in those(&mark) {
                // It may have ended with the one before it.
                let _ = kill_process(Pid::from_raw(one).unwrap(), Signal::KILL);
            }
            hive.client().ok("wait", json!({"pid": pid}));
        }
        last = agrees(&hive, repo.path(), promised);
        assert_eq!((running(&mark), mounts()), (0, 0), "round {round}");
    }
    assert!(last >= ROUNDS, "{last}");
    assert_eq!(hive.cli(&["cat", "/sys/conflicts"]).fine().out, "");
    hive.stop();
    let file = hive.file("home");
    hive.cli(&["audit", "verify", file.parent().unwrap().to_str().unwrap()]).fine();
}
