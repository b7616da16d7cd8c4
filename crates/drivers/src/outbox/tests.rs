//! What is written is the mail that was approved, once, and nothing else.

use super::*;
use expect_test::expect;
use mail_parser::MessageParser;

fn fields(rows: &[(&str, &[&str])]) -> Fields {
    let values = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
    rows.iter().map(|(name, list)| ((*name).to_owned(), values(list))).collect()
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_manifest_is_the_law() {
    let home = tempfile::tempdir().unwrap();
    let outbox = Outbox::open("outbox", &home.path().join("a/b")).unwrap();
    let manifest = outbox.manifest();
    let kind = manifest.kind("mail.send").unwrap();
    assert_eq!((kind.class, kind.recovery), (Class::ExternalIrreversible, Recovery::Probe));
    assert_eq!(
        (kind.steering.join(" "), kind.payload.join(" ")),
        ("to cc bcc".into(), "subject body".into())
    );
    assert_eq!(outbox.poll(), Ok(vec![]));
    assert!(Outbox::open("outbox", Path::new("")).is_err());
}

#[test]
fn a_mail_is_written_once() {
    let home = tempfile::tempdir().unwrap();
    let outbox = Outbox::open("outbox", home.path()).unwrap();
    let id = EffectId::of(b"one");
    let mail = fields(&[
        ("to", &["Jürgen Größer <j.groesser@example.org>", "tom@arch-nord.example"]),
        ("cc", &["Lena Falk <lena@poolbau.example>"]),
        ("subject", &["Rückfrage zu den grünen Küchenfliesen – Löcher bohren?"]),
        ("body", &["Grüß Gott,\r\nnehmen Sie 68 mm = Diamant. \n\n.\nFrom here on\nAnna\u{0}"]),
    ]);
    assert_eq!(outbox.probe(&id, "mail.send", &mail), Probed::Absent);
    let said = outbox.send(&id, "mail.send", &mail).unwrap();
    let first = fs::read(outbox.file(&id)).unwrap();
    assert_eq!(outbox.send(&id, "mail.send", &mail).unwrap(), said);
    assert_eq!(fs::read(outbox.file(&id)).unwrap(), first, "the second sending changed nothing");
    assert_eq!(outbox.probe(&id, "mail.send", &mail), Probed::Happened(Content::of(b"")));
    assert_eq!(names(home.path()).len(), 1);
    let text = String::from_utf8(first).unwrap();
    let undated: Vec<&str> = text.split("\r\n").filter(|line| !line.starts_with("Date: ")).collect();
    expect![[r#"
        Message-ID: <d33fb48ab5adff269ae172b29a6913ff04f6f266207a7a8e976f2ecd571d4492@skep.invalid>
        From: <outbox@outbox.invalid>
        To: =?UTF-8?Q?J=C3=BCrgen_Gr=C3=B6=C3=9Fer?= <j.groesser@example.org>,
         tom@arch-nord.example
        Cc: Lena Falk <lena@poolbau.example>
        Subject: =?UTF-8?Q?R=C3=BCckfrage_zu_den_?=
         =?UTF-8?Q?gr=C3=BCnen_K=C3=BCchenfli?=
         =?UTF-8?Q?esen_=E2=80=93_L=C3=B6cher_b?=
         =?UTF-8?Q?ohren=3F?=
        MIME-Version: 1.0
        Content-Type: text/plain; charset=utf-8
        Content-Transfer-Encoding: quoted-printable

        Gr=C3=BC=C3=9F Gott,
        nehmen Sie 68 mm =3D Diamant.=20

        .
        From here on
        Anna=00
    "#]]
    .assert_eq(&undated.join("\n"));
    let (short, name) = (&id.to_string()[..16], message_id(&id));
    assert_eq!(String::from_utf8(said).unwrap(), format!("wrote {short}.eml, Message-ID {name}"));
    let read = MessageParser::default().parse(text.as_bytes()).unwrap();
    assert_eq!(read.subject(), Some("Rückfrage zu den grünen Küchenfliesen – Löcher bohren?"));
    let to: Vec<_> = read.to().unwrap().iter().map(|to| (to.name(), to.address())).collect();
    assert_eq!(
        to,
        vec![(Some("Jürgen Größer"), Some("j.groesser@example.org")), (None, Some("tom@arch-nord.example"))]
    );
    let body = read.body_text(0).unwrap().replace("\r\n", "\n");
    assert_eq!(body, "Grüß Gott,\nnehmen Sie 68 mm = Diamant. \n\n.\nFrom here on\nAnna\u{0}\n");
    assert!(read.date().unwrap().is_valid());
}

#[test]
fn what_is_not_one_plain_mail_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let outbox = Outbox::open("outbox", home.path()).unwrap();
    let to: (&str, &[&str]) = ("to", &["a@b.example"]);
    let many = vec!["a@b.example"; 101];
    let big = "x".repeat(70_000);
    let rows: Vec<(&str, Fields, &str)> = vec![
        ("mail.read", fields(&[to]), "there is no effect \"mail.read\" here; known: mail.send"),
        ("mail.send", fields(&[]), "mail.send needs to: whom it goes to"),
        (
            "mail.send",
            fields(&[to, ("reply_to", &["x"])]),
            "mail.send has no argument \"reply_to\"; it takes to, cc, bcc, subject, body",
        ),
        ("mail.send", fields(&[to, ("subject", &["a", "b"])]), "subject takes one value"),
        (
            "mail.send",
            fields(&[to, ("subject", &["a\r\nBcc: x@y.example"])]),
            "subject has a line break or another control character",
        ),
        (
            "mail.send",
            fields(&[("to", &["a@b.example\nBcc: x@y.example"])]),
            "to \"a@b.example\\nBcc: x@y.example\" has a line break or another control character",
        ),
        (
            "mail.send",
            fields(&[to, ("cc", &["a@b.example, x@y.example"])]),
            "cc \"a@b.example, x@y.example\" is not one plain address",
        ),
        (
            "mail.send",
            fields(&[to, ("bcc", &["a@b.example, <x@y.example>"])]),
            "bcc \"a@b.example, <x@y.example>\" has a name that could be read as an address",
        ),
        ("mail.send", fields(&[("to", &["anna"])]), "to \"anna\" is not an address"),
        ("mail.send", fields(&[("to", &["a@b.example>"])]), "to \"a@b.example>\" is not one plain address"),
        ("mail.send", fields(&[("to", &["a@[127.0.0.1]"])]), "to \"a@[127.0.0.1]\" is not one plain address"),
        ("mail.send", fields(&[("to", &many)]), "to has more than 100 receivers"),
        ("mail.send", fields(&[to, ("body", &[&big])]), "the arguments of mail.send are larger than 64 KiB"),
    ];
    for (kind, fields, want) in rows {
        assert_eq!(outbox.send(&EffectId::of(b"1"), kind, &fields), Err(want.to_owned()));
    }
    assert_eq!(names(home.path()), Vec::<String>::new(), "nothing was written");
}

#[test]
fn a_name_that_is_taken_is_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let outbox = Outbox::open("outbox", home.path()).unwrap();
    let id = EffectId::of(b"one");
    fs::write(outbox.file(&id), "somebody's").unwrap();
    let mail = fields(&[("to", &["a@b.example"])]);
    let why = outbox.send(&id, "mail.send", &mail).unwrap_err();
    assert!(why.ends_with(".eml stands already and is another mail"), "{why}");
    assert_eq!(outbox.probe(&id, "mail.send", &mail), Probed::Unknown);
    assert_eq!(fs::read(outbox.file(&id)).unwrap(), b"somebody's");
}

#[test]
fn every_text_survives_the_encoding() {
    let long = "ß".repeat(500);
    let dots = "....\n.\n..".to_owned();
    let blanks = "a \nb\t\n  c  ".to_owned();
    for text in ["", "=", "=?utf-8?q?x?=", " x ", "日本語のタイル", &long, &dots, &blanks, "a=3D\r\nb\rc"]
    {
        let mut mail = String::new();
        let subject: String = text.chars().filter(|c| !c.is_control()).collect();
        compose::header(&mut mail, "Subject", &compose::words(&subject));
        mail.push_str("Content-Type: text/plain; charset=utf-8\r\n");
        mail.push_str("Content-Transfer-Encoding: quoted-printable\r\n\r\n");
        compose::body(&mut mail, text);
        assert!(mail.is_ascii() && mail.split("\r\n").all(|line| line.len() <= 78), "{mail}");
        let read = MessageParser::default().parse(mail.as_bytes()).unwrap();
        assert_eq!(read.subject().unwrap_or(""), subject);
        let want = text.replace("\r\n", "\n").replace('\r', "\n");
        let got = read.body_text(0).unwrap_or_default().replace("\r\n", "\n");
        assert_eq!(got.trim_end_matches('\n'), want.trim_end_matches('\n'));
    }
}
