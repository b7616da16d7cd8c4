//! What pip is set to: `PIP_INDEX_URL` and its like, `pip.conf` of the host and of the operator.
//!
//! ```text
//! [global]
//! index-url = https://name:password@i.example/simple
//! extra-index-url =
//!     https://a.example/simple
//!     https://b.example/simple
//! ```

use super::{Set, files::Files, url::Url};
use std::path::{Path, PathBuf};

/// Of the host; the operator's stand before them.
const OF_HOST: [&str; 2] = ["/etc/xdg/pip/pip.conf", "/etc/pip.conf"];
/// Sections that are of every use, and of the two that fetch.
const SECTIONS: [&str; 3] = ["global", "install", "download"];
const URLS_MAX: usize = 32;

pub(super) fn set(files: &mut Files) -> Set {
    let (mut index, mut extra, mut trusted) = (None, Vec::new(), Vec::new());
    for file in places(files) {
        let text = files.read(&file).unwrap_or_default();
        for (key, value) in values(&text) {
            let words = value.split_whitespace().map(str::to_owned);
            match key.as_str() {
                "index-url" => index = Some(value),
                "extra-index-url" => extra = words.collect(),
                "trusted-host" => trusted = words.collect(),
                _ => {}
            }
        }
    }
    let listed =
        |name: &str| files.variable(name).map(|all| all.split_whitespace().map(str::to_owned).collect());
    index = files.variable("PIP_INDEX_URL").or(index);
    extra = listed("PIP_EXTRA_INDEX_URL").unwrap_or(extra);
    trusted = listed("PIP_TRUSTED_HOST").unwrap_or(trusted);

    let mut set = Set { built_in: index.is_none(), ..Set::default() };
    let mut said = |name: &str, texts: &[String]| {
        let urls: Vec<Url> = texts.iter().take(URLS_MAX).filter_map(|text| Url::parse(text.trim())).collect();
        let words: Vec<&str> = urls.iter().map(|url| url.text.as_str()).collect();
        if !words.is_empty() {
            set.env.push((name.to_owned(), words.join(" ")));
        }
        set.registries.extend(urls);
    };
    said("PIP_INDEX_URL", index.as_slice());
    said("PIP_EXTRA_INDEX_URL", &extra);
    // Whom pip speaks to in the clear, it has to be told inside as well.
    trusted.retain(|host| drivers::egress::target(host, Some(1)).is_ok());
    trusted.truncate(URLS_MAX);
    if !trusted.is_empty() && !set.registries.is_empty() {
        set.env.push(("PIP_TRUSTED_HOST".to_owned(), trusted.join(" ")));
    }
    set
}

/// Files in the order in which one overrides the other.
fn places(files: &Files) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = OF_HOST.iter().map(PathBuf::from).collect();
    let home = files.home();
    all.extend(home.iter().map(|home| home.join(".pip/pip.conf")));
    let config = files.variable("XDG_CONFIG_HOME").map(PathBuf::from);
    let config = config.or_else(|| Some(home?.join(".config")));
    all.extend(config.map(|dir| dir.join("pip/pip.conf")));
    match files.variable("PIP_CONFIG_FILE") {
        // pip's own word for: none.
        Some(path) if path == "/dev/null" => return Vec::new(),
        Some(path) => all.push(Path::new(&path).to_owned()),
        None => {}
    }
    all
}

/// Keys and values of the sections that matter; lines that begin with a space go on with the one before.
fn values(text: &str) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    let mut within = false;
    for line in text.lines() {
        let bare = line.trim();
        if bare.is_empty() || bare.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = bare.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            within = SECTIONS.contains(&name.trim());
        } else if within && line.starts_with([' ', '\t']) {
            if let Some((_, value)) = all.last_mut() {
                value.push(' ');
                value.push_str(bare);
            }
        } else if within && let Some((key, value)) = bare.split_once(['=', ':']) {
            let key = key.trim().to_ascii_lowercase().replace('_', "-");
            all.push((key, value.trim().to_owned()));
        }
    }
    all
}
