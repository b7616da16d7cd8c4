//! `skep ls`.

use crate::{
    fail::{Exit, Outcome},
    figures, moment,
    session::{self, Session},
    table::Table,
};
use serde_json::{Value, json};

/// Names in a directory, with what each is, who made it, and its label
#[derive(Debug, clap::Args)]
pub struct Ls {
    /// Which directory
    #[arg(default_value = "/")]
    path: String,
    /// As it was then: a record's number, a time, or 10m, 2h, 3d ago
    #[arg(long, value_name = "SEQ|TIME")]
    at: Option<String>,
}

impl Ls {
    pub fn run(self, session: &mut Session) -> Outcome {
        let mut params = json!({"path": self.path});
        if let (Some(at), Some(map)) = (self.at, params.as_object_mut()) {
            let (key, value) = moment::parse(&at, (session.clock)())?.argument();
            map.insert(key.into(), json!(value));
        }
        let answer = session.call("list", params)?;
        if session.is_json() {
            session.object(&answer)?;
            return Ok(Exit::Fine);
        }
        let is_stored = session::entries(&answer).any(|entry| entry.get("mtime").is_some());
        let now = (session.clock)();
        let mut table = Table::new(&["MODE", "BYTES>", "CHANGED", "VERSION>", "ACTOR", "LABEL", "NAME"]);
        let mut plain = Table::new(&["KIND", "NAME"]);
        for entry in session::entries(&answer) {
            let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            let number = |key: &str| entry.get(key).and_then(Value::as_u64).unwrap_or_default();
            let slash = if text("node") == "dir" { "/" } else { "" };
            let name = format!("{}{slash}", text("name"));
            plain.row([&text("node"), &name]);
            table.row([
                &mode(&text("node"), number("mode")),
                &figures::count(number("bytes")),
                &figures::moment(number("mtime"), now),
                &entry.get("version").map_or_else(|| "-".to_owned(), Value::to_string),
                &text("actor"),
                &figures::cut(&text("label"), 32),
                &name,
            ]);
        }
        match (table.is_empty(), is_stored) {
            (true, _) => session.note("nothing is here"),
            (false, true) => session.print(&table.print())?,
            (false, false) => session.print(&plain.print())?,
        }
        if answer.get("more").is_some() {
            session.note("only the first 10,000 names are listed; there may be more");
            session.hint("every file is reached by its own path, and by skep search");
        }
        Ok(Exit::Fine)
    }
}

/// Kind and permission bits, as `ls` of other systems shows them.
fn mode(node: &str, bits: u64) -> String {
    let kind = match node {
        "dir" => 'd',
        "link" => 'l',
        _ => '-',
    };
    let flag = |ix: u32| {
        let letter = ['x', 'w', 'r'].get(ix as usize % 3).copied().unwrap_or('-');
        if bits >> ix & 1 == 1 { letter } else { '-' }
    };
    std::iter::once(kind).chain((0..9).rev().map(flag)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes() {
        assert_eq!(mode("file", 0o644), "-rw-r--r--");
        assert_eq!(mode("dir", 0o755), "drwxr-xr-x");
    }
}
