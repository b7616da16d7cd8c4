//! The readers of answers for bytes of nobody's making: `sim::hostile` hands them to these.
//!
//! Never here: a connection; anything that ships uses this.

use super::{
    sse::Cutter,
    wires::{self, Asked, Broke, Class},
};
use crate::{Said, Wire};
use serde_json::Value;

/// The bytes as a stream of the format, cut in two at every of a few places, and as a whole answer. `Err`
/// names a relation that must hold of any bytes and does not.
pub fn answer(wire: Wire, bytes: &[u8]) -> Result<(), String> {
    let whole = stream(wire, &[bytes]);
    for at in [1, 7, bytes.len() / 2, bytes.len().saturating_sub(1)] {
        let (first, second) = bytes.split_at(at.min(bytes.len()));
        let parts = stream(wire, &[first, second]);
        if parts != whole {
            return Err(format!("cut at {at}, the stream says {parts:?} and not {whole:?}"));
        }
    }
    if let Ok(value) = serde_json::from_slice(bytes) {
        let _ = self::whole(wire, &value);
    }
    Ok(())
}

/// What a whole answer says, if it is one.
pub(crate) fn whole(wire: Wire, value: &Value) -> Option<Said> {
    let mut reader = wires::reader(wire, Asked::default());
    let read = reader.whole(value);
    let said = std::mem::take(reader.told()).into_said(None);
    read.is_ok().then_some(said)
}

/// What a stream says, and that the closing events which we would write are read by the same reader.
pub(crate) fn stream(wire: Wire, pieces: &[&[u8]]) -> Option<Said> {
    let mut reader = wires::reader(wire, Asked::default());
    let (mut cutter, mut over) = (Cutter::default(), false);
    for piece in pieces {
        cutter.feed(piece).ok()?;
        while let Some(event) = cutter.next().filter(|_| !over) {
            let Ok(value) = serde_json::from_slice(&event.data) else { continue };
            over = matches!(reader.event(&value), Ok(Class::Last) | Err(Broke));
        }
    }
    let mut closing = Cutter::default();
    closing.feed(&reader.close()).ok()?;
    let said = std::mem::take(reader.told()).into_said(None);
    let mut again = wires::reader(wire, Asked::default());
    while let Some(event) = closing.next() {
        let Ok(value) = serde_json::from_slice(&event.data) else { continue };
        // What we write ourselves is no error to anybody.
        again.event(&value).ok()?;
    }
    Some(said)
}
