//! `skep autonomy`.

use super::policy::{Edit, print};
use crate::{
    fail::{Exit, Outcome},
    rules,
    session::Session,
};
use serde_json::json;

/// How much agents do without asking; without a word: where the dial stands
///
/// manual: every effect asks. bounded: as the table of rules says (skep cat /sys/rules). autonomous: and what
/// can be taken back applies, whoever sees it.
#[derive(Debug, clap::Args)]
pub struct Autonomy {
    /// Where to
    #[arg(value_parser = ["manual", "bounded", "autonomous"])]
    word: Option<String>,
}

impl Autonomy {
    pub fn run(self, session: &mut Session) -> Outcome {
        let text = session.read("/sys/policy")?;
        let stands = text.lines().find_map(|line| line.strip_prefix("autonomy ")).unwrap_or("-").to_owned();
        let Some(word) = self.word.filter(|word| *word != stands) else {
            if session.is_json() {
                session.object(&json!({"autonomy": stands}))?;
            } else {
                session.say(&crate::escape::line(&stands))?;
            }
            return Ok(Exit::Fine);
        };
        let meant = |line: &str| line.ends_with(&format!(" autonomy: {stands} -> {word}"));
        match Edit::of(session, |text| rules::dial(text, &word), meant)? {
            None => Ok(Exit::Fine),
            Some(edit) => {
                if !session.is_json() {
                    print(session, &edit.changes)?;
                }
                edit.put(session, "argument")
            }
        }
    }
}
