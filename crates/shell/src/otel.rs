//! The log as OpenTelemetry spans, for who looks at agents in tools of their own (GenAI semantic conventions;
//! docs/decisions/0028). Only in builds with the feature `otel`.
//!
//! ```text
//! Spawned … Exited                    invoke_agent NAME      trace: the run; span: the process
//!   ModelIntended … ModelAnswered       chat MODEL           below its process
//!   ToolWaits … Tool                    execute_tool NAME    below its process
//! ```
//! Names of traces and spans are hashes of what the log says, so a span that is exported twice is the same
//! span. layers: `span` (records to spans) → `json` (spans as OTLP/HTTP JSON) → `post` (to a collector).
//! Never here: a task, an argument or an answer, unless it was asked for.

mod json;
mod post;
mod span;

pub use json::batch;
pub use post::Collector;
pub use span::{Span, Spans};

/// Whether texts are exported too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Texts {
    /// What was done, and what it cost.
    Left,
    /// And what was said.
    Taken,
}
