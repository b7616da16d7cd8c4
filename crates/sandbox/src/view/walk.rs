//! Paths, for what has no kernel to walk them.

use super::{Attr, NodeId, ROOT, Sort, View};
use abi::limits;
use rustix::io::Errno;

/// What becomes of a link at the end of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// It is followed.
    Follow,
    /// It is what was asked for.
    Keep,
}

impl View {
    /// What stands at a path, read from the root; with a reference.
    pub fn walk(&self, path: &str, last: Last) -> Result<Attr, Errno> {
        self.walk_from(ROOT, path, last)
    }

    /// What stands at a path, read from a directory unless it is absolute; with a reference.
    pub fn walk_from(&self, dir: NodeId, path: &str, last: Last) -> Result<Attr, Errno> {
        if path.len() > limits::PATH_BYTES_MAX {
            return Err(Errno::NAMETOOLONG);
        }
        let mut todo: Vec<String> = parts(path);
        let mut at = self.held(if path.starts_with('/') { ROOT } else { dir })?;
        let mut links = 0;
        while let Some(name) = todo.pop() {
            let before = at;
            let next = self.step(before.node, &name);
            let next = next.inspect_err(|_| self.forget(before.node, 1))?;
            let follows = next.sort == Sort::Link && (!todo.is_empty() || last == Last::Follow);
            if !follows {
                self.forget(before.node, 1);
                at = next;
                continue;
            }
            links += 1;
            let target = self.readlink(next.node);
            self.forget(next.node, 1);
            let fits = if links > limits::LINKS_FOLLOWED_MAX { Err(Errno::LOOP) } else { target };
            let target = fits.inspect_err(|_| self.forget(before.node, 1))?;
            todo.extend(parts(&target));
            if target.starts_with('/') {
                self.forget(before.node, 1);
                at = self.held(ROOT)?;
            }
        }
        Ok(at)
    }

    /// The directory of a path, and its last name: where something can be made. With a reference.
    pub fn walk_home<'a>(&self, dir: NodeId, path: &'a str) -> Result<(Attr, &'a str), Errno> {
        let trimmed = path.trim_end_matches('/');
        let cut = trimmed.rfind('/').map_or(0, |at| at + 1);
        let (home, name) = trimmed.split_at(cut);
        if name.is_empty() || name == "." || name == ".." {
            return Err(Errno::EXIST);
        }
        let home = self.walk_from(dir, home, Last::Follow)?;
        if home.sort == Sort::Dir {
            return Ok((home, name));
        }
        self.forget(home.node, 1);
        Err(Errno::NOTDIR)
    }

    /// The path where a node stands now.
    pub fn path(&self, node: NodeId) -> Option<String> {
        self.lock().path(node)
    }

    fn held(&self, node: NodeId) -> Result<Attr, Errno> {
        let face = self.lock().refer(node)?;
        Ok(face.attr())
    }

    fn step(&self, dir: NodeId, name: &str) -> Result<Attr, Errno> {
        let table = self.lock();
        table.names(dir)?;
        let up = table.node(dir)?.place.as_ref().map_or(ROOT, |(up, _)| *up);
        drop(table);
        match name {
            "." => self.held(dir),
            ".." => self.held(up),
            name => self.lookup(dir, name.as_bytes()),
        }
    }
}

/// Last first.
fn parts(path: &str) -> Vec<String> {
    path.split('/').rev().filter(|name| !name.is_empty()).map(str::to_owned).collect()
}
