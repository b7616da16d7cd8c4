//! The stage of a suite: a workspace in which the suite is mounted and an agent `planner` may do all that
//! the table of sinks lets it do. Its model calls `wait` for ever, so that the process lives while the
//! player makes its calls for it.

use super::{
    door::Door,
    suite::{Item, Suite},
};
use serde_json::json;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The daemon that is played against.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its socket.
    pub socket: PathBuf,
    /// Its home, for the rules of the scripted model.
    pub home: PathBuf,
    /// An empty directory of ours, for what the mounts bring.
    pub ground: PathBuf,
}

/// A workspace with a suite in it.
pub struct Stage<'a> {
    pub(super) suite: &'a Suite,
    pub(super) host: Host,
    pub(super) workspace: String,
    pub(super) operator: Door,
    /// Items that a trace has changed.
    pub(super) changed: BTreeSet<String>,
    /// How far the log has been looked through.
    pub(super) seen: u64,
}

const RULES: &str = r#"{"about": "It waits.", "rules": [{"then": {"say": "Waiting.",
    "tools": [{"name": "wait", "arguments": {"timeout_ms": 600000}}]}}]}"#;
const AGENT: &str = "---\nname: planner\ndescription: Does what it reads.\nmodel: scripted/planner\n\
    tools: [wait]\nneeds: [\"read /integrations/**\", apply any, model any]\n---\nYou do what you read.\n";
const POLICY: &str =
    "format: 1\nagents:\n  \"*\":\n    allow: [\"read /integrations/**\", apply any, model any]\n";
const BUDGET: &str = "format: 1\nworkspace: {day: 1000.00}\nagents:\n  \"*\": {run: 10.00, day: 1000.00}\n";
/// A mount that brings nothing and can do nothing.
const NUDGE: &str = "nudge";
/// Pauses while items arrive, and how long one is: a mount is polled again after 2 seconds.
const ARRIVE_TRIES: u32 = 1500;
const ARRIVE_MS: u64 = 20;

impl<'a> Stage<'a> {
    /// Makes the workspace, without the rules it shall lack. `money` is the mount's limit for a day.
    pub fn set(
        host: &Host,
        suite: &'a Suite,
        workspace: &str,
        lacks: &[u8],
        money: Option<&str>,
    ) -> Result<Self, String> {
        let rules = host.home.join("scripted");
        let failed = |error: std::io::Error| format!("{}: {error}", rules.display());
        fs::create_dir_all(&rules).map_err(failed)?;
        fs::write(rules.join("planner.json"), RULES).map_err(failed)?;
        let ground = ground(host, suite)?;
        let mut node = Door::connect(&host.socket, "home", None)?;
        let mut words = format!("workspace {workspace}");
        if !lacks.is_empty() {
            words.push_str(" lacks");
        }
        lacks.iter().for_each(|rule| words.push_str(&format!(" {rule}")));
        node.ok("write", json!({ "path": "/sys/ctl", "text": words, "origin": "argument" }))?;
        let mut operator = Door::connect(&host.socket, workspace, None)?;
        let money =
            money.map(|day| format!("money:\n  {}: {{day: {day}}}\n", suite.name)).unwrap_or_default();
        let policy = format!("{POLICY}{money}");
        let files = [
            ("/sys/policy.yaml", policy.as_str()),
            ("/sys/budget.yaml", BUDGET),
            ("/agents/planner/AGENT.md", AGENT),
        ];
        for (path, text) in files {
            operator.ok("write", json!({ "path": path, "text": text, "origin": "argument" }))?;
        }
        let mut stage = Self {
            suite,
            host: host.clone(),
            workspace: workspace.to_owned(),
            operator,
            changed: BTreeSet::new(),
            seen: 0,
        };
        stage.control(&format!("mount {} rehearse {}", suite.name, ground.display()))?;
        stage.arrive()?;
        Ok(stage)
    }

    /// Where an item of the suite stands.
    pub(super) fn place(&self, path: &str) -> String {
        format!("/integrations/{}{path}", self.suite.name)
    }

    /// Waits until every item is in the tree, as it is in the suite.
    fn arrive(&mut self) -> Result<(), String> {
        let suite = self.suite;
        suite.items.iter().try_for_each(|item| self.await_item(item))
    }

    fn await_item(&mut self, item: &Item) -> Result<(), String> {
        let place = self.place(&item.path);
        for _ in 0..ARRIVE_TRIES {
            if self.operator.text(&place)?.is_some_and(|text| text == item.text) {
                return Ok(());
            }
            // The daemon's own clock is the pause.
            self.operator.ok("wait", json!({ "timeout_ms": ARRIVE_MS }))?;
        }
        Err(format!("{}: {} has not arrived", self.suite.name, item.path))
    }

    /// Changes items of the mount, and waits until they have arrived.
    pub(super) fn bring<'i>(&mut self, items: impl Iterator<Item = &'i Item>) -> Result<(), String> {
        let ground = self.host.ground.join(&self.suite.name);
        let items: Vec<&Item> = items.collect();
        for item in &items {
            put(&ground.join("items").join(item.path.trim_start_matches('/')), &item.text)?;
            self.changed.insert(item.path.clone());
        }
        if items.is_empty() {
            return Ok(());
        }
        // A mount is polled every 2 seconds, and all of them at once when there is a new one.
        let nudge = self.host.ground.join(NUDGE);
        put(&nudge.join("manifest.json"), r#"{"kinds": []}"#)?;
        self.control(&format!("mount {NUDGE} rehearse {}", nudge.display()))?;
        items.into_iter().try_for_each(|item| self.await_item(item))?;
        self.control(&format!("unmount {NUDGE}"))
    }

    fn control(&mut self, words: &str) -> Result<(), String> {
        let params = json!({ "path": "/sys/ctl", "text": words, "origin": "argument" });
        self.operator.ok("write", params).map(drop)
    }

    /// Makes the items again what they are in the suite.
    pub(super) fn restore(&mut self) -> Result<(), String> {
        let changed = std::mem::take(&mut self.changed);
        let suite = self.suite;
        let was = suite.items.iter().filter(|item| changed.contains(&item.path));
        self.bring(was)?;
        self.changed.clear();
        Ok(())
    }
}

/// The directory that `rehearse` is given; the same one for every workspace of a suite.
fn ground(host: &Host, suite: &Suite) -> Result<PathBuf, String> {
    let ground = host.ground.join(&suite.name);
    if ground.join("manifest.json").is_file() {
        return Ok(ground);
    }
    for item in &suite.items {
        put(&ground.join("items").join(item.path.trim_start_matches('/')), &item.text)?;
    }
    for (kind, text) in &suite.answers {
        put(&ground.join("answers").join(format!("{kind}.txt")), text)?;
    }
    let manifest = serde_json::to_string(&suite.manifest).map_err(|error| error.to_string())?;
    put(&ground.join("manifest.json"), &manifest)?;
    Ok(ground)
}

fn put(path: &Path, text: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    fs::create_dir_all(path.parent().unwrap_or(path)).map_err(failed)?;
    fs::write(path, text).map_err(failed)
}
