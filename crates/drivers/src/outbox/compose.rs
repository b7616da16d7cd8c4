//! The text of a mail: addresses, encoded words (RFC 2047), quoted-printable (RFC 2045). Everything in,
//! ASCII out, no line over 78 characters but for a single address.
//!
//! Never here: a value that is repaired. What cannot stand in a header as it is meant is refused.

use std::fmt::Write;

/// Characters of an encoded line before its soft break; RFC 2045 allows 76 with the `=`.
const LINE_MAX: usize = 75;
/// Bytes of text in one encoded word: as `=XX` with its frame they stay below RFC 2047's 75.
const WORD_TEXT_MAX: usize = 18;
/// Characters of an address, RFC 5321 4.5.3.1.3.
const ADDRESS_MAX: usize = 254;

/// One receiver: `a@b.example` or `Name <a@b.example>`.
#[derive(Debug, PartialEq, Eq)]
pub struct Address<'a> {
    name: &'a str,
    spec: &'a str,
}

impl<'a> Address<'a> {
    /// Takes a receiver apart; why not.
    pub fn parse(text: &'a str) -> Result<Self, &'static str> {
        if text.contains(char::is_control) {
            return Err("has a line break or another control character");
        }
        let text = text.trim();
        let (name, spec) = match text.strip_suffix('>').and_then(|text| text.split_once('<')) {
            Some((name, spec)) => (name.trim(), spec),
            None => ("", text),
        };
        let Some((local, host)) = spec.split_once('@') else {
            return Err("is not an address");
        };
        let plain = |part: &str, more: &str| {
            let known = |c: char| c.is_ascii_alphanumeric() || more.contains(c);
            !part.is_empty() && part.chars().all(known) && !part.starts_with('.') && !part.ends_with('.')
        };
        if !plain(local, ".!#$%&'*+-/=?^_`{|}~") || !plain(host, ".-") || spec.len() > ADDRESS_MAX {
            return Err("is not one plain address");
        }
        // A name may hold no second address: a person who approves reads the name too.
        if name.contains(['<', '>', '@', ',', ';', ':']) || name.len() > ADDRESS_MAX {
            return Err("has a name that could be read as an address");
        }
        Ok(Self { name, spec })
    }

    /// As it stands in a header.
    pub fn encode(&self) -> String {
        match self.name {
            "" => self.spec.to_owned(),
            name if name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b' ') => {
                format!("{name} <{}>", self.spec)
            }
            name => format!("{} <{}>", encoded(name), self.spec),
        }
    }
}

/// One header line. The value is encoded already.
pub fn header(out: &mut String, name: &str, value: &str) {
    let _ = write!(out, "{name}: {value}\r\n");
}

/// Free text for a header: as it is when it is short plain ASCII, else encoded words.
pub fn words(text: &str) -> String {
    let plain = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if plain && text.len() <= 66 && !text.contains("=?") && text.trim() == text {
        return text.to_owned();
    }
    encoded(text)
}

fn encoded(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let cut = rest.floor_char_boundary(WORD_TEXT_MAX);
        let (now, later) = rest.split_at(cut);
        let mut line = String::from("=?UTF-8?Q?");
        for byte in now.bytes() {
            match byte {
                b' ' => line.push('_'),
                byte if byte.is_ascii_alphanumeric() => line.push(char::from(byte)),
                byte => drop(write!(line, "={byte:02X}")),
            }
        }
        line.push_str("?=");
        lines.push(line);
        rest = later;
    }
    lines.join("\r\n ")
}

/// The body, quoted-printable, every line break as CRLF.
pub fn body(out: &mut String, text: &str) {
    for line in text.replace("\r\n", "\n").replace('\r', "\n").lines() {
        let mut width = 0;
        let mut bytes = line.bytes().peekable();
        while let Some(byte) = bytes.next() {
            let last = bytes.peek().is_none();
            let space = matches!(byte, b' ' | b'\t');
            let as_is = (matches!(byte, b'!'..=b'~') && byte != b'=') || (space && !last);
            let size = if as_is { 1 } else { 3 };
            if width + size > LINE_MAX {
                out.push_str("=\r\n");
                width = 0;
            }
            if as_is {
                out.push(char::from(byte));
            } else {
                let _ = write!(out, "={byte:02X}");
            }
            width += size;
        }
        out.push_str("\r\n");
    }
}
