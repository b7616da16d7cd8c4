//! Every maximum of the verifier, with its reason. Its own, since it may not know the writer's.

/// Findings told one by one; damage that makes more is counted.
pub const FINDINGS_MAX: usize = 100;
/// Bytes of one record: many times what an operation of ten thousand entries takes.
pub const RECORD_BYTES_MAX: i64 = 256 * 1024 * 1024;
/// Bytes of one value in any other row; inline blobs end at 64 KiB, snapshots of a large kernel are longer.
pub const VALUE_BYTES_MAX: i64 = 1024 * 1024 * 1024;
/// Nesting of a record's values: what is written nests less than ten deep.
pub const DEPTH_MAX: usize = 32;
/// Bytes of a chunk file.
pub const CHUNK_BYTES_MAX: u64 = 1024 * 1024;
/// Bytes of a file of checkpoints: more than a hundred thousand lines.
pub const CHECKPOINTS_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes of one line of it.
pub const LINE_BYTES_MAX: usize = 4096;
/// Segments of one log.
pub const SEGMENTS_MAX: usize = 100_000;
/// Milliseconds to wait for a lock that another process holds for a moment.
pub const BUSY_MS: u64 = 5_000;
