//! Bytes on their way to the daemon: in one message if they are few, else in parts, so that a file of any
//! length takes one part of memory. Never here: which bytes, and what is said about them.

use crate::{fail::Fail, session::Session};
use abi::limits;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::io::{self, Read};

/// As much as one message carries.
pub fn part(from: &mut dyn Read) -> io::Result<Vec<u8>> {
    some(from, limits::VALUE_BYTES_MAX as u64)
}

/// At most so many bytes; fewer only at the end.
pub fn some(from: &mut dyn Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Adds bytes to a call, as text where that is no longer than base64; says how long they became.
pub fn put(params: &mut Value, bytes: Vec<u8>) -> usize {
    let Some(map) = params.as_object_mut() else { return 0 };
    let escapes = bytes.iter().filter(|byte| **byte < b' ' || matches!(**byte, b'"' | b'\\')).count();
    let plain = bytes.len() + escapes * 5 <= bytes.len() / 3 * 4 + 4;
    let bytes = match (plain, String::from_utf8(bytes)) {
        (true, Ok(text)) => {
            let length = text.len();
            map.insert("text".into(), json!(text));
            return length;
        }
        (false, Ok(text)) => text.into_bytes(),
        (_, Err(raw)) => raw.into_bytes(),
    };
    let text = STANDARD.encode(bytes);
    let length = text.len();
    map.insert("base64".into(), json!(text));
    length
}

/// Sends what was read already and the rest, then the write itself; answers how many bytes it was, and what
/// came of it. `told` hears after each part how many have gone.
pub fn send(
    session: &mut Session,
    (first, rest): (Vec<u8>, &mut dyn Read),
    mut last: Value,
    told: &mut dyn FnMut(&mut Session, u64),
) -> Result<(u64, Value), Fail> {
    let path = last.get("path").cloned().unwrap_or_default();
    let begun = session.call("write", json!({"path": path, "mode": "begin"}))?;
    let upload = begun.get("upload").cloned().unwrap_or_default();
    let (mut bytes, mut count) = (first, 0);
    while !bytes.is_empty() {
        count += bytes.len() as u64;
        let mut params = json!({"path": path, "mode": "part", "upload": upload});
        put(&mut params, bytes);
        session.call("write", params)?;
        told(session, count);
        bytes = part(rest)?;
    }
    if let Some(map) = last.as_object_mut() {
        map.insert("mode".into(), json!("whole"));
        map.insert("upload".into(), upload);
    }
    Ok((count, session.call("write", last)?))
}
