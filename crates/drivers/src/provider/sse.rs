//! A stream of server-sent events cut into whole events (WHATWG HTML, section 9.2).
//!
//! ```text
//! "event: ping\r\ndata: {}\r\n\r\nda" + "ta: [DONE]\n\n"  ─▶  Event { raw: "event: ping…", data: "{}" }
//!                                                         Event { raw: "data: …",      data: "[DONE]" }
//! ```
//! An event keeps the bytes it came in, so that it can be passed on as it was. Its size is bounded; a stream
//! that never ends an event is an error and not memory. Never here: what the data says.

/// Bytes of one event. The last event of the Responses format holds the whole answer once more: the longest
/// one sold is half a megabyte of text, and escaped it may be six times that.
pub(super) const EVENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// All its bytes, the empty line at its end too.
    pub(super) raw: Vec<u8>,
    /// Its data lines, joined; empty if it has none, as a comment.
    pub(super) data: Vec<u8>,
}

/// Cuts.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    held: Vec<u8>,
    /// Where the event begins that is not whole yet; what stands before it has gone out.
    begin: usize,
    /// Where the line begins that was not looked at yet.
    line: usize,
    /// How far was looked for its end.
    seen: usize,
    data: Vec<u8>,
    has_data: bool,
}

impl Cutter {
    /// Takes bytes; `Err` when an event grows too large.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(), ()> {
        // Once a read and not once an event: a read may hold thousands of them.
        self.held.drain(..self.begin.min(self.held.len()));
        self.line -= self.begin.min(self.line);
        self.seen -= self.begin.min(self.seen);
        self.begin = 0;
        if self.held.len() + bytes.len() > EVENT_BYTES_MAX + HELD_BEYOND {
            return Err(());
        }
        self.held.extend_from_slice(bytes);
        Ok(())
    }

    /// The next whole event.
    pub(super) fn next(&mut self) -> Option<Event> {
        loop {
            let rest = self.held.get(self.seen..).unwrap_or_default();
            let Some(at) = memchr::memchr2(b'\n', b'\r', rest) else {
                self.seen = self.held.len();
                return None;
            };
            let end = self.seen + at;
            let after = match (self.held.get(end), self.held.get(end + 1)) {
                (Some(b'\r'), Some(b'\n')) => end + 2,
                // The line feed that belongs to it may still come.
                (Some(b'\r'), None) => {
                    self.seen = end;
                    return None;
                }
                _ => end + 1,
            };
            let empty = end == self.line;
            self.take_line(end);
            (self.line, self.seen) = (after, after);
            if empty {
                return Some(self.cut(after));
            }
        }
    }

    /// What was not ended by an empty line when the stream ended: as the standard says no event, but some
    /// servers forget the last line.
    pub(super) fn rest(&mut self) -> Option<Event> {
        if self.begin >= self.held.len() {
            return None;
        }
        let end = self.held.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |at| at + 1);
        self.take_line(end);
        Some(self.cut(self.held.len()))
    }

    fn cut(&mut self, at: usize) -> Event {
        let raw = self.held.get(self.begin..at).unwrap_or_default().to_vec();
        (self.begin, self.line, self.seen, self.has_data) = (at, at, at, false);
        Event { raw, data: std::mem::take(&mut self.data) }
    }

    fn take_line(&mut self, end: usize) {
        let line = self.held.get(self.line..end).unwrap_or_default();
        let Some(rest) = line.strip_prefix(b"data") else { return };
        let value = match rest {
            [] => &[][..],
            [b':', b' ', value @ ..] | [b':', value @ ..] => value,
            _ => return,
        };
        if self.has_data {
            self.data.push(b'\n');
        }
        self.has_data = true;
        self.data.extend_from_slice(value);
    }
}

/// What one read may bring beyond an event of the largest size.
const HELD_BEYOND: usize = 1024 * 1024;

/// An event of ours.
pub(crate) fn event(name: &str, data: &serde_json::Value) -> Vec<u8> {
    match name {
        "" => format!("data: {data}\n\n").into_bytes(),
        _ => format!("event: {name}\ndata: {data}\n\n").into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(pieces: &[&[u8]]) -> Vec<Event> {
        let mut cutter = Cutter::default();
        let mut events = Vec::new();
        for piece in pieces {
            cutter.feed(piece).unwrap();
            events.extend(std::iter::from_fn(|| cutter.next()));
        }
        events.extend(cutter.rest());
        events
    }

    fn data(text: &str) -> Vec<String> {
        let events = cut(&[text.as_bytes()]);
        events.into_iter().map(|event| String::from_utf8(event.data).unwrap()).collect()
    }

    #[test]
    fn events_end_with_an_empty_line_of_any_kind() {
        for (text, want) in [
            ("data: a\n\ndata: b\n\n", &["a", "b"][..]),
            ("data: a\r\n\r\ndata: b\r\n\r\n", &["a", "b"]),
            ("data: a\r\rdata: b\r\r", &["a", "b"]),
            ("event: x\ndata: a\ndata: b\nid: 7\n\n", &["a\nb"]),
            ("data:a\n\ndata:  b\n\n", &["a", " b"]),
            (": ping\n\ndata\n\n", &["", ""]),
            ("datax: a\n\n", &[""]),
            ("data: a\n\ndata: [DONE]", &["a", "[DONE]"]),
            ("data: a\n\ndata: b\n", &["a", "b"]),
            ("\n\n", &["", ""]),
            ("", &[]),
        ] {
            assert_eq!(data(text), want, "{text:?}");
        }
    }

    #[test]
    fn an_event_without_end_is_refused_and_a_large_one_is_not() {
        let mut cutter = Cutter::default();
        let line = vec![b'x'; 64 * 1024];
        let fed = (0..1000).take_while(|_| cutter.feed(&line).is_ok() && cutter.next().is_none()).count();
        assert_eq!(fed, (EVENT_BYTES_MAX + HELD_BEYOND) / line.len());

        let large = [b"data: ", vec![b'y'; EVENT_BYTES_MAX - 100].as_slice(), b"\n\n"].concat();
        assert_eq!(cut(&[&large]).len(), 1);
    }

    proptest! {
        /// However the bytes are cut into reads, the same events come, and together they are the bytes.
        #[test]
        fn cuts_do_not_matter(bytes in "[\\n\\r:dat x]{0,60}", at in 0_usize..60) {
            let bytes = bytes.as_bytes();
            let at = at.min(bytes.len());
            let whole = cut(&[bytes]);
            prop_assert_eq!(&cut(&[&bytes[..at], &bytes[at..]]), &whole);
            prop_assert_eq!(whole.iter().flat_map(|event| event.raw.clone()).collect::<Vec<_>>(), bytes);
        }
    }
}
