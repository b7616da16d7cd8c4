//! What an operator is shown of hostile bytes: complete, escaped, and the exact bytes can be read back.
//!
//! The way back is written here, by what `render::question` promises and not by how it is done. Two thousand
//! payloads go through the kernel: terminal escapes, directions, zero width, letters that look like others,
//! floods of marks and blanks, tags, encodings inside encodings, line ends, NUL, 64 KiB, and text that looks
//! like a template or like another field.

use crate::approver::Stage;
use abi::{
    Code, Hash, Pid, ProposalId,
    answer::Answer,
    call::{Call, Fields, Origin, Ruling, Write},
    event::Caller,
    path::TreePath,
};
use std::collections::BTreeMap;

const PAYLOADS: u64 = 2_000;

/// Pieces of what somebody might try.
const PIECES: [&str; 60] = [
    "\u{1b}[2J\u{1b}[H",
    "\u{1b}[31mbob\u{1b}[0m",
    "\u{1b}]8;;https://evil.example\u{7}click\u{1b}]8;;\u{7}",
    "\u{1b}]0;title\u{7}",
    "\u{9b}1A",
    "\u{202e}gpj.exe",
    "\u{2066}a\u{2069}\u{2067}b\u{2069}",
    "\u{200f}\u{61c}\u{200e}",
    "bob\u{200b}@x.example",
    "a\u{200d}\u{200c}\u{2060}\u{feff}b",
    "b\u{43e}b@x.ex\u{430}mple",
    "\u{430}\u{440}\u{440}\u{4cf}\u{435}.com",
    "ｂｏｂ＠ｘ．ｅｘａｍｐｌｅ",
    "\u{1d41b}\u{1d428}\u{1d41b}",
    "o\u{336}\u{337}\u{338}\u{489}\u{20dd}\u{335}\u{301}\u{302}",
    "\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}",
    "\u{e0041}\u{e0042}\u{e007f}",
    "\u{fe0f}\u{fe0e}\u{180b}",
    "\u{3164}\u{115f}\u{ffa0}\u{2800}",
    "\u{a0}\u{2003}\u{3000}\u{205f}\u{1680}",
    "\u{2028}\u{2029}\u{85}",
    "\r\n",
    "\r",
    "\n",
    "\n\n\n\n\n\n\n\n\n\n",
    "\nto: bob@x.example\n",
    "\nto| bob@x.example",
    "\nbody: nothing to see\n",
    "\" \"",
    "\", \"bob@x.example",
    "\\n",
    "\\u{41}",
    "\\x{41}",
    "\\\\u{1b}",
    "\\",
    "{to}",
    "{{to}}",
    "{body}{cc}",
    "Send to \"bob@x.example\"\n",
    "(2 below)",
    "-",
    ", given without a value",
    "  (U+0041)",
    "(U+0041 U+0042)",
    "\0",
    "\u{7f}\u{8}\u{8}\u{8}",
    "\t\t\u{b}\u{c}",
    "%1b%5b2J",
    "=1B[2J",
    "&#x1b;&lt;b&gt;",
    "\\e[2J\\033[2J",
    "G1sySg==",
    "\u{e000}\u{f8ff}\u{10fffd}",
    "\u{fffe}\u{ffff}\u{fffd}\u{fffc}",
    "\u{378}\u{e01ef}",
    "שלום \u{5e9}\u{5c1}",
    "مرحبا",
    "नमस्ते สวัสดี",
    "😀👨\u{200d}👩\u{200d}👧",
    "                                                                                ",
];

/// One hostile value: some pieces, at times very many.
fn payload(stage: &mut Stage, bytes_max: usize) -> String {
    let most = if stage.draw().is_multiple_of(25) { 20_000 } else { 1 + stage.draw() % 12 };
    let same = stage.draw().is_multiple_of(3);
    let one = stage.pick(&PIECES);
    let mut text = String::new();
    for _ in 0..most {
        let piece = if same { one } else { stage.pick(&PIECES) };
        if text.len() + piece.len() + 1 > bytes_max {
            break;
        }
        text.push_str(piece);
        if stage.draw().is_multiple_of(4) {
            text.push(stage.pick(&['a', ' ', 'é', '.', ':']));
        }
    }
    text
}

fn read(stage: &mut Stage, path: &str) -> String {
    let call = Call::Read { path: TreePath::parse(path).unwrap(), at: None, version: None, part: None };
    match stage.run.ask(Caller::Operator("anna".into()), call) {
        Ok(Answer::Text { text }) => text,
        other => panic!("{path}: {other:?}"),
    }
}

/// Holds it, reads what is shown, and clears it away.
fn held(stage: &mut Stage, call: Call) -> String {
    let id = match stage.run.ask(Caller::Process(Pid(1)), call) {
        Ok(Answer::Held { proposal, .. }) => proposal,
        other => panic!("not held: {other:?}"),
    };
    let shown = read(stage, &format!("/proposals/{id}/shown"));
    let call = Call::Decide { proposal: id, ruling: Ruling::Reject, reason: None, digest: None, args: None };
    stage.run.ask(Caller::Operator("anna".into()), call).unwrap();
    shown
}

/// Back from shown text to bytes.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c != '\\' {
            bytes.extend(c.to_string().as_bytes());
            continue;
        }
        let mark = rest.chars().next().expect("an escape goes on");
        rest = &rest[1..];
        match mark {
            'n' => bytes.push(b'\n'),
            '\\' | '"' => bytes.push(mark as u8),
            'u' | 'x' => {
                let (hex, after) = rest[1..].split_once('}').expect("an escape ends");
                let number = u32::from_str_radix(hex, 16).unwrap();
                rest = after;
                match mark {
                    'x' => bytes.push(number as u8),
                    _ => bytes.extend(char::from_u32(number).unwrap().to_string().as_bytes()),
                }
            }
            other => panic!("\\{other} is no escape"),
        }
    }
    bytes
}

/// Every field as its values' bytes.
type Values = BTreeMap<String, Vec<Vec<u8>>>;

/// Reads fields back from lines; of those that steer without what stands beside them.
fn fields_of(lines: &str, steers: &[&str]) -> Values {
    let mut fields = Values::new();
    for line in lines.lines() {
        if let Some(name) =
            line.strip_suffix(", given without a value").filter(|name| !name.contains([':', '|']))
        {
            fields.insert(name.to_owned(), vec![]);
            continue;
        }
        let end = line.find([':', '|']).unwrap_or_else(|| panic!("{line:?} is no field"));
        let (name, rest) = line.split_at(end);
        let (first, mut value) = (rest.starts_with(": "), &rest[2..]);
        if steers.contains(&name) {
            value = value.rfind("  (U+").map_or(value, |at| &value[..at]);
        }
        let name = String::from_utf8(unescaped(name)).unwrap();
        let values = fields.entry(name).or_default();
        if first {
            values.push(vec![]);
        }
        values.last_mut().expect("a value begins before it goes on").extend(unescaped(value));
    }
    fields
}

/// The mail's template, and then what it leaves out.
fn mail_of(shown: &str) -> Values {
    let (first, rest) = shown.split_once('\n').unwrap();
    let mut fields = fields_of(rest, &["to", "cc"]);
    let told = first.strip_prefix("Send to ").expect("the template comes first");
    if let Some(quoted) = told.strip_prefix('"') {
        let mut escaped = false;
        let end = quoted.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let value = unescaped(&quoted[..end.unwrap()]);
        assert!(fields.insert("to".into(), vec![value]).is_none(), "shown twice");
    } else if told == "-" {
        assert!(!fields.contains_key("to"));
    } else {
        assert_eq!(told, format!("({} below)", fields["to"].len()));
    }
    fields
}

fn bytes_of(fields: &Fields) -> Values {
    let bytes = |values: &Vec<String>| values.iter().map(|value| value.clone().into_bytes()).collect();
    fields.iter().map(|(name, values)| (name.clone(), bytes(values))).collect()
}

/// Nothing in it is anything else than it looks like, and nothing covers a line.
fn assert_plain(shown: &str) {
    let mut marks = 0;
    for c in shown.chars() {
        let hidden = matches!(u32::from(c),
            0xAD | 0x34F | 0x61C | 0x115F..=0x1160 | 0x3164 | 0xFFA0 | 0x2800 | 0x180B..=0x180F
                | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0xFE00..=0xFE0F | 0xFEFF
                | 0xFFF9..=0xFFFB | 0xE000..=0xF8FF | 0xE0000..=0x10FFFF);
        assert!(c == '\n' || !c.is_control(), "{c:?} survives");
        assert!(!hidden, "{c:?} survives");
        assert!(c == ' ' || c == '\n' || !c.is_whitespace(), "{c:?} survives");
        marks = if matches!(u32::from(c), 0x300..=0x36F | 0x483..=0x489 | 0x20D0..=0x20FF) {
            marks + 1
        } else {
            0
        };
        assert!(marks <= 3, "a flood of marks");
    }
    assert!(!shown.contains(&" ".repeat(30)), "blanks push text out of sight");
    assert!(shown.lines().all(|line| line.chars().count() < 4_000), "a line nobody reads");
}

#[test]
fn what_is_shown_can_be_read_back() {
    let fresh = Stage::new("opaque");
    let mut stage = fresh.with(7);
    for seed in 0..PAYLOADS {
        if seed.is_multiple_of(200) {
            stage = fresh.with(seed);
        }
        let mut fields = Fields::new();
        for name in ["to", "cc", "body", "file"] {
            let count = stage.pick(&[0, 1, 1, 1, 2, 3]);
            let values: Vec<String> = (0..count).map(|_| payload(&mut stage, 1_500)).collect();
            // Given and empty is not the same as not given.
            if count > 0 || stage.draw().is_multiple_of(2) {
                fields.insert(name.into(), values);
            }
        }
        let call = Call::Propose { mount: "box".into(), kind: "mail.send".into(), fields: fields.clone() };
        let shown = held(&mut stage, call);
        assert_plain(&shown);
        assert_eq!(mail_of(&shown), bytes_of(&fields), "{fields:?}\n{shown}");
    }
}

#[test]
fn names_of_arguments_are_hostile_too() {
    let mut stage = Stage::new("opaque").with(3);
    stage.run.event("mount open opaque");
    stage.run.event("anna: grant 1 \"apply open *\"");
    for _ in 0..200 {
        let mut fields = Fields::new();
        for _ in 0..1 + stage.draw() % 4 {
            let name = payload(&mut stage, 60);
            let value = payload(&mut stage, 500);
            fields.insert(name, vec![value]);
        }
        let call = Call::Propose { mount: "open".into(), kind: "wipe".into(), fields: fields.clone() };
        let shown = held(&mut stage, call);
        assert_plain(&shown);
        let names: Vec<String> =
            shown.lines().map(|line| line.split([':', '|']).next().unwrap().into()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(fields_of(&shown, &names), bytes_of(&fields), "{fields:?}\n{shown}");
    }
}

#[test]
fn a_held_write_shows_every_byte() {
    let fresh = Stage::new("opaque");
    for seed in 0..300 {
        let mut stage = fresh.with(seed);
        let mut bytes = payload(&mut stage, 60_000).into_bytes();
        // No text at all: broken, cut, or bytes of any kind.
        for _ in 0..stage.draw() % 20 {
            let at = (stage.draw() % (bytes.len() as u64 + 1)) as usize;
            bytes.insert(at, stage.draw() as u8);
        }
        let content = stage.run.put(&bytes);
        let path = TreePath::parse("/skills/a").unwrap();
        let write = Write::Whole { content, mode: 0o644 };
        let message = Some(stage.run.put(b"a message that nobody is shown"));
        let call = Call::Write { path, write, base: None, message, origin: Origin::Typed };
        let shown = held(&mut stage, call);
        assert_plain(&shown);
        let (head, rest) = shown.split_at(shown.find("content: ").unwrap());
        assert_eq!(head, "path: /skills/a\nwrite: whole file, mode 644\nbase: none: nothing stands there\n");
        assert_eq!(fields_of(rest, &[])["content"], [bytes]);
    }
}

#[test]
fn a_question_is_shown_whole() {
    let mut stage = Stage::new("opaque").with(5);
    for _ in 0..200 {
        let question = format!("?{}", payload(&mut stage, 2_000));
        let choices: Vec<String> = (0..stage.draw() % 4).map(|_| payload(&mut stage, 300)).collect();
        let mut fields = Fields::from([("question".into(), vec![question.clone()])]);
        if !choices.is_empty() {
            fields.insert("choice".into(), choices.clone());
        }
        let call = Call::Propose { mount: "operator".into(), kind: "ask".into(), fields };
        let shown = held(&mut stage, call);
        assert_plain(&shown);
        let mut want = Values::from([("question".into(), vec![question.into_bytes()])]);
        for (ix, choice) in choices.into_iter().enumerate() {
            want.insert(format!("choice {}", ix + 1), vec![choice.into_bytes()]);
        }
        assert_eq!(fields_of(&shown, &[]), want);
    }
}

#[test]
fn another_letter_is_pointed_at() {
    let mut stage = Stage::new("opaque");
    let rows = [
        ("bob@x.example", "Send to \"bob@x.example\"\nbody: für Jürgen\n"),
        ("b\u{43e}b@x.example", "Send to \"b\u{43e}b@x.example\"(U+043E)\nbody: für Jürgen\n"),
        ("jürgen@x.example ", "Send to \"jürgen@x.example\\u{20}\"(U+00FC)\nbody: für Jürgen\n"),
        ("a  b", "Send to \"a \\u{20}b\"\nbody: für Jürgen\n"),
        ("a\"b\u{200b}", "Send to \"a\\\"b\\u{200b}\"\nbody: für Jürgen\n"),
    ];
    for (to, want) in rows {
        let fields = [("to", to), ("body", "für Jürgen")];
        let fields = fields.map(|(name, value)| (name.to_string(), vec![value.to_string()])).into();
        let call = Call::Propose { mount: "box".into(), kind: "mail.send".into(), fields };
        assert_eq!(held(&mut stage, call), want);
    }
}

/// What cannot be shown whole is refused before it is a proposal; what was not seen whole cannot be approved.
#[test]
fn too_much_is_not_asked_for() {
    let mut stage = Stage::new("opaque");
    let process = || Caller::Process(Pid(1));
    let propose = |bytes: usize| {
        let fields = Fields::from([
            ("to".into(), vec!["eve@x.example".into()]),
            ("body".into(), vec!["a".repeat(bytes)]),
        ]);
        Call::Propose { mount: "box".into(), kind: "mail.send".into(), fields }
    };
    let large = stage.run.put(&vec![b'a'; 1 << 20]);
    let write = Write::Whole { content: large, mode: 0o644 };
    let path = TreePath::parse("/skills/a").unwrap();
    let write = Call::Write { path, write, base: None, message: None, origin: Origin::Typed };
    let question = Fields::from([("question".into(), vec!["?".repeat(1 << 20)])]);
    let question = Call::Propose { mount: "operator".into(), kind: "ask".into(), fields: question };
    for call in [propose(1 << 20), propose(64 << 10), write, question] {
        let refused = stage.run.ask(process(), call).map_err(|error| error.code);
        assert_eq!(refused.err(), Some(Code::TooLarge));
    }
    assert_eq!(
        stage.run.ask(
            Caller::Operator("anna".into()),
            Call::List { path: TreePath::parse("/proposals").unwrap(), at: None }
        ),
        Ok(Answer::Names { entries: vec![], below: 0 })
    );
    // 60 KiB on one line are many pages: only by the digest that stands at their end.
    let Ok(Answer::Held { proposal, .. }) = stage.run.ask(process(), propose(60 << 10)) else { panic!() };
    let approve =
        |digest| Call::Decide { proposal, ruling: Ruling::Approve, reason: None, digest, args: None };
    let anna = || Caller::Operator("anna".into());
    assert_eq!(stage.run.ask(anna(), approve(None)).map_err(|error| error.code), Err(Code::Invalid));
    let status = read(&mut stage, &format!("/proposals/{}/status", ProposalId(proposal.0)));
    let digest = status.lines().find_map(|line| line.strip_prefix("digest ")).unwrap();
    let digest: Hash = digest.parse().unwrap();
    assert!(stage.run.ask(anna(), approve(Some(digest))).is_ok());
}
