//! The ClientHello: whom a TLS connection is for, in the clear (RFC 8446, section 4.1.2; RFC 6066, 3).
//!
//! ```text
//! record     22 · version 2 · length 2 · part of a handshake message, which may go on in the next record
//! handshake  1 · length 3 · version 2 · random 32 · session u8… · ciphers u16… · compressions u8… · …
//! extension  type 2 · length 2 · body          server_name: list u16 · 0 · name u16…
//! ```
//! Anything that is not exactly this is refused, and so is what can be read in two ways: a second name, an
//! extension twice, an encrypted hello (its true name would be hidden). Never here: a byte beyond the limit.

/// What the first bytes of a connection are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hello {
    /// Not all of it is there.
    More,
    /// A hello for this name, as it was written; none: it names nobody.
    For(Option<String>),
    /// None that is let through, and why.
    Bad(&'static str),
}

/// Bytes of a hello: with keys that no quantum computer breaks, and room.
pub(super) const HELLO_BYTES_MAX: usize = 16 * 1024;
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
/// RFC 9849.
const ENCRYPTED_HELLO: u16 = 0xfe0d;
const EXTENSIONS_MAX: usize = 64;

/// Reads fields; none when there are no more bytes.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self, bytes: usize) -> Option<usize> {
        Some(self.take(bytes)?.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
    }

    /// Bytes behind a length of so many bytes.
    fn block(&mut self, bytes: usize) -> Option<Fields<'a>> {
        let length = self.number(bytes)?;
        self.take(length).map(Fields)
    }
}

/// What these first bytes say.
pub fn hello(bytes: &[u8]) -> Hello {
    let mut handshake = Vec::new();
    let mut records = Fields(bytes);
    loop {
        match whole(&handshake) {
            Some(Ok(body)) => return parse(body).unwrap_or(Hello::Bad("the hello cannot be read")),
            Some(Err(why)) => return Hello::Bad(why),
            None => {}
        }
        if handshake.len() > HELLO_BYTES_MAX {
            return Hello::Bad("the hello is too long");
        }
        match records.0 {
            [] => return Hello::More,
            [HANDSHAKE] | [HANDSHAKE, 3] => return Hello::More,
            [HANDSHAKE, 3, ..] => {}
            _ => return Hello::Bad("this is no TLS"),
        }
        let more =
            if bytes.len() > HELLO_BYTES_MAX { Hello::Bad("the hello is too long") } else { Hello::More };
        let mut record = Fields(records.0);
        let part = record.take(3).and_then(|_| record.number(2));
        let Some(length) = part else { return more };
        if length == 0 || length > HELLO_BYTES_MAX {
            return Hello::Bad("a record of this length is no hello");
        }
        let Some(part) = record.take(length) else { return more };
        handshake.extend_from_slice(part);
        records = record;
    }
}

/// The body of the message, when all of it is there.
fn whole(handshake: &[u8]) -> Option<Result<&[u8], &'static str>> {
    match handshake {
        [] => return None,
        [CLIENT_HELLO, ..] => {}
        _ => return Some(Err("the handshake does not begin with a hello")),
    }
    let mut fields = Fields(handshake);
    fields.take(1)?;
    let length = fields.number(3)?;
    if length > HELLO_BYTES_MAX {
        return Some(Err("the hello is too long"));
    }
    let body = fields.take(length)?;
    // A second message in the same records is none of a client's.
    Some(if fields.0.is_empty() { Ok(body) } else { Err("more follows the hello") })
}

fn parse(body: &[u8]) -> Option<Hello> {
    let mut fields = Fields(body);
    fields.take(2 + 32)?;
    fields.block(1)?;
    fields.block(2)?;
    fields.block(1)?;
    if fields.0.is_empty() {
        return Some(Hello::For(None));
    }
    let mut extensions = fields.block(2)?;
    if !fields.0.is_empty() {
        return None;
    }
    let (mut name, mut kinds) = (None, Vec::new());
    while !extensions.0.is_empty() {
        let kind = u16::try_from(extensions.number(2)?).ok()?;
        let body = extensions.block(2)?;
        if kinds.contains(&kind) || kinds.len() >= EXTENSIONS_MAX {
            return Some(Hello::Bad("an extension stands there twice, or there are too many"));
        }
        kinds.push(kind);
        match kind {
            ENCRYPTED_HELLO => return Some(Hello::Bad("the hello is encrypted: nobody sees whom it is for")),
            SERVER_NAME => name = Some(server_name(body)?),
            _ => {}
        }
    }
    Some(Hello::For(name))
}

/// The one name of a list of one.
fn server_name(mut body: Fields<'_>) -> Option<String> {
    let mut list = body.block(2)?;
    let kind = list.number(1)?;
    let name = list.block(2)?;
    let one = body.0.is_empty() && list.0.is_empty() && kind == 0;
    let text = std::str::from_utf8(name.0).ok().filter(|text| text.is_ascii() && !text.is_empty())?;
    one.then(|| text.to_owned())
}

#[cfg(test)]
mod tests;
