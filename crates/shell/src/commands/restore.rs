//! `skep restore`.

use crate::{
    fail::{Exit, Fail, Outcome},
    session::Session,
};
use std::path::{Path, PathBuf};

/// Make a workspace of a backup: all in it frozen, nothing mounted
#[derive(Debug, clap::Args)]
pub struct Restore {
    /// The backup
    file: PathBuf,
    /// What the new workspace is called
    #[arg(long = "as", value_name = "NAME")]
    name: String,
}

impl Restore {
    pub fn run(self, session: &mut Session) -> Outcome {
        let file = host_file(&self.file)?;
        let name = abi::wire::word("name", &self.name)?;
        let answer = session.control(&format!("restore {name} {file}"))?;
        if session.is_json() {
            session.object(&answer)?;
            return Ok(Exit::Fine);
        }
        session.say(&format!("workspace {name}"))?;
        session.note("its processes are frozen and nothing is mounted: the original may go on elsewhere");
        session.hint(&format!(
            "skep -w {name} ps, then skep -w {name} thaw PID, mount again what it shall reach"
        ));
        Ok(Exit::Fine)
    }
}

/// The absolute path of a host file, as a control word can carry it: the daemon has another working
/// directory.
pub fn host_file(file: &Path) -> Result<String, Fail> {
    let path = std::path::absolute(file)?;
    let Some(text) = path.to_str() else {
        return Err(Fail::usage("the file's path is not UTF-8").hint("use a path that is"));
    };
    if text.split_whitespace().collect::<Vec<_>>().join(" ") != text {
        return Err(Fail::usage("the file's path holds spaces that control words cannot carry")
            .hint("use a path without double, leading or trailing spaces"));
    }
    Ok(text.to_owned())
}
