//! A view, mounted. As root, who alone mounts without a namespace of their own.

use super::*;
use crate::view::{Setup, Waiting, memory::Memory};
use abi::{
    LabelId,
    tree::Node,
    view::{Kind, Plan},
};
use std::{
    fs,
    os::unix::fs::{FileExt, MetadataExt, symlink},
    path::PathBuf,
};

/// A mount that goes when it is dropped.
pub(super) struct Mounted {
    pub view: Arc<View>,
    pub tree: Memory,
    server: Option<Server>,
    place: tempfile::TempDir,
}

#[allow(clippy::disallowed_methods)] // seam: the clock of tests
fn clock() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as u64
}

fn plan() -> Plan {
    let mut plan = crate::view::tests::plan(&[("/**", abi::cap::Rights::ALL)]);
    plan.quota = abi::view::Quota { bytes: 1 << 33, files: 1_000_000 };
    plan
}

impl Mounted {
    pub(super) fn new(tree: Memory) -> Self {
        Self::of(tree, plan())
    }

    fn of(tree: Memory, plan: Plan) -> Self {
        let place = tempfile::tempdir().unwrap();
        let spool = place.path().to_owned();
        let base = Arc::new(tree.clone());
        let mount_points = vec!["proc".to_owned()];
        let owner = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        let setup = Setup { plan, base, spool, mount_points, owner, now: clock };
        let view = Arc::new(View::new(setup).unwrap());
        fs::create_dir(place.path().join("m")).unwrap();
        let device = mount_at(&place.path().join("m"), owner)
            .expect("mounting /dev/fuse takes root; run the tests as root, or in `unshare -Urm`");
        let server = Some(serve(device, view.clone(), 2).unwrap());
        Self { view, tree, server, place }
    }

    pub(super) fn at(&self, path: &str) -> PathBuf {
        self.place.path().join("m").join(path.trim_start_matches('/'))
    }

    /// Commits, and goes on.
    pub(super) fn commit(&mut self) {
        let (next, changed) = self.tree.with(self.view.drain().unwrap()).unwrap();
        self.tree = next;
        self.over(&changed);
    }

    fn over(&mut self, changed: &[abi::FileId]) {
        let stale = self.view.rebase(Arc::new(self.tree.clone()), plan(), changed).unwrap();
        self.server.as_ref().unwrap().forget(&stale).unwrap();
    }

    fn bytes(&self, path: &str) -> Vec<u8> {
        let path = abi::path::TreePath::parse(path).unwrap();
        self.tree.bytes(&self.tree.at(&path).unwrap().content).unwrap().to_vec()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(self.at("/"), rustix::mount::UnmountFlags::DETACH);
        drop(self.server.take());
    }
}

fn errno<T>(result: std::io::Result<T>) -> i32 {
    result.err().and_then(|error| error.raw_os_error()).unwrap_or(0)
}

#[test]
fn files_as_files_are() {
    let mut tree = Memory::default();
    tree.put("/d", Node::Dir, b"", LabelId(0)).unwrap();
    tree.put("/d/x", Node::File, b"ex", LabelId(1)).unwrap();
    let mut m = Mounted::new(tree);
    assert_eq!(fs::read(m.at("/d/x")).unwrap(), b"ex");
    fs::write(m.at("/d/y"), b"why").unwrap();
    fs::rename(m.at("/d/y"), m.at("/z")).unwrap();
    fs::create_dir_all(m.at("/a/b/c")).unwrap();
    symlink("../d/x", m.at("/a/l")).unwrap();
    assert_eq!(fs::read(m.at("/a/l")).unwrap(), b"ex");
    assert_eq!(errno(fs::hard_link(m.at("/z"), m.at("/h"))), Errno::PERM.raw_os_error());
    assert_eq!(errno(fs::write(m.at("/proc/x"), b"")), Errno::ROFS.raw_os_error());
    let mut names: Vec<_> =
        fs::read_dir(m.at("/")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["a", "d", "proc", "z"]);
    m.commit();
    assert_eq!(m.bytes("/z"), b"why");
    assert_eq!(m.bytes("/a/l"), b"../d/x");
    // A writer of before goes on after the commit.
    let file = fs::OpenOptions::new().append(true).open(m.at("/z")).unwrap();
    m.commit();
    std::io::Write::write_all(&mut &file, b"!").unwrap();
    m.commit();
    assert_eq!(m.bytes("/z"), b"why!");
}

/// Whoever goes on asking does not keep a reader: here, a descriptor that always has something.
#[test]
fn a_reader_ends_whatever_is_asked() {
    let wakes = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap();
    let stop = Arc::new(Stop { told: AtomicBool::new(false), wakes });
    let view = Arc::new(crate::view::tests::view(&Memory::default(), plan()));
    let queue = Arc::new(fs::File::open("/dev/zero").unwrap().into());
    let reader = Reader { queue, stop: stop.clone(), view };
    assert_eq!(reader.next(&mut [0; 8]), Some(8));
    stop.told.store(true, Ordering::Relaxed);
    assert_eq!(reader.next(&mut [0; 8]), None);
}

#[test]
fn what_another_wrote_shows_after_a_rebase() {
    let mut tree = Memory::default();
    let file = tree.put("/x", Node::File, b"one", LabelId(0)).unwrap();
    let mut m = Mounted::new(tree);
    assert_eq!(fs::read(m.at("/x")).unwrap(), b"one");
    assert!(!m.at("/new").exists());
    assert_eq!(fs::read_dir(m.at("/")).unwrap().count(), 2);
    let open = fs::File::open(m.at("/x")).unwrap();
    m.tree.put("/x", Node::File, b"three", LabelId(0)).unwrap();
    m.tree.put("/new", Node::File, b"new", LabelId(0)).unwrap();
    m.over(&[abi::ROOT]);
    assert_eq!(fs::read(m.at("/x")).unwrap(), b"three");
    assert_eq!(fs::read(m.at("/new")).unwrap(), b"new");
    assert_eq!(fs::read_dir(m.at("/")).unwrap().count(), 3);
    let mut bytes = [0; 8];
    assert_eq!(open.read_at(&mut bytes, 0).unwrap(), 5);
    assert_eq!(open.metadata().unwrap().ino(), file.0);
}

#[test]
fn holes_are_kept_and_punched() {
    let m = Mounted::new(Memory::default());
    let file = fs::File::create_new(m.at("/sparse")).unwrap();
    file.set_len(8 << 20).unwrap();
    file.write_all_at(b"here", 4 << 20).unwrap();
    assert!(file.metadata().unwrap().blocks() < 100);
    let data = rustix::fs::seek(&file, rustix::fs::SeekFrom::Data(0)).unwrap();
    assert_eq!(data, 4 << 20);
    let how = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
    rustix::fs::fallocate(&file, how, 4 << 20, 4096).unwrap();
    let mut bytes = [1; 4];
    file.read_exact_at(&mut bytes, 4 << 20).unwrap();
    assert_eq!(bytes, [0; 4]);
}

#[test]
fn readers_under_a_storm_of_renames() {
    let m = Mounted::new(Memory::default());
    let dir = m.at("/d");
    fs::create_dir(&dir).unwrap();
    for n in 0..50 {
        fs::write(dir.join(format!("{n}")), format!("{n}")).unwrap();
    }
    let over = std::sync::atomic::AtomicBool::new(false);
    let over = &over;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..40 {
                for n in 0..50 {
                    let (from, to) = (format!("{n}"), format!("{n}-moved"));
                    let (from, to) = if round % 2 == 0 { (from, to) } else { (to, from) };
                    fs::rename(dir.join(from), dir.join(to)).unwrap();
                }
            }
            over.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        let readers = [(); 2].map(|()| {
            scope.spawn(|| {
                let mut found = 0;
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    for entry in fs::read_dir(&dir).unwrap() {
                        let name = entry.unwrap().file_name().into_string().unwrap();
                        if let Ok(bytes) = fs::read(dir.join(&name)) {
                            assert_eq!(name.trim_end_matches("-moved").as_bytes(), bytes);
                            found += 1;
                        }
                    }
                }
                found
            })
        });
        for reader in readers {
            assert!(reader.join().unwrap() > 0);
        }
    });
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 50);
}

/// What the walls' mount needs: nothing of it is left when it ends, and nobody waits for ever.
#[test]
fn who_asks_after_the_end_is_told() {
    let mut m = Mounted::new(Memory::default());
    fs::write(m.at("/x"), b"x").unwrap();
    let open = fs::File::open(m.at("/x")).unwrap();
    m.server.take().unwrap().stop();
    assert_eq!(errno(fs::metadata(m.at("/none"))), Errno::NOTCONN.raw_os_error());
    assert_ne!(errno(open.metadata()), 1);
}

/// A live view, which somebody else commits.
fn live() -> Mounted {
    let mut tree = Memory::default();
    tree.put("/d", Node::Dir, b"", LabelId(0)).unwrap();
    Mounted::of(tree, Plan { kind: Kind::Live, ..plan() })
}

/// Until somebody waits.
fn awaited(view: &View) {
    let mut fds = [PollFd::from_borrowed_fd(view.wakes().unwrap(), PollFlags::IN)];
    let ten = rustix::event::Timespec { tv_sec: 10, tv_nsec: 0 };
    assert_eq!(poll(&mut fds, Some(&ten)), Ok(1), "nobody waits");
}

/// Who waits for a file holds no reader up, and goes on when it is settled: not before, and with what came of
/// it.
#[test]
fn who_waits_until_it_is_lasting_is_answered_by_whoever_commits() {
    let m = live();
    for result in [Ok(()), Err(Errno::IO)] {
        let open: Vec<fs::File> = (0..8).map(|n| fs::File::create(m.at(&format!("/{n}"))).unwrap()).collect();
        let told = AtomicBool::new(false);
        let ended = std::thread::scope(|scope| {
            let waits = open.iter().map(|file| {
                let told = &told;
                scope.spawn(move || (file.sync_all(), told.load(Ordering::Relaxed)))
            });
            let waits: Vec<_> = waits.collect();
            let mut all = Vec::new();
            while all.len() < open.len() {
                awaited(&m.view);
                // More wait than there are readers, and all else is still answered.
                fs::write(m.at("/d/beside"), b"x").unwrap();
                assert_eq!(fs::read(m.at("/d/beside")).unwrap(), b"x");
                all.push(m.view.waiting());
                let count = waits.iter().filter(|wait| wait.is_finished()).count();
                assert_eq!(count, 0, "answered before it was settled");
                if all.iter().map(Waiting::count).sum::<usize>() == open.len() {
                    break;
                }
            }
            told.store(true, Ordering::Relaxed);
            all.into_iter().for_each(|waiting| waiting.settle(result));
            waits.into_iter().map(|wait| wait.join().unwrap()).collect::<Vec<_>>()
        });
        for (synced, after) in ended {
            let want = result.err().map_or(0, Errno::raw_os_error);
            assert_eq!((errno(synced), after), (want, true));
        }
    }
    assert!(!m.view.is_awaited());
}

/// The kernel holds a directory while a program waits for it: forgetting a name in it waits too, but not
/// whoever answers the program.
#[test]
fn a_directory_that_is_waited_for_is_told_what_is_stale_by_another() {
    let mut m = live();
    fs::write(m.at("/d/x"), b"x").unwrap();
    let dir = fs::File::open(m.at("/d")).unwrap();
    std::thread::scope(|scope| {
        let wait = scope.spawn(|| dir.sync_all());
        awaited(&m.view);
        let waiting = m.view.waiting();
        let (node, name) = (m.view.walk("/d", crate::view::Last::Follow).unwrap(), "x");
        let stale = vec![Stale::Entry { dir: node.node, name: name.to_owned() }];
        m.server.as_mut().unwrap().forget_soon(stale).unwrap();
        waiting.settle(Ok(()));
        assert!(wait.join().unwrap().is_ok());
    });
    assert_eq!(fs::read(m.at("/d/x")).unwrap(), b"x");
}

/// Whoever ends a sandbox answers those that wait first; later ones hear it at once. Where a command decides
/// when it ends, nobody waits.
#[test]
fn who_waits_hears_the_end() {
    let m = live();
    let (file, late) = (fs::File::create(m.at("/x")).unwrap(), fs::File::create(m.at("/y")).unwrap());
    std::thread::scope(|scope| {
        let wait = scope.spawn(|| file.sync_all());
        awaited(&m.view);
        m.view.give_up();
        assert_eq!(errno(wait.join().unwrap()), Errno::IO.raw_os_error());
    });
    assert_eq!(errno(late.sync_all()), Errno::IO.raw_os_error());
    let command = Mounted::new(Memory::default());
    let file = fs::File::create(command.at("/x")).unwrap();
    assert!(file.sync_all().is_ok() && command.view.wakes().is_none());
}
