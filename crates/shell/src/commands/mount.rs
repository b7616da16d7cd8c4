//! `skep mount`.

use crate::{
    fail::{Exit, Fail, Outcome},
    session::Session,
};

/// Attach an integration at /integrations/NAME
#[derive(Debug, clap::Args)]
pub struct Mount {
    /// Its name
    name: String,
    /// Its driver: ram, maildir, outbox
    driver: String,
    /// What the driver needs to know: a directory, for maildir and outbox
    argument: Option<String>,
}

impl Mount {
    pub fn run(self, session: &mut Session) -> Outcome {
        let argument = match (self.driver.as_str(), self.argument) {
            (_, None) => String::new(),
            // The daemon has another working directory.
            ("maildir" | "outbox", Some(directory)) => {
                let path = std::path::absolute(&directory)?;
                path.to_str().map(str::to_owned).ok_or_else(|| {
                    Fail::usage("the directory's path is not UTF-8").hint("use a path that is")
                })?
            }
            (_, Some(argument)) => argument,
        };
        if argument.split_whitespace().collect::<Vec<_>>().join(" ") != argument {
            return Err(Fail::usage("the argument holds spaces that control words cannot carry")
                .hint("use a path without double, leading or trailing spaces"));
        }
        let answer = session.control(format!("mount {} {} {argument}", self.name, self.driver).trim())?;
        if session.is_json() {
            session.object(&answer)?;
        } else {
            session.say(&format!("/integrations/{}", self.name))?;
        }
        Ok(Exit::Fine)
    }
}
