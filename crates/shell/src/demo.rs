//! `skep demo`.
use crate::{
    fail::{Exit, Outcome},
    session::Session,
};
/// A bad night on purpose
#[derive(Debug, clap::Args)]
pub struct Demo {}
impl Demo {
    pub fn run(self, _s: &mut Session) -> Outcome {
        Ok(Exit::Fine)
    }
}
