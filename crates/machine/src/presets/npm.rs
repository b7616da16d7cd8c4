//! What npm is set to: `npm_config_registry`, `.npmrc` of the operator. What the host's own npmrc says, npm
//! says itself where it is asked for its default.
//!
//! ```text
//! registry=https://r.example/            @own:registry=https://o.example/      //r.example/:_authToken=…
//! ```

use super::{Set, files::Files, url::Url};
use std::path::PathBuf;

/// Scopes that are looked at.
const SCOPES_MAX: usize = 32;

pub(super) fn set(files: &mut Files) -> Set {
    let mut set = Set::default();
    let named =
        ["npm_config_userconfig", "NPM_CONFIG_USERCONFIG"].iter().find_map(|name| files.variable(name));
    let file = named.map(PathBuf::from).or_else(|| Some(files.home()?.join(".npmrc")));
    let text = file.and_then(|file| files.read(&file)).unwrap_or_default();
    let mut registry =
        ["npm_config_registry", "NPM_CONFIG_REGISTRY"].iter().find_map(|name| files.variable(name));
    let is_said = registry.is_some();
    let mut scoped: Vec<(String, Url)> = Vec::new();
    for (key, value) in text.lines().filter_map(pair) {
        let value = expand(files, value);
        match key.strip_suffix(":registry") {
            None if key == "registry" && !is_said => registry = Some(value),
            Some(scope) if is_scope(scope) && scoped.len() < SCOPES_MAX => {
                scoped.extend(Url::parse(&value).map(|url| (key.to_owned(), url)));
            }
            _ => {}
        }
    }
    match registry {
        None => set.built_in = true,
        // One that is no URL is nobody's: npm itself would complain.
        Some(text) => {
            if let Some(url) = Url::parse(&text) {
                set.env.push(("npm_config_registry".to_owned(), url.text.clone()));
                set.registries.push(url);
            }
        }
    }
    for (key, url) in scoped {
        set.env.push((format!("npm_config_{key}"), url.text.clone()));
        set.registries.push(url);
    }
    set
}

/// A line `key = value`, with quotes or without.
fn pair(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    if line.starts_with(['#', ';', '[']) {
        return None;
    }
    let (key, value) = line.split_once('=')?;
    let value = value.trim();
    let bare = ['"', '\''].iter().find_map(|sign| value.strip_prefix(*sign)?.strip_suffix(*sign));
    Some((key.trim(), bare.unwrap_or(value)))
}

/// A scope whose name a variable can hold as it is.
fn is_scope(scope: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    scope.strip_prefix('@').is_some_and(|name| !name.is_empty() && name.bytes().all(plain))
}

/// `${NAME}` is a variable of the environment.
fn expand(files: &Files, value: &str) -> String {
    let mut out = String::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, behind)) = after.split_once('}') else { break };
        out.push_str(before);
        out.push_str(&files.variable(name).unwrap_or_default());
        rest = behind;
    }
    out.push_str(rest);
    out
}
