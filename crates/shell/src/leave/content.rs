//! Bytes, by their hash when they are small, by path and version in parts when they are large. What was
//! destroyed is said to be; what comes is checked to be what was asked for.

use crate::{fail::Fail, session::Session};
use abi::{Code, Content, Hash, VersionId, limits, path::TreePath};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

/// Bytes asked for before the first is read: less than the daemon holds back for a client.
const BATCH_BYTES_MAX: u64 = 1024 * 1024;

/// Content, and a version that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub content: Content,
    pub version: VersionId,
    pub path: TreePath,
}

/// Whether it is read whole, by its hash.
pub fn is_small(content: &Content) -> bool {
    content.bytes <= limits::BLOB_INLINE_BYTES_MAX
}

/// Takes a content; its bytes are none when they are not kept any more.
pub type Take<'a> = &'a mut dyn FnMut(&Content, Option<Vec<u8>>) -> Result<(), Fail>;

/// Hands over small contents, in order; none for those that are not kept any more.
pub fn small(session: &mut Session, contents: &[Content], take: Take<'_>) -> Result<(), Fail> {
    let mut rest = contents;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |content: &&Content| {
            bytes += content.bytes;
            bytes <= BATCH_BYTES_MAX
        };
        let (batch, more) = rest.split_at(rest.iter().take_while(fits).count().max(1).min(rest.len()));
        rest = more;
        let params = batch.iter().map(|content| json!({"path": format!("/sys/blobs/{}", content.hash)}));
        let replies = session.calls("read", params.collect())?;
        for (content, reply) in batch.iter().zip(replies) {
            let bytes = match reply {
                Ok(answer) => Some(whole(content, &answer)?),
                Err(fail) if fail.is(Code::NotFound) => None,
                Err(fail) => return Err(fail),
            };
            take(content, bytes)?;
        }
    }
    Ok(())
}

fn whole(content: &Content, answer: &Value) -> Result<Vec<u8>, Fail> {
    let bytes = bytes_of(answer)?;
    if Hash::of(&bytes) != content.hash {
        return Err(
            Fail::new(format!("the daemon gave other bytes than {}", content.hash)).hint("skep doctor")
        );
    }
    Ok(bytes)
}

fn bytes_of(answer: &Value) -> Result<Vec<u8>, Fail> {
    let part = |key: &str| answer.get(key).and_then(Value::as_str);
    match (part("text"), part("base64")) {
        (Some(text), _) => Ok(text.as_bytes().to_vec()),
        (None, Some(base64)) => {
            STANDARD.decode(base64).map_err(|_| Fail::new("the daemon sent base64 that is none"))
        }
        (None, None) => Err(Fail::new("the daemon answered a read without bytes")),
    }
}

/// Takes the next bytes of a content.
pub type More<'a> = &'a mut dyn FnMut(&mut Session, &[u8]) -> Result<(), Fail>;

/// Hands over large content in parts; false when it is not kept any more (nothing was handed over then).
pub fn large(session: &mut Session, piece: &Piece, take: More<'_>) -> Result<bool, Fail> {
    let mut offset = 0;
    while offset < piece.content.bytes {
        let length = (piece.content.bytes - offset).min(BATCH_BYTES_MAX);
        let version = piece.version.0;
        let params = json!({"path": piece.path, "version": version, "offset": offset, "length": length});
        let answer = match session.call("read", params) {
            Err(fail) if offset == 0 && fail.is(Code::NotFound) => return Ok(false),
            answer => answer?,
        };
        let bytes = bytes_of(&answer)?;
        if bytes.is_empty() {
            return Err(
                Fail::new(format!("version {version} of {} ends early", piece.path)).hint("skep doctor")
            );
        }
        take(session, &bytes)?;
        offset += bytes.len() as u64;
    }
    Ok(true)
}
