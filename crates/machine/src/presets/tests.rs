//! What clients are set to, from files and variables; names of hosts are examples.

use super::*;
use std::{cell::RefCell, collections::BTreeMap, fs, path::Path};
use tempfile::TempDir;

thread_local! {
    /// The environment of this test.
    static VARIABLES: RefCell<BTreeMap<String, String>> = RefCell::default();
}

fn variable(name: &str) -> Option<String> {
    VARIABLES.with_borrow(|all| all.get(name).cloned())
}

/// A home with these files, and an environment with these variables.
fn home(files: &[(&str, &str)], variables: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let own = [("HOME", dir.path().to_str().unwrap())];
    let all = own.iter().chain(variables).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    VARIABLES.set(all.collect());
    dir
}

fn hosts(set: &Set) -> Vec<String> {
    set.registries.iter().map(|url| format!("{}:{}", url.host, url.port)).collect()
}

fn env(set: &Set) -> Vec<String> {
    set.env.iter().map(|(name, value)| format!("{name}={value}")).collect()
}

#[test]
fn a_service_is_its_hosts() {
    let presets = Presets::default();
    let of = |host: &str, port| presets.fixed(&Host::parse(host).unwrap(), port);
    assert_eq!(of("github.com", 443), ["github"]);
    assert_eq!(of("api.github.com", 443), ["github"]);
    for (host, port) in [("github.com", 22), ("notgithub.com", 443), ("github.com.example", 443)] {
        assert_eq!(of(host, port), Vec::<String>::new(), "{host}:{port}");
    }
    assert!(rows(shipped::HOSTS).len() >= 3);
    let known: Vec<&str> = CLIENTS.into_iter().filter(|name| PRESETS.contains(name)).collect();
    assert_eq!(known, CLIENTS);
}

#[test]
fn npm_is_set_by_its_file_and_its_environment() {
    let text = "# mine\nregistry = \"https://me:pw@r.example/npm/\"\n@own:registry=http://o.example:4873\n\
                //r.example/:_authToken=hidden\n@odd_one:registry=https://no.example\n";
    let _home = home(&[(".npmrc", text)], &[]);
    let set = npm::set(&mut Files::new(variable));
    assert_eq!(hosts(&set), ["r.example:443", "o.example:4873"]);
    assert_eq!(
        env(&set),
        ["npm_config_registry=https://r.example/npm/", "npm_config_@own:registry=http://o.example:4873"]
    );
    assert!(!set.built_in && !format!("{set:?}").contains("hidden") && !format!("{set:?}").contains("pw"));

    let _home = home(&[(".npmrc", text)], &[("npm_config_registry", "https://e.example/")]);
    assert_eq!(hosts(&npm::set(&mut Files::new(variable)))[0], "e.example:443");
    let _home = home(&[(".npmrc", "registry=https://${WHERE}/${NOT}")], &[("WHERE", "w.example")]);
    assert_eq!(env(&npm::set(&mut Files::new(variable))), ["npm_config_registry=https://w.example/"]);
    let _home = home(&[], &[]);
    assert_eq!(npm::set(&mut Files::new(variable)), Set { built_in: true, ..Set::default() });
}

#[test]
fn pip_is_set_by_its_files_and_its_environment() {
    let text = "[global]\nindex_url = https://me:pw@i.example/simple\n[list]\nextra-index-url = https://no.example\n\
                [install]\nextra-index-url =\n    https://a.example/simple\n    https://tok@b.example/s\n\
                trusted-host = i.example\n";
    let _home = home(&[(".config/pip/pip.conf", text)], &[]);
    let set = pip::set(&mut Files::new(variable));
    assert_eq!(hosts(&set), ["i.example:443", "a.example:443", "b.example:443"]);
    let all = [
        "PIP_INDEX_URL=https://i.example/simple",
        "PIP_EXTRA_INDEX_URL=https://a.example/simple https://b.example/s",
        "PIP_TRUSTED_HOST=i.example",
    ];
    assert_eq!(env(&set), all);
    assert!(!format!("{set:?}").contains("pw") && !format!("{set:?}").contains("tok"));
    let _home = home(&[(".config/pip/pip.conf", text)], &[("PIP_INDEX_URL", "https://e.example/")]);
    assert_eq!(hosts(&pip::set(&mut Files::new(variable)))[0], "e.example:443");
    let _home = home(&[(".config/pip/pip.conf", text)], &[("PIP_CONFIG_FILE", "/dev/null")]);
    assert!(pip::set(&mut Files::new(variable)).built_in);
}

#[test]
fn cargo_is_set_by_what_stands_in_for_its_own_registry() {
    let text = "[build]\nrustflags = [\n  \"-C\", 'x'\n]\n[source.crates-io]\nreplace-with = 'one' # mine\n\
                [source.\"one\"]\nreplace-with = \"two\"\n[registries]\ntwo = { index = \"sparse+https://u:pw@c.example/i/\" }\n";
    let kept = ".cargo/registry/index/c.example-1949cf8c6b5b557f/config.json";
    let json = r#"{"dl": "https://d.example/crates/{crate}", "api": "https://c.example"}"#;
    let _home = home(&[(".cargo/config.toml", text), (kept, json)], &[]);
    let set = cargo::set(&mut Files::new(variable));
    assert_eq!(hosts(&set), ["d.example:443", "c.example:443"]);
    let (path, seed) = set.seed.clone().unwrap();
    assert_eq!(path, ".cargo/config.toml");
    assert!(
        seed.starts_with(MARK) && seed.contains("registry = \"sparse+https://c.example/i/\"\n"),
        "{seed}"
    );
    assert!(!format!("{set:?}").contains("pw"));

    for text in [
        "",
        "[source.crates-io]\n",
        "source.crates-io = 5\n[[x]]\n",
        "[source.crates-io\nreplace-with = \"a\"",
    ] {
        let _home = home(&[(".cargo/config.toml", text)], &[]);
        assert!(cargo::set(&mut Files::new(variable)).built_in, "{text}");
    }
    // A ring, and a directory: nobody outside.
    for text in [
        "[source]\ncrates-io = { replace-with = \"a\" }\n[source.a]\nreplace-with = \"crates-io\"\n",
        "[source.crates-io]\nreplace-with = \"v\"\n[source.v]\ndirectory = \"vendor\"\n",
    ] {
        let _home = home(&[(".cargo/config.toml", text)], &[]);
        assert_eq!(cargo::set(&mut Files::new(variable)).registries, [], "{text}");
    }
}

#[test]
fn a_file_that_changes_is_read_again() {
    let dir = home(&[(".npmrc", "registry=https://a.example/")], &[]);
    let presets = Presets::default();
    let first = |presets: &Presets| hosts(&presets.sets(variable)[0]);
    assert_eq!(first(&presets), ["a.example:443"]);
    fs::write(dir.path().join(".npmrc"), "registry=https://longer.example/").unwrap();
    assert_eq!(first(&presets), ["longer.example:443"]);
    fs::remove_file(dir.path().join(".npmrc")).unwrap();
    assert_eq!(first(&presets), [""; 0]);
}

#[test]
fn what_is_no_file_to_read_is_said() {
    let dir = home(&[(".npmrc", &"x".repeat(300 * 1024)), (".config/pip/pip.conf", "")], &[]);
    let mut files = Files::new(variable);
    npm::set(&mut files);
    assert!(files.trouble().unwrap().contains("larger than 256 KiB"));
    fs::remove_file(dir.path().join(".npmrc")).unwrap();
    fs::create_dir(dir.path().join(".npmrc")).unwrap();
    let mut files = Files::new(variable);
    npm::set(&mut files);
    assert!(files.trouble().is_some());
    fs::write(dir.path().join(".config/pip/pip.conf"), b"[global]\nindex-url = \xff").unwrap();
    let mut files = Files::new(variable);
    assert!(pip::set(&mut files).built_in && files.trouble().unwrap().contains("not UTF-8"));
    assert!(files.read(Path::new("/dev/zero")).is_none());
}
