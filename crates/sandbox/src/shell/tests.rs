//! The virtual shell over a tree in memory, beside the real bash over a directory.

use super::{trial::DIR, *};
use crate::view::{Last, Set, View, memory::Memory};
use abi::{LabelId, cap::Rights, tree::Node};
use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::{Command, Stdio},
};

/// Files before a script: bytes, or the target of a link.
const FILES: &[(&str, &str, u32)] = &[
    ("a.txt", "alpha\nbeta\ngamma\n", 0o644),
    ("b.txt", "one two\nthree\n", 0o644),
    ("words", "pear\napple\npear\nfig\napple\npear\n", 0o644),
    ("nums", "3\n1\n10\n2\n7\n5\n8\n4\n9\n6\n", 0o644),
    ("t.csv", "ann,x,10\nbob,y,20\ncy,z,30\n", 0o644),
    ("tabs", "a\tb\n\tc\n", 0o644),
    ("empty", "", 0o644),
    ("d/x", "in d\n", 0o644),
    ("d/sub/y", "deep alpha\n", 0o644),
    ("run.sh", "#!/bin/bash\necho run $1 $#\n", 0o755),
    ("lib.sh", "LIBV=7\nlibf() { echo from lib; }\n", 0o644),
    ("link", "a.txt", 0),
];

/// How a script compares.
enum Is {
    /// As in bash.
    Same,
    /// It differs, so.
    Differs(String),
    /// It is run natively, because of this word.
    Native(String),
}

/// The scripts of table.txt, which says what its lines are.
fn rows() -> Vec<(String, Is)> {
    let mut rows: Vec<(String, Is)> = Vec::new();
    for line in include_str!("tests/table.txt").lines().skip_while(|line| !line.is_empty()).skip(1) {
        if let Some(line) = line.strip_prefix("| ") {
            let text = &mut rows.last_mut().unwrap().0;
            *text += if text.is_empty() { "" } else { "\n" };
            *text += line;
            continue;
        }
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let is = match word {
            "same" => Is::Same,
            "differs" => Is::Differs(rest.to_owned()),
            "native" => Is::Native(rest.to_owned()),
            _ => unreachable!("{line}"),
        };
        rows.push((String::new(), is));
    }
    rows
}

fn tree() -> Memory {
    let mut tree = Memory::default();
    for dir in ["", "/d", "/d/sub"] {
        tree.put(&format!("{DIR}{dir}"), Node::Dir, b"", LabelId(0)).unwrap();
    }
    for (name, bytes, mode) in FILES {
        let node = if *mode == 0 { Node::Link } else { Node::File };
        tree.put(&format!("{DIR}/{name}"), node, bytes.as_bytes(), LabelId(0)).unwrap();
    }
    tree
}

fn view_of(tree: &Memory) -> Arc<View> {
    let view = trial::view(tree, &[("/**", Rights::ALL)], &std::env::temp_dir()).unwrap();
    let run = view.walk(&format!("{DIR}/run.sh"), Last::Keep).unwrap();
    view.setattr(run.node, Set { mode: Some(0o755), ..Set::default() }).unwrap();
    view.forget(run.node, 1);
    view
}

fn view() -> Arc<View> {
    view_of(&tree())
}

/// Runs a script over a view of its own.
fn here(text: &str, native: Native) -> (Outcome, String) {
    let (outcome, said) = trial::said(&view(), &trial::order(text, native));
    (outcome, String::from_utf8_lossy(&said).into_owned())
}

/// What stands after a script: path, kind, mode, bytes.
type Stands = BTreeMap<String, (char, u32, Vec<u8>)>;

fn stands_in(tree: &Memory, view: &View) -> Stands {
    let (tree, _) = tree.with(view.drain().unwrap()).unwrap();
    let mut stands = Stands::new();
    for (path, entry) in tree.all() {
        let Some(path) = path.strip_prefix(&format!("{DIR}/")) else { continue };
        let kind = match entry.node {
            Node::File => 'f',
            Node::Dir => 'd',
            Node::Link => 'l',
            Node::Gone => unreachable!("{path}"),
        };
        let mode = if kind == 'l' { 0 } else { entry.mode };
        let bytes = if kind == 'd' { Vec::new() } else { tree.bytes(&entry.content).unwrap().to_vec() };
        stands.insert(path.to_owned(), (kind, mode, bytes));
    }
    stands
}

fn stands_at(dir: &Path, below: &str, stands: &mut Stands) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{below}{}", entry.file_name().into_string().unwrap());
        let meta = entry.metadata().unwrap();
        if meta.is_symlink() {
            let target = fs::read_link(entry.path()).unwrap();
            stands.insert(path, ('l', 0, target.to_str().unwrap().as_bytes().to_vec()));
        } else if meta.is_dir() {
            stands.insert(path.clone(), ('d', meta.permissions().mode() & 0o777, Vec::new()));
            stands_at(&entry.path(), &format!("{path}/"), stands);
        } else {
            let bytes = fs::read(entry.path()).unwrap();
            stands.insert(path, ('f', meta.permissions().mode() & 0o777, bytes));
        }
    }
}

fn replaced(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        all.extend_from_slice(&rest[..at]);
        all.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    all.extend_from_slice(rest);
    all
}

/// What the real bash makes of it: status, what it said, files.
#[allow(clippy::disallowed_methods)] // the real bash is what is compared with
fn real(text: &str) -> (Outcome, Vec<u8>, Stands) {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("data");
    for sub in ["", "d", "d/sub"] {
        fs::create_dir(dir.join(sub)).unwrap();
    }
    for (name, bytes, mode) in FILES {
        if *mode == 0 {
            symlink(bytes, dir.join(name)).unwrap();
        } else {
            fs::write(dir.join(name), bytes).unwrap();
            fs::set_permissions(dir.join(name), fs::Permissions::from_mode(*mode)).unwrap();
        }
    }
    let (mut out, write) = std::io::pipe().unwrap();
    let mut command = Command::new("bash");
    command.args(["-c", text]).current_dir(&dir).env_clear().envs(trial::order(text, Native::May).env);
    command.stdin(Stdio::null()).stdout(write.try_clone().unwrap()).stderr(write);
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut said = Vec::new();
    out.read_to_end(&mut said).unwrap();
    let status = child.wait().unwrap();
    let mut stands = Stands::new();
    stands_at(&dir, "", &mut stands);
    // Paths of the host are those of the tree.
    let plain = replaced(&said, dir.to_str().unwrap().as_bytes(), DIR.as_bytes());
    // Programs of GNU quote names so in a locale of UTF-8.
    let plain = replaced(&replaced(&plain, "‘".as_bytes(), b"'"), "’".as_bytes(), b"'");
    (Outcome::Ended { status: status.code().unwrap_or(-1) }, plain, stands)
}

/// What a script did here, to be compared.
fn compared(tree: &Memory, text: &str) -> (Outcome, Vec<u8>, Stands) {
    let view = view_of(tree);
    let (outcome, said) = trial::said(&view, &trial::order(text, Native::May));
    let stands = stands_in(tree, &view);
    (outcome, said, stands)
}

#[test]
fn scripts_are_what_they_are_in_bash() {
    let mut wrong = String::new();
    let tree = tree();
    for (text, is) in &rows() {
        let (outcome, said, stands) = compared(&tree, text);
        let same = match is {
            Is::Native(word) => {
                let needs = Outcome::NeedsNative { program: word.clone() };
                outcome == needs && said.is_empty()
            }
            Is::Same => (outcome.clone(), said.clone(), stands.clone()) == real(text),
            Is::Differs(_) => (outcome.clone(), said.clone(), stands.clone()) != real(text),
        };
        if !same {
            let (status, real_said, real_stands) = real(text);
            let show = |said: &[u8]| String::from_utf8_lossy(said).into_owned();
            let files = |stands: &Stands, others: &Stands| {
                let other = stands.iter().filter(|(path, what)| others.get(*path) != Some(what));
                other.map(|(path, what)| format!("{path} {what:?}\n")).collect::<String>()
            };
            wrong += &format!("=== {text}\nbash: {status:?}\n{}", show(&real_said));
            wrong += &files(&real_stands, &stands);
            wrong += &format!("here: {outcome:?}\n{}{}", show(&said), files(&stands, &real_stands));
        }
    }
    assert!(rows().iter().filter(|(_, is)| matches!(is, Is::Same)).count() >= 150);
    assert!(wrong.is_empty(), "{wrong}");
}

/// What docs/how/virtual-shell.md says is what the rows say.
#[test]
fn the_differences_are_written_down() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/how/virtual-shell.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, _) = text.split_once("## Differences\n").unwrap();
    let mut now = format!("{before}## Differences\n\n");
    for (script, is) in rows() {
        if let Is::Differs(how) = is {
            let script = script.replace('\n', "⏎").replace('|', "\\|");
            now += &format!("- {how}: ``{script}``\n");
        }
    }
    now += &format!("\n## Words\n\n```text\n{}```\n", wrapped(WORDS));
    expect_test::expect_file![path].assert_eq(&now);
}

fn wrapped(words: &[&str]) -> String {
    let (mut all, mut line) = (String::new(), String::new());
    for word in words {
        if line.len() + word.len() > 110 {
            all += &format!("{}\n", line.trim_end());
            line.clear();
        }
        line += &format!("{word} ");
    }
    all + &format!("{}\n", line.trim_end())
}

/// Each reads something of the host with the real bash, and is another file or a refusal here.
#[test]
fn nothing_of_the_host_is_reached() {
    let secret = tempfile::tempdir().unwrap();
    let file = secret.path().join("secret");
    fs::write(&file, "of the host").unwrap();
    let file = file.to_str().unwrap();
    let up = "../".repeat(20);
    let scripts = [
        format!("cat {file}"),
        format!("cat {up}{file}"),
        format!("cd {up}; cat .{file}"),
        format!("ln -s {file} l; cat l"),
        format!("ln -s {up}{} l; cat l", file.trim_start_matches('/')),
        format!("ln -s / l; cat l{file}"),
        format!("cat < {file}"),
        format!("x=$(< {file}); echo $x"),
        format!("read x < {file}; echo $x"),
        format!("grep -r host {}", secret.path().display()),
        format!("source {file}; echo \"of the host\" | grep -c nothing"),
        format!("cp {file} got; cat got"),
        format!("mv {file} got 2>&1; cat got"),
        format!("echo over > {file}; cat {file}"),
        format!("find {} -type f", secret.path().display()),
        format!("awk 1 {file}"),
        format!("awk 'BEGIN{{while((getline x < \"{file}\")>0) print x}}'"),
        format!("sed -n p {file}"),
        format!("sed 'r {file}' a.txt"),
        format!("mapfile x < {file}; echo ${{x[0]}}"),
        format!("diff {file} a.txt"),
        format!("bash {file}"),
        format!("exec 3< {file}; cat <&3"),
        format!("cat $(echo {file})"),
        format!("head -1 /proc/self/cwd/../..{file}"),
        "cat /etc/passwd".to_owned(),
        "cat /proc/self/environ | tr '\\0' '\\n'".to_owned(),
        "cat /proc/self/cmdline".to_owned(),
        "ls /proc/1".to_owned(),
        "ls -l /proc/self/fd".to_owned(),
        "cat /proc/version".to_owned(),
        "cat /sys/kernel/mm/transparent_hugepage/enabled /proc/uptime".to_owned(),
        "ls /usr/bin".to_owned(),
        "echo /usr/bin/*".to_owned(),
        "hostname; uname -a".to_owned(),
        "ps aux".to_owned(),
        "id -u; ulimit -n".to_owned(),
    ];
    for text in &scripts {
        fs::write(file, "of the host").unwrap();
        for native in [Native::May, Native::MayNot] {
            let (outcome, said) = here(text, native);
            assert!(!said.contains("of the host"), "{text}: {outcome:?} {said}");
            assert_eq!(fs::read_to_string(file).unwrap(), "of the host", "{text}");
        }
        let (_, real_said, _) = real(text);
        // The control: without this wall the host is there.
        assert!(!real_said.is_empty(), "{text}");
        for native in [Native::May, Native::MayNot] {
            let (outcome, said) = here(text, native);
            let host = String::from_utf8_lossy(&real_said);
            let leaks = said == host && !said.contains("No such file");
            assert!(!leaks, "{text}: {outcome:?} {said}");
            assert!(native == Native::MayNot || said.is_empty() || !said.contains("root"), "{text}: {said}");
        }
    }
}

/// A server that is there is reached by bash, and not from here.
#[test]
fn no_network_is_reached() {
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    server.set_nonblocking(true).unwrap();
    let port = server.local_addr().unwrap().port();
    let scripts = [
        format!("echo hi > /dev/tcp/127.0.0.1/{port}"),
        format!("exec 3<> /dev/tcp/127.0.0.1/{port}"),
        format!("p=/dev/tcp/127.0.0.1/{port}; : > $p"),
    ];
    for text in scripts {
        for native in [Native::May, Native::MayNot] {
            here(&text, native);
            assert!(server.accept().is_err(), "{text} came through");
        }
        real(&text);
        assert!(server.accept().is_ok(), "{text}: the control did not");
    }
    for text in ["curl http://127.0.0.1", "wget -q x", "nc -z 127.0.0.1 1", "ssh x", "http x"] {
        assert!(matches!(here(text, Native::May).0, Outcome::NeedsNative { .. }), "{text}");
        let (outcome, said) = here(text, Native::MayNot);
        assert_eq!(outcome, Outcome::Ended { status: 127 }, "{text}: {said}");
        assert!(said.contains("command not found") && said.contains("hint: "), "{said}");
    }
}

#[test]
fn the_environment_is_what_was_given() {
    let (outcome, said) = here("env | sort; echo $TERM $SHELL_OF_HOST", Native::May);
    assert_eq!(outcome, Outcome::Ended { status: 0 });
    assert_eq!(said, "HOME=/run/home\nLC_ALL=C.UTF-8\nPATH=/usr/bin:/bin\nPWD=/data\nUSER=agent\n\n");
}

/// What the plan does not give is refused, whatever asks.
#[test]
fn the_plan_holds() {
    let mut tree = tree();
    tree.put("/secret", Node::Dir, b"", LabelId(0)).unwrap();
    tree.put("/secret/key", Node::File, b"hunter2", LabelId(0)).unwrap();
    let rights = [("/data/**", Rights::READ.union(Rights::LIST)), ("/data/d/**", Rights::ALL)];
    let spool = std::env::temp_dir();
    for (text, expected) in [
        ("cat a.txt | head -1", Some("alpha\n")),
        ("echo x > d/new && cat d/new", Some("x\n")),
        ("echo x > a.txt", None),
        ("echo x > new", None),
        ("rm a.txt", None),
        ("mv a.txt d/a", None),
        ("mv d/x x", None),
        ("mkdir dir", None),
        ("ln -s a.txt lnk", None),
        ("chmod 777 a.txt", None),
        ("touch a.txt", None),
        ("truncate -s 0 a.txt", None),
        ("sed -i s/a/b/ a.txt", None),
        ("cat /secret/key", None),
        ("ls /secret", None),
        ("ln -s /secret/key d/k; cat d/k", None),
        ("ln -s /secret d/s; cat d/s/key", None),
        ("ln -s /data d/up; echo x > d/up/a.txt", None),
    ] {
        let view = trial::view(&tree, &rights, &spool).unwrap();
        let (outcome, said) = trial::said(&view, &trial::order(text, Native::May));
        let said = String::from_utf8_lossy(&said).into_owned();
        match expected {
            Some(expected) => {
                assert_eq!((outcome, &*said), (Outcome::Ended { status: 0 }, expected), "{text}")
            }
            None => {
                assert_ne!(outcome, Outcome::Ended { status: 0 }, "{text}: {said}");
                let steps = view.drain().unwrap().steps;
                let outside = steps.iter().find(|step| !step.change.path.as_str().starts_with("/data/d/"));
                assert!(outside.is_none(), "{text} changed something");
                assert!(!said.contains("hunter2"), "{text}: {said}");
            }
        }
    }
}

/// What bombs do: each ends, soon, and says no more than it may.
#[test]
fn bombs_end() {
    let limits = Limits { time: Duration::from_secs(1), ..Limits::default() };
    for text in [
        ":(){ :|:& };:",
        ":(){ : & : & }; :",
        "while true; do :; done",
        "while :; do echo x; done > /dev/null",
        "until false; do x=$((x+1)); done",
        "for ((;;)); do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done",
        "f() { f; }; f",
        "f() { echo $(f); }; f",
        "echo {1..1000000000}",
        "echo {1..99999}{1..99999}",
        "x=a; while true; do x=$x$x; done",
        "a=(); while :; do a+=(xxxxxxxxxxxxxxxx); done",
        "yes",
        "yes | cat | cat > /dev/null",
        "yes > f",
        "seq 1 999999999",
        "printf '%999999999d' 1",
        "eval \"$(printf '(%.0s' {1..20000})\"",
        "awk 'BEGIN{while(1);}'",
        "awk 'BEGIN{s=\"x\"; while(1) s=s s}'",
        "awk 'function f(){f()} BEGIN{f()}'",
        "sed ':a;ba' a.txt",
        "sed ':a;s/$/x/;ba' a.txt",
        "echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa! | grep -E '(a|aa)+$'",
        "echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa! | grep -P '(a+)+$'",
        "x=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; [[ $x == *a*a*a*a*a*a*a*a*a*a*a*a*b ]]",
        "while read x; do echo $x >> a.txt; done < a.txt; cat a.txt a.txt >> a.txt",
        "cat a.txt a.txt > b; for i in {1..40}; do cat b b > c; cat c c > b; done",
        "for i in {1..99999}; do mkdir d$i; cd d$i; done",
        "ln -s . l; find -L . | head -3; ls l/l/l/l/l/l/l/l | wc -l",
        "exec 3<> a.txt; cat <&3 >&3",
        "sleep 1000",
        "sleep 1000 & wait",
        "read x < <(sleep 1000)",
        "trap 'exit' EXIT; trap 'kill $$' TERM; while :; do kill $$; done",
        "$(yes)",
        "cat <(yes) <(yes)",
        "echo $((2**63/-1)) $((9223372036854775807+1)) $(( -9223372036854775808 / -1 ))",
        "x=$(printf '%.0s\\\\' {1..50000}); eval echo $x",
        "trap 'echo d' DEBUG; while :; do :; done",
        "set -x; PS4='$(echo $PS4)'; :",
        "find / | xargs -I{} find / | head",
        "sort <(yes)",
        "split -b 1 a.txt; rm x*; for i in {1..30000}; do echo > f$i; done",
        "base64 < <(yes) | base64 | base64",
        "declare -n a=b b=a; echo $a",
        "alias a=b b=a; shopt -s expand_aliases; eval a",
        "((((((((((((((((((((((((((((((((1))))))))))))))))))))))))))))))))",
        "cat $(for i in {1..2000}; do echo a.txt; done)",
    ] {
        for native in [Native::May, Native::MayNot] {
            let order = Order { limits, ..trial::order(text, native) };
            let begun = tick();
            let (outcome, said) = trial::said(&view(), &order);
            let took = begun.elapsed();
            assert!(took < Duration::from_secs(4), "{text}: {took:?}");
            assert!(said.len() <= limits.output + 4096, "{text}: {} bytes", said.len());
            assert_ne!(outcome, Outcome::Stopped, "{text}");
        }
    }
    assert_eq!(STRAYS.load(Ordering::Relaxed), 0);
}

#[allow(clippy::disallowed_methods)] // measured here
fn tick() -> Instant {
    Instant::now()
}

#[test]
fn limits_are_named() {
    for (text, outcome) in [
        ("while true; do :; done", Outcome::Over("commands")),
        ("x=a; while true; do x=$x$x; done", Outcome::Over("memory")),
        ("f() { f; }; f", Outcome::Over("depth")),
        ("sleep 9", Outcome::TimedOut),
        (
            "for i in {1..9000}; do echo 0123456789012345678901234567890123456789; done",
            Outcome::Over("output"),
        ),
    ] {
        let time = if text == "sleep 9" { Duration::from_millis(50) } else { Duration::from_secs(60) };
        let limits = Limits { time, output: 64 * 1024, ..Limits::default() };
        let (ended, said) = trial::said(&view(), &Order { limits, ..trial::order(text, Native::MayNot) });
        assert_eq!(ended, outcome, "{text}: {}", said.len());
    }
}

/// It is asked while it runs and while it sleeps; nothing is said.
#[test]
fn a_run_is_stopped() {
    for text in [
        "sleep 1000",
        "echo a; while :; do :; done",
        "while read x; do :; done < <(while :; do echo; done)",
        "(sleep 1000) & wait",
    ] {
        let limits = Limits { commands: usize::MAX / 2, ..Limits::default() };
        let order = Order { limits, ..trial::order(text, Native::MayNot) };
        let asked = Cell::new(0);
        let stop = || {
            asked.set(asked.get() + 1);
            asked.get() > 3
        };
        let mut said = 0;
        let begun = tick();
        let outcome = run(&view(), &order, &mut |bytes| said += bytes.len(), &stop);
        let took = begun.elapsed();
        assert_eq!((outcome, said), (Outcome::Stopped, 0), "{text}");
        assert!(took < Duration::from_secs(1), "{text}: {took:?}");
    }
}

/// Where nothing native can be had, the shell goes on without, and its own memory is `/tmp`.
/// What only waits for a wall is not shown where there will be none; where there may be one, it is as that
/// has it.
#[test]
fn the_root_shows_what_can_be_had() {
    for (native, expected) in [
        (Native::MayNot, "data dev tmp\n"),
        (Native::May, "bin data dev etc lib lib32 lib64 opt proc run sbin tmp usr var\n"),
    ] {
        for text in ["echo $(ls /)", "cd /; echo *"] {
            let view = trial::view(&trial::tree().unwrap(), &[("/**", Rights::ALL)], &std::env::temp_dir());
            let (outcome, said) = trial::said(&view.unwrap(), &trial::order(text, native));
            assert_eq!((outcome, &*String::from_utf8_lossy(&said)), (Outcome::Ended { status: 0 }, expected));
        }
    }
}

#[test]
fn without_programs_the_shell_goes_on() {
    let view = view();
    let said = |text: &str| {
        let (outcome, said) = trial::said(&view, &trial::order(text, Native::MayNot));
        (outcome, String::from_utf8_lossy(&said).into_owned())
    };
    let hint = "hint: `git` as it stands here needs the native wall\n";
    let missing = format!("bash: line 1: git: command not found\nrc 127\n{hint}");
    assert_eq!(said("git log; echo rc $?"), (Outcome::Ended { status: 0 }, missing));
    assert_eq!(said("echo x > /tmp/f; cat /tmp/f; mv /tmp/f f; cat f").1, "x\nx\n");
    assert_eq!(said("cat /tmp/f; echo $?").1, "cat: /tmp/f: No such file or directory\n1\n");
    assert_eq!(said("if then").0, Outcome::Ended { status: 2 });
    assert!(said("mkdir x; rm -rf \"$nope\"; ls -d x; rm -i x").1.contains("x\n"));
    let paths = view.drain().unwrap().steps.into_iter().map(|step| step.change.path.to_string());
    assert_eq!(
        paths.collect::<BTreeSet<_>>(),
        BTreeSet::from(["/data/f", "/data/run.sh", "/data/x"].map(str::to_owned))
    );
}

#[test]
fn a_directory_that_is_gone_is_no_place_to_start() {
    for dir in ["/nope", "/data/a.txt"] {
        let (outcome, said) = trial::said(&view(), &Order { dir, ..trial::order("pwd", Native::May) });
        assert_eq!(outcome, Outcome::Ended { status: 1 });
        assert!(String::from_utf8_lossy(&said).contains("is not a directory\nhint: "), "{said:?}");
    }
}

/// What was written before it was known that the shell cannot go on is given up by a discard.
#[test]
fn what_goes_native_leaves_nothing() {
    let view = trial::view(&tree(), &[("/**", Rights::ALL)], &std::env::temp_dir()).unwrap();
    let text = "echo said; echo x > new; mv a.txt b; x=python3; $x -c 1; echo y > newer";
    let (outcome, said) = trial::said(&view, &trial::order(text, Native::May));
    assert_eq!(outcome, Outcome::NeedsNative { program: "python3".to_owned() });
    assert!(said.is_empty());
    view.discard().unwrap();
    assert!(view.drain().unwrap().steps.is_empty());
    let (_, said) = trial::said(&view, &trial::order("ls", Native::May));
    assert!(said.starts_with(b"a.txt\nb.txt\n"));
}

/// What the commands read is told, and what they looked for.
#[test]
fn what_was_read_is_told() {
    let view = trial::view(&tree(), &[("/**", Rights::ALL)], &std::env::temp_dir()).unwrap();
    trial::said(&view, &trial::order("cat a.txt; ls d; cat nope; [ -f nums ]", Native::May));
    let told = view.drain().unwrap().told;
    let opened: Vec<_> = told.opened.iter().map(|opened| opened.path.to_string()).collect();
    assert_eq!(opened, ["/data/a.txt", "/data/d"]);
}

/// Scripts of nobody's making, and changes of those of the table drawn from a fixed seed.
#[test]
fn any_text_ends() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let bits = [
        "$(", ")", "`", "\"", "'", "{", "}", "((", "))", "[[", "]]", "<<E\n", ";", "&", "|", ">", "<(", "${",
        "*", "\\", "\n", "\0", "do", "done", "if", "fi", "case", "esac", "for", "while", "..", "ä", "!", "#",
        "~", "=", "$'", "@",
    ];
    let rows = rows();
    for round in 0..2_000 {
        let pick = |at: usize| rows[at].0.as_str();
        let mut text: Vec<char> = pick(draw(rows.len())).chars().collect();
        for _ in 0..=draw(4) {
            let at = draw(text.len() + 1);
            match draw(4) {
                0 => drop(text.splice(at..at, bits[draw(bits.len())].chars())),
                1 => text.truncate(at),
                2 => drop(text.splice(at.., pick(draw(rows.len())).chars())),
                _ => {
                    let to = (at + draw(6)).min(text.len());
                    text.drain(at..to);
                }
            }
        }
        let text: String = text.into_iter().collect();
        // Waiting is not what is searched for.
        let text = text.replace("sleep", "echo");
        if round % 500 == 0 {
            eprintln!("{round}: {text:?}");
        }
        trial::hostile(text.as_bytes());
    }
}
