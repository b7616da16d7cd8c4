//! The helper of the wall by itself, for tests of this crate: the daemon's binary begins the same way.
#![forbid(unsafe_code)]

fn main() {
    sandbox::jail::entry();
}
