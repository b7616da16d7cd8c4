//! Names of sessions: a conversation with an agent that goes on from one dispatch to the next.
//!
//! ```text
//! /home/triage/chat/main.md    the session `main` of the agent `triage`, of whoever reads it
//! ```
//! A session belongs to who began it: an operator, or an agent on an operator's behalf. Two of one slug that
//! belong to two are two. Never here: what was said.

use crate::{path::TreePath, wire};
use alloc::{format, string::String};
use musli::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// A session of an agent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
pub struct SessionName {
    /// What it is called.
    pub slug: String,
    /// The operator on whose behalf it was begun; empty where nobody knows.
    pub by: String,
    /// The agent that began it; empty when it was the operator's own hand.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub from: String,
}

/// Where dispatches to an agent stand in line: its own lane, or that of one session.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
pub struct LaneName {
    /// The agent.
    pub agent: String,
    /// The session.
    pub session: Option<SessionName>,
}

/// Agent and slug of the path at which a session is read.
pub fn of_path(path: &TreePath) -> Option<(&str, &str)> {
    let mut names = path.names();
    let place = (names.next()?, names.next()?, names.next()?, names.next()?, names.next());
    let ("home", agent, "chat", file, None) = place else { return None };
    let slug = file.strip_suffix(".md")?;
    let are_words = [agent, slug].iter().all(|name| wire::word("path", name).is_ok());
    are_words.then_some((agent, slug))
}

/// The path at which a session of an agent is read.
pub fn path_of(agent: &str, slug: &str) -> String {
    format!("/home/{agent}/chat/{slug}.md")
}

impl core::fmt::Display for LaneName {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match &self.session {
            None => out.write_str(&self.agent),
            Some(session) => write!(out, "{}/{}", self.agent, session.slug),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_has_one_path() {
        let rows = [
            ("/home/helper/chat/main.md", Some(("helper", "main"))),
            ("/home/helper/chat/main.txt", None),
            ("/home/helper/chat/.md", None),
            ("/home/helper/chat/a b.md", None),
            ("/home/helper/chat/d/main.md", None),
            ("/home/helper/notes/main.md", None),
            ("/data/helper/chat/main.md", None),
            ("/home/chat/main.md", None),
        ];
        for (path, want) in rows {
            let path = TreePath::parse(path).unwrap();
            assert_eq!(of_path(&path), want, "{path}");
            if let Some((agent, slug)) = want {
                assert_eq!(path_of(agent, slug), path.as_str());
            }
        }
    }
}
