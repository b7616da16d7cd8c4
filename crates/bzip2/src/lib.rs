//! Stands where bashkit links `bzip2`: the real one has a licence that is not on the list
//! (docs/decisions/0037), and the virtual shell has no bzip2. Whoever asks is refused.
#![forbid(unsafe_code)]

use std::io::{Error, ErrorKind, Result};

fn refused() -> Error {
    Error::new(ErrorKind::Unsupported, "bzip2 is not built in")
}

/// How hard to compress.
#[derive(Clone, Copy, Debug)]
pub struct Compression;

impl Compression {
    /// As hard as can be.
    pub fn best() -> Self {
        Self
    }
}

/// What reads.
pub mod read {
    use super::{Result, refused};
    use std::io::Read;

    /// Would decompress.
    #[derive(Debug)]
    pub struct BzDecoder<R>(R);

    impl<R> BzDecoder<R> {
        /// From compressed bytes.
        pub fn new(from: R) -> Self {
            Self(from)
        }
    }

    impl<R> Read for BzDecoder<R> {
        fn read(&mut self, _: &mut [u8]) -> Result<usize> {
            Err(refused())
        }
    }
}

/// What writes.
pub mod write {
    use super::{Compression, Result, refused};
    use std::io::Write;

    /// Would compress.
    #[derive(Debug)]
    pub struct BzEncoder<W>(W);

    impl<W> BzEncoder<W> {
        /// To where compressed bytes would go.
        pub fn new(to: W, _: Compression) -> Self {
            Self(to)
        }

        /// What was written to.
        pub fn finish(self) -> Result<W> {
            Err(refused())
        }
    }

    impl<W> Write for BzEncoder<W> {
        fn write(&mut self, _: &[u8]) -> Result<usize> {
            Err(refused())
        }

        fn flush(&mut self) -> Result<()> {
            Err(refused())
        }
    }
}
