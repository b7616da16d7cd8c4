//! Registries that the operator's own clients are set to: real npm, pip and cargo in the real wall, through
//! the broker, which looks into what they ask, to a server of the test. What opens the registry stays
//! outside.

use crate::{
    egress::{inside, process_with},
    exec::text,
    hive::{Hive, run},
    outside::{Asked, Outside, Said, own_name},
};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

/// What opens the registry; nothing inside, and nothing that is written, may show it.
const TOKEN: &str = "open-sesame-4711";
const WORD: &str = "the word";

/// Packages of one name for three clients, made by real tools.
struct Shelf {
    npm: Vec<u8>,
    wheel: Vec<u8>,
    krate: Vec<u8>,
    sum: String,
}

fn sh(dir: &Path, line: &str) -> String {
    let ran = Command::new("bash").args(["-ec", line]).current_dir(dir).output().unwrap();
    assert!(ran.status.success(), "{line}: {ran:?}");
    String::from_utf8(ran.stdout).unwrap()
}

impl Shelf {
    fn new(dir: &Path) -> Self {
        let wheel = "import zipfile\nz = zipfile.ZipFile('tiny-1.0-py3-none-any.whl', 'w')\n\
                     z.writestr('tiny.py', 'WORD = \"the word\"\\n')\n\
                     m = 'tiny-1.0.dist-info/'\n\
                     z.writestr(m + 'METADATA', 'Metadata-Version: 2.1\\nName: tiny\\nVersion: 1.0\\n')\n\
                     z.writestr(m + 'WHEEL', 'Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')\n\
                     z.writestr(m + 'RECORD', 'tiny.py,,\\n' + m + 'METADATA,,\\n' + m + 'WHEEL,,\\n' + m + 'RECORD,,\\n')\n";
        fs::write(dir.join("wheel.py"), wheel).unwrap();
        sh(
            dir,
            "mkdir package; echo '{\"name\": \"tiny\", \"version\": \"1.0.0\"}' > package/package.json; \
             printf 'the word' > package/word; tar czf tiny.tgz package; python3 wheel.py; \
             mkdir -p tiny-1.0.0/src; echo '//! the word' > tiny-1.0.0/src/lib.rs; \
             printf '[package]\\nname = \"tiny\"\\nversion = \"1.0.0\"\\nedition = \"2021\"\\n' > tiny-1.0.0/Cargo.toml; \
             tar czf tiny.crate tiny-1.0.0",
        );
        let sum = sh(dir, "sha256sum tiny.crate").split(' ').next().unwrap().to_owned();
        let read = |name: &str| fs::read(dir.join(name)).unwrap();
        Self {
            npm: read("tiny.tgz"),
            wheel: read("tiny-1.0-py3-none-any.whl"),
            krate: read("tiny.crate"),
            sum,
        }
    }

    fn answer(&self, server: &Outside, asked: &Asked) -> Said {
        let found = |body: Vec<u8>| (200, vec![], body);
        let path = asked.path.split('?').next().unwrap_or_default();
        let url = server.url();
        match (asked.method.as_str(), path) {
            ("GET" | "HEAD", "/npm/tiny") => {
                let dist = json!({"tarball": format!("{url}/npm/tiny/-/tiny-1.0.0.tgz")});
                let version = json!({"name": "tiny", "version": "1.0.0", "dist": dist});
                let all =
                    json!({"name": "tiny", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}});
                (200, vec!["Content-Type: application/json".to_owned()], all.to_string().into_bytes())
            }
            ("GET", "/npm/tiny/-/tiny-1.0.0.tgz") => found(self.npm.clone()),
            ("GET", "/pip/simple/tiny/") => {
                let file = "tiny-1.0-py3-none-any.whl";
                let page =
                    format!("<!DOCTYPE html><html><body><a href=\"../../{file}\">{file}</a></body></html>");
                (200, vec!["Content-Type: text/html".to_owned()], page.into_bytes())
            }
            ("GET" | "HEAD", "/pip/tiny-1.0-py3-none-any.whl") => found(self.wheel.clone()),
            ("GET", "/cargo/config.json") => found(
                json!({"dl": format!("{url}/cargo/{{crate}}-{{version}}.crate")}).to_string().into_bytes(),
            ),
            ("GET", "/cargo/ti/ny/tiny") => {
                let row = json!({"name": "tiny", "vers": "1.0.0", "deps": [], "features": {}, "yanked": false,
                    "cksum": self.sum});
                found(row.to_string().into_bytes())
            }
            ("GET", "/cargo/tiny-1.0.0.crate") => found(self.krate.clone()),
            _ => (404, vec![], b"nothing".to_vec()),
        }
    }
}

/// A home whose operator's clients are set to a server of ours, with a daemon that trusts it.
fn set_up() -> (Hive, Arc<Outside>) {
    let mut hive = Hive::bare();
    let shelf = Shelf::new(hive.around());
    let server = Outside::new(&hive, &own_name(), move |server, asked| shelf.answer(server, asked));
    let (name, home) = (&server.name, hive.around());
    let with = format!("https://me:{TOKEN}@{name}");
    let write = |path: &str, text: String| {
        let path = home.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(".npmrc", format!("registry={with}/npm/\n//{name}/npm/:_authToken={TOKEN}\n"));
    write(".config/pip/pip.conf", format!("[global]\nindex-url = {with}/pip/simple\n"));
    let source = "[source.crates-io]\nreplace-with = \"own\"\n[source.own]\n";
    write(".cargo/config.toml", format!("{source}registry = \"sparse+{with}/cargo/\"\n"));
    write(".cargo/credentials.toml", format!("[registries.own]\ntoken = \"{TOKEN}\"\n"));
    let mut command = hive.command(&["up"]);
    command.env("SSL_CERT_FILE", &server.root).env("PATH", "/usr/bin:/bin");
    hive.start_as(command);
    (hive, server)
}

/// Where pip and cargo of this host are, if the wall does not show them anyway.
fn tools() -> (String, Vec<PathBuf>) {
    let python = sh(Path::new("/"), "python3 -c 'import pip, sys; print(sys.base_prefix)'");
    let python = PathBuf::from(python.trim());
    let cargo = Path::new(env!("CARGO")).parent().and_then(Path::parent).unwrap().to_owned();
    let path = format!("export PATH={}/bin:{}/bin:$PATH; cd $HOME; ", python.display(), cargo.display());
    let shown = |dir: &PathBuf| !dir.starts_with("/usr");
    (path, [python, cargo].into_iter().filter(shown).collect())
}

const NPM: &str = "mkdir -p n && cd n && npm install --no-audit --no-fund --fetch-retries=0 tiny 2>&1; \
                   cat node_modules/tiny/word";
const PIP: &str = "python3 -m pip install --no-input --retries 0 --target p tiny 2>&1; \
                   PYTHONPATH=p python3 -c 'import tiny; print(tiny.WORD)' 2>&1";
const CARGO: &str = "mkdir -p c/src && cd c && touch src/lib.rs && \
                     printf '[package]\\nname = \"c\"\\nversion = \"0.1.0\"\\nedition = \"2021\"\\n\
                     [dependencies]\\ntiny = \"1\"\\n' > Cargo.toml; CARGO_NET_RETRY=0 cargo fetch 2>&1; \
                     cat $HOME/.cargo/registry/src/*/tiny-1.0.0/src/lib.rs 2>&1";
const ALL: [(&str, &str, &str); 3] =
    [("npm", NPM, "/npm/"), ("pypi", PIP, "/pip/"), ("crates", CARGO, "/cargo/")];

#[test]
fn clients_inside_fetch_from_where_the_operators_own_do() {
    let (hive, server) = set_up();
    let (path, tools) = tools();
    let pid = process_with(&hive, "", &tools).to_string();
    let number: u64 = pid.parse().unwrap();
    hive.cli(&["allow", &pid, "net", "private", "read"]).fine();
    for (preset, line, _) in ALL {
        // The control: without the word they are refused, and nobody hears of it.
        let said = inside(&hive, number, &format!("{path}{line}"));
        assert!(!said.contains(WORD), "{preset}: {said}");
        assert_eq!(server.lines(), [""; 0], "{preset}: {said}");
        hive.cli(&["allow", &pid, "net", preset, "read"]).fine();
        let said = inside(&hive, number, &format!("{path}rm -rf n p c; {line}"));
        assert!(said.contains(WORD), "{preset}: {said}");
        let heard = std::mem::take(&mut *server.heard.lock().unwrap());
        assert!(!heard.is_empty(), "{preset}");
        // Nothing that opens the registry came from inside.
        let opens = |asked: &&Asked| !asked.header("authorization").is_empty();
        assert_eq!(heard.iter().filter(opens).count(), 0, "{heard:?}");
        let revoked = hive.client().text(&format!("/proc/{pid}/caps"));
        let cap = revoked.lines().find(|line| line.contains(&format!("net {preset} "))).unwrap();
        let cap: u64 = cap.split(' ').next().unwrap().parse().unwrap();
        hive.client().ok("revoke", json!({"cap": cap}));
    }
}

#[test]
fn what_changes_a_registry_does_not_go_and_what_opens_it_stays_outside() {
    let (hive, server) = set_up();
    let (path, tools) = tools();
    let number = process_with(&hive, "", &tools);
    let pid = number.to_string();
    for host in ["private", "npm", "pypi", "crates"] {
        hive.cli(&["allow", &pid, "net", host, "read"]).fine();
    }
    let publish = "mkdir -p w && cd w && echo '{\"name\": \"tiny\", \"version\": \"2.0.0\"}' > package.json && \
                   npm publish --fetch-retries=0 --//$NAME/npm/:_authToken=x 2>&1";
    let said = inside(&hive, number, &format!("{path}NAME={}; {publish}", server.name));
    assert!(said.contains("403"), "{said}");
    for method in ["PUT", "POST", "DELETE"] {
        let line =
            format!("curl -sm20 -o /dev/null -w '%{{http_code}}' -X {method} {}/npm/tiny", server.url());
        assert_eq!(inside(&hive, number, &line), "403", "{method}");
    }
    assert!(server.lines().iter().all(|line| line.starts_with("GET ")), "{:?}", server.lines());
    // The control: outside the same reaches it.
    let put = ["-sm20", "--cacert", server.root.to_str().unwrap(), "-X", "PUT"];
    run(Command::new("curl").args(put).arg(format!("{}/npm/tiny", server.url()))).fine();
    assert!(server.lines().contains(&"PUT /npm/tiny".to_owned()));

    let env =
        inside(&hive, number, "env; cat $HOME/.cargo/config.toml; grep -rl ses''ame $HOME /data 2>/dev/null");
    assert!(env.contains(&format!("npm_config_registry={}/npm/", server.url())), "{env}");
    assert!(env.contains(&format!("PIP_INDEX_URL={}/pip/simple", server.url())), "{env}");
    assert!(env.contains(&format!("registry = \"sparse+{}/cargo/\"", server.url())), "{env}");
    assert!(!env.contains(TOKEN), "{env}");
    let log: String = hive.client().log("home").iter().map(ToString::to_string).collect();
    assert!(!log.contains(TOKEN) && !hive.said().contains(TOKEN));
    // The control: a leak would be found.
    let leak =
        inside(&hive, number, "printf open-ses%s ame-4711 > $HOME/leak; grep -rl ses''ame $HOME 2>/dev/null");
    assert!(leak.contains("leak"), "{leak}");
}

#[test]
fn a_default_is_what_the_client_itself_says() {
    let mut hive = Hive::bare();
    let mut command = hive.command(&["up"]);
    command.env("PATH", "/usr/bin:/bin");
    hive.start_as(command);
    let pid = process_with(&hive, "", &[]);
    let mut npm = Command::new("npm");
    npm.args(["config", "get", "registry"])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", hive.around());
    let default = run(&mut npm).fine().out;
    let line = format!("curl -sm20 -i {}; curl -sm20 -vp {} 2>&1", default.trim(), default.trim());
    let said = inside(&hive, pid, &line);
    assert!(said.contains("no capability of process"), "the control: {said}");
    hive.cli(&["allow", &pid.to_string(), "net", "npm", "read"]).fine();
    // It may now be tried, whether or not this host gets anywhere.
    let said = inside(&hive, pid, &line);
    assert!(!said.contains("no capability of process"), "{said}");
    let ran = hive.client().ok("exec", json!({"pid": pid, "dir": "/data", "wall": "native", "text": "env"}));
    assert!(!text(&ran, "output").contains("npm_config_registry"), "its own default needs no word");
}
