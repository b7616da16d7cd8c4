//! `skep backup`.

use super::restore::host_file;
use crate::{
    escape,
    fail::{Exit, Outcome},
    figures,
    session::Session,
};
use std::path::PathBuf;

/// Write all of a workspace to one new file, while it goes on
#[derive(Debug, clap::Args)]
pub struct Backup {
    /// The file; it must not be there yet
    file: PathBuf,
}

impl Backup {
    pub fn run(self, session: &mut Session) -> Outcome {
        let file = host_file(&self.file)?;
        let answer = session.control(&format!("backup {file}"))?;
        if session.is_json() {
            session.object(&answer)?;
            return Ok(Exit::Fine);
        }
        let bytes = std::fs::metadata(&file).map(|found| found.len()).unwrap_or_default();
        let line = format!("{}  {}", escape::line(&file), figures::bytes(bytes));
        session.say(&line)?;
        session.hint("it holds every word of this workspace, readable: keep it as you keep the workspace");
        Ok(Exit::Fine)
    }
}
