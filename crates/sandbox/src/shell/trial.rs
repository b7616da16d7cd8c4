//! A small tree to run scripts over: for tests, measurements and fuzzing. Nothing that ships uses it.

use super::{Limits, Native, Order, Outcome, run};
use crate::{
    jail::MOUNT_POINTS,
    view::{
        Setup, View,
        memory::{Memory, plan},
    },
};
use abi::{LabelId, cap::Rights, path::Pattern, tree::Node, view::Quota};
use std::{
    io,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

/// The directory where scripts run.
pub const DIR: &str = "/data";

/// A tree with that directory and one file in it.
pub fn tree() -> io::Result<Memory> {
    let mut tree = Memory::default();
    tree.put(DIR, Node::Dir, b"", LabelId(0))?;
    tree.put(&format!("{DIR}/a.txt"), Node::File, b"alpha\nbeta\ngamma\n", LabelId(0))?;
    Ok(tree)
}

/// A view of a tree; its large files lie in `spool`.
pub fn view(tree: &Memory, rights: &[(&str, Rights)], spool: &Path) -> io::Result<Arc<View>> {
    let pattern = |text: &str| Pattern::parse(text).map_err(|error| io::Error::other(error.message));
    let rights: io::Result<_> = rights.iter().map(|(text, rights)| Ok((pattern(text)?, *rights))).collect();
    let plan = plan(rights?, Quota { bytes: 64 << 20, files: 20_000 });
    let (base, spool) = (Arc::new(tree.clone()), spool.to_owned());
    let mount_points = MOUNT_POINTS.iter().map(|name| (*name).to_owned()).collect();
    let view = View::new(Setup {
        plan,
        base,
        spool,
        mount_points,
        owner: (1000, 1000),
        now: || 1_700_000_000_000_000,
    })?;
    Ok(Arc::new(view))
}

/// An order as the machine gives it.
pub fn order(text: &str, native: Native) -> Order<'_> {
    let pairs = [("PATH", "/usr/bin:/bin"), ("HOME", "/run/home"), ("LC_ALL", "C.UTF-8"), ("USER", "agent")];
    let env = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Order { text, dir: DIR, env, native, limits: Limits::default() }
}

/// Runs a script; how it ended, and what it said.
pub fn said(view: &Arc<View>, order: &Order<'_>) -> (Outcome, Vec<u8>) {
    let mut said = Vec::new();
    let outcome = run(view, order, &mut |bytes| said.extend_from_slice(bytes), &|| false);
    (outcome, said)
}

/// Runs bytes as a script, with little to use up: it ends, in time, whatever they are.
#[allow(clippy::disallowed_methods)] // seam: measured here
pub fn hostile(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(view) = tree().and_then(|tree| view(&tree, &[("/**", Rights::ALL)], &std::env::temp_dir())) else {
        return;
    };
    for native in [Native::May, Native::MayNot] {
        let time = Duration::from_millis(300);
        let limits = Limits { commands: 2_000, time, output: 64 * 1024, memory: 8 * 1024 * 1024 };
        let begun = Instant::now();
        let (outcome, said) = said(&view, &Order { limits, ..order(&text, native) });
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(5), "{took:?}: {text:?}");
        let native = matches!(outcome, Outcome::NeedsNative { .. });
        assert!(!native || said.is_empty(), "{outcome:?} of {text:?} and something was said");
        assert!(said.len() <= limits.output + 1024, "{} bytes were said by {text:?}", said.len());
    }
}

/// How long a script takes, each time over a new view, without what is stored of it.
#[allow(clippy::disallowed_methods)] // seam: measured here
pub fn times(text: &str, rounds: usize, spool: &Path) -> io::Result<Vec<Duration>> {
    let tree = tree()?;
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let view = view(&tree, &[("/**", Rights::ALL)], spool)?;
        let order = order(text, Native::May);
        let begun = Instant::now();
        let (outcome, said) = said(&view, &order);
        times.push(begun.elapsed());
        if outcome != (Outcome::Ended { status: 0 }) {
            return Err(io::Error::other(format!("{outcome:?}: {}", String::from_utf8_lossy(&said))));
        }
    }
    Ok(times)
}
