//! `skep completions`.

use crate::{
    arguments,
    fail::{Exit, Outcome},
    session::{Desk, Session},
};
use clap::ValueEnum;
use clap_complete::{Shell, generate};
use serde_json::json;

/// What makes a shell complete commands and options: put it where the shell looks
///
/// bash: skep completions bash > ~/.local/share/bash-completion/completions/skep
///
/// zsh: skep completions zsh > DIR/_skep, with DIR in $fpath
///
/// fish: skep completions fish > ~/.config/fish/completions/skep.fish
#[derive(Debug, clap::Args)]
pub struct Completions {
    /// Of which shell
    #[arg(value_enum)]
    shell: Which,
}

/// The shells that are known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    Bash,
    Zsh,
    Fish,
}

impl Completions {
    pub fn run(self, session: &mut Session) -> Outcome {
        let (shell, word, place) = match self.shell {
            Which::Bash => (Shell::Bash, "bash", "~/.local/share/bash-completion/completions/skep"),
            Which::Zsh => (Shell::Zsh, "zsh", "DIR/_skep, with DIR in $fpath"),
            Which::Fish => (Shell::Fish, "fish", "~/.config/fish/completions/skep.fish"),
        };
        let mut script = Vec::new();
        generate(shell, &mut arguments::command(), "skep", &mut script);
        let script = String::from_utf8_lossy(&script).into_owned();
        if session.is_json() {
            session.object(&json!({"shell": word, "script": script}))?;
            return Ok(Exit::Fine);
        }
        session.print(&script)?;
        // A shell that reads it at every start is not to be told.
        if session.desk == Desk::Terminal {
            session.hint(&format!("skep completions {word} > {place}"));
        }
        Ok(Exit::Fine)
    }
}
