//! Leaving with everything, and coming back: the real daemon, the real command line, host files.

mod copy;
mod open;

use crate::hive::{Client, Hive};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Path → what stands there: kind, mode, text or base64. As of a record, or now.
type Tree = BTreeMap<String, (String, u64, String)>;

/// Everything at and below a path.
fn tree(client: &mut Client, workspace: &str, top: &str, at: Option<u64>) -> Tree {
    let mut all = Tree::new();
    let mut todo = vec![top.to_owned()];
    let aim = |path: &str| {
        let mut params = json!({ "path": path, "workspace": workspace });
        if let Some(at) = at {
            params["at"] = json!(at);
        }
        params
    };
    while let Some(dir) = todo.pop() {
        let listing = client.ok("list", aim(&dir));
        for entry in listing["entries"].as_array().unwrap() {
            let path = format!("{}/{}", dir.trim_end_matches('/'), entry["name"].as_str().unwrap());
            let kind = entry["node"].as_str().unwrap().to_owned();
            let mut content = String::new();
            if kind == "dir" {
                todo.push(path.clone());
            } else {
                let read = client.ok("read", aim(&path));
                let part = |key: &str| read[key].as_str().map(str::to_owned);
                content = part("text").or_else(|| part("base64")).unwrap_or_default();
            }
            all.insert(path, (kind, entry["mode"].as_u64().unwrap_or(0), content));
        }
    }
    all
}

/// The first member of a backup.
fn manifest(file: &Path) -> Value {
    let mut tar = tar::Archive::new(fs::File::open(file).unwrap());
    let first = tar.entries().unwrap().next().unwrap().unwrap();
    serde_json::from_reader(first).unwrap()
}

fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Every file below a directory, and what is around it.
fn names(dir: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}
