//! The same operations on a view and in a real directory: the same results, the same trees; and what a drain
//! says makes the same tree of what was below.

use super::*;
use proptest::prelude::*;
use rustix::fs::{self, AtFlags, CWD, Mode, OFlags, RenameFlags};
use std::{collections::BTreeMap, path::Path};

#[derive(Clone, Debug)]
enum Op {
    Create(String, u32),
    Write(String, u64, usize, u8),
    Resize(String, u64),
    Punch(String, u64, u64),
    Mkdir(String),
    Symlink(String, String),
    Remove(String),
    Rename(String, String, Onto),
    Chmod(String, u32),
    Commit,
    /// A drain, these, and only then the rebase.
    Late(Vec<Self>),
    Discard,
}

fn path() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "b", "c"]);
    prop::collection::vec(name, 1..4).prop_map(|names| format!("/{}", names.join("/")))
}

fn one() -> impl Strategy<Value = Op> {
    let mode = || prop::sample::select(vec![0o644, 0o755, 0o700]);
    let onto = prop::sample::select(vec![Onto::Replace, Onto::Replace, Onto::Free, Onto::Exchange]);
    let target = prop::sample::select(vec!["a", "b/c", "c", "a/b"]);
    let size = || prop::sample::select(vec![0_u64, 1, 10, 4096, 65_536, 65_537, 100_000]);
    prop_oneof![
        3 => (path(), mode()).prop_map(|(path, mode)| Op::Create(path, mode)),
        4 => (path(), size(), prop::sample::select(vec![1_usize, 5000, 70_000]), 1_u8..9)
            .prop_map(|(path, at, len, byte)| Op::Write(path, at, len, byte)),
        2 => (path(), size()).prop_map(|(path, size)| Op::Resize(path, size)),
        1 => (path(), size(), size()).prop_map(|(path, at, len)| Op::Punch(path, at, len)),
        4 => path().prop_map(Op::Mkdir),
        1 => (path(), target).prop_map(|(path, target)| Op::Symlink(path, target.to_owned())),
        3 => path().prop_map(Op::Remove),
        6 => (path(), path(), onto).prop_map(|(from, to, onto)| Op::Rename(from, to, onto)),
        1 => (path(), mode()).prop_map(|(path, mode)| Op::Chmod(path, mode)),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        16 => one(),
        1 => Just(Op::Commit),
        1 => prop::collection::vec(one(), 1..8).prop_map(Op::Late),
        1 => Just(Op::Discard),
    ]
}

/// In a real directory.
fn real(root: &Path, op: &Op) -> Result<(), Errno> {
    let at = |path: &str| root.join(path.trim_start_matches('/'));
    let write = OFlags::WRONLY | OFlags::CLOEXEC;
    match op {
        Op::Create(path, mode) => {
            let file = fs::open(at(path), write | OFlags::CREATE | OFlags::EXCL, Mode::from(*mode))?;
            fs::fchmod(file, Mode::from(*mode))
        }
        Op::Write(path, offset, length, byte) => {
            let file = fs::open(at(path), write, Mode::empty())?;
            let mut bytes = &vec![*byte; *length][..];
            let mut offset = *offset;
            while !bytes.is_empty() {
                let count = rustix::io::pwrite(&file, bytes, offset)?;
                (bytes, offset) = (&bytes[count..], offset + count as u64);
            }
            Ok(())
        }
        Op::Resize(path, size) => fs::ftruncate(fs::open(at(path), write, Mode::empty())?, *size),
        Op::Punch(path, offset, length) => {
            let how = fs::FallocateFlags::PUNCH_HOLE | fs::FallocateFlags::KEEP_SIZE;
            fs::fallocate(fs::open(at(path), write, Mode::empty())?, how, *offset, (*length).max(1))
        }
        Op::Mkdir(path) => {
            fs::mkdir(at(path), Mode::from(0o755))?;
            fs::chmod(at(path), Mode::from(0o755))
        }
        Op::Symlink(path, target) => fs::symlink(target, at(path)),
        Op::Remove(path) => match fs::unlinkat(CWD, at(path), AtFlags::empty()) {
            Err(Errno::ISDIR) => fs::unlinkat(CWD, at(path), AtFlags::REMOVEDIR),
            other => other,
        },
        Op::Rename(from, to, onto) => {
            let flags = match onto {
                Onto::Replace => RenameFlags::empty(),
                Onto::Free => RenameFlags::NOREPLACE,
                Onto::Exchange => RenameFlags::EXCHANGE,
            };
            fs::renameat_with(CWD, at(from), CWD, at(to), flags)
        }
        Op::Chmod(path, mode) => fs::chmod(at(path), Mode::from(*mode)),
        Op::Commit | Op::Late(_) | Op::Discard => Ok(()),
    }
}

/// Does something with a node, and gives it back.
fn with(view: &View, path: &str, what: impl FnOnce(Attr) -> Result<(), Errno>) -> Result<(), Errno> {
    let attr = view.walk(path, Last::Follow)?;
    let done = what(attr);
    view.forget(attr.node, 1);
    done
}

fn with_file(view: &View, path: &str, what: impl FnOnce(NodeId) -> Result<(), Errno>) -> Result<(), Errno> {
    with(view, path, |attr| {
        view.open(attr.node, Access { write: true, ..Access::default() })?;
        if attr.sort == Sort::Dir { Err(Errno::ISDIR) } else { what(attr.node) }
    })
}

fn with_new(
    view: &View,
    path: &str,
    make: impl FnOnce(NodeId, &str) -> Result<Attr, Errno>,
) -> Result<(), Errno> {
    let (dir, name) = view.home(path)?;
    let made = make(dir, &name);
    view.forget(dir, 1);
    view.forget(made?.node, 1);
    Ok(())
}

/// On the view.
fn ours(view: &View, op: &Op) -> Result<(), Errno> {
    match op {
        Op::Create(path, mode) => with_new(view, path, |dir, name| view.create(dir, name.as_bytes(), *mode)),
        Op::Write(path, offset, length, byte) => {
            with_file(view, path, |node| view.write(node, *offset, &vec![*byte; *length]))
        }
        Op::Resize(path, size) => with_file(view, path, |node| {
            view.setattr(node, Set { size: Some(*size), ..Set::default() }).map(|_| ())
        }),
        Op::Punch(path, offset, length) => {
            with_file(view, path, |node| view.zero(node, *offset, offset + (*length).max(1), Grow::No))
        }
        Op::Mkdir(path) => with_new(view, path, |dir, name| view.mkdir(dir, name.as_bytes(), 0o755)),
        Op::Symlink(path, target) => {
            with_new(view, path, |dir, name| view.symlink(dir, name.as_bytes(), target.as_bytes()))
        }
        Op::Remove(path) => view.rm(path),
        Op::Rename(from, to, onto) => view.mv(from, to, *onto),
        Op::Chmod(path, mode) => with(view, path, |attr| {
            view.setattr(attr.node, Set { mode: Some(*mode), ..Set::default() }).map(|_| ())
        }),
        Op::Commit | Op::Late(_) | Op::Discard => Ok(()),
    }
}

/// Path → what is there.
type Tree = BTreeMap<String, (Sort, u32, Vec<u8>)>;

fn tree_of_directory(root: &Path, path: &str, tree: &mut Tree) {
    for entry in std::fs::read_dir(root.join(path.trim_start_matches('/'))).unwrap() {
        let path = format!("{path}/{}", entry.unwrap().file_name().to_str().unwrap());
        let at = root.join(path.trim_start_matches('/'));
        let stat = fs::lstat(&at).unwrap();
        let mode = stat.st_mode & 0o777;
        match fs::FileType::from_raw_mode(stat.st_mode) {
            fs::FileType::Directory => {
                tree.insert(path.clone(), (Sort::Dir, mode, Vec::new()));
                tree_of_directory(root, &path, tree);
            }
            fs::FileType::Symlink => {
                let target = fs::readlink(&at, Vec::new()).unwrap().into_bytes();
                tree.insert(path, (Sort::Link, 0o777, target));
            }
            _ => {
                tree.insert(path, (Sort::File, mode, std::fs::read(&at).unwrap()));
            }
        }
    }
}

fn tree_of_view(view: &View, path: &str, tree: &mut Tree) {
    let dir = view.walk(path, Last::Keep).unwrap().node;
    let handle = view.opendir(dir).unwrap();
    let mut found = Vec::new();
    let mut take = |listed: Listed<'_>| {
        found.extend(listed.attr.map(|attr| (format!("{path}/{}", listed.name), attr)));
        true
    };
    view.readdir(handle, 0, Detail::Attributes, &mut take).unwrap();
    view.releasedir(handle);
    for (path, attr) in found {
        let bytes = match attr.sort {
            Sort::Dir => Vec::new(),
            Sort::Link => view.readlink(attr.node).unwrap().as_bytes().to_owned(),
            _ => {
                let mut bytes = vec![0; attr.size as usize];
                assert_eq!(view.read(attr.node, 0, &mut bytes).unwrap(), bytes.len());
                bytes
            }
        };
        let mode = if attr.sort == Sort::Link { 0o777 } else { attr.mode };
        tree.insert(path.clone(), (attr.sort, mode, bytes));
        if attr.sort == Sort::Dir {
            tree_of_view(view, &path, tree);
        }
        view.forget(attr.node, 1);
    }
    view.forget(dir, 1);
}

fn tree_of_memory(memory: &Memory) -> Tree {
    let all = memory.all().into_iter().map(|(path, entry)| {
        let sort = Sort::from(entry.node);
        let bytes = memory.bytes(&entry.content).filter(|_| sort != Sort::Dir);
        let mode = if sort == Sort::Link { 0o777 } else { entry.mode };
        (path, (sort, mode, bytes.map(|bytes| bytes.to_vec()).unwrap_or_default()))
    });
    all.collect()
}

fn same_as_real(root: &Path, view: &View) {
    let (mut ours, mut theirs) = (Tree::new(), Tree::new());
    tree_of_directory(root, "", &mut theirs);
    tree_of_view(view, "", &mut ours);
    assert!(ours == theirs, "\nours {:?}\ntheirs {:?}", brief(&ours), brief(&theirs));
}

fn brief(tree: &Tree) -> Vec<(&str, Sort, u32, usize)> {
    tree.iter().map(|(path, (sort, mode, bytes))| (path.as_str(), *sort, *mode, bytes.len())).collect()
}

/// Both do it; both say the same.
fn both(root: &Path, view: &View, op: &Op) {
    assert_eq!(ours(view, op), real(root, op), "{op:?}");
}

fn run(ops: &[Op]) {
    let place = tempfile::tempdir().unwrap();
    let mut root = place.path().join("0");
    std::fs::create_dir(&root).unwrap();
    let mut memory = Memory::default();
    let view = view(&memory, all());
    for (ix, op) in ops.iter().enumerate() {
        match op {
            Op::Commit => {
                view.commit(&mut memory);
            }
            Op::Late(late) => {
                let drained = view.drain().unwrap();
                late.iter().for_each(|op| both(&root, &view, op));
                let (next, changed) = memory.with(drained).unwrap();
                memory = next;
                let base = Arc::new(memory.clone());
                // Whether or not it is known what changed.
                match ix % 2 {
                    0 => view.rebase(base, all(), &changed).unwrap(),
                    _ => view.rebase_whole(base, all()).unwrap(),
                };
            }
            Op::Discard => {
                view.discard().unwrap();
                root = place.path().join((ix + 1).to_string());
                std::fs::create_dir(&root).unwrap();
                lay_out(&root, &memory);
            }
            op => both(&root, &view, op),
        }
        same_as_real(&root, &view);
    }
    view.commit(&mut memory);
    let mut theirs = Tree::new();
    tree_of_directory(&root, "", &mut theirs);
    let ours = tree_of_memory(&memory);
    assert!(ours == theirs, "\nours {:?}\ntheirs {:?}", brief(&ours), brief(&theirs));
    assert_eq!(view.says(), [""; 0]);
    assert_eq!(view.usage().map(|(used, _)| used), [0, 0]);
}

fn lay_out(root: &Path, memory: &Memory) {
    for (path, (sort, mode, bytes)) in tree_of_memory(memory) {
        let at = root.join(path.trim_start_matches('/'));
        match sort {
            Sort::Dir => std::fs::create_dir(&at).unwrap(),
            Sort::Link => fs::symlink(bytes, at).unwrap(),
            _ => std::fs::write(&at, bytes).unwrap(),
        }
        if sort != Sort::Link {
            fs::chmod(root.join(path.trim_start_matches('/')), Mode::from(mode)).unwrap();
        }
    }
}

#[test]
fn written_after_its_mode_was_drained() {
    let a = || "/a".to_owned();
    run(&[
        Op::Create(a(), 0o755),
        Op::Commit,
        Op::Chmod(a(), 0o644),
        Op::Late(vec![Op::Write(a(), 0, 1, 1)]),
    ]);
}

#[test]
fn removed_after_its_directory_moved() {
    let text = str::to_owned;
    run(&[
        Op::Mkdir(text("/b")),
        Op::Mkdir(text("/b/b")),
        Op::Commit,
        Op::Rename(text("/b"), text("/c"), Onto::Replace),
        Op::Late(vec![Op::Remove(text("/c/b"))]),
    ]);
}

#[test]
fn removed_after_a_change_of_it_was_drained() {
    let a = || "/a".to_owned();
    run(&[Op::Create(a(), 0o644), Op::Commit, Op::Write(a(), 0, 1, 1), Op::Late(vec![Op::Remove(a())])]);
}

proptest! {
    #[test]
    fn as_a_real_directory(ops in prop::collection::vec(op(), 1..40)) {
        run(&ops);
    }
}
