//! `skep trace`: strace for agents.

use crate::{
    fail::{Exit, Fail, Outcome},
    figures,
    journal::{self, Family, Follower, Heard, Row},
    session::{Format, Ink, Session, Tone},
    strace::{self, Strace, Weight},
};
use abi::{Micros, Pid, Seq};
use std::collections::VecDeque;

/// Lines shown before a trace that is only followed.
const LAST_SHOWN: usize = 20;

/// Every call as it was decided: time, process, arguments, verdict, label, duration, tokens, cost
#[derive(Debug, clap::Args)]
pub struct Trace {
    /// Only this process and those below it
    #[arg(value_name = "PID")]
    process: Option<u64>,
    /// Go on as records come, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// The same as PID
    #[arg(long, value_name = "PID", conflicts_with = "process")]
    pid: Option<u64>,
    /// Only this call: a word of the CALL column, or the name of a tool
    #[arg(long, value_name = "CALL")]
    call: Option<String>,
    /// Only the last 90s, 10m, 2h or 3d
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only after this record
    #[arg(long, value_name = "SEQ")]
    from: Option<u64>,
    /// Only what was refused, failed or held
    #[arg(long)]
    errors: bool,
    /// Also how the kernel keeps its books: labels, accounts, capabilities, timers, reservations
    #[arg(short, long)]
    all: bool,
}

/// What the arguments ask for, with what the records so far have taught.
struct Filter {
    format: Format,
    ink: Ink,
    wants: Trace,
    family: Family,
    since: Micros,
    strace: Strace,
}

impl Trace {
    pub fn run(self, session: &mut Session) -> Outcome {
        let since = match &self.since {
            None => 0,
            Some(text) => {
                let length = figures::parse_length(text).ok_or_else(|| {
                    Fail::usage(format!("{text:?} is not a length of time"))
                        .hint("write it as 90s, 10m, 2h or 3d")
                })?;
                (session.clock)().saturating_sub(length)
            }
        };
        let pid = self.process.or(self.pid).map(Pid);
        let follow = self.follow;
        let is_new_only = follow && pid.is_none() && self.from.is_none() && self.since.is_none();
        let mut filter = Filter {
            format: session.format,
            ink: session.ink,
            wants: self,
            family: Family::of(pid),
            since,
            strace: Strace::default(),
        };
        if !session.is_json() {
            session.note(&strace::head());
        }
        let mut last: VecDeque<String> = VecDeque::new();
        let mut lines = 0_u64;
        let at = journal::read(session, Seq(0), &mut |row| {
            if let Some(line) = filter.show(&row) {
                last.push_back(line);
                lines += 1;
            }
            if is_new_only && last.len() > LAST_SHOWN {
                last.pop_front();
            }
            Ok(())
        })?;
        for line in last {
            session.say(&line)?;
        }
        if lines == 0 && !follow {
            session.note("nothing of that kind is in the log");
        }
        if follow {
            go_on(session, at, filter)?;
        }
        Ok(Exit::Fine)
    }
}

fn go_on(session: &mut Session, at: Seq, mut filter: Filter) -> Result<(), Fail> {
    let mut follower = Follower::new(session, at)?;
    loop {
        session.out.flush()?;
        if let Heard::Row(row) = follower.next(None, None)?
            && let Some(line) = filter.show(&row)
        {
            session.say(&line)?;
        }
    }
}

impl Filter {
    /// The line of a record, if it is wanted. Every record is to be shown to it, in order.
    fn show(&mut self, row: &Row) -> Option<String> {
        let is_family = self.family.has(row);
        let line = self.strace.line(row);
        let wants = &self.wants;
        let wanted = is_family
            && line.at >= self.since
            && line.seq.0 > wants.from.unwrap_or(0)
            && wants.call.as_ref().is_none_or(|call| line.is_call(call))
            && (!wants.errors || line.tone != Tone::Good)
            && (wants.all || wants.call.is_some() || line.weight == Weight::Act);
        wanted.then(|| match self.format {
            Format::Json => row.raw.to_string(),
            Format::Text => line.print(self.ink),
        })
    }
}
