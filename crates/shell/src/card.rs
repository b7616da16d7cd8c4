//! Status files of the daemon: text, one `key value` a line. Unknown keys are kept, missing ones are empty.

use std::collections::BTreeMap;

/// A parsed status file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Card(BTreeMap<String, String>);

impl Card {
    /// Parses it; every text is one.
    pub fn parse(text: &str) -> Self {
        let row = |line: &str| {
            let (key, value) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
            (!key.is_empty()).then(|| (key.to_owned(), value.trim().to_owned()))
        };
        Self(text.lines().filter_map(row).collect())
    }

    /// A value; empty when the key is missing, `-` counts as missing.
    pub fn get(&self, key: &str) -> &str {
        self.0.get(key).map(String::as_str).filter(|value| *value != "-").unwrap_or("")
    }

    /// All of it, for `--json`.
    pub fn object(&self) -> serde_json::Map<String, serde_json::Value> {
        self.0.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect()
    }

    /// A value as a number; 0 when it is none.
    pub fn number(&self, key: &str) -> u64 {
        self.get(key).parse().unwrap_or(0)
    }
}

/// Lines of columns parted by spaces, as `/sys/budget`.
pub fn rows(text: &str) -> Vec<Vec<String>> {
    text.lines()
        .map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .filter(|row| !row.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values() {
        let card = Card::parse("pid 12\nagent triage\nwhy -\ntask Sort the mail\n\nlimit\n");
        let got = ["pid", "agent", "why", "task", "limit", "nothing"].map(|key| card.get(key));
        assert_eq!(got, ["12", "triage", "", "Sort the mail", "", ""]);
        assert_eq!((card.number("pid"), card.number("task")), (12, 0));
    }
}
