//! A message as a reader wants it: five headers, the body as plain text, what is attached.
//!
//! The bytes are hostile until shown otherwise. They are bounded before parsing (length, number of parts),
//! parsed on a thread of their own with a stack for the deepest nesting that fits the length (so that
//! neither recursion nor a panic of the parser reaches the caller), and what comes out is bounded and
//! stripped: no control characters, nothing that hides or reorders words, no header value over more than
//! one line.
//!
//! Never here: fetching anything a message points to, running anything it holds, an error (what cannot be
//! decoded is said in the text; the raw bytes stand beside it).

use mail_parser::{Address, HeaderName, Message, MessageParser, MessagePart, MimeHeaders, PartType};
use std::fmt::Write;

/// Bytes of a decoded message, its closing note included.
const TEXT_BYTES_MAX: usize = 60 * 1024;
/// Bytes of one header value.
const HEADER_BYTES_MAX: usize = 1024;
/// `Content-Type` headers in a message: nesting and number of parts are both bounded by them.
const PARTS_MAX: usize = 256;
/// Attachments listed by name.
const ATTACHMENTS_MAX: usize = 100;
/// Messages in messages that are shown.
const FORWARDS_MAX: usize = 3;
/// Stack of the parsing thread. A level of nesting needs at least 20 bytes of a message and far less than
/// 16 KiB of stack: 64 KiB of message / 20 × 16 KiB. It is reserved, not used.
const STACK_BYTES: usize = 64 * 1024 * 1024;

/// The decoded form of a message.
pub fn decode(raw: &[u8]) -> String {
    let not =
        |why: &str| format!("(This message was not decoded: {why}. Its raw bytes are in the .eml file.)\n");
    if raw.is_empty() {
        return not("it is empty");
    }
    if raw.len() > super::MESSAGE_BYTES_MAX {
        return not("it is larger than 64 KiB");
    }
    if count(raw, b"content-type") > PARTS_MAX {
        return not("it has more than 256 parts");
    }
    let text = std::thread::scope(|scope| {
        let parse = || MessageParser::default().parse(raw).map(|message| render(&message));
        let thread = std::thread::Builder::new().name("mime".to_owned()).stack_size(STACK_BYTES);
        thread.spawn_scoped(scope, parse).map(|parsing| parsing.join())
    });
    match text {
        Ok(Ok(Some(text))) if !text.trim().is_empty() => cut(text),
        Ok(Ok(_)) => not("it has neither headers nor text"),
        Ok(Err(_)) => not("the parser gave up on it"),
        Err(error) => not(&error.to_string()),
    }
}

/// How often `what` stands in the bytes, in either case.
fn count(bytes: &[u8], what: &[u8]) -> usize {
    bytes.windows(what.len()).filter(|window| window.eq_ignore_ascii_case(what)).count()
}

fn cut(mut text: String) -> String {
    let note = "\n(Cut here: the message is longer. Its raw bytes are in the .eml file.)\n";
    if text.len() > TEXT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX - note.len()));
        text.push_str(note);
    }
    text
}

fn render(message: &Message<'_>) -> String {
    let mut out = String::new();
    let mut shown = message;
    head(&mut out, shown);
    body(&mut out, shown);
    // A forwarded message is what such a mail is about; the first of each level is shown.
    for _ in 0..FORWARDS_MAX {
        let Some(inner) = shown.attachments().find_map(MessagePart::message) else {
            break;
        };
        out.push_str("\nAttached message:\n");
        head(&mut out, inner);
        body(&mut out, inner);
        shown = inner;
    }
    attached(&mut out, message);
    out
}

fn head(out: &mut String, message: &Message<'_>) {
    let date = message.date().filter(|date| date.is_valid()).map(|date| date.to_rfc3339());
    let date = date.or_else(|| message.header_raw(HeaderName::Date).map(str::to_owned));
    let rows = [
        ("From", message.from().map(people)),
        ("To", message.to().map(people)),
        ("Cc", message.cc().map(people)),
        ("Date", date),
        ("Subject", message.subject().map(str::to_owned)),
    ];
    for (name, value) in rows {
        if let Some(value) = value {
            let _ = writeln!(out, "{name}: {}", line(&value));
        }
    }
    out.push('\n');
}

/// `Name <address>, …`
fn people(address: &Address<'_>) -> String {
    let mut out = String::new();
    for person in address.iter() {
        let (name, at) = (person.name().unwrap_or(""), person.address().unwrap_or(""));
        let comma = if out.is_empty() { "" } else { ", " };
        let _ = match (name, at) {
            ("", only) | (only, "") => write!(out, "{comma}{only}"),
            _ => write!(out, "{comma}{name} <{at}>"),
        };
        if out.len() > HEADER_BYTES_MAX {
            break;
        }
    }
    out
}

fn body(out: &mut String, message: &Message<'_>) {
    // A multipart without its boundary, or a body that does not decode, counts as attached: show the first.
    let loose = |part: &&MessagePart<'_>| part.is_text() || is_multipart(part);
    let stray = message.attachments().find(loose).filter(|_| message.text_body_count() == 0);
    for part in message.text_bodies().chain(stray) {
        let text = match &part.body {
            PartType::Text(text) => tidy(text),
            PartType::Html(html) => tidy(&reduce(html)),
            PartType::Binary(bytes) if is_multipart(part) => tidy(&String::from_utf8_lossy(bytes)),
            _ => continue,
        };
        if !text.is_empty() {
            out.push_str(&text);
            out.push('\n');
        }
        if out.len() > TEXT_BYTES_MAX {
            return;
        }
    }
}

fn is_multipart(part: &MessagePart<'_>) -> bool {
    part.content_type().is_some_and(|kind| kind.ctype().eq_ignore_ascii_case("multipart"))
}

fn attached(out: &mut String, message: &Message<'_>) {
    let total = message.attachment_count();
    if total == 0 {
        return;
    }
    out.push_str("\nAttachments:\n");
    for part in message.attachments().take(ATTACHMENTS_MAX) {
        let kind = part.content_type().map_or_else(
            || "text/plain".to_owned(),
            |kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or("unknown")),
        );
        let name = part.attachment_name().unwrap_or("(no name)");
        let _ = writeln!(out, "- {}, {}, {} bytes", line(name), line(&kind), part.len());
    }
    if total > ATTACHMENTS_MAX {
        let _ = writeln!(out, "- and {} more", total - ATTACHMENTS_MAX);
    }
}

/// Characters that hide words from a person or change their order, and so are in no text shown to anybody:
/// zero-width and directional marks, and the tag characters (Unicode Technical Report 36, 2.5 and 3.1).
pub fn hides(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
        || matches!(c, '\u{feff}' | '\u{00ad}' | '\u{e0000}'..='\u{e007f}')
}

/// One line without controls, at most a header's length.
fn line(text: &str) -> String {
    let mut out = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        let space = if out.is_empty() { "" } else { " " };
        out.push_str(space);
        out.extend(word.chars().filter(|c| !hides(*c)));
        if out.len() > HEADER_BYTES_MAX {
            out.truncate(out.floor_char_boundary(HEADER_BYTES_MAX));
            out.push('…');
            break;
        }
    }
    out
}

/// Line breaks as `\n`, no controls, no trailing blanks, at most one empty line in a row.
fn tidy(text: &str) -> String {
    let kept = |c: &char| (!c.is_control() || *c == '\t') && !hides(*c);
    let mut out = String::new();
    let mut empty = 0;
    for row in text.lines() {
        let row: String = row.chars().filter(kept).collect();
        let row = row.trim_end();
        empty = if row.is_empty() { empty + 1 } else { 0 };
        if empty < 2 && !(row.is_empty() && out.is_empty()) {
            out.push_str(row);
            out.push('\n');
        }
        if out.len() > TEXT_BYTES_MAX {
            break;
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// HTML as text. The library's reduction ends a line at `br` and `/p` only; the ends of blocks are made
/// `br` first, so that a paragraph is followed by an empty line. Blanks at the start of a line mean nothing
/// in HTML.
fn reduce(html: &str) -> String {
    const BLOCKS: [&str; 14] =
        ["p", "div", "li", "tr", "h1", "h2", "h3", "h4", "table", "ul", "ol", "blockquote", "pre", "title"];
    let mut marked = String::with_capacity(html.len());
    let mut pieces = html.split("</");
    marked.push_str(pieces.next().unwrap_or(""));
    for piece in pieces {
        marked.push_str("</");
        let named = piece.split_once('>').map(|(name, _)| name.trim().to_ascii_lowercase());
        match (named, piece.split_once('>')) {
            (Some(name), Some((tag, rest))) if BLOCKS.contains(&name.as_str()) => {
                let _ = write!(marked, "{tag}><br>{rest}");
            }
            (Some(name), Some((tag, rest))) if name == "td" || name == "th" => {
                let _ = write!(marked, "{tag}> {rest}");
            }
            _ => marked.push_str(piece),
        }
    }
    let text = mail_parser::decoders::html::html_to_text(&marked);
    text.lines().map(str::trim_start).collect::<Vec<_>>().join("\n")
}
