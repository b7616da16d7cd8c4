//! What a daemon finds of restores that were cut off: all of a workspace, or nothing.

use super::*;
use crate::{clock::Real, daemon::Options, registry::Registry};
use tempfile::TempDir;

/// What a restore had done when the daemon ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cut {
    Unpacking,
    Named,
    Moved,
    Registered,
}

fn node(home: &Path) -> Arc<Node> {
    let seeds = crate::registry::Seeds { secret: [1; 32], signer: [2; 32] };
    let registry = Registry::open(home, &seeds, 1000).unwrap();
    Node::new(home.to_path_buf(), Arc::new(Real::new()), registry, Options::default())
}

#[test]
fn a_restore_that_is_cut_off_leaves_all_or_nothing() {
    for cut in [Cut::Unpacking, Cut::Named, Cut::Moved, Cut::Registered] {
        let home = TempDir::new().unwrap();
        let node = node(home.path());
        let begun = Begun::new(home.path()).unwrap();
        let (from, to) = (begun.dir.join("workspace"), place(&node, "copy"));
        fs::write(from.join("workspace.db"), b"all of it").unwrap();
        if cut == Cut::Named {
            fs::write(begun.dir.join("name"), "copy").unwrap();
            // Nobody's business: it was there before the copy could be moved.
            fs::create_dir_all(&to).unwrap();
            fs::write(to.join("mine"), b"mine").unwrap();
        }
        if cut >= Cut::Moved {
            begun.hand_over("copy", &to).unwrap();
        }
        if cut == Cut::Registered {
            node.registry.add("copy", [7; 16]).unwrap();
        }
        std::mem::forget(begun);
        sweep(&node);
        let all = fs::read(to.join("workspace.db")).ok();
        assert_eq!(all, (cut == Cut::Registered).then(|| b"all of it".to_vec()), "{cut:?}");
        assert_eq!(to.join("mine").exists(), cut == Cut::Named, "{cut:?}");
        assert!(!home.path().join(BEGUN).exists(), "{cut:?}");
    }
}

#[test]
fn a_place_that_is_taken_is_never_taken_over() {
    let home = TempDir::new().unwrap();
    let to = home.path().join("workspaces/copy");
    fs::create_dir_all(&to).unwrap();
    let begun = Begun::new(home.path()).unwrap();
    let refused = begun.hand_over("copy", &to).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
    drop(begun);
    assert!(to.exists());
    assert_eq!(fs::read_dir(home.path().join(BEGUN)).unwrap().count(), 0);
}

#[test]
fn a_reserved_name_is_taken_until_it_is_given_back() {
    let home = TempDir::new().unwrap();
    let node = node(home.path());
    let reserved = Reserved { node: &node, cell: node.reserve("copy").unwrap() };
    for taken in [node.reserve("copy").err(), node.make("copy", Vec::new()).err()] {
        assert_eq!(taken.map(|error| error.code), Some(Code::Exists));
    }
    drop(reserved);
    let reserved = Reserved { node: &node, cell: node.reserve("copy").unwrap() };
    reserved.stands();
    assert_eq!(node.reserve("copy").err().map(|error| error.code), Some(Code::Exists));
}
