//! An ordinary user with nothing but a home: everything works without rights, without a terminal, without
//! SKEP_HOME; what it makes is its own; and another user is kept out.

use crate::hive::{Hive, Ran, SKEP, end, holder, retry, run, run_on};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use tempfile::TempDir;

/// Somebody who owns nothing.
pub const NOBODY: u32 = 65_534;

/// A user's home directory, and the binary where that user may run it.
pub struct User {
    dir: TempDir,
}

impl User {
    pub fn new() -> Self {
        let dir = TempDir::with_prefix("skep-").unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        // A checkout may lie where nobody else may look.
        fs::copy(SKEP, dir.path().join("skep")).unwrap();
        fs::set_permissions(dir.path().join("skep"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(dir.path().join("home")).unwrap();
        if is_root() {
            chown(dir.path().join("home"), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        Self { dir }
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// The state directory that a bare HOME leads to.
    fn state(&self) -> PathBuf {
        self.home().join(".local/state/skep")
    }

    pub fn skep(&self, args: &[&str]) -> Ran {
        run(&mut self.command(args))
    }

    /// The same with more in its environment, and a standard input.
    pub fn skep_with(&self, variables: &[(&str, &str)], args: &[&str], input: &str) -> Ran {
        run_on(&mut self.command_with(variables, args), input)
    }

    /// The binary, as this user.
    pub fn command(&self, args: &[&str]) -> Command {
        self.command_with(&[], args)
    }

    fn command_with(&self, variables: &[(&str, &str)], args: &[&str]) -> Command {
        let mut command = Command::new(if is_root() { "setpriv" } else { "env" });
        if is_root() {
            command.args([
                &format!("--reuid={NOBODY}"),
                &format!("--regid={NOBODY}"),
                "--clear-groups",
                "env",
            ]);
        }
        command.arg("-i").arg(format!("HOME={}", self.home().display())).arg("PATH=/usr/bin:/bin");
        command.args(variables.iter().map(|(name, value)| format!("{name}={value}")));
        command.arg(self.dir.path().join("skep")).args(args).current_dir(self.home());
        command
    }
}

impl Drop for User {
    fn drop(&mut self) {
        end(&self.state());
        end(&self.state().with_file_name("skep-demo"));
    }
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Every file and directory below, itself first.
fn below(dir: &Path) -> Vec<PathBuf> {
    let mut all = vec![dir.to_path_buf()];
    let mut ix = 0;
    while let Some(path) = all.get(ix).cloned() {
        ix += 1;
        if path.is_dir() && !path.is_symlink() {
            all.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    all
}

#[test]
fn an_ordinary_user_needs_nothing_but_a_home() {
    let user = User::new();
    let bare = user.skep(&[]).fine();
    assert!(bare.out.contains(user.state().to_str().unwrap()) && bare.out.contains("skep demo"), "{bare:?}");
    assert!(!user.state().exists(), "looking makes nothing");
    let status = user.skep(&["status"]).fine();
    assert!(status.out.contains("workspace   home"), "{status:?}");
    user.skep(&["write", "/data/a.md", "one"]).fine();
    let second = user.skep(&["write", "/data/a.md", "two"]).fine();
    assert_eq!(user.skep(&["cat", "/data/a.md"]).fine().out, "two");
    user.skep(&["undo", second.out.split_whitespace().last().unwrap()]).fine();
    assert_eq!(user.skep(&["cat", "/data/a.md"]).fine().out, "one");
    let doctor = user.skep(&["doctor"]).fine();
    assert!(!doctor.out.contains("bad"), "{doctor:?}");
    let demo = user.skep(&["demo"]).fine();
    assert!(demo.took < Duration::from_secs(10), "{:?}", demo.took);
    assert!(demo.out.contains("6  undo") && demo.out.contains("waits for you"), "{demo:?}");
    assert_eq!(user.skep(&["cat", "/data/a.md"]).fine().out, "one", "the demo touches nothing of it");

    // All of it belongs to the user, and nobody else may look inside.
    let owner = user.home().metadata().unwrap().uid();
    for path in below(&user.home()) {
        assert_eq!(path.symlink_metadata().unwrap().uid(), owner, "{}", path.display());
    }
    for dir in [user.state(), user.state().with_file_name("skep-demo")] {
        assert_eq!(dir.metadata().unwrap().mode() & 0o777, 0o700, "{}", dir.display());
    }
    assert_eq!(user.state().join("sock").metadata().unwrap().mode() & 0o777, 0o600);
    user.skep(&["down"]).fine();
    retry("the end", || holder(&user.state()).is_none().then_some(()));
}

#[test]
fn another_user_is_kept_out() {
    let hive = Hive::new();
    let mode = |path: &Path| path.metadata().unwrap().mode() & 0o777;
    assert_eq!((mode(&hive.home()), mode(&hive.socket())), (0o700, 0o600));
    // Only root can pose as somebody else; for all others the modes above are what there is to see.
    if !is_root() {
        return;
    }
    // A copy of the binary, for the checkout may be closed to others; the way to the home is opened, not the
    // home.
    let user = User::new();
    fs::set_permissions(hive.around(), fs::Permissions::from_mode(0o755)).unwrap();
    let home = hive.home();
    let ran = user.skep(&["--home", home.to_str().unwrap(), "status"]).failed(1);
    assert!(ran.out.is_empty() && ran.err.contains("not yours") && ran.err.contains("hint: "), "{ran:?}");

    // Even with the directory and the socket open to all, the door knows its user by the peer's id.
    fs::set_permissions(&home, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(hive.socket(), fs::Permissions::from_mode(0o666)).unwrap();
    // Again and again: the door says why and closes, which must never hide what it said.
    for _ in 0..20 {
        let ran = user.skep(&["--home", home.to_str().unwrap(), "status"]).failed(1);
        assert!(ran.out.is_empty() && ran.err.contains("no operator of this node"), "{ran:?}");
    }
    let write = user.skep(&["--home", home.to_str().unwrap(), "write", "/data/x", "mine"]).failed(1);
    assert!(write.err.contains(&format!("user id {NOBODY}")), "{write:?}");
    let doctor = hive.cli(&["doctor"]).failed(1);
    assert!(doctor.out.contains("open to others") && doctor.out.contains("chmod"), "{doctor:?}");
    hive.cli(&["cat", "/data/x"]).failed(1);
}

/// The door names an operator by the peer's user id, and policy says what that operator may do.
#[test]
fn a_member_works_in_their_part_of_the_tree() {
    if !is_root() {
        return;
    }
    let mut hive = Hive::new();
    hive.cli(&["write", "/data/marketing/plan.md", "spring"]).fine();
    hive.cli(&["write", "/data/secret.md", "salaries"]).fine();
    let shipped = hive.client().text("/sys/policy.yaml");
    let team = "operators:\n  root: {role: admin}\n  tom: {role: member, sees: [/data/marketing/**]}\n";
    let file = hive.around().join("team.yaml");
    fs::write(&file, shipped.replace("operators: {}\n", team)).unwrap();
    let set = hive.cli(&["policy", "set", file.to_str().unwrap(), "--yes"]).fine();
    assert!(set.out.contains("+ operator tom: member sees /data/marketing/** decides nothing"), "{set:?}");
    hive.stop();
    let node = rusqlite::Connection::open(hive.home().join("node.db")).unwrap();
    node.execute("INSERT INTO operator (uid, name) VALUES (?1, 'tom'), (2, 'eve')", [NOBODY]).unwrap();
    drop(node);
    hive.start();

    let user = User::new();
    fs::set_permissions(hive.around(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(hive.home(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(hive.socket(), fs::Permissions::from_mode(0o666)).unwrap();
    let home = hive.home().display().to_string();
    let tom = |args: &[&str]| user.skep(&[&["--home", &home], args].concat());
    assert_eq!(tom(&["cat", "/data/marketing/plan.md"]).fine().out, "spring");
    tom(&["write", "/data/marketing/plan.md", "summer"]).fine();
    let list = tom(&["ls", "/data"]).fine();
    assert!(list.out.contains("marketing") && !list.out.contains("secret"), "{list:?}");
    let found = tom(&["search", "salaries"]);
    assert!(!found.out.contains("secret"), "{found:?}");
    for (args, why) in [
        (&["cat", "/data/secret.md"][..], "not among what tom sees"),
        (&["write", "/data/secret.md", "x"], "not among what tom sees"),
        (&["write", "/data/marketing/AGENTS.md", "x"], "steers agents"),
        (&["allow", "mail.send", "tom@x.example"], "not among what tom sees"),
        (&["policy", "set", file.to_str().unwrap(), "--yes"], "tom"),
        (&["mount", "add", "x", "ram"], "for admins"),
        (&["down"], "for admins"),
    ] {
        let ran = tom(args);
        assert!(ran.took < Duration::from_secs(10), "{args:?}: {ran:?}");
        assert!(ran.err.contains(why), "{args:?}: {ran:?}");
    }
    // An admin sees who wrote.
    let log = hive.cli(&["log", "/data/marketing/plan.md"]).fine();
    assert!(log.out.contains("tom"), "{log:?}");
    // Taken from the list, tom is nobody, at once.
    let alone = "operators: {root: {role: admin}}\n";
    fs::write(&file, shipped.replace("operators: {}\n", alone)).unwrap();
    hive.cli(&["policy", "set", file.to_str().unwrap(), "--yes"]).fine();
    let ran = tom(&["cat", "/data/marketing/plan.md"]).failed(1);
    assert!(ran.err.contains("tom is not listed") && ran.err.contains("hint: an admin adds tom"), "{ran:?}");
}
