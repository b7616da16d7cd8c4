//! A view over a tree in memory.

mod model;

use super::{memory::Memory, *};
use abi::{
    cap::Rights,
    limits,
    path::{Pattern, TreePath},
    view::Quota,
};
use rustix::io::Errno;
use std::io::Read;

pub(crate) fn plan(rights: &[(&str, Rights)]) -> Plan {
    let rights = rights.iter().map(|(text, rights)| (Pattern::parse(text).unwrap(), *rights)).collect();
    memory::plan(rights, Quota { bytes: 1 << 30, files: 10_000 })
}

fn all() -> Plan {
    plan(&[("/**", Rights::ALL)])
}

/// A clock that never stands still.
fn tick() -> Micros {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    static NOW: AtomicU64 = AtomicU64::new(1_000_000);
    NOW.fetch_add(1, Relaxed)
}

pub(crate) fn view(tree: &Memory, plan: Plan) -> View {
    let mount_points = Vec::new();
    let base = Arc::new(tree.clone());
    View::new(Setup { plan, base, spool: std::env::temp_dir(), mount_points, owner: (1000, 1000), now: tick })
        .unwrap()
}

/// What a test says instead of node numbers.
impl View {
    fn home(&self, path: &str) -> Result<(NodeId, String), Errno> {
        let (home, name) = self.walk_home(ROOT, path)?;
        Ok((home.node, name.to_owned()))
    }

    fn w(&self, path: &str, bytes: &[u8]) -> Result<(), Errno> {
        let (dir, name) = self.home(path)?;
        let node = match self.lookup(dir, name.as_bytes()) {
            Ok(attr) => {
                let access = Access { write: true, truncate: true, read: false };
                let opened = self.open(attr.node, access);
                opened.inspect_err(|_| self.forget(attr.node, 1)).map(|()| attr.node)
            }
            Err(Errno::NOENT) => self.create(dir, name.as_bytes(), 0o644).map(|attr| attr.node),
            Err(error) => Err(error),
        };
        self.forget(dir, 1);
        let node = node?;
        let written = self.write(node, 0, bytes);
        self.forget(node, 1);
        written
    }

    fn r(&self, path: &str) -> Result<Vec<u8>, Errno> {
        let attr = self.walk(path, Last::Follow)?;
        let mut bytes = vec![0; attr.size as usize + 1];
        let opened = self.open(attr.node, Access { read: true, ..Access::default() });
        let count = opened.and_then(|()| self.read(attr.node, 0, &mut bytes));
        self.forget(attr.node, 1);
        bytes.truncate(count?);
        Ok(bytes)
    }

    fn mv(&self, from: &str, to: &str, onto: Onto) -> Result<(), Errno> {
        let from = self.home(from)?;
        let to = self.home(to).inspect_err(|_| self.forget(from.0, 1))?;
        let moved = self.rename((from.0, from.1.as_bytes()), (to.0, to.1.as_bytes()), onto);
        self.forget(from.0, 1);
        self.forget(to.0, 1);
        moved
    }

    fn rm(&self, path: &str) -> Result<(), Errno> {
        let (dir, name) = self.home(path)?;
        let done = match self.unlink(dir, name.as_bytes()) {
            Err(Errno::ISDIR) => self.rmdir(dir, name.as_bytes()),
            other => other,
        };
        self.forget(dir, 1);
        done
    }

    fn mk(&self, path: &str) -> Result<(), Errno> {
        let (dir, name) = self.home(path)?;
        let made = self.mkdir(dir, name.as_bytes(), 0o755);
        self.forget(dir, 1);
        self.forget(made?.node, 1);
        Ok(())
    }

    fn ls(&self, path: &str) -> Result<Vec<String>, Errno> {
        let attr = self.walk(path, Last::Follow)?;
        let handle = self.opendir(attr.node)?;
        let mut names = Vec::new();
        self.readdir(handle, 2, Detail::Names, &mut |_| true)?;
        self.readdir(handle, 0, Detail::Names, &mut |listed| {
            names.push(listed.name.to_owned());
            true
        })?;
        self.releasedir(handle);
        self.forget(attr.node, 1);
        names.retain(|name| name != "." && name != "..");
        names.sort();
        Ok(names)
    }

    /// What a drain says, one word a step.
    fn says(&self) -> Vec<String> {
        let steps = self.drain().unwrap().steps;
        let words = steps.into_iter().map(|step| {
            let Change { path, from, base, node, .. } = step.change;
            let from = from.map(|from| format!("{from} ")).unwrap_or_default();
            let base = base.map(|version| format!(" @{version}")).unwrap_or_default();
            let new = if step.bytes.is_some() { "*" } else { "" };
            format!("{}{new} {from}{path}{base}", node.word())
        });
        words.collect()
    }

    /// Commits, and goes on.
    fn commit(&self, tree: &mut Memory) -> Vec<Stale> {
        let (next, changed) = tree.with(self.drain().unwrap()).unwrap();
        *tree = next;
        let plan = Plan::clone(&self.lock().plan);
        self.rebase(Arc::new(tree.clone()), plan, &changed).unwrap()
    }
}

use abi::view::Change;

fn ground() -> Memory {
    let mut tree = Memory::default();
    tree.put("/d", tree::Node::Dir, b"", LabelId(0)).unwrap();
    tree.put("/d/x", tree::Node::File, b"ex", LabelId(1)).unwrap();
    tree.put("/d/y", tree::Node::File, b"why", LabelId(2)).unwrap();
    tree.put("/e", tree::Node::Dir, b"", LabelId(0)).unwrap();
    tree.put("/e/z", tree::Node::File, b"zed", LabelId(3)).unwrap();
    tree.put("/l", tree::Node::Link, b"d/x", LabelId(4)).unwrap();
    tree
}

fn version(tree: &Memory, path: &str) -> VersionId {
    tree.at(&abi::path::TreePath::parse(path).unwrap()).unwrap().version
}

use abi::tree;

#[test]
fn what_is_below_shows_and_nothing_changed_is_nothing() {
    let view = view(&ground(), all());
    assert_eq!(view.ls("/").unwrap(), ["d", "e", "l"]);
    assert_eq!(view.r("/l").unwrap(), b"ex");
    assert_eq!(view.r("/d/../e/z").unwrap(), b"zed");
    assert_eq!(view.r("/d/none"), Err(Errno::NOENT));
    assert_eq!(view.says(), [""; 0]);
    let told = view.drain().unwrap().told;
    let opened: Vec<_> = told.opened.iter().map(|opened| opened.path.to_string()).collect();
    assert_eq!(opened, ["/", "/d/x", "/e/z", "/l"]);
    assert_eq!(told.labels, BTreeSet::from([0, 1, 3, 4].map(LabelId)));
}

#[test]
fn a_file_written_beside_and_moved_over_is_a_new_version() {
    let tree = ground();
    let view = view(&tree, all());
    view.w("/d/x.new", b"new").unwrap();
    view.mv("/d/x.new", "/d/x", Onto::Replace).unwrap();
    assert_eq!(view.says(), [format!("file* /d/x @{}", version(&tree, "/d/x"))]);
}

/// Editors write beside, wait until that is lasting, and move it over: committed in between or not, it is a
/// new version of what stood there, and nothing else.
#[test]
fn what_was_committed_beside_and_moved_over_is_a_new_version_too() {
    for large in [false, true] {
        let mut tree = ground();
        let view = view(&tree, all());
        let bytes = vec![b'n'; if large { 200_000 } else { 3 }];
        view.w("/d/x.new", &bytes).unwrap();
        let open = view.walk("/d/x.new", Last::Follow).unwrap().node;
        view.commit(&mut tree);
        let (was, beside) = (version(&tree, "/d/x"), version(&tree, "/d/x.new"));
        view.mv("/d/x.new", "/d/x", Onto::Replace).unwrap();
        assert_eq!(view.says(), [format!("file* /d/x @{was}"), format!("gone /d/x.new @{beside}")]);
        let file = tree.at(&abi::path::TreePath::parse("/d/x").unwrap()).unwrap().file;
        view.commit(&mut tree);
        assert_eq!(tree.at(&abi::path::TreePath::parse("/d/x").unwrap()).unwrap().file, file);
        assert_eq!((view.r("/d/x").unwrap(), view.ls("/d").unwrap()), (bytes, vec!["x".into(), "y".into()]));
        // Who has it open goes on writing into the same file.
        view.write(open, 0, b"N").unwrap();
        view.commit(&mut tree);
        assert_eq!(view.r("/d/x").unwrap()[0], b'N');
        assert_eq!(view.says(), [""; 0]);
        view.forget(open, 1);
    }
}

/// Control: what others made is moved, and keeps what it was; so is what takes nobody's place.
#[test]
fn what_was_there_before_is_moved() {
    let mut tree = ground();
    let view = view(&tree, all());
    let (x, y) = (version(&tree, "/d/x"), version(&tree, "/d/y"));
    view.mv("/d/x", "/d/y", Onto::Replace).unwrap();
    assert_eq!(view.says(), [format!("gone /d/y @{y}"), format!("file /d/x /d/y @{x}")]);
    view.w("/new", b"new").unwrap();
    view.commit(&mut tree);
    let new = version(&tree, "/new");
    view.mv("/new", "/free", Onto::Replace).unwrap();
    assert_eq!(view.says(), [format!("file /new /free @{new}")]);
}

#[test]
fn the_same_bytes_again_are_nothing() {
    let tree = ground();
    let view = view(&tree, all());
    view.w("/d/x", b"ex").unwrap();
    view.w("/d/y.new", b"why").unwrap();
    view.mv("/d/y.new", "/d/y", Onto::Replace).unwrap();
    view.w("/t", b"gone").unwrap();
    view.rm("/t").unwrap();
    assert_eq!(view.says(), [""; 0]);
}

#[test]
fn a_time_that_was_set_counts() {
    let tree = ground();
    let view = view(&tree, all());
    let attr = view.walk("/d/x", Last::Follow).unwrap();
    view.setattr(attr.node, Set { mtime: Some(When::At(77)), ..Set::default() }).unwrap();
    let drained = view.drain().unwrap();
    assert_eq!(drained.steps.len(), 1);
    assert_eq!(drained.steps[0].change.mtime, 77);
    assert!(drained.steps[0].bytes.is_none());
}

#[test]
fn moved_directories_are_one_step_and_what_moved_out_another() {
    let tree = ground();
    let view = view(&tree, all());
    view.mk("/n").unwrap();
    view.mv("/d", "/n/d", Onto::Replace).unwrap();
    view.mv("/n/d/x", "/x", Onto::Replace).unwrap();
    view.rm("/e/z").unwrap();
    view.rm("/e").unwrap();
    let v = |path| version(&tree, path);
    assert_eq!(
        view.says(),
        [
            "dir /n".to_owned(),
            format!("file /d/x /x @{}", v("/d/x")),
            format!("dir /d /n/d @{}", v("/d")),
            format!("gone /e/z @{}", v("/e/z")),
            format!("gone /e @{}", v("/e")),
        ]
    );
    let (after, _) = tree.with(view.drain().unwrap()).unwrap();
    let paths: Vec<_> = after.all().into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["/l", "/n", "/x", "/n/d", "/n/d/y"]);
}

#[test]
fn exchanged_places_take_a_third() {
    let tree = ground();
    let view = view(&tree, all());
    view.mv("/d", "/e", Onto::Exchange).unwrap();
    assert_eq!(view.ls("/e").unwrap(), ["x", "y"]);
    let v = |path| version(&tree, path);
    assert_eq!(
        view.says(),
        [
            format!("dir /d /.skep-moved-0 @{}", v("/d")),
            format!("dir /e /d @{}", v("/e")),
            format!("dir /.skep-moved-0 /e @{}", v("/d")),
        ]
    );
    assert_eq!(view.ls("/d").unwrap(), ["z"]);
}

#[test]
fn a_directory_inside_out() {
    let mut tree = ground();
    tree.put("/d/in", tree::Node::Dir, b"", LabelId(0)).unwrap();
    let view = view(&tree, all());
    view.mv("/d/in", "/in", Onto::Replace).unwrap();
    view.mv("/d", "/in/d", Onto::Replace).unwrap();
    view.commit(&mut tree);
    assert_eq!(view.ls("/in/d").unwrap(), ["x", "y"]);
    assert_eq!(view.says(), [""; 0]);
    assert_eq!(view.mv("/in", "/in/d/in", Onto::Replace), Err(Errno::INVAL));
}

#[test]
fn what_the_plan_does_not_show_is_not_there() {
    let mut tree = ground();
    tree.put("/d/secret", tree::Node::File, b"s", LabelId(9)).unwrap();
    let mut plan = plan(&[("/d/**", Rights::READING), ("/e/z", Rights::READ), ("/o/**", Rights::ALL)]);
    plan.hidden.insert(LabelId(9));
    let view = view(&tree, plan);
    assert_eq!(view.ls("/").unwrap(), ["d", "e"]);
    assert_eq!(view.ls("/d").unwrap(), ["x", "y"]);
    assert_eq!(view.ls("/e").unwrap(), [""; 0]);
    assert_eq!(view.r("/e/z").unwrap(), b"zed");
    assert_eq!(view.r("/d/secret"), Err(Errno::NOENT));
    assert_eq!(view.r("/l"), Err(Errno::NOENT));
    assert_eq!(view.w("/d/x", b"no"), Err(Errno::ACCESS));
    assert_eq!(view.w("/d/new", b"no"), Err(Errno::ACCESS));
    assert_eq!(view.rm("/d/x"), Err(Errno::ACCESS));
    assert_eq!(view.mv("/d/x", "/o", Onto::Replace), Err(Errno::ACCESS));
    assert_eq!(view.mk("/o"), Ok(()));
    view.w("/o/mine", b"m").unwrap();
    assert_eq!(view.r("/o/mine").unwrap(), b"m");
    assert_eq!(view.says(), ["dir /o", "file* /o/mine"]);
    assert!(!view.drain().unwrap().told.labels.contains(&LabelId(9)));
}

/// A directory that holds something not shown is not empty, so that nothing goes unseen.
#[test]
fn what_is_not_shown_does_not_go() {
    let tree = ground();
    let mut plan = all();
    plan.hidden.insert(LabelId(3));
    let view = view(&tree, plan);
    assert_eq!(view.ls("/e").unwrap(), [""; 0]);
    assert_eq!(view.rm("/e"), Err(Errno::NOTEMPTY));
    view.mk("/n").unwrap();
    assert_eq!(view.mv("/n", "/e", Onto::Replace), Err(Errno::NOTEMPTY));
}

#[test]
fn a_directory_with_mixed_rights_is_copied() {
    let tree = ground();
    let mut plan = all();
    plan.denied.push((Pattern::parse("/d/y").unwrap(), Rights::WRITING));
    let view = view(&tree, plan);
    assert_eq!(view.mv("/d", "/n", Onto::Replace), Err(Errno::XDEV));
    assert_eq!(view.mv("/d/x", "/n", Onto::Replace), Ok(()));
    assert_eq!(view.mv("/d/y", "/m", Onto::Replace), Err(Errno::ACCESS));
}

#[test]
fn no_more_than_the_quota() {
    let mut plan = all();
    plan.quota = Quota { bytes: 100_000, files: 3 };
    let view = view(&ground(), plan);
    view.w("/a", &[1; 70_000]).unwrap();
    assert_eq!(view.w("/b", &[1; 70_000]), Err(Errno::DQUOT));
    view.rm("/a").unwrap();
    view.w("/b", &[1; 70_000]).unwrap();
    view.w("/c", b"").unwrap();
    view.mk("/f").unwrap();
    assert_eq!(view.mk("/g"), Err(Errno::DQUOT));
    view.rm("/b").unwrap();
    view.mk("/g").unwrap();
    let [(bytes, _), (files, _)] = view.usage();
    assert_eq!((bytes, files), (0, 3));
}

/// What is written lies on the disk; what is known of it must not fill the daemon's memory either.
#[test]
fn no_more_in_memory_than_the_limits() {
    let mut plan = all();
    plan.quota.files = 3;
    let view = view(&ground(), plan);
    // What stands nowhere counts while it is open.
    let open: Vec<NodeId> = (0..2).map(|_| view.tmpfile(ROOT, 0o600).unwrap().node).collect();
    let held = view.create(ROOT, b"held", 0o600).unwrap().node;
    view.rm("/held").unwrap();
    assert_eq!(view.tmpfile(ROOT, 0o600).unwrap_err(), Errno::DQUOT);
    assert_eq!(view.mk("/n"), Err(Errno::DQUOT));
    open.iter().for_each(|node| view.forget(*node, 1));
    view.mk("/n").unwrap();
    view.forget(held, 1);
    view.mk("/o").unwrap();
    // Extended attributes, over all files.
    let mut plan = all();
    plan.quota.files = 1000;
    let view = super::tests::view(&ground(), plan);
    let value = vec![b'v'; limits::XATTR_BYTES_MAX - "user.a".len()];
    let files = limits::VIEW_XATTR_BYTES_MAX / limits::XATTR_BYTES_MAX;
    let make = |number: usize| view.create(ROOT, format!("{number}").as_bytes(), 0o600).unwrap().node;
    let nodes: Vec<NodeId> = (0..=files).map(make).collect();
    let mark = |node: NodeId| view.setxattr(node, b"user.a", &value, SetX::Any);
    nodes[..files].iter().for_each(|node| mark(*node).unwrap());
    assert_eq!(mark(nodes[files]), Err(Errno::NOSPC));
    assert_eq!(mark(nodes[0]), Ok(()));
    view.removexattr(nodes[0], b"user.a").unwrap();
    assert_eq!(mark(nodes[files]), Ok(()));
    assert_eq!(mark(nodes[0]), Err(Errno::NOSPC));
    view.rm("/1").unwrap();
    view.forget(nodes[1], 1);
    assert_eq!(mark(nodes[0]), Ok(()));
}

/// A disk that takes nothing costs nothing of the quota.
#[test]
fn what_was_not_written_does_not_count() {
    let base = Arc::new(ground());
    let spool = std::env::temp_dir().join("skep-no-such-directory");
    let setup = Setup { plan: all(), base, spool, mount_points: vec![], owner: (1000, 1000), now: tick };
    let view = View::new(setup).unwrap();
    let file = view.create(ROOT, b"large", 0o600).unwrap().node;
    for _ in 0..3 {
        assert_eq!(view.write(file, 0, &[1; 200_000]), Err(Errno::NOENT));
    }
    assert_eq!(view.usage()[0].0, 0);
}

#[test]
fn names_that_no_file_can_have() {
    let view = view(&ground(), all());
    let nfd = "e\u{301}";
    assert_eq!(view.w(&format!("/{nfd}"), b""), Err(Errno::ILSEQ));
    assert_eq!(view.create(ROOT, b"\xff", 0o644).unwrap_err(), Errno::ILSEQ);
    assert_eq!(view.lookup(ROOT, b"\xff").unwrap_err(), Errno::NOENT);
    assert_eq!(view.create(ROOT, &[b'a'; 256], 0o644).unwrap_err(), Errno::NAMETOOLONG);
    view.w(&format!("/{}", "a".repeat(255)), b"").unwrap();
    let mut path = String::new();
    for _ in 0..128 {
        path.push_str("/p");
        view.mk(&path).unwrap();
    }
    assert_eq!(view.mk(&(path + "/p")), Err(Errno::NAMETOOLONG));
    assert!(!view.says().is_empty());
}

/// A directory takes along what is in it: put into each other, they would soon be deeper than any path, and
/// than any stack that walks them.
#[test]
fn no_rename_makes_a_path_too_long() {
    let view = view(&ground(), all());
    for top in ["/a", "/b"] {
        let mut path = top.to_owned();
        for _ in 0..70 {
            view.mk(&path).unwrap();
            path.push_str("/p");
        }
    }
    let leaf = |depth| format!("/b{}/a", "/p".repeat(depth));
    assert_eq!(view.mv("/a", &leaf(58), Onto::Replace), Err(Errno::NAMETOOLONG));
    assert_eq!(view.mv("/a", &leaf(57), Onto::Replace), Ok(()));
    let long = "n".repeat(255);
    let mut path = String::new();
    for _ in 0..12 {
        path.push('/');
        path.push_str(&long);
        view.mk(&path).unwrap();
    }
    let mut wide = "/m".to_owned();
    for _ in 0..5 {
        view.mk(&wide).unwrap();
        wide.push('/');
        wide.push_str(&long);
    }
    assert_eq!(view.mv("/m", &format!("{path}/m"), Onto::Replace), Err(Errno::NAMETOOLONG));
    assert!(!view.says().is_empty());
}

#[test]
fn places_to_be_mounted_on() {
    let tree = ground();
    let mount_points = ["usr", "d/tools/bin", "l"].map(str::to_owned).to_vec();
    let base = Arc::new(tree);
    let spool = std::env::temp_dir();
    let setup = Setup { plan: all(), base, spool, mount_points, owner: (1000, 1000), now: tick };
    let view = View::new(setup).unwrap();
    assert_eq!(view.ls("/").unwrap(), ["d", "e", "l", "usr"]);
    assert_eq!(view.ls("/d").unwrap(), ["tools", "x", "y"]);
    assert_eq!(view.ls("/d/tools").unwrap(), ["bin"]);
    assert_eq!(view.ls("/l").unwrap(), [""; 0]);
    assert_eq!(view.w("/usr/x", b""), Err(Errno::ROFS));
    assert_eq!(view.rm("/usr"), Err(Errno::ROFS));
    assert_eq!(view.mv("/usr", "/u", Onto::Replace), Err(Errno::ROFS));
    assert_eq!(view.mv("/e", "/usr", Onto::Replace), Err(Errno::ROFS));
    assert_eq!(view.says(), [""; 0]);
    view.discard().unwrap();
    assert_eq!(view.ls("/").unwrap(), ["d", "e", "l", "usr"]);
}

/// Forgetting such a name would unmount what is mounted there.
#[test]
fn where_something_is_mounted_stays() {
    let mut tree = ground();
    let mount_points = ["e", "d/tools"].map(str::to_owned).to_vec();
    let base = Arc::new(tree.clone());
    let spool = std::env::temp_dir();
    let setup = Setup { plan: all(), base, spool, mount_points, owner: (1000, 1000), now: tick };
    let view = View::new(setup).unwrap();
    for path in ["/d/x", "/d/y", "/e/z"] {
        view.rm(path).unwrap();
    }
    assert_eq!(view.rm("/e"), Err(Errno::BUSY));
    assert_eq!(view.mv("/d", "/n", Onto::Replace), Err(Errno::BUSY));
    let other = super::tests::view(&tree, all());
    for path in ["/d/x", "/d/y", "/d", "/e/z", "/e"] {
        other.rm(path).unwrap();
    }
    tree = tree.with(other.drain().unwrap()).unwrap().0;
    let stale = view.rebase_whole(Arc::new(tree), all()).unwrap();
    let gone = |name: &str| stale.iter().any(|one| matches!(one, Stale::Entry { name: n, .. } if n == name));
    assert!(!gone("d") && !gone("e") && !gone("tools"), "{stale:?}");
    assert_eq!(view.ls("/").unwrap(), ["d", "e", "l"]);
    assert_eq!(view.ls("/d").unwrap(), ["tools"]);
    assert_eq!(view.says(), [""; 0]);
}

#[test]
fn open_files_live_on_and_their_bytes_go_with_them() {
    let view = view(&ground(), all());
    view.w("/t", &[7; 100_000]).unwrap();
    let open = view.walk("/t", Last::Follow).unwrap();
    view.rm("/t").unwrap();
    let mut byte = [0];
    assert_eq!(view.read(open.node, 99_999, &mut byte), Ok(1));
    assert_eq!(byte, [7]);
    view.append(open.node, b"more").unwrap();
    assert_eq!((view.getattr(open.node).unwrap().links, open.links), (0, 1));
    assert!(view.usage()[0].0 > 100_000);
    view.forget(open.node, 1);
    assert_eq!(view.usage()[0].0, 0);
    assert_eq!(view.getattr(open.node).unwrap_err(), Errno::STALE);
}

#[test]
fn nodes_that_nobody_needs_are_let_go() {
    let view = view(&ground(), all());
    for _ in 0..3 {
        for path in ["/d/x", "/e/z", "/l"] {
            let attr = view.walk(path, Last::Keep).unwrap();
            view.forget(attr.node, 1);
        }
    }
    assert_eq!(view.lock().names(ROOT).unwrap().slots.len(), 0);
}

#[test]
fn pipes_and_sockets_stay_in_the_view() {
    let mut tree = ground();
    let view = view(&tree, all());
    let made = view.mknod(ROOT, b"pipe", 0o600, Sort::Fifo).unwrap();
    assert_eq!(made.sort, Sort::Fifo);
    assert_eq!(view.says(), [""; 0]);
    view.w("/a", b"a").unwrap();
    view.commit(&mut tree);
    assert_eq!(view.walk("/pipe", Last::Follow).unwrap().sort, Sort::Fifo);
}

#[test]
fn what_others_wrote_meanwhile_shows_after_a_rebase() {
    let mut tree = ground();
    let view = view(&tree, all());
    assert_eq!(view.r("/d/new"), Err(Errno::NOENT));
    assert_eq!(view.r("/d/x").unwrap(), b"ex");
    view.w("/e/mine", b"mine").unwrap();
    let (mut next, mut changed) = tree.with(view.drain().unwrap()).unwrap();
    changed.push(next.put("/d", tree::Node::Dir, b"", LabelId(0)).unwrap());
    next.put("/d/new", tree::Node::File, b"new", LabelId(0)).unwrap();
    next.put("/d/x", tree::Node::File, b"other", LabelId(0)).unwrap();
    let node = view.walk("/d/x", Last::Follow).unwrap().node;
    let dir = view.walk("/d", Last::Follow).unwrap().node;
    changed.push(abi::ROOT);
    let stale = view.rebase(Arc::new(next.clone()), all(), &changed).unwrap();
    assert_eq!(view.r("/d/new").unwrap(), b"new");
    assert_eq!(view.r("/d/x").unwrap(), b"other");
    assert!(stale.contains(&Stale::Node(node)), "{stale:?}");
    assert!(stale.contains(&Stale::Entry { dir, name: "new".to_owned() }), "{stale:?}");
    assert!(!stale.iter().any(|stale| matches!(stale, Stale::Entry { name, .. } if name == "mine")));
    tree = next;
    assert_eq!(view.says(), [""; 0]);
    view.w("/d/x", b"again").unwrap();
    assert_eq!(view.says(), [format!("file* /d/x @{}", version(&tree, "/d/x"))]);
}

/// A background program goes on while its command is committed.
#[test]
fn what_was_written_after_the_drain_stays() {
    let tree = ground();
    let view = view(&tree, all());
    for path in ["/a", "/b", "/c", "/k"] {
        view.w(path, b"1").unwrap();
    }
    let drained = view.drain().unwrap();
    view.w("/a", b"2").unwrap();
    view.rm("/b").unwrap();
    view.mv("/c", "/c2", Onto::Replace).unwrap();
    view.rm("/d/y").unwrap();
    view.mv("/d/x", "/x", Onto::Replace).unwrap();
    let (next, changed) = tree.with(drained).unwrap();
    view.rebase(Arc::new(next.clone()), all(), &changed).unwrap();
    let (last, _) = next.with(view.drain().unwrap()).unwrap();
    let paths: Vec<_> = last.all().into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["/a", "/c2", "/d", "/e", "/k", "/l", "/x", "/e/z"]);
    let a = last.at(&abi::path::TreePath::parse("/a").unwrap()).unwrap();
    assert_eq!(&*last.bytes(&a.content).unwrap(), b"2");
}

#[test]
fn what_waits_stays_as_it_was_written() {
    let tree = ground();
    let view = view(&tree, all());
    view.w("/d/x", b"mine").unwrap();
    view.rm("/d/y").unwrap();
    view.mk("/d/new").unwrap();
    view.w("/d/new/f", b"f").unwrap();
    view.w("/d/tmp", b"ZED").unwrap();
    view.mv("/d/tmp", "/e/z", Onto::Replace).unwrap();
    let waits = ["/d/x", "/d/y", "/d/new", "/d/new/f", "/e/z"].map(|path| TreePath::parse(path).unwrap());
    // Its bytes are kept each time, and it is committed never.
    let goes_on = |waits: &[TreePath]| {
        tree.with(view.drain().unwrap()).unwrap();
        let plan = Plan { waits: waits.iter().cloned().collect(), ..all() };
        view.rebase(Arc::new(tree.clone()), plan, &[]).unwrap()
    };
    // Nothing of it was decided: it is told each time, and written over each time.
    let told = view.says();
    assert_eq!(told.len(), 5, "{told:?}");
    for _ in 0..2 {
        goes_on(&waits);
        let shown = ["/d/x", "/d/y", "/d/new/f", "/e/z"].map(|path| view.r(path));
        assert_eq!(shown, [Ok(b"mine".to_vec()), Err(Errno::NOENT), Ok(b"f".to_vec()), Ok(b"ZED".to_vec())]);
        assert_eq!(view.says(), told);
    }
    // What was written since is told as it is now; what is let go is as below again.
    view.w("/d/x", b"more").unwrap();
    goes_on(waits.get(..1).unwrap());
    let shown = ["/d/x", "/d/y", "/d/new/f", "/e/z"].map(|path| view.r(path));
    assert_eq!(
        shown,
        [Ok(b"more".to_vec()), Ok(b"why".to_vec()), Err(Errno::NOENT), tree_says(&tree, "/e/z")]
    );
    goes_on(&[]);
    assert_eq!((view.r("/d/x"), view.says()), (Ok(b"ex".to_vec()), vec![]));
}

fn tree_says(tree: &Memory, path: &str) -> Result<Vec<u8>, Errno> {
    view(tree, all()).r(path)
}

/// A name that was removed late, where somebody else put something before that was committed.
#[test]
fn what_another_put_there_does_not_go() {
    let tree = ground();
    let view = view(&tree, all());
    view.w("/a", b"1").unwrap();
    let drained = view.drain().unwrap();
    for path in ["/d/x", "/d/y", "/d"] {
        view.rm(path).unwrap();
    }
    let (mut next, _) = tree.with(drained).unwrap();
    next.put("/d/theirs", tree::Node::File, b"t", LabelId(0)).unwrap();
    view.rebase_whole(Arc::new(next), all()).unwrap();
    let gone = view.says();
    assert!(gone.iter().any(|word| word.starts_with("gone /d/x")), "{gone:?}");
    assert!(!gone.iter().any(|word| word.contains("theirs")), "{gone:?}");
}

#[test]
fn a_discarded_view_is_as_below() {
    let tree = ground();
    let view = view(&tree, all());
    view.w("/d/x", b"other").unwrap();
    view.w("/new", b"new").unwrap();
    view.mv("/e", "/d/e", Onto::Replace).unwrap();
    view.rm("/d/y").unwrap();
    view.discard().unwrap();
    assert_eq!(view.says(), [""; 0]);
    assert_eq!(view.ls("/").unwrap(), ["d", "e", "l"]);
    assert_eq!(view.ls("/d").unwrap(), ["x", "y"]);
    assert_eq!(view.r("/d/x").unwrap(), b"ex");
    assert_eq!(view.r("/e/z").unwrap(), b"zed");
    assert_eq!(view.usage().map(|(used, _)| used), [0, 0]);
}

#[test]
fn the_bytes_of_a_large_file_lie_where_they_were() {
    let mut tree = Memory::default();
    let big: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    tree.put("/big", tree::Node::File, &big, LabelId(0)).unwrap();
    let view = view(&tree, all());
    let node = view.walk("/big", Last::Follow).unwrap().node;
    view.write(node, 500_000, b"here").unwrap();
    assert!(view.usage()[0].0 < 1000);
    view.zero(node, 600_000, 700_000, Grow::No).unwrap();
    assert_eq!(view.seek(node, 0, Whence::Hole), Ok(600_000));
    assert_eq!(view.seek(node, 600_000, Whence::Data), Ok(700_000));
    let mut want = big;
    want[500_000..500_004].copy_from_slice(b"here");
    want[600_000..700_000].fill(0);
    let mut read = Vec::new();
    view.drain().unwrap().steps[0].bytes.as_ref().unwrap().reader().read_to_end(&mut read).unwrap();
    assert!(read == want);
    view.commit(&mut tree);
    assert_eq!(view.usage()[0].0, 0);
    assert!(view.r("/big").unwrap() == want);
}
