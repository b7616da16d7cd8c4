//! `skep bind` and `skep unbind`.

use crate::{
    escape,
    fail::{Exit, Fail, Outcome},
    session::Session,
};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Directories of this machine that are part of the workspace: those there are, or one more
///
/// It stands at its own path. What programs of agents change in it has versions, labels and undo; what you
/// and your tools change is noticed, and nothing of either is lost. What .gitignore names has no versions.
#[derive(Debug, clap::Args)]
pub struct Bind {
    /// The directory of a project
    dir: Option<PathBuf>,
    /// It is not your own work: what agents read there counts as external
    #[arg(long, requires = "dir")]
    external: bool,
}

/// A directory is part of the workspace no more; it stays as it is, and so do its versions
#[derive(Debug, clap::Args)]
pub struct Unbind {
    /// Which
    dir: PathBuf,
}

/// The one path of a directory, without links in it: what stands in a workspace has one name.
pub fn real(dir: &Path) -> Result<String, Fail> {
    let path = dir.canonicalize().map_err(|error| {
        Fail::usage(format!("{} cannot be bound: {error}", dir.display()))
            .hint("name a directory that is there")
    })?;
    let text = path.to_str().filter(|text| text.split_whitespace().collect::<Vec<_>>().join(" ") == *text);
    text.map(str::to_owned).ok_or_else(|| {
        Fail::usage(format!("{} is not a path that control words can carry", path.display()))
            .hint("use a path in UTF-8 without double, leading or trailing spaces")
    })
}

impl Bind {
    pub fn run(self, session: &mut Session) -> Outcome {
        let Some(dir) = self.dir else { return show(session) };
        let dir = real(&dir)?;
        let external = if self.external { "external " } else { "" };
        let answer = session.control(&format!("bind {external}{dir}"))?;
        if session.is_json() {
            session.object(&answer)?;
        } else {
            session.say(&escape::line(&dir))?;
        }
        Ok(Exit::Fine)
    }
}

impl Unbind {
    pub fn run(self, session: &mut Session) -> Outcome {
        // It may be gone.
        let dir = real(&self.dir).unwrap_or_else(|_| self.dir.to_string_lossy().into_owned());
        let answer = session.control(&format!("unbind {dir}"))?;
        if session.is_json() {
            session.object(&answer)?;
        } else {
            session.say(&escape::line(&dir))?;
        }
        Ok(Exit::Fine)
    }
}

fn show(session: &mut Session) -> Outcome {
    if session.is_json() {
        let answer = session.call("read", json!({"path": "/sys/bound"}))?;
        session.object(&answer)?;
        return Ok(Exit::Fine);
    }
    let rows = session.read("/sys/bound")?;
    for row in rows.lines() {
        session.say(&escape::line(row))?;
    }
    if rows.is_empty() {
        session.note("no directory is bound");
    }
    session.hint("skep bind DIR · skep unbind DIR");
    Ok(Exit::Fine)
}
