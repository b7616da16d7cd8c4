//! What cargo is set to: `config.toml` of its home, in which `crates-io` may be replaced; and where an index
//! says that the crates themselves are, as cargo has kept it.
//!
//! ```text
//! [source.crates-io]
//! replace-with = "mirror"
//! [source.mirror]
//! registry = "sparse+https://m.example/index/"
//! ```

use super::{
    MARK, Set,
    files::{Files, Variable},
    url::Url,
};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Sources that replace one another: cargo itself refuses a ring.
const REPLACED_MAX: usize = 8;
/// Indexes that are looked at.
const INDEXES_MAX: usize = 64;

pub(super) fn set(files: &mut Files) -> Set {
    let mut set = Set::default();
    let Some(home) = home(files) else { return Set { built_in: true, ..set } };
    set.seed = Some((".cargo/config.toml".to_owned(), format!("{MARK}\n")));
    let text = files.read(&home.join("config.toml")).or_else(|| files.read(&home.join("config")));
    let values = values(&text.unwrap_or_default());
    let mut name = "crates-io".to_owned();
    for _ in 0..REPLACED_MAX {
        match values.get(&format!("source.{name}.replace-with")) {
            Some(next) => name.clone_from(next),
            None => break,
        }
    }
    if name == "crates-io" {
        return Set { built_in: true, ..set };
    }
    // A directory of crates is nobody outside.
    let mut text = ["source.NAME.registry", "registries.NAME.index"].iter();
    let text = text.find_map(|key| values.get(&key.replace("NAME", &name)));
    let Some(url) = text.and_then(|text| Url::parse(text)) else { return set };
    set.seed = Some((".cargo/config.toml".to_owned(), replacement(&url)));
    set.registries.extend(kept(&home, &url));
    set.registries.push(url);
    set
}

fn home(files: &Files) -> Option<PathBuf> {
    let named = files.variable("CARGO_HOME").map(PathBuf::from);
    named.or_else(|| Some(files.home()?.join(".cargo")))
}

/// The same for a cargo inside. It is marked as ours, so that it is written anew when it changes.
fn replacement(url: &Url) -> String {
    format!(
        "{MARK}\n[source.crates-io]\nreplace-with = \"as-on-the-host\"\n\n\
         [source.as-on-the-host]\nregistry = \"{}\"\n",
        url.text
    )
}

/// Where the crates of these indexes are.
pub(super) fn downloads(variable: Variable, indexes: &[Url]) -> Vec<Url> {
    let home = home(&Files::new(variable));
    home.iter().flat_map(|home| indexes.iter().flat_map(|url| kept(home, url))).collect()
}

/// What an index said of that when cargo last asked: `registry/index/HOST-HASH/config.json`.
fn kept(home: &Path, index: &Url) -> Vec<Url> {
    let dirs = fs::read_dir(home.join("registry/index")).into_iter().flatten().flatten();
    let of = format!("{}-", index.host.as_str());
    let own = dirs.take(INDEXES_MAX).filter(|dir| dir.file_name().to_string_lossy().starts_with(&of));
    let said = own.filter_map(|dir| {
        let text = Files::new(|_| None).read(&dir.path().join("config.json"))?;
        let said: serde_json::Value = serde_json::from_str(&text).ok()?;
        let text = said.get("dl")?.as_str()?.to_owned();
        // Behind the host there may be words in braces, which are no part of it.
        Url::parse(text.split('{').next().unwrap_or_default())
    });
    said.collect()
}

/// Texts of a TOML file by their whole key; what is no text is left out.
fn values(text: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut table = Some(Vec::new());
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix('[') {
            // A list of tables is none of ours.
            table = key(rest).filter(|(_, rest)| rest.starts_with(']')).map(|(name, _)| name);
            continue;
        }
        let (Some(table), Some((name, rest))) = (&table, key(line)) else { continue };
        let Some(value) = rest.trim_start().strip_prefix('=') else { continue };
        let whole = [table.as_slice(), name.as_slice()].concat();
        let value = value.trim_start();
        if let Some((value, _)) = string(value) {
            all.insert(whole.join("."), value);
        } else if let Some(mut rest) = value.strip_prefix('{') {
            while let Some((name, after)) = key(rest)
                && let Some((value, after)) =
                    after.trim_start().strip_prefix('=').and_then(|rest| string(rest.trim_start()))
            {
                all.insert([whole.as_slice(), name.as_slice()].concat().join("."), value);
                rest = after.trim_start().trim_start_matches(',');
            }
        }
    }
    all
}

/// A key with dots, its parts bare or in quotes, and what stands behind it.
fn key(text: &str) -> Option<(Vec<String>, &str)> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let bare = |sign: char| !(sign.is_ascii_alphanumeric() || sign == '-' || sign == '_');
        let (part, after) = match string(rest) {
            Some(found) => found,
            None => {
                let (part, after) = rest.split_at(rest.find(bare).unwrap_or(rest.len()));
                (part.to_owned(), after)
            }
        };
        if part.is_empty() {
            return None;
        }
        parts.push(part);
        rest = after.trim_start();
        match rest.strip_prefix('.') {
            Some(next) => rest = next,
            None => return Some((parts, rest)),
        }
    }
}

/// A text on one line, and what stands behind it. One with a `\` in it is none of ours.
fn string(text: &str) -> Option<(String, &str)> {
    let sign = text.chars().next().filter(|sign| ['"', '\''].contains(sign))?;
    let (value, rest) = text.get(1..)?.split_once(sign)?;
    (!value.contains('\\')).then(|| (value.to_owned(), rest))
}
