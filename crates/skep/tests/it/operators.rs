//! Operators who are added and removed, with two real users of this host: kept out before, within their role
//! while they are in, kept out and cut off after.

use crate::{
    hive::{Client, Hive, Ran, retry},
    users::{NOBODY, User, is_root},
};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::PathBuf,
};

/// A daemon of root, and somebody else who can get as far as its home.
struct Desk {
    hive: Hive,
    user: User,
}

impl Desk {
    /// None where nobody can pose as somebody else.
    fn new() -> Option<Self> {
        if !is_root() {
            return None;
        }
        let hive = Hive::new();
        fs::set_permissions(hive.around(), fs::Permissions::from_mode(0o755)).unwrap();
        Some(Self { hive, user: User::new() })
    }

    fn tom(&self, args: &[&str]) -> Ran {
        self.user.skep(&[&["--home", self.hive.home().to_str().unwrap()], args].concat())
    }

    fn root(&self, args: &[&str]) -> Ran {
        self.hive.cli(args)
    }

    fn add(&self, args: &[&str]) -> Ran {
        let uid = NOBODY.to_string();
        self.root(&[&["operator", "add", "tom", "--uid", &uid, "--yes"], args].concat())
    }

    fn shared(&self) -> PathBuf {
        self.hive.around().join("home.shared")
    }

    /// What the door says to who connects as tom and sends nothing but this.
    fn refused(&self, args: &[&str]) {
        let ran = self.tom(args).failed(1);
        assert!(
            ran.out.is_empty() && ran.err.contains("not yours") && ran.err.contains("skep operator add"),
            "{ran:?}"
        );
    }
}

fn mode(path: &std::path::Path) -> u32 {
    path.metadata().unwrap().mode() & 0o777
}

#[test]
fn a_user_is_kept_out_let_in_and_kept_out_again() {
    let Some(desk) = Desk::new() else { return };
    desk.root(&["write", "/data/marketing/plan.md", "spring"]).fine();
    desk.root(&["write", "/data/secret.md", "salaries"]).fine();
    desk.refused(&["status"]);
    assert!(!desk.shared().exists(), "nothing is open before somebody is added");

    // Through a pipe it has to be meant; what it says is what holds.
    let uid = NOBODY.to_string();
    let member = ["--role", "member", "--sees", "/data/marketing/**", "--decides", "mail.send"];
    let asked = desk.root(&[&["operator", "add", "tom", "--uid", &uid], &member[..]].concat()).failed(2);
    assert!(asked.err.contains("add --yes"), "{asked:?}");
    let row = "+ operator tom: member sees /data/marketing/** decides mail.send\n";
    let shown = format!(
        "- operators: who is not listed may do nothing; until now who runs the node was an admin\n\
         + operator root: admin\n{row}+ user {NOBODY} of this host may connect, as tom\n"
    );
    assert_eq!(asked.out, shown);
    desk.refused(&["status"]);
    let added = desk.add(&member).fine();
    assert_eq!(added.out, format!("{shown}tom is let in\n"));
    assert!(added.err.contains("as tom: skep --home "), "{added:?}");
    // Again changes nothing; another role has to be meant.
    assert_eq!(desk.add(&member).fine().out, "tom is let in\n");
    let other = desk.add(&["--role", "admin"]).failed(1);
    assert!(other.err.contains("tom is listed already: member sees"), "{other:?}");
    let list = desk.root(&["operator", "list"]).fine().out;
    let names: Vec<Vec<&str>> = list.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(names[1], ["root", "0", "admin", "you"]);
    assert_eq!(names[2][..4], ["tom", &uid, "member", "sees"]);

    // In, within the role; and nothing else of the node is open.
    assert_eq!(desk.tom(&["cat", "/data/marketing/plan.md"]).fine().out, "spring");
    desk.tom(&["write", "/data/marketing/plan.md", "summer"]).fine();
    for (args, why) in [
        (&["cat", "/data/secret.md"][..], "not among what tom sees"),
        (&["operator", "add", "eve", "--uid", "2", "--role", "admin", "--yes"], "tom"),
        (&["operator", "rm", "root", "--yes"], "tom"),
        (&["down"], "for admins"),
    ] {
        let ran = desk.tom(args).failed(1);
        assert!(ran.err.contains(why), "{args:?}: {ran:?}");
    }
    desk.hive.client().control("workspace lab");
    let raw = desk.tom(&["-w", "lab", "status"]).failed(1);
    assert!(
        raw.err.contains("tom is not listed as an operator of this workspace"),
        "nobody is listed there: {raw:?}"
    );
    for args in [&["status"][..], &["ps"], &["inbox"], &["top"], &[]] {
        let ran = desk.tom(args);
        assert!(ran.code == 0 && !ran.out.contains("salaries"), "{args:?}: {ran:?}");
    }
    assert_eq!((mode(&desk.hive.home()), mode(&desk.hive.socket())), (0o700, 0o600), "the home stays shut");
    assert_eq!(desk.shared().metadata().unwrap().mode() & 0o007, 0, "not open to all");

    let removed = desk.root(&["operator", "rm", "tom", "--yes"]).fine();
    let gone = format!(
        "{}- user {NOBODY} of this host may connect, as tom\ntom is no operator any more\n",
        row.replacen('+', "-", 1)
    );
    assert_eq!(removed.out, gone);
    desk.refused(&["status"]);
    assert!(!desk.shared().exists(), "the last one takes the door along");
    let again = desk.root(&["operator", "rm", "tom", "--yes"]).failed(1);
    assert!(again.err.contains("tom is no operator here"), "{again:?}");
    let root = desk.root(&["operator", "rm", "root", "--yes"]).failed(1);
    assert!(root.err.contains("root runs this node and cannot be removed"), "{root:?}");
}

/// A connection as that user, through a program that stays: `trace -f` of somebody who may.
fn follow(desk: &Desk) -> std::process::Child {
    let home = desk.hive.home().display().to_string();
    let mut command = desk.user.command(&["--home", &home, "trace", "-f"]);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null()).spawn().unwrap()
}

#[test]
fn who_is_removed_is_cut_off_at_once_with_what_they_began() {
    let Some(desk) = Desk::new() else { return };
    desk.add(&["--role", "admin"]).fine();
    let mut client = desk.hive.client();
    let mut follower = follow(&desk);
    // It follows once it has shown what tom's own call left in the log.
    desk.tom(&["write", "/data/toms.md", "x"]).fine();
    let mut out = std::io::BufReader::new(follower.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("/data/toms.md") {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut out, &mut line).unwrap() > 0, "it goes on until it is cut");
    }
    let removed = desk.root(&["operator", "rm", "tom", "--yes"]).fine();
    assert!(removed.out.ends_with("tom is no operator any more\n"), "{removed:?}");
    retry("the connection to be cut", || follower.try_wait().unwrap());
    desk.refused(&["cat", "/data/toms.md"]);
    let log = client.log("home");
    let set: Vec<&Value> =
        log.iter().map(|row| &row["body"]["operator_set"]).filter(|row| !row.is_null()).collect();
    assert_eq!(set, [&json!({"name": "tom", "uid": NOBODY}), &json!({"name": "tom", "uid": null})]);
}

#[test]
fn an_admin_who_was_added_may_leave_and_hears_so_but_never_the_last() {
    let Some(mut desk) = Desk::new() else { return };
    desk.add(&["--role", "admin"]).fine();
    assert_eq!(desk.tom(&["write", "/data/a.md", "x"]).fine().code, 0);
    // The door is there again after a restart, and a stranger is none.
    desk.hive.stop();
    desk.hive.start();
    assert_eq!(desk.tom(&["cat", "/data/a.md"]).fine().out, "x");
    desk.hive.kill();
    assert!(
        desk.tom(&["cat", "/data/a.md"]).failed(1).err.contains("no daemon runs"),
        "who was added starts no daemon"
    );
    desk.hive.start();
    assert_eq!(desk.tom(&["cat", "/data/a.md"]).fine().out, "x");
    assert!(desk.tom(&["doctor"]).fine().out.contains("is another user's"), "nothing is wrong");
    let left = desk.tom(&["operator", "rm", "tom", "--yes"]).fine();
    assert!(left.out.ends_with("tom is no operator any more\n"), "the answer comes before the end: {left:?}");
    let offered = format!("another admin: skep --home {} operator rm tom", desk.hive.home().display());
    assert!(left.err.contains(&offered), "{left:?}");
    desk.refused(&["cat", "/data/a.md"]);
    let list = desk.root(&["operator", "list"]).fine().out;
    assert!(list.lines().any(|line| line.starts_with("tom") && line.ends_with("not let in")), "{list}");
    desk.root(&["operator", "rm", "tom", "--yes"]).fine();
    // Whoever is alone in the list stays.
    let mut client: Client = desk.hive.client();
    let text = json!({"path": "/sys/ctl", "text": "operator rm root", "origin": "argument"});
    assert!(client.refused("write", text)["message"].as_str().unwrap().contains("root runs this node"));
    let policy = desk.root(&["policy"]).fine().out;
    assert!(policy.contains("operator root admin\n") && !policy.contains("operator tom"), "{policy}");
}

#[test]
fn what_cannot_be_shut_is_not_opened() {
    let Some(desk) = Desk::new() else { return };
    // Somebody else was there first.
    fs::create_dir(desk.shared()).unwrap();
    std::os::unix::fs::chown(desk.shared(), Some(NOBODY), Some(NOBODY)).unwrap();
    let ran = desk.add(&["--role", "member", "--sees", "/data/**"]).failed(1);
    assert!(ran.err.contains("no other user can be let in") && ran.err.contains("hint: "), "{ran:?}");
    desk.refused(&["status"]);
    let list = desk.root(&["operator", "list"]).fine().out;
    assert!(list.lines().any(|line| line.starts_with("tom") && line.ends_with("not let in")), "{list}");
    fs::remove_dir(desk.shared()).unwrap();
    desk.add(&["--role", "member", "--sees", "/data/**"]).fine();
    desk.tom(&["ls", "/data"]).fine();
}

#[test]
fn a_member_gives_a_task_and_waits_for_it() {
    let Some(desk) = Desk::new() else { return };
    let mut client = desk.hive.client();
    let needs = "needs:\n  - write /data/**\n  - model any\n";
    let agent = format!("---\nname: clerk\nmodel: scripted/clerk\ntools: [write]\n{needs}---\nHi.\n");
    client.ok("write", json!({"path": "/agents/clerk/AGENT.md", "text": agent, "origin": "argument"}));
    fs::create_dir_all(desk.hive.home().join("scripted")).unwrap();
    let write = |path: &str| json!({"name": "write", "arguments": {"path": path, "text": "x"}});
    let tools = json!([write("/data/marketing/a.md"), write("/data/else.md")]);
    let rules = json!({"about": "Writes.", "rules": [
        {"when": {"step": 0}, "then": {"say": "Next.", "tools": tools}}, {"then": {"say": "Done."}},
    ]});
    fs::write(desk.hive.home().join("scripted/clerk.json"), rules.to_string()).unwrap();
    desk.add(&["--role", "member", "--sees", "/data/marketing/**"]).fine();
    let run = desk.tom(&["run", "clerk", "go"]).fine();
    assert!(run.out.starts_with("[scripted] Done.\n"), "{run:?}");
    assert_eq!(desk.root(&["cat", "/data/marketing/a.md"]).fine().out, "x");
    desk.root(&["cat", "/data/else.md"]).failed(1);
    let ps = desk.tom(&["ps"]).fine();
    assert!(ps.out.contains("clerk"), "{ps:?}");
    // What waits in the workspace that is not tom's is not there for tom.
    client.ok("spawn", json!({"agent": "clerk", "text": "go", "origin": "argument", "kind": "client"}));
    assert!(desk.root(&["top"]).fine().out.contains(" clerk "), "control: it is there");
    let top = desk.tom(&["top"]).fine().out;
    assert!(top.starts_with("home ") && !top.contains("clerk") && top.contains("0 awake"), "{top}");
}
