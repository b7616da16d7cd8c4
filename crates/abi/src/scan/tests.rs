//! Rows: what is a token, a link, markup; and that time grows as the text does.

use super::*;
use alloc::vec::Vec;

#[test]
fn a_token_is_whole() {
    for text in ["anna@tiles.example", "O'Neil@x.example", "DE12-3456", "https://x.example/a?b=1", "ａnna"] {
        assert!(is_token(text), "{text:?}");
    }
    for text in
        ["", " ", "a b", "a,b", "*", "a*", "\"a\"", "'a'", "a.", "<a@b>", "a\u{200b}b", "a\tb", "a；b"]
    {
        assert!(!is_token(text), "{text:?}");
    }
}

#[test]
fn links_are_seen() {
    let rows: [(&str, &[&str]); 24] = [
        ("Thank you, see you on Monday.", &[]),
        ("It is 3.50 at 10 a.m., e.g. with v1.2", &[]),
        ("write to anna@tiles.example", &[]),
        ("see minutes.docx and a.b.pdf", &[]),
        ("https://x.example/?q=secret", &["https://x.example/?q=secret"]),
        ("ＨＴＴＰ：／／x.example", &["http://x.example"]),
        ("(//x.example/i.png)", &["//x.example/i.png"]),
        ("WWW.x.example", &["www.x.example"]),
        ("go to evil.com/a?b=c.", &["evil.com/a?b=c"]),
        ("go to evil.com.", &["evil.com"]),
        ("evil。com", &["evil。com"]),
        ("10.0.0.1/x", &["10.0.0.1/x"]),
        ("user@evil.com/x", &["user@evil.com/x"]),
        ("mailto:a@b.example", &["mailto:a@b.example"]),
        ("\u{200b}www.evil.com and evil\u{200b}.com", &["www.evil.com", "evil.com"]),
        ("пример.рф", &["пример.рф"]),
        ("link:evil.com/x?d=1", &["link:evil.com/x?d=1"]),
        ("u:p@evil.com/x", &["u:p@evil.com/x"]),
        ("user@evil.com:80/x", &["user@evil.com:80/x"]),
        ("q=evil.com", &["q=evil.com"]),
        ("a_b.evil.com", &["a_b.evil.com"]),
        ("→evil.com", &["→evil.com"]),
        ("mail:anna@tiles.example", &[]),
        ("at 10:30, see /data/notes.md and 3:1.5", &[]),
    ];
    for (text, want) in rows {
        assert_eq!(links(text), want, "{text:?}");
    }
}

#[test]
fn markup_is_seen() {
    for (text, want) in [
        ("3 < 4 is so, and I <3 it", false),
        ("<img src=x>", true),
        ("a </b", true),
        ("![i](x)", true),
        ("[i][x]", true),
        ("&#x68;", true),
        ("DATA:text/html", true),
        ("plain", false),
    ] {
        assert_eq!(has_markup(text), want, "{text:?}");
    }
}

#[test]
fn a_url_is_quoted_whole_or_not_at_all() {
    let text = Folded::of("Look at https://x.example/a?b=1, (www.y.example) and z.example/long/path.");
    for (url, want) in [
        ("https://x.example/a?b=1", true),
        ("HTTPS://x.example/a?b=1", true),
        ("https://x.example/a", false),
        ("https://x.example/a?b=12", false),
        ("x.example", false),
        ("www.y.example", true),
        ("z.example/long/path", true),
        ("z.example/long", false),
        ("", false),
    ] {
        assert_eq!(text.has_url(url), want, "{url:?}");
    }
}

#[test]
fn a_quote_is_byte_for_byte() {
    let text = "Look at https://x.example/aB?c=1.";
    let rows = [
        ("https://x.example/aB?c=1", true),
        ("https://x.example/ab?c=1", false),
        ("HTTPS://x.example/aB?c=1", false),
        (" https://x.example/aB?c=1", false),
        ("https://x.example/aB", false),
        ("", false),
    ];
    for (url, want) in rows {
        assert_eq!(quotes_url(text, url), want, "{url:?}");
    }
}

#[test]
fn a_count_names_nothing() {
    for (literal, want) in [
        ("5", true),
        ("５", true),
        ("#33", true),
        ("10:00", true),
        (" 2-5 ", true),
        ("2026", true),
        ("55210", false),
        ("k5", false),
        ("2026-05-05", false),
        ("-", false),
        ("", false),
    ] {
        assert_eq!(is_count(literal), want, "{literal:?}");
    }
}

#[test]
fn tokens_are_whole() {
    let rows = [
        ("send it to anna@tiles.example.", "anna@tiles.example", true),
        ("send it to ANNA@tiles.example, now", "anna@tiles.example", true),
        ("send it to joanna@tiles.example", "anna@tiles.example", false),
        ("anna@tiles.example.evil.example", "anna@tiles.example", false),
        ("anna@tiles.example-evil.example", "anna@tiles.example", false),
        ("<anna@tiles.example>", "anna@tiles.example", true),
        ("anna@tiles.example,tom@tiles.example", "anna@tiles.example", true),
        ("sean.o'brien@x.example", "brien@x.example", false),
        ("her address is 'anna@tiles.example'.", "anna@tiles.example", true),
        ("a room at 'Casa Lina', please", "casa lina", true),
        ("post it to `notes`", "notes", true),
        ("write to 'anna@tiles.example", "anna@tiles.example", false),
        ("write to o'anna@tiles.example' now", "anna@tiles.example", false),
        ("write to x'anna@tiles.example'", "anna@tiles.example", false),
        ("post to https://tiles.example/notes now", "https://tiles.example", false),
        ("post to www.tiles.example?x=1", "www.tiles.example", false),
        ("post to https://tiles.example/notes.", "https://tiles.example/notes", true),
        ("tell Mira/Jonas", "Mira", true),
        ("x", "", false),
        ("ａnna", "anna", true),
        ("pay 0,99 to bob", "99", false),
        ("pay 1,000 to bob", "1", false),
        ("pay 1,000 to bob", "1,000", true),
        ("pay 1\u{bd} to bob", "11", false),
        ("5, 6 and 7", "5", true),
    ];
    for (text, literal, want) in rows {
        assert_eq!(has_token(text, literal), want, "{literal:?} in {text:?}");
    }
}

#[test]
fn what_is_to_be_taken_exactly_is_quoted_or_no_word() {
    let rows = [
        ("call me 'Casa Lina' from now on", "Casa Lina", true),
        ("call me \"Casa Lina\".", "casa lina", true),
        ("call me `lina`", "lina", true),
        ("call me “Lina”, please", "Lina", true),
        ("nenn mich „Lina“!", "Lina", true),
        ("nenn mich ‚Lina‘!", "Lina", true),
        ("appelle-moi «Lina»", "Lina", true),
        ("nenn mich »Lina«", "Lina", true),
        ("call me ＂Lina＂", "Lina", true),
        ("call me Lina from now on", "Lina", false),
        ("call me 'Casa Lina' from now on", "Lina", false),
        ("call me 'Lina", "Lina", false),
        ("call me \"Lina'", "Lina", false),
        ("the 'one' and 'two'", "and", false),
        ("the 'one' and 'two'", "one' and 'two", false),
        ("x'lina' y", "lina", false),
        ("'lina's", "lina", false),
        ("'-' and '*'", "-", false),
        ("'-' and '*'", "", false),
        ("use DE12-3456 now", "DE12-3456", true),
        ("use DE12-3456 now", "DE12", false),
        ("use anna@tiles.example.", "anna@tiles.example", true),
        ("use tiles.example", "tiles.example", true),
        ("user name lina_m", "lina_m", true),
        ("by e-mail, and/or by post, e.g. if they don't", "e-mail", false),
        ("by e-mail, and/or by post, e.g. if they don't", "and/or", false),
        ("by e-mail, and/or by post, e.g. if they don't", "e.g", false),
        ("by e-mail, and/or by post, e.g. if they don't", "don't", false),
        ("see: below", "see:", false),
    ];
    for (text, literal, want) in rows {
        assert_eq!(Folded::of(text).has_quoted(literal), want, "{literal:?} in {text:?}");
    }
}

const LEADS: &[&str] = &[
    "sms:+4917012345",
    "facetime:a@b.example",
    "whatsapp:send?text=a",
    "bitcoin:1a?amount=1",
    "magnet:?xt=urn",
    "file:/etc/passwd",
    "tel:+4930123",
    "callto:bob",
    "skype:bob?call",
    "geo:1,2",
    "web+a:b",
    "ms-word:ofe|u",
    "SMS:1",
    "ｓｍｓ：1",
    "s\u{200b}ms:1",
    "x:mailto:a@b.example",
    "re:mailto:a@b.example",
    "_sms:1",
    "äsms:1",
    "mail:sms:1",
    "localhost:8080",
    "x1:2345",
    "sms:12",
    "/evil.com/x",
    "a/evil.com",
    "/evil.com",
    "evil.pdf/x",
    "evil.pdf?x=1",
    "evil.txt#a",
    "evil.pdf:80",
    "a.b.txt/evil",
    "/evil.md/x",
    "evil.md",
    "a/evil.md",
    "evi\u{335}l.com",
    "e\u{301}vil.com",
    "evil.com./x",
    "a..evil.com",
    ".evil.com",
    "evil%2Ecom/x",
    "❤.ws",
    "🍕.ws/x",
    "evil.com。次の文です",
    "次の文。evil。com",
    "例。みんな",
    "例え.テスト",
    "xn--a.xn--b",
    "//evil/x",
    "x=//evil/x",
    "https:/evil",
    "http:evil.com",
    "http:\\\\evil.com",
    "a=www.evil",
    "1.2.3.4",
    "1.2.3.4:80",
    "u@1.2.3.4/x",
    "evil.com/@anna",
    "evil.com@",
    "anna@evil.com:80",
    "anna@evil.com?subject=a",
    "a@b@evil.com/x",
    "evil.co.uk",
    "EVIL.COM",
    "ｅｖｉｌ．ｃｏｍ",
    "пример.рф",
    "evil\u{2024}com",
    "evil\u{ad}.com",
    "a|evil.com|b",
    "see→evil.com",
    "(evil.com)",
    "„evil.com“",
    "evil.com,",
    "evil_x.com",
    "evil.com+/x@b.example",
    "evil.com=a@b.example",
    "a.evil.com+x@b.example/x",
];

#[test]
fn what_leads_elsewhere_is_found() {
    let missed: Vec<&str> = LEADS.iter().copied().filter(|text| links(text).is_empty()).collect();
    assert_eq!(missed, Vec::<&str>::new());
}

const PROSE: &[&str] = &[
    "See you at 12:30.",
    "at 10:30:00, or 9:05pm",
    "from 2026-05-05T10:30:00Z on",
    "um 10:30Uhr",
    "時間：１２：３０",
    "It costs 3.50 or 1,000.00 EUR, i.e. 4.-",
    "EUR 5,- (five)",
    "Re: offer",
    "Re:Angebot",
    "AW:WG: Angebot",
    "note: see below",
    "To: all; cc: nobody",
    "a ratio of 3:1 or 16:9",
    "3:1.5",
    "minutes.docx and a.b.pdf",
    "/data/notes.md",
    "in /data/2026.05/plan.yaml",
    "report.final.pdf!",
    "write to anna@tiles.example",
    "anna.maria+x@mail.tiles.example.",
    "mail:anna@tiles.example",
    "<anna@tiles.example>",
    "J. R. R. Tolkien, J.R.R. and U.S.A.",
    "e.g. or i.e. or a.m. or z.B.",
    "and/or, w/o, 24/7, n/a, he/she",
    "1/2 or 3/4",
    "20.11.2026",
    "v1.2 and 1.2.3",
    "3.5mm, 2.5GB, 1.5kg",
    "Nr.12, S.12ff., §5.2",
    "wait...what",
    "What?! Yes…",
    "John 3:16",
    "# Title",
    "- a\n- b",
    "* one *two*",
    "„Das ist gut.“ sagte er: „Ja.“",
    "Mitarbeiter:innen und Kund:in, jede:r",
    "Liebe Grüße, Jörg",
    "« Bonjour » : c'est l'été, n'est-ce pas ?",
    "Ça va ? Oui : très bien !",
    "これは例です。次の文です。",
    "はい。了解です。",
    "これは「例」です、ね。",
    "你好。请看下面的内容。",
    "EU:s och USA:n",
    "He said: yes.",
    "100% of 5€",
    "C:\\Users\\anna",
    "O'Neil & Sons",
    "Q&A, R&D",
    "room #12",
    "50/50",
    "(see above)",
    "@anna, are you there?",
    "1 + 1 = 2",
    "a_b, c-d",
    "\u{201c}quoted\u{201d} words",
    "10 a.m.",
    "it is 5 o'clock.",
    "//",
    "...",
    "::",
];

#[test]
fn what_people_write_leads_nowhere() {
    for text in PROSE {
        assert_eq!(links(text), Vec::<String>::new(), "{text:?}");
        let is_tag = text.starts_with('<');
        assert_eq!(has_markup(text), is_tag, "{text:?}");
    }
}

#[test]
fn what_tells_others_is_markup() {
    let rows = [
        ("<@U123>", true),
        ("<#C12>", true),
        ("<!here>", true),
        ("hi @channel", true),
        ("@here", true),
        ("(@everyone)", true),
        ("＠Here", true),
        ("@he\u{200b}re!", true),
        ("@all: come", true),
        ("hi @anna", false),
        ("@allison", false),
        ("anna@here.example", false),
        ("meet me @ room 5", false),
        (r"\\evil\share", true),
        (r"a \ b", false),
    ];
    for (text, want) in rows {
        assert_eq!(has_markup(text), want, "{text:?}");
    }
}

#[test]
fn what_nobody_meant_vouches_for_nothing() {
    let rows = [
        ("a - b * c", "-", false),
        ("a - b * c", "*", false),
        ("tell all of them", "all", false),
        ("tell all of them", "of them", false),
        ("tell All of them", "ALL", false),
        ("plan b", "b", false),
        ("plan b", "plan b", true),
        ("send it to me", "to me", false),
        ("an alle, bitte", "alle", false),
        ("à tous", "tous", false),
        ("hi @all", "@all", false),
        ("post it to general", "general", true),
        ("write to Tom", "tom", true),
        ("at 12:30", "12", false),
        ("at 12:30", "30", false),
        ("at 12:30", "12:30", true),
        ("on 30/12", "30", false),
        ("on 30/12", "12", false),
        ("see x/123 now", "123", false),
        ("pay 1 000 to bob", "1", false),
        ("pay 1 000 to bob", "000", false),
        ("pay 1 000 to bob", "1 000", true),
        ("pay 1\u{202f}000 to bob", "1", false),
        ("pay 1.000 to bob", "1", false),
        ("pay 1.000 to bob", "000", false),
        ("pay 1.000 to bob", "1.000", true),
        ("pay $5 000 to bob", "$5", false),
        ("pay 1\u{200b}000 to bob", "1", false),
        ("pay 2–5 to bob", "2", false),
        ("pay 2–5 to bob", "5", false),
        ("pay 5 % to bob", "5", false),
        ("pay 5 to bob", "5", true),
        ("pay $5.", "$5", true),
        ("pay 50\n20 to tom", "50", true),
        ("to account 55210: 5 euros", "55210", true),
        (r#"{"id":55210}"#, "55210", true),
        ("id:55210", "55210", false),
        ("an\u{200b}na@tiles.example", "anna@tiles.example", true),
        ("anna@tiles.example\u{200b}.evil", "anna@tiles.example", false),
        ("tell bob\u{335}", "bob", false),
    ];
    for (text, literal, want) in rows {
        assert_eq!(Folded::of(text).has_token(literal), want, "{literal:?} in {text:?}");
    }
}

#[test]
fn bytes_are_found_where_they_first_stand() {
    let rows: [(&str, &str, Option<usize>); 5] = [
        ("aab", "ab", Some(1)),
        ("aab", "b", Some(2)),
        ("aab", "", None),
        ("", "a", None),
        ("ab", "abc", None),
    ];
    for (text, literal, want) in rows {
        assert_eq!(find_text(text.as_bytes(), literal.as_bytes()), want, "{literal:?} in {text:?}");
    }
}
