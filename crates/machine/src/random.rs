//! Randomness: the one seam. Only workspace ids and the node's secrets are random; ids come from counters.

use rustix::rand::{GetRandomFlags, getrandom};
use std::io;

/// 16 bytes from the operating system.
pub fn id() -> io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    fill(&mut bytes)?;
    Ok(bytes)
}

/// 32 bytes from the operating system.
pub fn secret() -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    fill(&mut bytes)?;
    Ok(bytes)
}

#[allow(clippy::disallowed_methods)] // seam: chance
fn fill(bytes: &mut [u8]) -> io::Result<()> {
    let wanted = bytes.len();
    // Up to 256 bytes the system never answers short once it is seeded (getrandom(2)).
    let got = getrandom(bytes, GetRandomFlags::empty())?;
    if got == wanted { Ok(()) } else { Err(io::Error::other("the system gave too few random bytes")) }
}
