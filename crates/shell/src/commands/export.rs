//! `skep export`.

use crate::{
    escape,
    fail::{Exit, Fail, Outcome},
    figures::{self, plural},
    leave,
    session::Session,
};
use std::path::PathBuf;

/// Take everything along in open forms: a git repository, or plain files
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub struct Export {
    /// A bare git repository: every operation a commit, with its author and time
    #[arg(long, value_name = "DIR")]
    git: Option<PathBuf>,
    /// Plain files: the tree, every record, every version, every content
    #[arg(long, value_name = "DIR")]
    all: Option<PathBuf>,
}

impl Export {
    pub fn run(self, session: &mut Session) -> Outcome {
        match (self.git, self.all) {
            (Some(dir), _) => {
                let made = leave::git(session, &dir)?;
                if session.is_json() {
                    session.object(&made.to_json())?;
                    return Ok(Exit::Fine);
                }
                let shown = escape::line(&dir.display().to_string());
                let commits = plural(made.commits, "commit");
                session.say(&format!("{shown}  {commits}, {}", plural(made.contents, "content")))?;
                left(session, made.names_left, "left out: git takes no such name");
                left(session, made.diverged, "left out: diverged, so never in the tree");
                left(session, made.destroyed, "left out: the content was destroyed");
                session.hint(&format!("git clone {shown} somewhere; git -C {shown} log"));
            }
            (None, Some(dir)) => {
                let made = leave::open(session, &dir)?;
                if session.is_json() {
                    session.object(&made.to_json())?;
                    return Ok(Exit::Fine);
                }
                let parts = [(made.files, "file"), (made.versions, "version"), (made.records, "record")];
                let parts: Vec<String> = parts.iter().map(|(count, noun)| plural(*count, noun)).collect();
                let shown = escape::line(&dir.display().to_string());
                session.say(&format!(
                    "{shown}  {}, {} contents",
                    parts.join(", "),
                    figures::count(made.contents)
                ))?;
                left(session, made.left_out, "not in tree/: the host cannot hold them");
                left(session, made.destroyed, "not there: the content was destroyed");
            }
            (None, None) => return Err(Fail::usage("say --git DIR or --all DIR")),
        }
        Ok(Exit::Fine)
    }
}

/// What could not be taken along is said, never passed over.
fn left(session: &mut Session, count: u64, why: &str) {
    if count > 0 {
        session.note(&format!("{} {why}", figures::count(count)));
    }
}
