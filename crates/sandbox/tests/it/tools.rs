//! Real tools in a mounted view, as root; each goes on after a commit, and finds its files right in a new
//! view of what came of it. The controls are the tools: they fail on a file system that is not one.

use abi::{Content, FileId, LabelId, tree::Node};
use sandbox::{
    fuse::{self, Server},
    view::{
        Base, BaseEntry, Setup, View,
        memory::{Memory, everything},
    },
};
use std::{
    io,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::SystemTime,
};

fn clock() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros() as u64
}

/// A mounted view, which goes when it is dropped.
struct Mount {
    view: Arc<View>,
    tree: Memory,
    server: Option<Server>,
    place: tempfile::TempDir,
}

impl Mount {
    fn new(tree: Memory) -> Self {
        let base = Arc::new(tree.clone());
        Self::over(tree, base)
    }

    fn over(tree: Memory, base: Arc<dyn Base>) -> Self {
        let place = tempfile::tempdir().unwrap();
        let spool = place.path().to_owned();
        let owner = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        let setup = Setup { plan: everything(), base, spool, mount_points: Vec::new(), owner, now: clock };
        let view = Arc::new(View::new(setup).unwrap());
        let root = place.path().join("root");
        std::fs::create_dir(&root).unwrap();
        let device =
            fuse::mount_at(&root, owner).expect("mounting takes root: run it so, or in `unshare -Urm`");
        let server = Some(fuse::serve(device, view.clone(), 2).unwrap());
        Self { view, tree, server, place }
    }

    fn root(&self) -> PathBuf {
        self.place.path().join("root")
    }

    /// Runs a script at the root of the view; what it printed.
    fn sh(&self, script: &str) -> String {
        let home = self.place.path();
        let mut bash = Command::new("bash");
        bash.args(["-euc", script]).current_dir(self.root()).env("HOST", home);
        bash.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        for who in ["GIT_AUTHOR", "GIT_COMMITTER"] {
            bash.env(format!("{who}_NAME"), "n").env(format!("{who}_EMAIL"), "n@example.com");
        }
        let ran = bash.output().expect("bash is there");
        let said = String::from_utf8_lossy(&ran.stdout).trim().to_owned();
        assert!(ran.status.success(), "{script}\n{said}\n{}", String::from_utf8_lossy(&ran.stderr));
        said
    }

    fn commit(&mut self) -> usize {
        let drained = self.view.drain().unwrap();
        let count = drained.steps.len();
        let (next, changed) = self.tree.with(drained).unwrap();
        self.tree = next;
        let stale = self.view.rebase(Arc::new(self.tree.clone()), everything(), &changed).unwrap();
        self.server.as_ref().unwrap().forget(&stale).unwrap();
        count
    }

    /// Another view of what was committed.
    fn anew(self) -> Self {
        Self::new(self.tree.clone())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(self.root(), rustix::mount::UnmountFlags::DETACH);
        drop(self.server.take());
    }
}

#[test]
fn git() {
    let mut m = Mount::new(Memory::default());
    m.sh("git init -q -b main repo; cd repo; mkdir -p a/b
        for n in $(seq 100); do echo $n > a/b/$n; done; ln -s b/1 a/link; chmod +x a/b/2
        git add -A; git commit -qm one; git status --porcelain");
    assert_eq!(m.sh("cd repo; git status --porcelain"), "");
    assert!(m.commit() > 100);
    m.sh("cd repo; git mv a/b a/c; echo more >> a/c/1; git commit -qam two; git gc -q; git fsck --strict");
    m.sh("git clone -q repo copy; cd copy; git checkout -q HEAD~1; git checkout -q main; git status -s");
    m.commit();
    let m = m.anew();
    assert_eq!(m.sh("cd repo; git fsck --strict; git status --porcelain; git log --format=%s"), "two\none");
    assert_eq!(m.sh("cd copy; git diff origin/main; tail -n 1 a/c/1; readlink a/link"), "more\nb/1");
}

#[test]
fn sqlite() {
    let mut m = Mount::new(Memory::default());
    let script = r#"python3 - <<'END'
import sqlite3, threading
one = sqlite3.connect("db")
assert one.execute("pragma journal_mode=wal").fetchone() == ("wal",)
one.execute("create table if not exists t(a integer primary key, b text)")
one.commit()
def work(k):
    db = sqlite3.connect("db", timeout=30)
    for n in range(20):
        with db: db.execute("insert into t(b) values(?)", ("x" * 3000,))
    db.close()
all = [threading.Thread(target=work, args=(k,)) for k in range(4)]
[t.start() for t in all]; [t.join() for t in all]
assert one.execute("pragma integrity_check").fetchone() == ("ok",)
print(one.execute("select count(*), sum(length(b)) from t").fetchone())
one.execute("pragma journal_mode=delete"); one.close()
END"#;
    assert_eq!(m.sh(script), "(80, 240000)");
    m.commit();
    assert_eq!(m.sh(script), "(160, 480000)");
    m.commit();
    assert_eq!(m.anew().sh(script), "(240, 720000)");
}

#[test]
fn python_packages() {
    let mut m = Mount::new(Memory::default());
    m.sh(r#"python3 - <<'END'
import zipfile
with zipfile.ZipFile("tiny-1-py3-none-any.whl", "w") as whl:
    whl.writestr("tiny/__init__.py", "x = 42\n")
    info = "tiny-1.dist-info/"
    whl.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1\n")
    whl.writestr(info + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    whl.writestr(info + "RECORD", "tiny/__init__.py,,\n%sMETADATA,,\n%sWHEEL,,\n%sRECORD,,\n" % ((info,) * 3))
END
export PIP_CACHE_DIR=$PWD/.cache
python3 -m venv --without-pip v
python3 -m pip --python v/bin/python install -q --no-index ./tiny-1-py3-none-any.whl"#);
    m.commit();
    let m = m.anew();
    assert_eq!(m.sh("v/bin/python -c 'import tiny; print(tiny.x)'"), "42");
    m.sh("python3 -m pip --python v/bin/python uninstall -qy tiny; ! v/bin/python -c 'import tiny' 2> v/e");
}

#[test]
fn npm_packages() {
    let mut m = Mount::new(Memory::default());
    m.sh(r#"export npm_config_cache=$PWD/.cache npm_config_update_notifier=false npm_config_audit=false
mkdir tiny app
echo '{"name":"tiny","version":"1.0.0","main":"i.js","bin":{"tiny":"i.js"}}' > tiny/package.json
printf '#!/usr/bin/env node\nconsole.log(42)\n' > tiny/i.js
echo '{"name":"app","version":"1.0.0"}' > app/package.json
npm pack --silent ./tiny > /dev/null
cd app; npm install --silent --offline --no-fund ../tiny-1.0.0.tgz"#);
    m.commit();
    let m = m.anew();
    assert_eq!(m.sh("cd app; node -e 'require(\"tiny\")'; node_modules/.bin/tiny"), "42\n42");
}

#[test]
fn compilers() {
    let mut m = Mount::new(Memory::default());
    m.sh(r#"printf '#include <stdio.h>\nint main(void){puts("hi");return 0;}\n' > a.c; gcc -g -O a.c -o a
mkdir -p hello/src; cd hello
printf '[package]\nname = "hello"\nversion = "0.1.0"\nedition = "2021"\n[workspace]\n' > Cargo.toml
echo 'fn main() { println!("hello") }' > src/main.rs
cargo build -q --offline"#);
    assert_eq!(m.sh("./a; hello/target/debug/hello"), "hi\nhello");
    m.commit();
    // Times are what cargo goes by.
    assert_eq!(m.sh("cd hello; cargo build --offline 2>&1 | grep -c Compiling || true"), "0");
    let m = m.anew();
    assert_eq!(m.sh("cd hello; cargo build --offline 2>&1 | grep -c Compiling || true"), "0");
    m.sh("cd hello; echo 'fn main() { println!(\"other\") }' > src/main.rs; cargo build -q --offline");
    assert_eq!(m.sh("./a; hello/target/debug/hello"), "hi\nother");
}

/// What is written through a map is in the view when the program has ended.
#[test]
fn maps() {
    let mut m = Mount::new(Memory::default());
    m.sh(r#"python3 - <<'END'
import mmap, os
file = open("map", "w+b"); file.truncate(1 << 20)
map = mmap.mmap(file.fileno(), 1 << 20)
map[500000:500004] = b"here"
assert os.pread(file.fileno(), 4, 500000) == b"here"
os.pwrite(file.fileno(), b"there", 600000)
assert map[600000:600005] == b"there"
file.close()
map[700000:700004] = b"last"
os._exit(0)
END"#);
    m.commit();
    let said =
        m.anew().sh("stat -c %s map; tail -c +500001 map | head -c 4; tail -c +700001 map | head -c 4");
    assert_eq!(said, "1048576\nherelast");
}

#[test]
fn holes_and_copies() {
    let mut m = Mount::new(Memory::default());
    m.sh("truncate -s 1G big; printf here | dd of=big bs=1 seek=500M conv=notrunc status=none
        cp --sparse=always big copy; cmp big copy; test $(du -k copy | cut -f1) -lt 1024; rm big
        truncate -s 10M copy; fallocate -p -o 0 -l 1M copy");
    m.commit();
    m.sh("test $(stat -c %s copy) = 10485760; test $(tr -d '\\0' < copy | wc -c) = 0");
}

#[test]
fn deep_trees_and_long_names() {
    let mut m = Mount::new(Memory::default());
    m.sh("for n in $(seq 127); do mkdir d; cd d; done; echo deep > file; ! mkdir -p d/d 2> /dev/null
        name=$(printf 'x%.0s' $(seq 255)); echo long > $name; ! touch x$name 2> /dev/null");
    assert_eq!(m.commit(), 130);
    assert_eq!(m.anew().sh("find . -name file -exec cat {} +; find . | wc -l"), "deep\n131");
}

/// Counts what is asked of it.
struct Counting {
    tree: Memory,
    lists: AtomicUsize,
}

impl Base for Counting {
    fn root(&self) -> io::Result<BaseEntry> {
        self.tree.root()
    }
    fn list(&self, dir: FileId) -> io::Result<Vec<BaseEntry>> {
        self.lists.fetch_add(1, Relaxed);
        self.tree.list(dir)
    }
    fn child(&self, dir: FileId, name: &str) -> io::Result<Option<BaseEntry>> {
        self.tree.child(dir, name)
    }
    fn read(&self, content: &Content, offset: u64, to: &mut [u8]) -> io::Result<usize> {
        self.tree.read(content, offset, to)
    }
}

#[test]
fn a_hundred_thousand_files() {
    let mut tree = Memory::default();
    tree.put("/d", Node::Dir, b"", LabelId(0)).unwrap();
    for n in 0..100_000 {
        tree.put(&format!("/d/{n}"), Node::File, b"x", LabelId(0)).unwrap();
    }
    let base = Arc::new(Counting { tree: tree.clone(), lists: AtomicUsize::new(0) });
    let mut m = Mount::over(tree, base.clone());
    assert_eq!(m.sh("cat d/77777; echo new > d/new; mv d/5 d/five; rm d/6"), "x");
    assert_eq!(base.lists.load(Relaxed), 0, "one name costs no listing");
    assert_eq!(m.sh("find d -type f | wc -l"), "100000");
    assert_eq!(m.commit(), 3);
    assert_eq!(m.sh("find d -type f | wc -l; rm -r d; ls | wc -l"), "100000\n0");
    assert_eq!(m.commit(), 100_001);
}

#[test]
fn nothing_lies_beside_the_mount() {
    let m = Mount::new(Memory::default());
    m.sh("head -c 10M /dev/urandom > big; cp big two; rm big");
    let beside =
        |dir: &Path| std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let names: Vec<_> = beside(m.place.path());
    assert_eq!(names, ["root"]);
}
