//! A server outside, of TLS, for tests: at an address of this host, under a name that leads there, with an
//! authority of its own that a daemon can be told to trust. Each request is answered by a function, and kept.

use crate::hive::Hive;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{ServerConfig, ServerConnection, StreamOwned, pki_types::PrivateKeyDer};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream, ToSocketAddrs},
    path::PathBuf,
    process::Command,
    sync::{Arc, Mutex},
    thread,
};

/// What was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub path: String,
    /// Lines of the head, names in small letters.
    pub head: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Asked {
    pub fn header(&self, name: &str) -> &str {
        self.head.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }
}

/// Status, more lines of the head, body.
pub type Said = (u16, Vec<String>, Vec<u8>);

/// A server.
pub struct Outside {
    /// What it is asked as: `NAME:PORT`.
    pub name: String,
    /// Its authority's certificate, in a file.
    pub root: PathBuf,
    pub heard: Arc<Mutex<Vec<Asked>>>,
}

/// This host's own name, which leads to an address of its own; programs do not take it for their own host.
pub fn own_name() -> String {
    let name = Command::new("uname").arg("-n").output().unwrap().stdout;
    let name = String::from_utf8(name).unwrap().trim().to_ascii_lowercase();
    let leads = (name.as_str(), 0).to_socket_addrs().ok().and_then(|mut all| all.next());
    assert!(leads.is_some() && name != "localhost", "{name:?} leads nowhere: add it to /etc/hosts");
    name
}

impl Outside {
    /// One that answers so; its certificate's file lies in the home of the test.
    pub fn new(
        hive: &Hive,
        name: &str,
        answer: impl Fn(&Self, &Asked) -> Said + Send + Sync + 'static,
    ) -> Arc<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "outside");
        let root = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &root).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let config = config.with_no_client_auth().with_single_cert(vec![leaf.der().clone()], key).unwrap();
        let at = (name, 0).to_socket_addrs().unwrap().next().unwrap();
        let listener = TcpListener::bind(at).unwrap();
        let at = listener.local_addr().unwrap();
        let file = hive.around().join(format!("root-{}.pem", at.port()));
        fs::write(&file, pem(root.der())).unwrap();
        let name = format!("{name}:{}", at.port());
        let own = Arc::new(Self { name, root: file, heard: Arc::default() });
        let (server, config, answer) = (own.clone(), Arc::new(config), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (server, config, answer) = (server.clone(), config.clone(), answer.clone());
                thread::spawn(move || {
                    let secure = ServerConnection::new(config).unwrap();
                    serve(&server, StreamOwned::new(secure, stream), &*answer);
                });
            }
        });
        own
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.name)
    }

    /// `METHOD PATH` of all that it heard.
    pub fn lines(&self) -> Vec<String> {
        self.heard.lock().unwrap().iter().map(|asked| format!("{} {}", asked.method, asked.path)).collect()
    }
}

fn serve(
    server: &Outside,
    stream: StreamOwned<ServerConnection, TcpStream>,
    answer: &(dyn Fn(&Outside, &Asked) -> Said + Send + Sync),
) {
    let mut stream = BufReader::new(stream);
    while let Some(asked) = read(&mut stream) {
        server.heard.lock().unwrap().push(asked.clone());
        let (status, head, body) = answer(server, &asked);
        let lines: String = head.iter().map(|line| format!("{line}\r\n")).collect();
        let head = format!("HTTP/1.1 {status} x\r\n{lines}Content-Length: {}\r\n\r\n", body.len());
        let out = stream.get_mut();
        let body: &[u8] = if asked.method == "HEAD" { &[] } else { &body };
        if out.write_all(&[head.as_bytes(), body].concat()).and_then(|()| out.flush()).is_err() {
            return;
        }
    }
}

/// One request; none at the end of the connection.
fn read(stream: &mut impl BufRead) -> Option<Asked> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let (first, rest) = lines.split_first()?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let pair = |line: &String| {
        line.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    let mut asked = Asked { method, path, head: rest.iter().filter_map(pair).collect(), body: Vec::new() };
    if asked.header("transfer-encoding") == "chunked" {
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).ok()?;
            let length = usize::from_str_radix(line.trim(), 16).ok()?;
            let mut piece = vec![0; length + 2];
            stream.read_exact(&mut piece).ok()?;
            asked.body.extend_from_slice(&piece[..length]);
            if length == 0 {
                break;
            }
        }
    } else {
        let length = asked.header("content-length").parse().unwrap_or(0);
        asked.body.resize(length, 0);
        stream.read_exact(&mut asked.body).ok()?;
    }
    Some(asked)
}

fn pem(der: &[u8]) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}
