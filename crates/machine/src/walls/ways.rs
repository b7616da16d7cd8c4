//! The two ways out of a sandbox, on its own loopback: the model endpoint, and the proxy of the broker.
//!
//! ```text
//! 127.0.0.1:7537  the endpoint, as the process whose sandbox it is: who can connect has been let in
//! 127.0.0.1:7538  HTTP proxy: each connection is an event `Connect`, answered when its record is durable
//! ```
//! A key that is shown at the endpoint is not looked at: one that were needed would lie where every program
//! reads it (docs/decisions/0039).
//! What a sandbox opened here ends with it. Never here: whether something may go, bytes that go.

use crate::{
    cell::{Cell, Ticket},
    guard::guard,
    journal,
    node::Node,
    presets::Belongs,
    secrets, spawn,
    turn::Input,
    walls::Walls,
};
use abi::{Error, Pid, event::Body, limits, net::Asked};
use drivers::Secret;
use drivers::egress::{self, Ask, Authority, Broker, Cuts, Egress, PATIENCE, Ruling, System};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    ffi::OsString,
    io,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, mpsc::sync_channel},
    time::Duration,
};

/// Ports inside: SKEP on the keys of a telephone, and the one after it.
pub(super) const PORTS: [u16; 2] = [7537, 7538];
/// Where the certificates stand inside.
pub(super) const BUNDLE: &str = "/run/skep-ca.pem";
/// Where hosts keep the certificates that they trust.
const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// Variables by which programs find a proxy, each also in small letters, and the certificates they trust.
const PROXIES: [&str; 3] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];
const TRUST: [&str; 8] = [
    "SSL_CERT_FILE",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "CURL_CA_BUNDLE",
    "PIP_CERT",
    "CARGO_HTTP_CAINFO",
    // A npmrc of the host may name a file of its own, which counts above the variable of Node.
    "npm_config_cafile",
];
/// A decision takes a commit; a workspace that cannot give one is not waited for.
const DECISION_MAX: Duration = Duration::from_secs(30);

/// What stands for the model endpoint in a variable of this kind, as a recipe names it. Whoever reaches it
/// from inside is known by that, so the key is a word that says so.
pub(super) fn endpoint(kind: &str) -> Option<String> {
    let base = format!("http://127.0.0.1:{}", PORTS[0]);
    match kind {
        "anthropic" | "gemini" => Some(base),
        "openai" => Some(format!("{base}/v1")),
        "token" => Some("kept-by-skep".to_owned()),
        _ => None,
    }
}

/// What programs find in their environment.
pub(super) fn environment() -> Vec<(OsString, OsString)> {
    let [endpoint, proxy] = PORTS.map(|port| format!("http://127.0.0.1:{port}"));
    let mut env: Vec<(String, &str)> = vec![("SKEP_ENDPOINT".to_owned(), &endpoint)];
    let local = "127.0.0.1,localhost,::1";
    for (name, value) in PROXIES.map(|name| (name, proxy.as_str())).into_iter().chain([("NO_PROXY", local)]) {
        env.push((name.to_owned(), value));
        env.push((name.to_ascii_lowercase(), value));
    }
    // Node asks its environment only when it is told to.
    env.push(("NODE_USE_ENV_PROXY".to_owned(), "1"));
    env.extend(TRUST.map(|name| (name.to_owned(), BUNDLE)));
    env.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
}

/// The certificates that programs of a workspace trust: those that the daemon does, of the host or where its
/// environment says, and the broker's own.
pub(super) fn bundle(authority: &Authority, named: Option<&str>, path: &Path) -> io::Result<()> {
    let places = named.into_iter().chain(SYSTEM_BUNDLES);
    let system = places.into_iter().find_map(|path| std::fs::read(path).ok()).unwrap_or_default();
    std::fs::write(path, [authority.pem().as_bytes(), &system].concat())
}

/// The ways of one sandbox; dropped, they are closed.
pub(super) struct Ways {
    listeners: Vec<TcpListener>,
    open: Arc<Mutex<BTreeMap<u64, TcpStream>>>,
    cuts: Cuts,
    bundle: PathBuf,
}

impl Ways {
    /// Takes the listeners of a sandbox.
    pub fn open(
        node: &Arc<Node>,
        cell: &Arc<Cell>,
        pid: Pid,
        (listeners, authority, bundle): (Vec<TcpListener>, Arc<Authority>, PathBuf),
    ) -> io::Result<Self> {
        let ways = Self { listeners, open: Arc::default(), cuts: Cuts::default(), bundle };
        let [endpoint, proxy] = ways.listeners.as_slice() else { return Err(io::ErrorKind::NotFound.into()) };
        let (endpoint, proxy) = (endpoint.try_clone()?, proxy.try_clone()?);
        let (asks, of) = (node.clone(), cell.clone());
        spawn::thread("inside-model", move || {
            asks.endpoint.clone().accept_inside(&asks, &endpoint, &(of.name.clone(), pid));
        });
        let broker = Arc::new(Inside { node: node.clone(), cell: cell.clone(), pid });
        let cuts = ways.cuts.clone();
        let private = format!("skep allow {pid} net private");
        let egress = Egress { broker, authority, meter: Arc::default(), cuts, patience: PATIENCE, private };
        let open = ways.open.clone();
        spawn::thread("inside-proxy", move || accept(&proxy, &egress, &open));
        Ok(ways)
    }

    /// What is open through the proxy ends; what is tried from now on is decided anew.
    pub fn cut(&self) {
        self.cuts.cut();
    }
}

impl Drop for Ways {
    fn drop(&mut self) {
        for listener in &self.listeners {
            let _ = rustix::net::shutdown(listener.as_fd(), rustix::net::Shutdown::Both);
        }
        guard(&self.open).values().for_each(|stream| _ = stream.shutdown(Shutdown::Both));
        let _ = std::fs::remove_file(&self.bundle);
    }
}

/// Takes programs until the listener is shut, each in a thread of its own.
fn accept(listener: &TcpListener, egress: &Egress, open: &Arc<Mutex<BTreeMap<u64, TcpStream>>>) {
    for number in 0.. {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // A program that went before it was taken.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(_) => return,
        };
        let Ok(held) = stream.try_clone() else { continue };
        {
            let mut open = guard(open);
            // One too many is closed: its program tries again, as with any proxy.
            if open.len() >= limits::EGRESS_CONNECTIONS_MAX {
                continue;
            }
            open.insert(number, held);
        }
        let (egress, own) = (egress.clone(), open.clone());
        let begun = spawn::thread("egress", move || {
            if catch_unwind(AssertUnwindSafe(|| egress::serve(&egress, stream))).is_err() {
                journal::say("egress", "a panic at a program's connection");
            }
            if let Some(stream) = guard(&own).remove(&number) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        });
        if !begun {
            guard(open).remove(&number);
        }
    }
}

/// Asks the kernel, as a process.
struct Inside {
    node: Arc<Node>,
    cell: Arc<Cell>,
    pid: Pid,
}

impl Inside {
    /// As the kernel is asked; and what is not known of presets.
    fn asked(&self, ask: &Ask) -> (Asked, String) {
        let Ask { host, port, method, secure, fetches } = ask.clone();
        let Belongs { to: presets, lacks } = self.node.presets.of(&self.node, &host, port);
        (Asked { host, port, method, presets, secure, fetches }, lacks)
    }
}

impl Broker for Inside {
    fn decide(&self, ask: &Ask) -> Ruling {
        Walls::before_call(&self.node, &self.cell, self.pid);
        let (asked, lacks) = self.asked(ask);
        let (answer, answered) = sync_channel(1);
        let no = |status, message: &str| Ruling::No { status, message: message.to_owned() };
        let pid = self.pid;
        let asks = |reply| Body::Connect { pid, reply, asked };
        let reply = match self.node.enter(&self.cell, asks, Vec::new(), Ticket::Connect(answer)) {
            Ok(reply) => reply,
            Err(error) => return no(503, &sentence(&error)),
        };
        match answered.recv_timeout(DECISION_MAX) {
            Ok(answer) => ruling(answer, &lacks),
            Err(_) => {
                guard(&self.cell.desk).waiting.remove(&reply);
                no(503, "nothing was decided in time")
            }
        }
    }

    fn unreached(&self, ask: &Ask, why: &str) {
        let body = Body::Unreached { pid: self.pid, asked: self.asked(ask).0, why: why.to_owned() };
        self.node.push(&self.cell, Input::now(&*self.node.clock, body, Vec::new()));
    }

    fn lend(&self, name: &str, ask: &Ask, to: &mut dyn FnMut(&Secret<'_>)) -> Result<(), String> {
        let origin = match ask.port {
            443 => format!("https://{}", ask.host),
            port => format!("https://{}:{port}", ask.host),
        };
        let value = secrets::kept(&self.node, name, &origin).map_err(|error| sentence(&error))?;
        let value =
            value.ok_or_else(|| format!("there is no secret {name} (hint: skep secret add {name})"))?;
        to(&value.lend());
        Ok(())
    }

    fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        System::resolve(host, port)
    }
}

fn sentence(error: &Error) -> String {
    match error.hint.as_str() {
        "" => error.message.clone(),
        hint => format!("{} (hint: {hint})", error.message),
    }
}

/// What the kernel's answer means to a proxy; and what is not known of presets, which may be why.
fn ruling(answer: Result<Value, Error>, lacks: &str) -> Ruling {
    let no = |message: String| Ruling::No { status: 403, message };
    match answer {
        Err(error) if lacks.is_empty() => no(sentence(&error)),
        Err(error) => no(format!("{}; {lacks}", sentence(&error))),
        Ok(told) => {
            let flag = |name: &str| told.get(name).and_then(Value::as_bool);
            let secret = told.get("secret").and_then(Value::as_str).map(str::to_owned);
            match (flag("inspect"), flag("private"), told.get("proposal")) {
                (Some(inspect), Some(private), None) => Ruling::Go { inspect, private, secret },
                (_, _, Some(proposal)) => {
                    let message = told.get("message").and_then(Value::as_str).unwrap_or_default();
                    no(format!("{message} (hint: skep approve {proposal}, then try again)"))
                }
                _ => no("nothing was decided".to_owned()),
            }
        }
    }
}
