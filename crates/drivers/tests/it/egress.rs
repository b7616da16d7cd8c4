//! The broker's proxy with real clients, real TLS and names of its own: each attack with a control that
//! succeeds where the check is not, and no byte to anybody who was not decided on.

use drivers::{
    Secret,
    egress::{Ask, Authority, Broker, Cuts, Egress, Patience, Ruling, serve},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{ServerConfig, ServerConnection, StreamOwned, pki_types::PrivateKeyDer};
use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};
use tempfile::TempDir;

const WORD: &str = "the word";
/// An address of somebody on the internet; here it is dialled at home.
const PUBLIC: &str = "93.184.216.34";

/// A server of TLS for `*.example`, and who vouches for it.
struct Outside {
    at: SocketAddr,
    root: Vec<u8>,
    heard: Arc<Mutex<Vec<String>>>,
    met: Arc<AtomicUsize>,
}

impl Outside {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // An issuer of the same name as what it issues would be taken for the same certificate.
        params.distinguished_name.push(DnType::CommonName, "outside");
        let root = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let names = vec!["a.example".to_owned(), "b.example".to_owned()];
        let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &root).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let config = config.with_no_client_auth().with_single_cert(vec![leaf.der().clone()], key).unwrap();
        let (listener, config) = (TcpListener::bind("127.0.0.1:0").unwrap(), Arc::new(config));
        let (heard, met) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicUsize>::default());
        let own = Self { at: listener.local_addr().unwrap(), root: root.der().to_vec(), heard, met };
        let (heard, met) = (own.heard.clone(), own.met.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                met.fetch_add(1, Ordering::SeqCst);
                let (heard, config) = (heard.clone(), config.clone());
                thread::spawn(move || {
                    let mut first = [0];
                    if stream.peek(&mut first).is_ok_and(|read| read == 1) && first[0] == 22 {
                        let secure = ServerConnection::new(config).unwrap();
                        answer(StreamOwned::new(secure, stream), &heard);
                    } else {
                        answer(stream, &heard);
                    }
                });
            }
        });
        own
    }

    fn met(&self) -> usize {
        self.met.load(Ordering::SeqCst)
    }
}

fn answer<S: Read + Write>(stream: S, heard: &Mutex<Vec<String>>) {
    let mut stream = BufReader::new(stream);
    let (mut head, mut line) = (String::new(), String::new());
    while stream.read_line(&mut line).is_ok_and(|read| read > 2) {
        head.push_str(&line);
        line.clear();
    }
    if head.is_empty() {
        return;
    }
    heard.lock().unwrap().push(head);
    let length = WORD.len();
    let _ = write!(
        stream.get_mut(),
        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{WORD}"
    );
    let _ = stream.get_mut().flush();
}

/// What is decided, and where names lead.
struct Rules {
    at: SocketAddr,
    root: Vec<u8>,
    /// Whether all is looked into.
    inspect: bool,
    private: bool,
    /// What is put into requests.
    secret: Option<&'static str>,
    /// Answers of the resolver, one after the other; the last stays.
    leads: Mutex<Vec<IpAddr>>,
    asked: Mutex<Vec<String>>,
    looked: AtomicUsize,
}

impl Broker for Rules {
    fn decide(&self, ask: &Ask) -> Ruling {
        let method = ask.method.as_deref().unwrap_or("CONNECT");
        self.asked.lock().unwrap().push(format!("{method} {}:{}", ask.host, ask.port));
        if ask.host.as_str() == "denied.example" || method == "POST" {
            return Ruling::No { status: 403, message: "held (hint: skep approve 7)".to_owned() };
        }
        let secret = self.secret.filter(|_| ask.method.is_some()).map(str::to_owned);
        Ruling::Go { inspect: self.inspect && ask.method.is_none(), private: self.private, secret }
    }

    fn resolve(&self, _: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        self.looked.fetch_add(1, Ordering::SeqCst);
        let mut leads = self.leads.lock().unwrap();
        let next = if leads.len() > 1 { leads.remove(0) } else { leads[0] };
        Ok(vec![SocketAddr::new(next, port)])
    }

    fn lend(&self, name: &str, ask: &Ask, to: &mut dyn FnMut(&Secret<'_>)) -> Result<(), String> {
        assert_eq!(ask.host.as_str(), "a.example");
        to(&Secret::lend(name));
        Ok(())
    }

    fn dial(&self, _: SocketAddr) -> SocketAddr {
        self.at
    }

    fn roots(&self) -> Vec<Vec<u8>> {
        vec![self.root.clone()]
    }
}

/// A proxy, until the test ends.
struct Proxy {
    at: SocketAddr,
    rules: Arc<Rules>,
    cuts: Cuts,
    dir: TempDir,
}

const QUICK: Patience = Patience {
    head: Duration::from_millis(400),
    dial: Duration::from_secs(5),
    answer: Duration::from_secs(5),
    idle: Duration::from_secs(5),
    whole: Duration::from_secs(30),
};

impl Proxy {
    fn new(outside: &Outside, change: impl FnOnce(&mut Rules)) -> Self {
        let leads = Mutex::new(vec![PUBLIC.parse().unwrap()]);
        let (asked, looked) = (Mutex::default(), AtomicUsize::new(0));
        let (at, root) = (outside.at, outside.root.clone());
        let mut rules =
            Rules { at, root, inspect: false, private: false, secret: None, leads, asked, looked };
        change(&mut rules);
        let (rules, authority) = (Arc::new(rules), Arc::new(Authority::make("test").unwrap()));
        let dir = TempDir::with_prefix("skep-egress-").unwrap();
        fs::write(dir.path().join("own.pem"), authority.pem()).unwrap();
        fs::write(dir.path().join("theirs.pem"), pem(&outside.root)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let cuts = Cuts::default();
        let broker = rules.clone();
        let private = "skep allow 12 net private".to_owned();
        let (meter, held) = (Arc::default(), cuts.clone());
        let egress = Egress { broker, authority, meter, cuts: held, patience: QUICK, private };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let egress = egress.clone();
                thread::spawn(move || serve(&egress, stream));
            }
        });
        Self { at, rules, cuts, dir }
    }

    /// curl by way of it: what it got, with the status at the end.
    fn curl(&self, trust: &str, more: &[&str]) -> String {
        let proxy = format!("http://{}", self.at);
        curl(&[&["-x", &proxy, "--cacert", self.dir.path().join(trust).to_str().unwrap()], more].concat())
    }

    /// Bytes as they are, and all that comes back.
    fn raw(&self, bytes: &str) -> String {
        let mut stream = TcpStream::connect(self.at).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(bytes.as_bytes()).unwrap();
        let mut text = Vec::new();
        let _ = stream.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    }
}

fn pem(der: &[u8]) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

fn curl(arguments: &[&str]) -> String {
    let fixed = ["-s", "-m", "20", "-w", " %{http_code} %{http_connect}"];
    let ran = Command::new("curl").args(fixed).args(arguments).env_clear().output().unwrap();
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

#[test]
fn a_tunnel_is_for_the_host_that_was_decided_on() {
    let outside = Outside::new();
    let proxy = Proxy::new(&outside, |_| {});
    assert_eq!(proxy.curl("theirs.pem", &["https://a.example/"]), "the word 200 200");
    assert_eq!(*proxy.rules.asked.lock().unwrap(), ["CONNECT a.example:443"]);
    // Another name in the hello: fronting. The control: the server itself answers for both.
    let front = ["--connect-to", "b.example:443:a.example:443", "https://b.example/"];
    assert_eq!(proxy.curl("theirs.pem", &front), " 000 200");
    let to = format!("b.example:443:{}", outside.at);
    let trust = proxy.dir.path().join("theirs.pem");
    let control = curl(&["--connect-to", &to, "--cacert", trust.to_str().unwrap(), "https://b.example/"]);
    assert_eq!(control, "the word 200 000");
    let heard = outside.heard.lock().unwrap().join("");
    assert!(heard.matches("b.example").count() == 1, "only the control arrived: {heard}");
    // What is no TLS is not carried, whatever it is.
    let said =
        proxy.raw("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\nGET / HTTP/1.1\r\n\r\n");
    assert!(said.contains(" 200") && !said.contains(WORD), "{said}");
    // One that says nothing is not waited for longer than a head may take.
    let said = proxy.raw("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n");
    assert!(said.contains(" 200") && !said.contains(WORD), "{said}");
    assert_eq!(proxy.curl("theirs.pem", &["https://denied.example/"]), " 000 403");
}

#[test]
fn what_is_looked_into_is_decided_request_by_request() {
    let outside = Outside::new();
    let proxy = Proxy::new(&outside, |rules| rules.inspect = true);
    assert_eq!(proxy.curl("own.pem", &["https://a.example/x?y"]), "the word 200 200");
    let said = proxy.curl("own.pem", &["-d", "secret", "https://a.example/"]);
    assert!(said.contains("skep approve 7") && said.ends_with(" 403 200"), "{said}");
    assert!(proxy.curl("own.pem", &["-H", "Host: b.example", "https://a.example/"]).ends_with(" 421 200"));
    assert!(proxy.curl("own.pem", &["-X", "GET", "-d", "x", "https://a.example/"]).ends_with(" 400 200"));
    assert!(proxy.curl("own.pem", &["-X", "TRACE", "https://a.example/"]).ends_with(" 421 200"));
    let asked = proxy.rules.asked.lock().unwrap().clone();
    assert_eq!(asked[..2], ["CONNECT a.example:443", "GET a.example:443"]);
    let heard = outside.heard.lock().unwrap().clone();
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(
        heard[0].starts_with("GET /x?y HTTP/1.1\r\n") && heard[0].contains("host: a.example\r\n"),
        "{heard:?}"
    );
    // Who does not trust us sees that somebody looks; whom we do not trust is not asked.
    assert_eq!(proxy.curl("theirs.pem", &["https://a.example/"]), " 000 200");
    let stranger = Proxy::new(&outside, |rules| {
        rules.inspect = true;
        rules.root = Outside::new().root;
    });
    assert!(stranger.curl("own.pem", &["https://a.example/"]).ends_with(" 502 200"));
    assert_eq!(outside.heard.lock().unwrap().len(), 1);
}

/// Where a name may lead that is nobody's business, and where it may lead at no word at all.
const PRIVATE: [&str; 25] = [
    "127.0.0.1",
    "127.8.8.8",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.1.1",
    "100.64.0.1",
    "100.127.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "192.88.99.1",
    "::1",
    "fe80::1",
    "fc00::1",
    "fd00::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "2001:0:53aa:64c:0:fbfe:80ff:fffe",
    "2001:db8::1",
];
const NEVER: [&str; 10] = [
    "169.254.169.254",
    "fd00:ec2::254",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "0.0.0.0",
    "::",
    "224.0.0.1",
    "255.255.255.255",
    "ff02::1",
    "0.1.2.3",
];

#[test]
fn a_name_that_leads_home_is_refused() {
    let outside = Outside::new();
    let lead = |address: &str, private: bool| {
        let proxy = Proxy::new(&outside, |rules| {
            rules.leads = Mutex::new(vec![address.parse().unwrap()]);
            rules.private = private;
        });
        let before = outside.met();
        let said = [
            proxy.curl("theirs.pem", &["http://a.example/"]),
            proxy.curl("theirs.pem", &["https://a.example/"]),
        ];
        (said, outside.met() - before)
    };
    for address in PRIVATE {
        let (said, met) = lead(address, false);
        assert!(said[0].contains("not public") && said[0].ends_with(" 403 000"), "{address}: {said:?}");
        assert!(said[1].ends_with(" 000 403") && met == 0, "{address}: {said:?}");
        // The control: with the capability `private` it is dialled, as it would be without the check.
        let (said, met) = lead(address, true);
        assert_eq!((said[0].as_str(), met), ("the word 200 000", 2), "{address}: {said:?}");
    }
    for address in NEVER {
        for private in [false, true] {
            let (said, met) = lead(address, private);
            assert!(said[0].ends_with(" 403 000") && met == 0, "{address}: {said:?}");
        }
    }
    let (said, met) = lead(PUBLIC, false);
    assert_eq!((said[0].as_str(), met), ("the word 200 000", 2));
}

#[test]
fn a_name_is_looked_up_once_for_a_connection() {
    let outside = Outside::new();
    let home: IpAddr = "127.0.0.1".parse().unwrap();
    let proxy = Proxy::new(&outside, |rules| rules.leads = Mutex::new(vec![PUBLIC.parse().unwrap(), home]));
    assert_eq!(proxy.curl("theirs.pem", &["https://a.example/"]), "the word 200 200");
    assert_eq!(proxy.rules.looked.load(Ordering::SeqCst), 1);
    // The next connection is checked anew, and by then the name leads home.
    assert_eq!(proxy.curl("theirs.pem", &["https://a.example/"]), " 000 403");
    assert_eq!(outside.met(), 1);
}

#[test]
fn what_is_no_request_to_a_proxy_is_refused_before_anybody_is_asked() {
    let outside = Outside::new();
    let proxy = Proxy::new(&outside, |_| {});
    let long =
        format!("GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    let many = format!("GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n{}\r\n", "X: y\r\n".repeat(300));
    for bytes in [
        "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n",
        "GET https://a.example/ HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n",
        "GET ftp://a.example/ HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n",
        "GET http://u@a.example/ HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n",
        "GET http://a.example\\@b.example/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "CONNECT a.example HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n",
        "CONNECT a.example:0 HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n",
        "CONNECT http://a.example:443/ HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n",
        "GET http://a.example/ HTTP/1.1\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx",
        "GET http://a.example/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n",
        "POST http://a.example/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "GET http://a.example/ HTTP/1.1\r\nHost : a.example\r\n\r\n",
        "get / \0\r\n\r\n",
        "\u{16}\u{3}\u{1}\0\u{1}x",
        "SSH-2.0-x\r\n\r\n",
        &long,
        &many,
        // It says nothing, and is not waited for.
        "GET http://a.exa",
        "",
    ] {
        let said = proxy.raw(bytes);
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 4"), "{bytes:.80}: {said}");
    }
    assert_eq!((outside.met(), proxy.rules.asked.lock().unwrap().len()), (0, 0));
    let said = proxy.raw("GET http://a.example/ HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n");
    assert!(said.ends_with(WORD), "the control: {said}");
    // The host is that of the URL, whatever the header says.
    assert!(outside.heard.lock().unwrap()[0].contains("host: a.example\r\n"));
}

#[test]
fn what_is_cut_ends_and_what_comes_after_does_not() {
    let outside = Outside::new();
    for inspect in [false, true] {
        let proxy = Proxy::new(&outside, |rules| rules.inspect = inspect);
        let mut open = TcpStream::connect(proxy.at).unwrap();
        open.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        open.write_all(b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n").unwrap();
        let mut said = [0; 12];
        open.read_exact(&mut said).unwrap();
        assert_eq!(&said, b"HTTP/1.1 200");
        // Of a record of TLS that has only begun: it is waited for.
        open.write_all(&[22, 3, 1]).unwrap();
        proxy.cuts.cut();
        let mut rest = Vec::new();
        let ended = open.read_to_end(&mut rest);
        assert!(ended.is_ok() || ended.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset));
        let trust = if inspect { "own.pem" } else { "theirs.pem" };
        assert_eq!(proxy.curl(trust, &["https://a.example/"]), "the word 200 200");
    }
}

#[test]
fn a_secret_goes_over_tls_in_place_of_what_the_program_sent() {
    let outside = Outside::new();
    let heard = || std::mem::take(&mut *outside.heard.lock().unwrap()).join("");
    for (value, is) in
        [("me:word", "authorization: Basic bWU6d29yZA=="), ("token", "authorization: Bearer token")]
    {
        let proxy = Proxy::new(&outside, |rules| (rules.inspect, rules.secret) = (true, Some(value)));
        let own = ["-H", "Authorization: Bearer mine", "https://a.example/"];
        assert_eq!(proxy.curl("own.pem", &own), "the word 200 200");
        let head = heard();
        assert!(head.contains(is) && head.to_lowercase().matches("authorization").count() == 1, "{head}");
    }
    // In the clear it does not go, and neither does the request that it is for.
    let proxy = Proxy::new(&outside, |rules| rules.secret = Some("token"));
    let said = proxy.curl("own.pem", &["http://a.example/"]);
    assert!(said.contains("over TLS") && said.ends_with(" 403 000"), "{said}");
    // Nor to a host that cannot show who it is.
    let stranger = Proxy::new(&outside, |rules| {
        (rules.inspect, rules.secret, rules.root) = (true, Some("token"), Outside::new().root);
    });
    assert!(stranger.curl("own.pem", &["https://a.example/"]).ends_with(" 502 200"));
    // What no header can carry is said, not sent.
    let odd = Proxy::new(&outside, |rules| (rules.inspect, rules.secret) = (true, Some("a\nb")));
    assert!(odd.curl("own.pem", &["https://a.example/"]).ends_with(" 403 200"));
    assert_eq!(heard(), "");
    let none = Proxy::new(&outside, |_| {});
    assert_eq!(none.curl("own.pem", &["http://a.example/"]), "the word 200 000", "the control");
}
