//! Section 1: a page for each command, from what clap knows of it, and `skep` itself.

use super::Page;
use crate::arguments;
use clap::{Arg, Command};

/// What of the environment counts.
const ENVIRONMENT: [(&str, &str); 5] = [
    ("SKEP_HOME", "the state directory, with the socket in it"),
    ("SKEP_WORKSPACE", "the workspace that is meant when none is named"),
    (
        "XDG_STATE_HOME",
        "without SKEP_HOME, the state lies in its directory skep; else in ~/.local/state/skep",
    ),
    ("XDG_RUNTIME_DIR", "without SKEP_HOME, the socket is its skep/sock"),
    ("NO_COLOR", "set to anything: no colour"),
];

/// Exit codes.
const EXITS: [(&str, &str); 3] = [
    ("0", "as asked"),
    ("1", "refused, failed, or what was found is bad"),
    ("2", "the command line makes no sense"),
];

/// All of them.
pub fn pages() -> Vec<Page> {
    let mut skep = arguments::command();
    skep.build();
    let mut pages = vec![whole(&skep)];
    pages.extend(named(&skep).map(|sub| one(sub, &format!("skep {}", sub.get_name()))));
    pages
}

/// The commands below this one, without clap's own `help`.
fn named(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|sub| sub.get_name() != "help" && !sub.is_hide_set())
}

fn whole(skep: &Command) -> Page {
    let mut page = Page::new("skep", 1, first(&about(skep)));
    page.part("SYNOPSIS").lines(usage(skep, "skep"));
    page.part("DESCRIPTION").text(about(skep));
    options(&mut page, skep, "OPTIONS", |arg| !arg.is_positional());
    page.part("COMMANDS");
    for sub in named(skep) {
        page.item(format!("skep-{}(1)", sub.get_name()), about(sub));
    }
    page.part("ENVIRONMENT").items(ENVIRONMENT);
    page.part("EXIT STATUS").items(EXITS);
    page
}

/// The page of one command; commands below it are parts of it.
fn one(command: &Command, called: &str) -> Page {
    let mut page = Page::new(called.replace(' ', "-"), 1, first(&about(command)));
    page.part("SYNOPSIS").lines(usage(command, called));
    page.part("DESCRIPTION").text(about(command));
    options(&mut page, command, "ARGUMENTS", Arg::is_positional);
    options(&mut page, command, "OPTIONS", |arg| !arg.is_positional() && !arg.is_global_set());
    for sub in named(command) {
        below(&mut page, sub, &format!("{called} {}", sub.get_name()));
    }
    options(&mut page, command, "OPTIONS OF EVERY COMMAND", |arg| arg.is_global_set());
    page.part("SEE ALSO").text("skep(1)");
    page
}

fn below(page: &mut Page, command: &Command, called: &str) {
    page.part(&called.to_uppercase()).lines(usage(command, called)).text(about(command));
    let own = command.get_arguments().filter(|arg| !arg.is_global_set() && !is_help(arg));
    page.items(own.map(|arg| (shape(arg), meaning(arg))));
}

fn options(page: &mut Page, command: &Command, title: &str, suits: impl Fn(&Arg) -> bool) {
    let all = command.get_arguments().filter(|arg| !is_help(arg) && !arg.is_hide_set() && suits(arg));
    let all: Vec<&Arg> = all.collect();
    if !all.is_empty() {
        page.part(title).items(all.iter().map(|arg| (shape(arg), meaning(arg))));
    }
}

fn is_help(arg: &Arg) -> bool {
    ["help", "version"].contains(&arg.get_id().as_str()) && arg.get_long().is_some()
}

fn usage(command: &Command, called: &str) -> String {
    let usage = command.clone().bin_name(called).render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim().lines().map(str::trim);
    usage.collect::<Vec<_>>().join("\n")
}

fn about(command: &Command) -> String {
    let about = command.get_long_about().or_else(|| command.get_about());
    about.map(ToString::to_string).unwrap_or_default()
}

/// The first line of a text, without its full stop.
fn first(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim_end_matches('.').to_owned()
}

/// `-w, --workspace NAME`, or `NAME` of what has no name of its own.
fn shape(arg: &Arg) -> String {
    let values: Vec<String> = match arg.get_action().takes_values() {
        false => Vec::new(),
        true => match arg.get_value_names() {
            Some(names) => names.iter().map(ToString::to_string).collect(),
            None => vec![arg.get_id().as_str().to_uppercase()],
        },
    };
    let short = arg.get_short().map(|short| format!("-{short}"));
    let long = arg.get_long().map(|long| format!("--{long}"));
    let named: Vec<String> = short.into_iter().chain(long).collect();
    let dots = if arg.get_num_args().is_some_and(|count| count.max_values() > 1) { "..." } else { "" };
    [named.join(", "), values.join(" ") + dots]
        .iter()
        .filter(|part| !part.is_empty())
        .cloned()
        .collect::<Vec<_>>()
        .join(" ")
}

/// What it means, with the words it may be and what it is without.
fn meaning(arg: &Arg) -> String {
    let help = arg.get_long_help().or_else(|| arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let may: Vec<String> = match arg.get_action().takes_values() {
        true => arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect(),
        false => Vec::new(),
    };
    let may = if may.is_empty() { String::new() } else { format!(" [one of: {}]", may.join(", ")) };
    let default: Vec<String> =
        arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    let takes = arg.get_action().takes_values() && !default.is_empty();
    let default = if takes { format!(" [default: {}]", default.join(" ")) } else { String::new() };
    help + &may + &default
}
