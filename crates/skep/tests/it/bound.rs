//! Directories of this host as part of a workspace: through the real daemon, the real wall and a real disk.

use crate::{
    exec::text,
    hive::{Hive, retry},
};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// A directory of work that no wall lays anything over.
struct Repo(TempDir);

impl Repo {
    fn new() -> Self {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
        fs::create_dir_all(place).unwrap();
        let dir =
            tempfile::Builder::new().prefix("bound-").tempdir_in(place.canonicalize().unwrap()).unwrap();
        // Other users go in and out, as in a home.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self(dir)
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
