//! What is in a sandbox, as the host sees it: its processes and its listening sockets, from `/proc`. A
//! sandbox has no say in it. Processes come and go while this reads; what is gone by the end is left out.

use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// Processes that are listed; the limit of a sandbox is far below.
const PROCESSES_MAX: usize = 16_384;
/// Sockets that are listed, and bytes of a table that are read: a row takes 150, and others come behind them.
const LISTENERS_MAX: usize = 1_024;
const TABLE_BYTES_MAX: usize = 256 * 1024;
/// What the kernel gives of a table at once, and more than a row takes.
const PAGE_BYTES: usize = 4096;
const ROW_BYTES_MAX: usize = 512;
/// State of a listening socket in `/proc/net/tcp`.
const LISTENING: &str = "0A";

/// A process in a sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number inside.
    pub pid: i32,
    /// Its parent's number inside; 1 is init.
    pub parent: i32,
    /// Its number outside.
    pub outside: i32,
    /// Its name, as the kernel keeps it.
    pub name: String,
}

/// A socket that listens inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listener {
    /// The address it listens at.
    pub address: SocketAddr,
    /// Its number, by which it is known among what processes have open.
    pub inode: u64,
}

/// All that descend from init, parents before children.
pub fn processes(init: i32) -> Vec<Process> {
    let mut all: Vec<Process> = Vec::new();
    let mut open = vec![(init, 1)];
    while let Some((outside, inside)) = open.pop() {
        for child in children(outside) {
            if let Some(process) = look(child, inside).filter(|_| all.len() < PROCESSES_MAX) {
                open.push((child, process.pid));
                all.push(process);
            }
        }
    }
    all
}

/// Whether init has nobody, dead or alive.
pub fn is_alone(init: i32) -> bool {
    children(init).is_empty()
}

/// Children of every thread of a process, by their numbers outside.
fn children(outside: i32) -> Vec<i32> {
    let tasks = fs::read_dir(format!("/proc/{outside}/task")).into_iter().flatten().filter_map(Result::ok);
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>())
        .collect()
}

fn look(outside: i32, parent: i32) -> Option<Process> {
    let status = fs::read_to_string(format!("/proc/{outside}/status")).ok()?;
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
    // Dead, but nobody has asked: it is no process any more.
    field("State").filter(|state| !state.starts_with(['Z', 'X']))?;
    let pid = field("NSpid")?.split_whitespace().last()?.parse().ok()?;
    Some(Process { pid, parent, outside, name: field("Name")?.to_owned() })
}

/// The sockets that listen in the network of this init. The kernel lists them before all others.
pub fn listeners(init: i32) -> Vec<Listener> {
    let tables = ["tcp", "tcp6"].map(|name| table(&format!("/proc/{init}/net/{name}")));
    tables.iter().flat_map(|text| text.lines().filter_map(row)).take(LISTENERS_MAX).collect()
}

/// A table of sockets. Each read of one walks all that the host has, which takes as long as starting a
/// program, so the end is not asked for where it is seen: the kernel gives as many rows as fit into a page.
fn table(path: &str) -> String {
    let (mut text, mut page) = (Vec::new(), vec![0; PAGE_BYTES]);
    let Ok(mut file) = fs::File::open(path) else { return String::new() };
    while text.len() < TABLE_BYTES_MAX {
        let read = file.read(&mut page).unwrap_or(0);
        text.extend_from_slice(page.get(..read).unwrap_or_default());
        if read + ROW_BYTES_MAX < PAGE_BYTES {
            break;
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// The number inside of the process that has each of these sockets, if one can be found.
pub fn owners(init: i32, listeners: &[Listener]) -> Vec<Option<i32>> {
    let owners = if listeners.is_empty() { BTreeMap::new() } else { sockets(init) };
    listeners.iter().map(|listener| owners.get(&listener.inode).copied()).collect()
}

/// `sl local_address rem_address st … inode`, of which address and inode.
fn row(line: &str) -> Option<Listener> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
    (*state == LISTENING).then_some(())?;
    let (address, port) = local.split_once(':')?;
    let words = address.as_bytes().chunks(8).map(|word| {
        // Each word is printed as the number it is on this machine.
        u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok().map(u32::to_ne_bytes)
    });
    let bytes: Vec<u8> = words.collect::<Option<Vec<[u8; 4]>>>()?.concat();
    let address = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(four) => IpAddr::V4(Ipv4Addr::from(four)),
        Err(_) => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes.as_slice()).ok()?)),
    };
    let address = SocketAddr::new(address, u16::from_str_radix(port, 16).ok()?);
    Some(Listener { address, inode: inode.parse().ok()? })
}

/// Which process inside has which socket, by the socket's inode.
fn sockets(init: i32) -> BTreeMap<u64, i32> {
    let mut owners = BTreeMap::new();
    for process in processes(init) {
        let fds = fs::read_dir(format!("/proc/{}/fd", process.outside))
            .into_iter()
            .flatten()
            .filter_map(Result::ok);
        for target in fds.filter_map(|fd| fs::read_link(fd.path()).ok()) {
            let inode = target
                .to_str()
                .and_then(|text| text.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
            if let Some(inode) = inode {
                owners.entry(inode).or_insert(process.pid);
            }
        }
    }
    owners
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::Read,
        process::{Command, Stdio},
    };

    #[allow(clippy::disallowed_methods)] // seam: a process that has another
    #[test]
    fn who_has_a_child_is_not_alone() {
        // The first says so when it has a child; it waits for it, and that for us.
        let text = "exec 3<&0; cat <&3 & echo; wait";
        let mut first = Command::new("sh")
            .args(["-c", text])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        first.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let pid = i32::try_from(first.id()).unwrap();
        let (alone, child) = (is_alone(pid), children(pid));
        drop(first.stdin.take());
        first.wait().unwrap();
        assert!(!alone);
        assert!(child.into_iter().all(is_alone) && is_alone(pid));
    }
}
