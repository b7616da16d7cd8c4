//! Everything once more as an ordinary user: with control groups as a session manager delegates them, and
//! without, where a start is refused. Only root can pose as another user; who is none is one already.

use crate::cell::{Cell, helper, is_root};
use sandbox::jail::{Error, How, Need, State, Wall};
use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// Somebody who owns nothing.
const NOBODY: u32 = 65_534;

/// What root lends the user: binaries that it can reach, `/dev/fuse`, groups.
struct Lent {
    dir: TempDir,
    groups: Vec<PathBuf>,
}

impl Lent {
    fn new() -> Self {
        let dir = TempDir::with_prefix("skep-user-").unwrap();
        let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        open(dir.path());
        let tests = std::env::current_exe().unwrap();
        for (from, name) in [(helper(), "skep-wall"), (tests, "tests")] {
            fs::copy(from, dir.path().join(name)).unwrap();
            open(&dir.path().join(name));
        }
        Self { dir, groups: Vec::new() }
    }

    /// A group in each hierarchy that this process is in, given away.
    fn delegate(&mut self) {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap();
        for line in own.lines() {
            let (name, path) = line.split_once(':').unwrap().1.split_once(':').unwrap();
            let place = match name {
                "" if Path::new("/sys/fs/cgroup/cgroup.procs").exists() => "",
                "" => "unified",
                "memory" | "pids" | "cpu" | "freezer" => name,
                _ => continue,
            };
            let above = Path::new("/sys/fs/cgroup").join(place).join(path.trim_start_matches('/'));
            let dir = above.join(format!("lent-{}", std::process::id()));
            fs::create_dir(&dir).unwrap();
            for file in fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()) {
                chown(file, Some(NOBODY), Some(NOBODY)).unwrap();
            }
            chown(&dir, Some(NOBODY), Some(NOBODY)).unwrap();
            self.groups.push(dir);
        }
    }

    /// Runs tests of this binary as the user.
    fn run(&self, arguments: &[&str]) -> String {
        self.run_with("666", "", arguments)
    }

    /// The same where `/dev/fuse` has this mode, by way of another program.
    fn run_with(&self, fuse: &str, by: &str, arguments: &[&str]) -> String {
        let enter: String =
            self.groups.iter().map(|dir| format!("echo $$ > {}/cgroup.procs; ", dir.display())).collect();
        let dir = self.dir.path().display();
        let script = format!(
            "set -e; mknod {dir}/fuse c 10 229; chmod {fuse} {dir}/fuse; mount --bind {dir}/fuse /dev/fuse; {enter} \
             exec setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups {by} env -i PATH=/usr/bin:/bin \
             SKEP_WALL_HELPER={dir}/skep-wall {dir}/tests --test-threads 2 {}",
            arguments.join(" ")
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", &script]);
        let output = command.current_dir("/").output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(output.status.success(), "{said}");
        fs::remove_file(self.dir.path().join("fuse")).unwrap();
        said
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.groups.iter().for_each(|dir| fs::remove_dir(dir).unwrap());
    }
}

/// Why a mechanism is missing, and what provides it.
fn missing(name: &str) -> (String, String) {
    let all = Wall::new(helper()).probe();
    let one = all.iter().find(|one| one.name == name).unwrap();
    (one.why().to_owned(), one.fix().unwrap_or_default().to_owned())
}

#[test]
fn all_of_it_holds_for_an_ordinary_user() {
    if is_root() {
        let mut lent = Lent::new();
        lent.delegate();
        // `tools` mounts a view without a wall around it, which takes root.
        let said = lent.run(&["--skip", "ordinary::", "--skip", "tools::"]);
        assert!(said.contains("escape::nothing_gets_out ... ok"), "{said}");
    }
}

#[test]
fn without_delegated_groups_nothing_starts_unless_it_is_accepted() {
    if is_root() {
        let name = "ordinary::without_delegated_groups_nothing_starts_unless_it_is_accepted";
        let said = Lent::new().run(&["--exact", name]);
        assert!(said.contains("1 passed"), "{said}");
        return;
    }
    let refused = Cell::start(|_| {}).err().unwrap();
    let Error::Missing(list) = &refused else { panic!("{refused}") };
    assert!(matches!(list[0].state, State::Missing { .. }) && list[0].name == "memory limit", "{refused}");
    assert!(refused.hint().contains("systemd-run --user"), "{}", refused.hint());
    let cell = Cell::with(|spec| {
        spec.need = Need::EachProcess;
        spec.limits.processes = 20;
        spec.limits.memory_bytes = 64 << 20;
    });
    assert_eq!(cell.bash("id -u").out, "1000\n");
    // Processes are counted for the whole sandbox, memory for each process.
    let ran = cell.run(&["sh", "-c", "for i in $(seq 40); do sleep 1000 >/dev/null 2>&1 & done"]);
    assert!(ran.out.contains("Cannot fork"), "{ran:?}");
    cell.jail.end_all().unwrap();
    let ran = cell.bash("head -c 200M /dev/zero | tail -c 199M | wc -c");
    assert!(ran.out.contains("memory exhausted") || ran.ended.how != How::Exit(0), "{ran:?}");
    assert_eq!(cell.bash("echo on").out, "on\n");
}

#[test]
fn a_closed_device_of_the_view_is_named() {
    if is_root() {
        let said =
            Lent::new().run_with("600", "", &["--exact", "ordinary::a_closed_device_of_the_view_is_named"]);
        assert!(said.contains("1 passed"), "{said}");
        return;
    }
    let (why, fix) = missing("the view's mount (FUSE)");
    assert_eq!(
        (why.as_str(), fix.as_str()),
        ("opening /dev/fuse: Permission denied", "sudo chmod 666 /dev/fuse")
    );
    assert_eq!(missing("paths (Landlock)"), Default::default());
}

#[test]
fn user_namespaces_that_are_off_are_named() {
    if is_root() {
        let by = "unshare --user --map-user=1234 --map-group=1234 --keep-caps sh -c \
                  'echo 0 > /proc/sys/user/max_user_namespaces; exec \"$@\"' x";
        let name = "ordinary::user_namespaces_that_are_off_are_named";
        let said = Lent::new().run_with("666", by, &["--exact", name]);
        assert!(said.contains("1 passed"), "{said}");
        return;
    }
    let (why, fix) = missing("user namespaces");
    assert_eq!(why, "making namespaces: No space left on device");
    assert_eq!(fix, "sudo sysctl -w user.max_user_namespaces=15000");
}
