//! What needs the inside: waits that are too long for a test, certificates that no system knows.

use super::*;
use abi::effect::Role;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{RootCertStore, ServerConfig, ServerConnection, pki_types::PrivateKeyDer};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

fn prompt() -> Prompt {
    let items = vec![(Role::User, b"hi".to_vec())];
    Prompt { model: "m".to_owned(), items, tools: Vec::new(), max_out: 100 }
}

const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n\
                      {\"choices\":[{\"message\":{\"content\":\"safe\"},\"finish_reason\":\"stop\"}]}";

/// A server with a certificate of its own making for `localhost`, for one connection; and the roots that
/// trust it.
fn secure() -> (String, RootCertStore, JoinHandle<bool>) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    // Whether a request came through.
    let serve = move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut server = ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = rustls::Stream::new(&mut server, &mut stream);
        let heard = stream.read(&mut [0; 4096]).is_ok_and(|bytes| bytes > 0);
        let _ = stream.write_all(ANSWER.as_bytes());
        stream.conn.send_close_notify();
        let _ = stream.flush();
        heard
    };
    (url, roots, Builder::new().spawn(serve).unwrap())
}

fn ask(remote: &Remote) -> Result<Said, ModelError> {
    remote.call(&prompt(), Some(&Secret::lend("sk-1")), &mut |_| Flow::Go)
}

#[test]
fn a_certificate_that_is_trusted_opens_the_door() {
    let (url, roots, server) = secure();
    let remote = Remote::new(&[Wire::Chat], &url, net::trusting(roots)).unwrap();
    assert_eq!(ask(&remote).unwrap().text, "safe");
    assert!(server.join().unwrap());
}

#[test]
fn a_certificate_that_is_not_gets_no_request() {
    let (url, _, server) = secure();
    let (_, others, _other) = secure();
    let remote = Remote::new(&[Wire::Chat], &url, net::trusting(others)).unwrap();
    let error = ask(&remote).unwrap_err();
    assert!(!error.again && error.message.contains("no secure connection"), "{error:?}");
    assert!(!server.join().unwrap(), "the key was sent to a stranger");
}

#[test]
fn a_name_that_is_not_the_certificates_gets_no_request() {
    let (url, roots, server) = secure();
    let url = url.replace("localhost", "127.0.0.1");
    let remote = Remote::new(&[Wire::Chat], &url, net::trusting(roots)).unwrap();
    let error = ask(&remote).unwrap_err();
    assert!(!error.again && error.message.contains("no secure connection"), "{error:?}");
    assert!(!server.join().unwrap());
}

#[test]
fn a_key_does_not_leave_the_machine_in_the_clear() {
    let remote = Remote::new(&[Wire::Chat], "http://192.0.2.1", None).unwrap();
    let error = ask(&remote).unwrap_err();
    assert!(!error.again && error.message.contains("plain http"), "{error:?}");
}

/// Waits in the order of those in earnest, a thousand times shorter.
fn hasty() -> http::Patience {
    let ms = Duration::from_millis;
    http::Patience {
        beat: ms(5),
        connect: ms(500),
        head: ms(60),
        whole_head: ms(60),
        silence: ms(60),
        call: ms(400),
        drain: ms(20),
    }
}

/// A server that says this to the first request and then nothing.
fn silent(says: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serve = move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(says.as_bytes());
        let _ = stream.read(&mut [0; 1]);
    };
    Builder::new().spawn(serve).unwrap();
    url
}

const OPEN: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: hello\n\n";

#[test]
fn silence_ends_a_call_and_shows_life_until_then() {
    for (says, why) in [("", "did not begin to answer"), (OPEN, "said nothing more")] {
        let mut remote = Remote::new(&[Wire::Chat], &silent(says), None).unwrap();
        remote.patience = hasty();
        let mut alive = 0;
        let error = remote.call(&prompt(), None, &mut |piece| {
            alive += u32::from(piece.is_empty());
            Flow::Go
        });
        let error = error.unwrap_err();
        assert!(error.again && error.message.contains(why), "{error:?}");
        assert!(alive >= 5, "{alive} signs of life");
    }
}

#[test]
fn a_silent_call_can_be_ended() {
    for says in ["", OPEN] {
        let remote = Remote::new(&[Wire::Chat], &silent(says), None).unwrap();
        let said = remote.call(&prompt(), None, &mut |_| Flow::Stop).unwrap();
        assert_eq!((said.text.as_str(), said.stop), ("", Stop::Cut));
    }
}

#[test]
fn a_call_that_trickles_ends_as_a_whole() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serve = move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(OPEN.as_bytes());
        // A byte at a time, as often as the other side looks away: its silence never lasts.
        stream.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        while stream.write_all(b":").is_ok() && !matches!(stream.read(&mut [0; 1]), Ok(0)) {}
    };
    Builder::new().spawn(serve).unwrap();
    let mut remote = Remote::new(&[Wire::Chat], &url, None).unwrap();
    remote.patience = hasty();
    let error = remote.call(&prompt(), None, &mut |_| Flow::Go).unwrap_err();
    assert!(error.again && error.message.contains("was not done after"), "{error:?}");
}

#[test]
fn nobody_there_is_worth_another_try() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let remote = Remote::new(&[Wire::Messages], &format!("http://{free}"), None).unwrap();
    let error = ask(&remote).unwrap_err();
    assert!(error.again && error.message.contains("cannot be reached"), "{error:?}");
    let error = remote.models(None).unwrap_err();
    assert!(error.again, "{error:?}");
}

#[test]
fn a_key_that_no_header_can_carry_is_not_shown() {
    let remote = Remote::new(&[Wire::Messages], "https://192.0.2.1", None).unwrap();
    let error = remote.call(&prompt(), Some(&Secret::lend("sk\n-hunter2")), &mut |_| Flow::Go).unwrap_err();
    assert!(!error.again && !error.message.contains("hunter2"), "{error:?}");
}
