//! The log up to one moment, page by page, and the operations in it.

use crate::{fail::Fail, session::Session};
use abi::{
    Content, Micros, OpId, Pid, Seq,
    call::Undo,
    record::{Entry, Record},
    tree::Change,
};
use serde_json::{Value, json};

/// Records a page: an operation of ten thousand changes takes 4 MB, and a page must fit one reply.
const PAGE: u32 = 100;

/// The last record there is now.
pub fn end(session: &mut Session) -> Result<Seq, Fail> {
    let card = session.card("/sys/status")?;
    card.get("seq").parse().map(Seq).map_err(|_| Fail::new("the daemon does not say how long its log is"))
}

/// Takes a page of raw records.
pub type Take<'a> = &'a mut dyn FnMut(&mut Session, Vec<Value>) -> Result<(), Fail>;

/// Hands over pages of raw records, oldest first, up to this one and no further.
pub fn pages(session: &mut Session, end: Seq, each: Take<'_>) -> Result<(), Fail> {
    let mut at = Seq(0);
    while at < end {
        let mut answer = session.call("trace", json!({"from": at.0, "limit": PAGE}))?;
        let Some(Value::Array(mut page)) = answer.get_mut("records").map(Value::take) else { break };
        page.retain(|raw| seq(raw) <= end);
        let Some(last) = page.last().map(seq) else { break };
        at = last;
        each(session, page)?;
    }
    Ok(())
}

fn seq(raw: &Value) -> Seq {
    Seq(raw.get("seq").and_then(Value::as_u64).unwrap_or_default())
}

/// An operation as its record tells it.
#[derive(Clone, Debug)]
pub struct Operation {
    pub seq: Seq,
    pub at: Micros,
    pub actor: String,
    pub pid: Pid,
    pub op: OpId,
    pub changes: Vec<Change>,
    pub message: Option<Content>,
    pub undoes: Option<Undo>,
    /// Of its first change, in words.
    pub label: String,
}

impl Operation {
    /// If the record is one.
    pub fn of(raw: &Value) -> Option<Self> {
        raw.get("body")?.get("wrote")?;
        let record: Record = serde_json::from_value(raw.clone()).ok()?;
        let Entry::Wrote { op, changes, message, undoes } = record.body else { return None };
        let label = raw.get("label_text").and_then(Value::as_str).unwrap_or_default().to_owned();
        let Record { seq, at, actor, pid, .. } = record;
        Some(Self { seq, at, actor, pid, op, changes, message, undoes, label })
    }
}
