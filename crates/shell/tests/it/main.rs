//! The command line as transcripts: a daemon that is a table of answers, and what the shell prints.
#![allow(clippy::disallowed_methods)]

mod budget;
mod decisions;
mod door;
mod manual;
mod top;
mod transcripts;
mod versions;
