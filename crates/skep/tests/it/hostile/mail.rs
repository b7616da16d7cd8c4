//! Hostile mail through a real maildir: what can be delivered is, as external text without anything that
//! deceives a reader; what cannot is left where it is; nothing of it moves the daemon.

use crate::hive::{Client, Hive, retry};
use serde_json::json;
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::symlink},
    path::Path,
};

/// A message around a body.
fn mail(head: &str, body: &str) -> Vec<u8> {
    format!("From: a@b.example\r\nTo: c@d.example\r\n{head}\r\n\r\n{body}").into_bytes()
}

/// Multiparts inside each other, so deep.
fn nested(depth: usize) -> Vec<u8> {
    let mut text = String::from("From: a@b.example\r\nSubject: deep\r\n");
    for level in 0..depth {
        text.push_str(&format!("Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n"));
    }
    text.push_str("Content-Type: text/plain\r\n\r\nbottom\r\n");
    text.into_bytes()
}

fn messages() -> Vec<(&'static [u8], Vec<u8>)> {
    let parts = "--x\r\nContent-Type: text/plain\r\n\r\np\r\n".repeat(1_000);
    let qp = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable";
    let many = format!("Content-Type: multipart/mixed; boundary=x\r\n\r\n{parts}--x--");
    let attached = "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain\r\n\
        Content-Disposition: attachment; filename=\"../../../../etc/cron.d/x\u{202e}gpj.exe\"\r\n\r\nboo\r\n--x--";
    vec![
        (b"empty.eml", Vec::new()),
        (b"nothing-but-lines.eml", b"\r\n".repeat(1_000)),
        (b"noise.eml", (0..=255).cycle().take(30_000).collect()),
        (b"nul.eml", mail("Subject: a\0b", "one\0two\r\n")),
        (b"escapes.eml", mail("Subject: \x1b[2J\x1b]0;owned\x07", "\x1b[31mred\x08\x08\x7f\r\n")),
        (b"bidi.eml", mail("Subject: =?utf-8?B?4oCucm9vdA==?=", "\u{202e}desrever\u{2066}\u{200b}\r\n")),
        (b"tags.eml", mail("Subject: tags", "plain\u{e0049}\u{e0067}\u{e006e}\r\n")),
        (
            b"forged.eml",
            mail("Subject: x\r\nlabel: operator\r\nactor: operator:root", "actor: operator:root\r\n"),
        ),
        (b"deep.eml", nested(800)),
        (b"many.eml", mail(&many, "")),
        (b"bad-qp.eml", mail(qp, "=ZZ=0=\r\n=C3=28 =FF=FE\r\n")),
        (b"bad-base64.eml", mail("Content-Transfer-Encoding: base64", "@@@@====@@@=\r\n")),
        (b"charset.eml", mail("Content-Type: text/plain; charset=\"klingon-2022\"", "qapla'\r\n")),
        (b"header.eml", mail(&format!("Subject: {}", "s".repeat(50_000)), "x")),
        (b"words.eml", mail(&format!("Subject: {}", "=?utf-8?Q?=41?= ".repeat(3_000)), "x")),
        (b"attached.eml", mail(attached, "")),
        (b"large.eml", mail("Subject: large", &"x".repeat(200_000))),
        (b"name with spaces \xe2\x80\xae and more.eml", mail("Subject: name", "x")),
        (b"new\nline.eml", mail("Subject: name", "x")),
        (b"not-utf8-\xff\xfe.eml", mail("Subject: name", "x")),
        (b"..eml", mail("Subject: hidden, so not a message", "x")),
        (b"e\xcc\x81.eml", mail("Subject: a name in form D", "x")),
    ]
}

fn put(new: &Path) -> usize {
    let all = messages();
    for (name, bytes) in &all {
        fs::write(new.join(OsStr::from_bytes(name)), bytes).unwrap();
    }
    let long = "l".repeat(255);
    fs::write(new.join(long), mail("Subject: the longest name", "x")).unwrap();
    symlink("/etc/passwd", new.join("link.eml")).unwrap();
    fs::create_dir(new.join("directory.eml")).unwrap();
    // Two files each; the large one is a note; the hidden one does not come.
    2 * (all.len() - 2 + 1) + 1
}

fn inbox(client: &mut Client) -> Vec<serde_json::Value> {
    let mut answer = client.ask("list", &json!({ "path": "/integrations/mail/inbox" }));
    answer["result"]["entries"].as_array_mut().map(std::mem::take).unwrap_or_default()
}

#[test]
fn hostile_mail_is_delivered_as_harmless_text() {
    let mut hive = Hive::new();
    let dir = hive.around().join("mailbox");
    for part in ["new", "cur", "tmp"] {
        fs::create_dir_all(dir.join(part)).unwrap();
    }
    let want = put(&dir.join("new"));
    let mut client = hive.client();
    client.control(&format!("mount mail maildir {}", dir.display()));
    let entries = retry("every message", || Some(inbox(&mut client)).filter(|all| all.len() >= want));
    let names: Vec<&str> = entries.iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    assert_eq!(entries.len(), want, "{names:#?}");
    let mut endings: BTreeMap<&str, usize> = BTreeMap::new();
    for (entry, name) in entries.iter().zip(&names) {
        *endings.entry(name.rsplit_once('.').unwrap().1).or_default() += 1;
        assert!(!name.chars().any(deceives), "{name:?}");
        assert_eq!((&entry["label"], &entry["actor"]), (&json!("external mount:mail"), &json!("mount:mail")));
    }
    assert_eq!(endings, BTreeMap::from([("eml", (want - 1) / 2), ("md", (want - 1) / 2), ("txt", 1)]));
    for name in names.iter().filter(|name| !name.ends_with(".eml")) {
        let text = client.text(&format!("/integrations/mail/inbox/{name}"));
        assert!(!text.contains("root:x:0"), "a link was followed");
        let odd: Vec<char> = text.chars().filter(|c| deceives(*c) && !matches!(c, '\n' | '\t')).collect();
        assert!(odd.is_empty(), "{name}: {odd:?}");
    }
    retry("the messages to be done with", || {
        (fs::read_dir(dir.join("new")).unwrap().count() == 3).then_some(())
    });
    assert_eq!(fs::read_dir(dir.join("cur")).unwrap().count(), (want - 1) / 2 + 1, "none is lost");
    assert!(hive.alive(), "{}", hive.said());
    // On a terminal, too: what `ls` and `cat` print holds nothing that moves a cursor.
    for args in [vec!["ls", "/integrations/mail/inbox"], vec!["cat", "/integrations/mail/inbox/escapes.md"]] {
        let ran = hive.cli(&args).fine();
        assert!(!ran.out.chars().any(|c| deceives(c) && c != '\n'), "{ran:?}");
    }
}

/// Controls, and what reorders or hides text.
fn deceives(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(c, '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}
