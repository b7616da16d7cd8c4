//! The shared door: a second socket, in a directory beside the home that holds nothing else, for operators
//! who were added. It is there only while there is one.
//!
//! ```text
//! skep/         0700, as ever: nobody else looks in
//! skep.shared/  0700, and these users may pass through   (an access list, acl(5))
//!   └─ sock     0600, and these users may connect
//! ```
//! Whoever comes is asked for their user id as at the first door. What cannot be closed to all others is not
//! opened: a directory of somebody else, a link, a file system without access lists.

use crate::{
    daemon::{bind, make_dir},
    door,
    guard::guard,
    node::Node,
    spawn,
};
use abi::{Code, Error, request::SHARED};
use rustix::{
    fs::{XattrFlags, setxattr},
    io::Errno,
};
use std::{
    fs::{self, Permissions},
    io,
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

/// Where an access list is kept, and its format: version, then tag, rights, id of each entry
/// (linux/posix_acl_xattr.h).
const LIST: &str = "system.posix_acl_access";
const VERSION: u32 = 2;
const OWNER: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP: u16 = 0x04;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;
const NOBODY: u32 = u32::MAX;
/// To pass through a directory; to connect to a socket.
const PASS: u16 = 1;
const CONNECT: u16 = 6;

/// See the file's head.
pub(crate) struct Annex {
    dir: PathBuf,
    open: Mutex<Option<Arc<UnixListener>>>,
}

impl Annex {
    /// That of a home; nothing is there yet.
    pub fn of(home: &Path) -> Self {
        let mut name = home.file_name().unwrap_or_default().to_owned();
        name.push(SHARED);
        Self { dir: home.with_file_name(name), open: Mutex::default() }
    }

    fn socket(&self) -> PathBuf {
        self.dir.join("sock")
    }

    /// Open to these users and to nobody else; shut when there is none.
    pub fn set(&self, node: &Arc<Node>, users: &[u32]) -> Result<(), Error> {
        let mut open = guard(&self.open);
        if users.is_empty() {
            drop(open);
            self.shut();
            let _ = fs::remove_dir(&self.dir);
            return Ok(());
        }
        self.own()?;
        list(&self.dir, (7, PASS), users).map_err(|error| self.closed(error.into()))?;
        if open.is_none() {
            let listener =
                bind(&self.socket()).map_err(|error| self.closed(io::Error::other(error.to_string())))?;
            let listener = Arc::new(listener);
            let (gate, node, taken) = (node.door.clone(), node.clone(), listener.clone());
            if !spawn::thread("annex", move || gate.accept(&node, &taken, None)) {
                return Err(self.closed(io::Error::other("no thread could be started")));
            }
            *open = Some(listener);
        }
        list(&self.socket(), (6, CONNECT), users).map_err(|error| self.closed(error.into()))
    }

    /// The directory is there and ours alone.
    fn own(&self) -> Result<(), Error> {
        make_dir(&self.dir).map_err(|error| self.closed(io::Error::other(error.to_string())))?;
        let found = fs::symlink_metadata(&self.dir).map_err(|error| self.closed(error))?;
        if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() {
            let what = "it is a link, or somebody else's";
            return Err(self.closed(io::Error::other(what)));
        }
        fs::set_permissions(&self.dir, Permissions::from_mode(0o700)).map_err(|error| self.closed(error))
    }

    fn closed(&self, error: io::Error) -> Error {
        let dir = self.dir.display();
        let hint = match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::OPNOTSUPP) => {
                "its file system keeps no access lists: put the home on one that does".into()
            }
            _ => format!("it has to be a directory of the user who runs the daemon: install -d -m 700 {dir}"),
        };
        Error::new(Code::Unavailable, format!("no other user can be let in at {dir}: {error}")).hint(hint)
    }

    /// Nobody comes in here any more; who is in is not cut.
    pub fn shut(&self) {
        if let Some(listener) = guard(&self.open).take() {
            door::shut(&listener);
            let _ = fs::remove_file(self.socket());
        }
    }
}

/// Gives a file an access list: its owner's rights, these users', nobody else's.
fn list(file: &Path, (owner, user): (u16, u16), users: &[u32]) -> rustix::io::Result<()> {
    let mut users = users.to_vec();
    users.sort_unstable();
    users.dedup();
    let named = users.into_iter().map(|id| (USER, user, id));
    let ends = [(GROUP, 0, NOBODY), (MASK, user, NOBODY), (OTHER, 0, NOBODY)];
    let mut bytes = VERSION.to_le_bytes().to_vec();
    for (tag, rights, id) in [(OWNER, owner, NOBODY)].into_iter().chain(named).chain(ends) {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(rights.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    setxattr(file, LIST, &bytes, XattrFlags::empty())
}
