//! From the words of a command line to one command: the global options, usage errors in our voice, exit
//! codes.

use crate::{
    Hands, Place,
    commands::Command,
    fail::{Exit, Fail},
    session::{Desk, Format, Ink, Session},
};
use abi::Micros;
use clap::{CommandFactory, Parser, ValueEnum, error::ErrorKind};
use std::{io::Write, path::PathBuf};

/// An operating system for AI agents: every file versioned, every cent counted, every step in the log.
///
/// Without a command: what is here, and what to do next.
#[derive(Debug, Parser)]
#[command(name = "skep", version)]
pub struct Arguments {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Where help puts the options that every command takes: below those of the command itself.
const HEADING: &str = "Options of every command";

/// Options that every command takes.
#[derive(Debug, clap::Args)]
struct Options {
    /// Which workspace [default: $SKEP_WORKSPACE, else home]
    #[arg(short, long, global = true, value_name = "NAME", help_heading = HEADING)]
    workspace: Option<String>,
    /// State directory [default: $SKEP_HOME, else the XDG state directory]
    #[arg(long, global = true, value_name = "DIR", help_heading = HEADING)]
    home: Option<PathBuf>,
    /// Print the daemon's own objects, one a line
    #[arg(long, global = true, help_heading = HEADING)]
    json: bool,
    /// Colour: always, never, or auto: on a terminal, unless $NO_COLOR is set
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto, value_name = "WHEN")]
    #[arg(hide_possible_values = true, help_heading = HEADING)]
    color: Colour,
}

/// When output is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Colour {
    Auto,
    Never,
    Always,
}

/// All of the command line, as clap has it: what manual and completions are made of.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// What a command line is run in.
pub struct World<'a> {
    /// Where the daemon is.
    pub place: Place,
    /// What is handed in.
    pub hands: Hands<'a>,
    /// `$SKEP_WORKSPACE`.
    pub workspace: Option<String>,
    /// Colour, if the command line does not say.
    pub ink: Ink,
    /// Wall time.
    pub clock: fn() -> Micros,
    /// Who can be asked.
    pub desk: Desk,
}

/// Runs it and answers the exit code.
pub fn run(args: Vec<String>, world: World<'_>, out: &mut dyn Write, err: &mut dyn Write) -> i32 {
    let mut session = Session::new(world.place, world.hands, out, err);
    session.clock = world.clock;
    session.ink = world.ink;
    session.desk = world.desk;
    // Read before parsing, so that usage errors are objects too.
    if args.iter().any(|arg| arg == "--json") {
        (session.format, session.desk) = (Format::Json, Desk::Nobody);
    }
    let parsed = match Arguments::try_parse_from(&args) {
        Ok(parsed) => parsed,
        Err(error) => return refuse(&mut session, &error, help_of(&args)),
    };
    if let Err(fail) = aim(&mut session, &parsed.options, world.workspace) {
        session.report(&fail);
        return fail.exit;
    }
    let outcome = match parsed.command {
        Some(command) => command.run(&mut session),
        None => crate::commands::here(&mut session),
    };
    let outcome = outcome.and_then(|exit| session.out.flush().map(|()| exit).map_err(Fail::from));
    match outcome {
        Ok(Exit::Fine) => 0,
        Ok(Exit::Bad) => 1,
        Ok(Exit::Status(status)) => i32::from(status),
        Err(fail) => {
            session.report(&fail);
            fail.exit
        }
    }
}

fn aim(session: &mut Session, options: &Options, fallback: Option<String>) -> Result<(), Fail> {
    if let Some(home) = &options.home {
        let home = std::path::absolute(home)?;
        session.aim = format!("--home {} ", typed(&home.display().to_string()));
        session.place = Place { socket: home.join("sock"), home };
    }
    if let Some(name) = &options.workspace {
        session.aim = format!("{}-w {} ", session.aim, typed(name));
    }
    let workspace = options.workspace.clone().or(fallback).unwrap_or_else(|| "home".to_owned());
    session.workspace = abi::wire::word("workspace", &workspace)?;
    session.ink = match options.color {
        Colour::Always => Ink::Colour,
        Colour::Never => Ink::Plain,
        Colour::Auto => session.ink,
    };
    Ok(())
}

/// A word as a shell takes it.
fn typed(word: &str) -> String {
    let is_plain = |sign: char| sign.is_ascii_alphanumeric() || "/._-+=:@%,".contains(sign);
    if word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

/// Help is data; anything else is an error in our voice: what is, then hints.
fn refuse(session: &mut Session, error: &clap::Error, help: String) -> i32 {
    let text = error.render().to_string();
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        let _ = session.print(&text);
        return 0;
    }
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    let mut message = vec![first];
    let mut hints = Vec::new();
    for line in lines.map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(tip) = line.strip_prefix("tip: ") {
            hints.push(tip.to_owned());
        } else if let Some(usage) = line.strip_prefix("Usage: ") {
            hints.push(format!("usage: {usage}"));
        } else if !line.starts_with("For more information") {
            message.push(line.to_owned());
        }
    }
    hints.push(help);
    let fail = Fail::usage(message.join(" ")).hint(hints.join("\nhint: "));
    session.report(&fail);
    fail.exit
}

/// The help of the command that these words name.
fn help_of(args: &[String]) -> String {
    let (mut at, mut words, mut skips) = (Arguments::command(), vec!["skep".to_owned()], false);
    for arg in args.iter().skip(1) {
        let is_value =
            std::mem::replace(&mut skips, ["-w", "--workspace", "--home", "--color"].contains(&&**arg));
        if is_value || arg.starts_with('-') {
            continue;
        }
        let Some(sub) = at.find_subcommand(arg).cloned() else { break };
        words.push(sub.get_name().to_owned());
        at = sub;
    }
    format!("{} --help", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usage_error_leads_to_the_help_of_its_command() {
        for (args, help) in [
            ("skep frobnicate run", "skep --help"),
            ("skep ps --al", "skep ps --help"),
            ("./skep -w run model add", "skep model add --help"),
            ("skep completions tcsh", "skep completions --help"),
        ] {
            let args: Vec<String> = args.split(' ').map(str::to_owned).collect();
            assert_eq!(help_of(&args), help);
        }
    }

    #[test]
    fn what_is_offered_goes_where_this_command_went() {
        let aim = format!("--home {} -w x ", typed("/it's mine"));
        assert_eq!(
            crate::session::aimed(&aim, "skep ps, skep -w NAME thaw --all; /usr/skep x\nskep inbox"),
            "skep --home '/it'\\''s mine' -w x ps, skep -w NAME thaw --all; /usr/skep x\n\
             skep --home '/it'\\''s mine' -w x inbox"
        );
    }

    #[test]
    fn the_table_of_commands_is_sound_and_every_one_has_help() {
        let command = Arguments::command();
        command.clone().debug_assert();
        for sub in command.get_subcommands() {
            assert!(sub.get_about().is_some(), "{} has no help", sub.get_name());
        }
    }
}
