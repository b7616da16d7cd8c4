//! What `.gitignore` names, as git reads it: a file of its own in each directory, the deepest counts most,
//! and what stands below an ignored directory is ignored.

use crate::guard::guard;
use ignore::{
    Match,
    gitignore::{Gitignore, GitignoreBuilder},
};
use sandbox::host::HostDir;
use std::{
    collections::BTreeMap,
    io::Read,
    sync::{Arc, Mutex},
};

/// Bytes of one of them that are read.
const BYTES_MAX: u64 = 256 * 1024;
/// Directories whose file is remembered.
const DIRS_MAX: usize = 10_000;

/// When one was changed, and how large it is.
type Stamp = Option<((i64, u32), u64)>;

/// The files that were read.
#[derive(Default)]
pub(crate) struct Ignored(Mutex<BTreeMap<String, (Stamp, Arc<Gitignore>)>>);

impl Ignored {
    /// Whether a path below the directory is named by one of them.
    pub fn names(&self, host: &HostDir, path: &str, is_dir: bool) -> bool {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for end in ends {
            let Some(part) = path.get(..end).filter(|part| !part.is_empty()) else { continue };
            let dir = is_dir || end < path.len();
            if self.names_itself(host, part, dir) {
                return true;
            }
        }
        false
    }

    fn names_itself(&self, host: &HostDir, path: &str, is_dir: bool) -> bool {
        let mut home = path;
        loop {
            home = home.rsplit_once('/').map_or("", |(home, _)| home);
            let below = if home.is_empty() { path } else { path.get(home.len() + 1..).unwrap_or(path) };
            match self.of(host, home).matched(below, is_dir) {
                Match::Ignore(_) => return true,
                Match::Whitelist(_) => return false,
                Match::None if home.is_empty() => return false,
                Match::None => {}
            }
        }
    }

    fn of(&self, host: &HostDir, home: &str) -> Arc<Gitignore> {
        let file = if home.is_empty() { ".gitignore".to_owned() } else { format!("{home}/.gitignore") };
        let stamp: Stamp = host.look(&file).ok().flatten().map(|seen| (seen.times.0, seen.size));
        if let Some((_, known)) = guard(&self.0).get(home).filter(|(of, _)| *of == stamp) {
            return known.clone();
        }
        let read = Arc::new(stamp.map_or_else(Gitignore::empty, |_| read(host, &file)));
        let mut all = guard(&self.0);
        if all.len() >= DIRS_MAX {
            all.clear();
        }
        all.insert(home.to_owned(), (stamp, read.clone()));
        read
    }
}

/// What cannot be read names nothing: more is kept than need be.
fn read(host: &HostDir, path: &str) -> Gitignore {
    let Ok((file, _)) = host.file(path) else { return Gitignore::empty() };
    let mut text = Vec::new();
    if file.take(BYTES_MAX).read_to_end(&mut text).is_err() {
        return Gitignore::empty();
    }
    let mut builder = GitignoreBuilder::new("");
    for line in String::from_utf8_lossy(&text).lines() {
        let _ = builder.add_line(None, line);
    }
    builder.build().unwrap_or_else(|_| Gitignore::empty())
}
