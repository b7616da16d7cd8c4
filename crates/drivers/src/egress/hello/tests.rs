//! Hellos of real clients in any pieces, and every way to read one in two ways.
use super::*;
use proptest::prelude::*;

/// A hello with these extensions.
fn made(extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut all = Vec::new();
    for (kind, body) in extensions {
        all.extend(kind.to_be_bytes());
        all.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
        all.extend(body);
    }
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 1, 1, 0]);
    body.extend(u16::try_from(all.len()).unwrap().to_be_bytes());
    body.extend(all);
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[CLIENT_HELLO][..], &length[1..], &body].concat()
}

/// In records of this size.
fn records(handshake: &[u8], size: usize) -> Vec<u8> {
    let one = |part: &[u8]| {
        [&[HANDSHAKE, 3, 1], &u16::try_from(part.len()).unwrap().to_be_bytes()[..], part].concat()
    };
    handshake.chunks(size).flat_map(one).collect()
}

fn names(names: &[(u8, &str)]) -> Vec<u8> {
    let mut list = Vec::new();
    for (kind, name) in names {
        list.push(*kind);
        list.extend(u16::try_from(name.len()).unwrap().to_be_bytes());
        list.extend(name.as_bytes());
    }
    [&u16::try_from(list.len()).unwrap().to_be_bytes()[..], &list].concat()
}

fn for_name(name: &str) -> Vec<u8> {
    made(&[(43, vec![2, 3, 4]), (SERVER_NAME, names(&[(0, name)])), (16, vec![0, 3, 2, b'h', b'2'])])
}

#[test]
fn a_hello_names_its_host_in_any_pieces() {
    let hi = for_name("a.example");
    for size in [1, 2, 5, 100, 16_000] {
        let bytes = records(&hi, size);
        for cut in 0..bytes.len() {
            assert_eq!(hello(&bytes[..cut]), Hello::More, "{cut} of {}", bytes.len());
        }
        assert_eq!(hello(&bytes), Hello::For(Some("a.example".to_owned())));
    }
    assert_eq!(hello(&records(&made(&[]), 900)), Hello::For(None));
}

#[test]
fn what_can_be_read_in_two_ways_is_refused() {
    let whole = |extensions: &[(u16, Vec<u8>)]| records(&made(extensions), 16_000);
    let name = || (SERVER_NAME, names(&[(0, "a.example")]));
    let mut behind = for_name("a.example");
    behind.extend([CLIENT_HELLO, 0, 0, 0]);
    let mut long = for_name("a.example");
    long[1] = 1;
    for (what, bytes) in [
        ("http", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("ssh", b"SSH-2.0-x\r\n".to_vec()),
        ("ssl 2", vec![0x80, 0x2e, 1, 3, 1]),
        ("an alert", vec![21, 3, 1, 0, 2, 1, 0]),
        ("another version", vec![22, 2, 0, 0, 1, 1]),
        ("a server's hello", vec![22, 3, 1, 0, 4, 2, 0, 0, 0]),
        ("an empty record", vec![22, 3, 1, 0, 0]),
        ("a huge record", vec![22, 3, 1, 0xff, 0xff, 1]),
        ("two names", whole(&[(SERVER_NAME, names(&[(0, "a.example"), (0, "b.example")]))])),
        ("another kind of name", whole(&[(SERVER_NAME, names(&[(1, "a.example")]))])),
        ("an empty name", whole(&[(SERVER_NAME, names(&[(0, "")]))])),
        ("no name in the list", whole(&[(SERVER_NAME, names(&[]))])),
        ("letters", whole(&[(SERVER_NAME, names(&[(0, "\u{e4}.example")]))])),
        ("the extension twice", whole(&[name(), (SERVER_NAME, names(&[(0, "b.example")]))])),
        ("encrypted", whole(&[name(), (ENCRYPTED_HELLO, vec![0; 40])])),
        ("a message behind", records(&behind, 16_000)),
        ("a length of its own", records(&long, 16_000)),
    ] {
        assert!(matches!(hello(&bytes), Hello::Bad(_)), "{what}: {:?}", hello(&bytes));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = hello(&bytes);
    }

    /// Whatever one byte becomes: never another name than the bytes say.
    #[test]
    fn any_byte_may_be_another(at in 0_usize..100, byte in any::<u8>()) {
        let mut bytes = records(&for_name("a.example"), 40);
        let place = at % bytes.len();
        bytes[place] = byte;
        if let Hello::For(Some(name)) = hello(&bytes) {
            prop_assert!(name.len() == "a.example".len());
        }
    }
}
