//! `skep otel`, in builds with the feature of that name.

use crate::{
    clock::Deadline,
    fail::{Exit, Fail, Outcome},
    figures,
    journal::{self, Follower, Heard, Row},
    otel::{Collector, Span, Spans, Texts, batch},
    session::Session,
};
use abi::{Content, Seq};
use serde_json::{Value, json};
use std::time::Duration;

/// Spans in one request.
const BATCH: usize = 512;
/// A span waits no longer than this for others.
const LINGER: Duration = Duration::from_secs(2);

/// Send runs, model calls and tool calls to an OpenTelemetry collector on this host
#[derive(Debug, clap::Args)]
pub struct Otel {
    /// The collector, as http://localhost:4318
    url: String,
    /// Go on as records come, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// Only what ended after this record: what an earlier export named as its last
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    from: u64,
    /// Also tasks, answers, arguments and outcomes
    #[arg(long)]
    content: bool,
}

struct Export {
    to: Collector,
    spans: Spans,
    waiting: Vec<Span>,
    after: Seq,
    texts: Texts,
    sent: u64,
    rejected: u64,
    /// The record up to which all is sent.
    done: Seq,
}

impl Otel {
    pub fn run(self, session: &mut Session) -> Outcome {
        let texts = if self.content { Texts::Taken } else { Texts::Left };
        let mut export = Export {
            to: Collector::parse(&self.url)?,
            spans: Spans::default(),
            waiting: Vec::new(),
            after: Seq(self.from),
            texts,
            sent: 0,
            rejected: 0,
            done: Seq(self.from),
        };
        if let Err(fail) = export.all(session, self.follow) {
            let again =
                format!("all that ended up to record {0} was taken; go on with --from {0}", export.done);
            let hint = if fail.hint.is_empty() { again } else { format!("{}\nhint: {again}", fail.hint) };
            return Err(fail.hint(hint));
        }
        if session.is_json() {
            session
                .object(&json!({"sent": export.sent, "rejected": export.rejected, "last": export.done}))?;
        } else {
            let (sent, last) = (figures::plural(export.sent, "span"), export.done);
            session.say(&format!("{sent} sent, up to record {last}; {} not wanted", export.rejected))?;
        }
        Ok(Exit::Fine)
    }
}

impl Export {
    fn all(&mut self, session: &mut Session, follow: bool) -> Result<(), Fail> {
        let mut rows: Vec<Row> = Vec::new();
        let mut at = Seq(0);
        loop {
            let answer = session.call("trace", json!({"from": at.0, "limit": journal::PAGE}))?;
            let (last, count) = journal::page(answer, at, &mut |row| {
                rows.push(row);
                Ok(())
            })?;
            for row in rows.drain(..) {
                self.take(session, &row)?;
            }
            if count == 0 || last == at {
                break;
            }
            at = last;
        }
        self.flush(session, at)?;
        if !follow {
            return Ok(());
        }
        let mut follower = Follower::new(session, at)?;
        let mut deadline = None;
        loop {
            match follower.next(deadline, None)? {
                Heard::Row(row) => {
                    at = row.record.seq;
                    self.take(session, &row)?;
                    let waits = !self.waiting.is_empty();
                    deadline = deadline.or(waits.then(|| Deadline::after(LINGER)));
                }
                // What is said early is not in the log yet.
                Heard::Preview(..) => {}
                Heard::Woken | Heard::Late => {
                    self.flush(session, at)?;
                    deadline = None;
                }
            }
        }
    }

    fn take(&mut self, session: &mut Session, row: &Row) -> Result<(), Fail> {
        let Some(mut span) = self.spans.take(row).filter(|span| span.seq > self.after) else { return Ok(()) };
        span.fill(self.texts, &mut |content| text(session, content));
        self.waiting.push(span);
        if self.waiting.len() >= BATCH { self.flush(session, row.record.seq) } else { Ok(()) }
    }

    fn flush(&mut self, session: &Session, upto: Seq) -> Result<(), Fail> {
        if !self.waiting.is_empty() {
            let body = batch((&session.workspace, self.spans.workspace()), &self.waiting);
            self.rejected += self.to.send(&body)?;
            self.sent += self.waiting.len() as u64;
            self.waiting.clear();
        }
        self.done = self.done.max(upto);
        Ok(())
    }
}

/// A content by its name; what a model answered is its text. None when it is not kept, or is no text.
fn text(session: &mut Session, content: &Content) -> Option<String> {
    let answer = session.call("read", json!({"path": format!("/sys/blobs/{}", content.hash)})).ok()?;
    let text = answer.get("text").and_then(Value::as_str)?;
    Some(journal::said(text).0)
}
