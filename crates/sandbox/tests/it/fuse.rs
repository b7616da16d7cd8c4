//! The smallest file system that can stand at `/` of a sandbox: the mount points and one file, read only. It
//! shows that the descriptor of the view that comes back is one that can be served.

use rustix::fd::OwnedFd;
use sandbox::jail::MOUNT_POINTS;
use std::{fs::File, io::Read, io::Write, thread};

const FILE: &str = "hello";
const TEXT: &str = "from the view\n";

/// Serves until the sandbox is gone; the number of requests it answered.
pub fn serve(fd: OwnedFd) -> thread::JoinHandle<usize> {
    thread::Builder::new().spawn(move || answer_all(File::from(fd))).unwrap()
}

fn answer_all(mut fuse: File) -> usize {
    let mut request = vec![0; 1 << 20];
    let mut answered = 0;
    // ENODEV: the mount is gone, and with it the sandbox.
    while let Ok(length) = fuse.read(&mut request) {
        let word = |at: usize| u32::from_le_bytes(request[at..at + 4].try_into().unwrap());
        let long = |at: usize| u64::from_le_bytes(request[at..at + 8].try_into().unwrap());
        let (operation, unique, node) = (word(4), long(8), long(16));
        let answer = match operation {
            2 | 36 | 42 => continue, // forget, interrupt, batch-forget
            26 => Ok(hello()),
            1 => lookup(request[40..length].strip_suffix(b"\0").unwrap()),
            3 => Ok([&1_u64.to_le_bytes()[..], &[0; 8], &attributes(node)].concat()),
            14 | 27 => Ok(vec![0; 16]), // open, opendir
            15 if long(48) == 0 => Ok(TEXT.into()),
            15 | 18 | 25 | 28 | 29 | 38 => Ok(Vec::new()), // read beyond, release, flush, readdir, …
            _ => Err(libc::ENOSYS),
        };
        let (error, body) = answer.map_or_else(|error| (-error, Vec::new()), |body| (0, body));
        let length = u32::try_from(16 + body.len()).unwrap();
        let head = [&length.to_le_bytes()[..], &error.to_le_bytes(), &unique.to_le_bytes()].concat();
        let _ = fuse.write(&[head, body].concat());
        answered += 1;
    }
    answered
}

fn hello() -> Vec<u8> {
    let words = [7_u32, 31, 0, 0, 0x000c_000c, 128 * 1024, 1, 0];
    let words: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    [words, vec![0; 32]].concat()
}

fn lookup(name: &[u8]) -> Result<Vec<u8>, i32> {
    let dir = MOUNT_POINTS.iter().position(|point| point.as_bytes() == name);
    let node = match dir {
        Some(ix) => 100 + ix as u64,
        None if name == FILE.as_bytes() => 2,
        None => return Err(libc::ENOENT),
    };
    let valid = 1_u64.to_le_bytes();
    Ok([&node.to_le_bytes()[..], &[0; 8], &valid, &valid, &[0; 8], &attributes(node)].concat())
}

fn attributes(node: u64) -> Vec<u8> {
    let (mode, size) = if node == 2 { (0o100_444_u32, TEXT.len() as u64) } else { (0o40_555, 0) };
    let longs = [node, size, 0, 0, 0, 0];
    let words = [0, 0, 0, mode, 1, 1000, 1000, 0, 4096, 0];
    let longs = longs.iter().flat_map(|long| long.to_le_bytes());
    longs.chain(words.iter().flat_map(|word| word.to_le_bytes())).collect()
}
