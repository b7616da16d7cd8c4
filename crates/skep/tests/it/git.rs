//! git with a secret that it never sees: the real git in the real wall, and git's own server behind TLS of
//! the test. The broker puts the secret in, for its host and no other; to push is asked.

use crate::{
    egress::{inside, process_with},
    exec::home_of,
    hive::{Hive, PATIENCE, retry},
    outside::{Asked, Outside, Said, own_name},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;
use std::{
    fs,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

/// What opens the repository: a name and a password.
const VALUE: &str = "x-token:open-sesame-0815";

/// What git's own server says: a program that is asked by its environment (RFC 3875).
fn backend(root: &Path, asked: &Asked) -> Said {
    if asked.header("authorization") != format!("Basic {}", STANDARD.encode(VALUE)) {
        return (401, vec!["WWW-Authenticate: Basic realm=\"git\"".to_owned()], b"who are you".to_vec());
    }
    let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    let mut git = Command::new("git");
    git.arg("http-backend").env("GIT_PROJECT_ROOT", root).env("GIT_HTTP_EXPORT_ALL", "1");
    git.env("REQUEST_METHOD", &asked.method).env("PATH_INFO", path).env("QUERY_STRING", query);
    git.env("CONTENT_TYPE", asked.header("content-type")).env("REMOTE_USER", "x");
    git.env("HTTP_CONTENT_ENCODING", asked.header("content-encoding"));
    git.env("GIT_PROTOCOL", asked.header("git-protocol")).env("CONTENT_LENGTH", asked.body.len().to_string());
    let mut child = git.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(&asked.body);
    let said = child.wait_with_output().unwrap().stdout;
    let at = said.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(0);
    let head = String::from_utf8_lossy(&said[..at]).into_owned();
    let status = head.lines().find_map(|line| line.strip_prefix("Status: "));
    let status = status.and_then(|text| text.split(' ').next()?.parse().ok()).unwrap_or(200);
    let lines = head.lines().filter(|line| !line.starts_with("Status:")).map(str::to_owned).collect();
    (status, lines, said[(at + 4).min(said.len())..].to_vec())
}

/// A bare repository with one commit of a file `word`.
fn repository(dir: &Path) -> PathBuf {
    let root = dir.join("repos");
    let line = "git init -q -b main work && cd work && printf 'the word' > word && git add word && \
                git -c user.name=t -c user.email=t@example commit -qm first && cd .. && \
                git clone -q --bare work own.git && git -C own.git config http.receivepack true";
    fs::create_dir_all(&root).unwrap();
    let ran = Command::new("sh").args(["-ec", line]).current_dir(&root).output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
    root
}

/// A daemon that trusts these, and keeps the secret.
fn set_up(mut hive: Hive, servers: &[&Outside]) -> Hive {
    let roots: Vec<u8> = servers.iter().flat_map(|server| fs::read(&server.root).unwrap()).collect();
    let file = hive.around().join("roots.pem");
    fs::write(&file, roots).unwrap();
    let mut command = hive.command(&["up"]);
    command.env("SSL_CERT_FILE", &file);
    hive.start_as(command);
    hive.client().ok("write", json!({"path": "/sys/secrets/hub", "text": VALUE}));
    hive
}

/// Policy with these lines more.
fn allow(hive: &Hive, lines: &[String]) {
    let shipped = hive.client().text("/sys/policy.yaml");
    let more: String = lines.iter().map(|line| format!("      - {line}\n")).collect();
    let text = shipped.replace("      - net npm read", &format!("{more}      - net npm read"));
    assert_ne!(text, shipped);
    hive.client().ok("write", json!({"path": "/sys/policy.yaml", "text": text, "origin": "argument"}));
}

#[test]
fn git_opens_a_repository_with_a_secret_that_it_never_sees_and_to_push_is_asked() {
    let hive = Hive::bare();
    let root = repository(hive.around());
    let bare = root.join("own.git");
    let server = Outside::new(&hive, &own_name(), move |_, asked| backend(&root, asked));
    let hive = set_up(hive, &[&server]);
    let at = &server.name;
    allow(&hive, &[format!("net {at} read"), "net private".to_owned(), format!("secret hub {at}")]);
    let clone = format!(
        "cd $HOME && rm -rf own && GIT_TERMINAL_PROMPT=0 git clone -q https://{at}/own.git own 2>&1; \
         cat own/word"
    );

    // The control: without the secret the same is sent away.
    let pid = process_with(&hive, &format!(", net {at}, net private"), &[]);
    let said = inside(&hive, pid, &clone);
    assert!(!said.contains("the word"), "{said}");
    assert!(server.lines().iter().any(|line| line.starts_with("GET /own.git/info/refs")), "{said}");
    hive.cli(&["kill", &pid.to_string()]).fine();

    let pid = process_with(&hive, &format!(", net {at}, net private, secret hub {at}"), &[]);
    let said = inside(&hive, pid, &clone);
    assert_eq!(said, "the word");
    let said = inside(&hive, pid, "cd $HOME/own && git fetch 2>&1 && git remote -v && env");
    assert!(!said.contains("sesame") && !said.contains("error"), "{said}");

    // To push changes something there: it is asked, once, and goes when an operator has said so.
    let commit = "cd $HOME/own && echo more > more && git add more && \
                  git -c user.name=a -c user.email=a@example commit -qm second && git push -q 2>&1";
    let said = inside(&hive, pid, commit);
    assert!(said.contains("403"), "{said}");
    let head =
        || Command::new("git").args(["-C", bare.to_str().unwrap(), "log", "--format=%s"]).output().unwrap();
    assert_eq!(String::from_utf8(head().stdout).unwrap(), "first\n");
    inside(&hive, pid, "cd $HOME/own && git push -q 2>&1");
    let log = hive.client().log("home");
    let asked = log.iter().filter(|record| record["body"].get("proposed").is_some());
    assert_eq!(asked.count(), 1, "what waits already is not asked again");
    let inbox = hive.cli(&["inbox", "--json"]).fine().out;
    let proposal = inbox.split("\"proposal\":").nth(1).unwrap_or(&inbox);
    let proposal: String =
        proposal.chars().skip_while(|sign| !sign.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    hive.cli(&["approve", &proposal]).fine();
    let said = inside(&hive, pid, "cd $HOME/own && git push -q 2>&1");
    assert_eq!(said, "");
    assert_eq!(String::from_utf8(head().stdout).unwrap(), "second\nfirst\n");

    // It is in no place that a program or the log shows; a leak would be found.
    let find = "grep -rl open-ses''ame $HOME /tmp /run/skep-ca.pem /data 2>/dev/null; \
                cat /proc/*/environ 2>/dev/null | grep -ac open-ses''ame";
    assert_eq!(inside(&hive, pid, find).trim(), "0");
    let basic = STANDARD.encode(VALUE);
    for text in [hive.client().log("home").iter().map(ToString::to_string).collect::<String>(), hive.said()] {
        assert!(!text.contains("sesame") && !text.contains(&basic));
    }
    let records = hive.client().log("home");
    let named = |record: &&serde_json::Value| record.to_string().contains("\"secret\":\"hub\"");
    assert!(records.iter().filter(named).count() > 2, "by name it is in the log");
    let kept = grep(&hive.home(), "sesame").into_iter().chain(grep(&hive.home(), &basic));
    assert_eq!(kept.collect::<Vec<_>>(), Vec::<PathBuf>::new());
    inside(&hive, pid, "printf open-ses''ame-0815 > $HOME/leak");
    assert_ne!(inside(&hive, pid, find).trim(), "0", "the control");
    assert_eq!(grep(&hive.home(), "sesame").len(), 1, "the control");
}

/// Files below a directory that hold this.
fn grep(dir: &Path, word: &str) -> Vec<PathBuf> {
    let ran = Command::new("grep").args(["-raIl", word]).arg(dir).output().unwrap();
    String::from_utf8_lossy(&ran.stdout).lines().map(PathBuf::from).collect()
}

#[test]
fn a_secret_goes_to_its_host_over_tls_and_to_no_other() {
    let hive = Hive::bare();
    // Two hosts, each of which sends whoever asks `/to/X` there.
    let answer = |_: &Outside, asked: &Asked| -> Said {
        match asked.path.strip_prefix("/to/") {
            Some(to) => (302, vec![format!("Location: https://{to}/")], vec![]),
            None => (200, vec![], b"the word".to_vec()),
        }
    };
    let own = Outside::new(&hive, &own_name(), answer);
    let other = Outside::new(&hive, "127.0.0.2", answer);
    let again = Outside::new(&hive, &own_name(), answer);
    let hive = set_up(hive, &[&own, &other, &again]);
    let pid = process_with(&hive, "", &[]);
    let words = |at: &str| at.split(':').map(str::to_owned).collect::<Vec<_>>();
    let name = pid.to_string();
    hive.cli(&["allow", &name, "net", "private", "read"]).fine();
    for server in [&own, &other, &again] {
        let at = words(&server.name);
        hive.cli(&["allow", &name, "net", &at[0], &at[1], "read"]).fine();
    }
    let at = words(&own.name);
    hive.cli(&["allow", &name, "secret", "hub", &at[0], &at[1]]).fine();

    let opens = |server: &Arc<Outside>| {
        let heard = std::mem::take(&mut *server.heard.lock().unwrap());
        heard.iter().map(|asked| asked.header("authorization").to_owned()).collect::<Vec<_>>()
    };
    let basic = format!("Basic {}", STANDARD.encode(VALUE));
    // What a program sends in its place is not passed on.
    let line = format!("curl -sm20 -H 'Authorization: Bearer mine' {}", own.url());
    assert_eq!(inside(&hive, pid, &line), "the word");
    assert_eq!(opens(&own), std::slice::from_ref(&basic));
    for to in [&other, &again] {
        let line = format!("curl -sSLm20 {}/to/{} 2>&1", own.url(), to.name);
        assert_eq!(inside(&hive, pid, &line), "the word");
        assert_eq!((opens(&own), opens(to)), (vec![basic.clone()], vec![String::new()]), "{}", to.name);
    }
    // It is kept for that host now: a capability that names another does not bring it there.
    let at = words(&other.name);
    hive.cli(&["allow", &name, "secret", "hub", &at[0], &at[1]]).fine();
    let said = inside(&hive, pid, &format!("curl -sm20 {}", other.url()));
    assert!(said.contains("is kept for") && !said.contains("sesame"), "{said}");
    assert_eq!(opens(&other), [""; 0]);
}

/// A connection that a program has open: the far end of it, and the file in which it writes what it hears.
struct Open {
    stream: TcpStream,
    file: PathBuf,
}

impl Open {
    /// A request whose answer does not end: the program hears one word, and waits for the next.
    fn new(hive: &Hive, pid: u64, listener: &TcpListener, name: &str) -> Self {
        let at = listener.local_addr().unwrap();
        let line =
            format!("(curl -sN http://{at}/ > $HOME/{name}; echo over >> $HOME/{name}) > /dev/null 2>&1 &");
        inside(hive, pid, &line);
        let (mut stream, _) = listener.accept().unwrap();
        // What is said before it is asked is nobody's answer.
        let (mut head, mut line) = (BufReader::new(stream.try_clone().unwrap()), String::new());
        while head.read_line(&mut line).is_ok_and(|read| read > 2) {
            line.clear();
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        let home = retry("a home", || home_of(hive, pid));
        let mut open = Self { stream, file: home.join(name) };
        open.hears("word");
        open
    }

    /// What is said there arrives.
    fn hears(&mut self, word: &str) {
        self.stream.write_all(format!("{:x}\r\n{word}\r\n", word.len()).as_bytes()).unwrap();
        self.waits_for(word);
        assert!(!fs::read_to_string(&self.file).unwrap().contains("over"));
    }

    fn waits_for(&self, word: &str) {
        retry(word, || fs::read_to_string(&self.file).ok().filter(|text| text.contains(word)));
    }

    /// It ends on both sides.
    fn ends_cut(mut self) {
        self.waits_for("over");
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let ended = self.stream.read_to_end(&mut Vec::new());
        assert!(ended.is_ok() || ended.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
    }
}

#[test]
fn what_is_taken_back_is_cut_at_once() {
    let hive = Hive::new();
    let listener = TcpListener::bind("127.0.0.2:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let pid = process_with(&hive, "", &[]);
    let give = || {
        let (name, port) = (pid.to_string(), port.to_string());
        hive.cli(&["allow", &name, "net", "127.0.0.2", &port]).fine();
    };
    let revoke = || {
        let text = hive.client().text(&format!("/proc/{pid}/caps"));
        let line = text.lines().find(|line| line.contains("127.0.0.2")).unwrap();
        let cap: u64 = line.split(' ').next().unwrap().parse().unwrap();
        hive.client().ok("revoke", json!({"cap": cap}));
    };
    let policy = |change: &dyn Fn(String) -> String| {
        let text = change(hive.client().text("/sys/policy.yaml"));
        hive.client().ok("write", json!({"path": "/sys/policy.yaml", "text": text, "origin": "argument"}));
    };
    give();
    let open = Open::new(&hive, pid, &listener, "revoked");
    revoke();
    open.ends_cut();

    // An edit of policy that is about nothing here leaves it open; one that keeps it back does not.
    give();
    let mut open = Open::new(&hive, pid, &listener, "edited");
    allow(&hive, &["read /memory/**".to_owned()]);
    open.hears("still");
    let (before, with) = ("      - write /**/.env\n", "      - write /**/.env\n      - net 127.0.0.2:*\n");
    policy(&|text| text.replace(before, with));
    open.ends_cut();
    let said = inside(&hive, pid, &format!("curl -sm20 http://127.0.0.2:{port}/"));
    assert!(said.contains("policy denies"), "{said}");
    policy(&|text| text.replace(with, before));

    // And one that was given for a time ends with it.
    revoke();
    let need = format!("net 127.0.0.2:{port}");
    hive.client().ok("grant", json!({"pid": pid, "need": need, "expires_ms": 10_000}));
    Open::new(&hive, pid, &listener, "expired").ends_cut();
    // The process itself goes on.
    assert_eq!(inside(&hive, pid, "echo here"), "here\n");
}
