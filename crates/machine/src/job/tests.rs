//! Rows: what models and mounts say, and what is taken of it.

use super::*;
use abi::{Pid, effect::Role};
use drivers::{ModelError, RawUsage, Secret, ToolCall};

/// A model that streams pieces and then claims.
struct Says {
    pieces: Vec<String>,
    tools: Vec<ToolCall>,
    usage: RawUsage,
}

impl Model for Says {
    fn call(
        &self,
        _: &Prompt,
        _: Option<&Secret<'_>>,
        stream: &mut dyn FnMut(&str) -> Flow,
    ) -> Result<Said, ModelError> {
        let mut text = String::new();
        for piece in &self.pieces {
            text.push_str(piece);
            if stream(piece) == Flow::Stop {
                break;
            }
        }
        Ok(Said { text, tools: self.tools.clone(), stop: Stop::End, usage: self.usage })
    }
}

struct Panics;

impl Model for Panics {
    fn call(
        &self,
        _: &Prompt,
        _: Option<&Secret<'_>>,
        _: &mut dyn FnMut(&str) -> Flow,
    ) -> Result<Said, ModelError> {
        panic!("a driver's bug")
    }
}

fn job(max_out: u64) -> ModelJob {
    let items = vec![(Role::User, b"twelve bytes".to_vec())];
    let prompt = Prompt { model: "m".into(), items, tools: Vec::new(), max_out };
    let (effect, pid) = (Default::default(), Pid(1));
    ModelJob { effect, attempt: 1, pid, run: pid, prompt, reserved_out: 1024, asked: None }
}

fn outcome(model: &dyn Model, max_out: u64) -> (Vec<u8>, u32, Stop, Usage, bool) {
    let (body, blobs) = run_model(&job(max_out), (model, None), &mut |_, _| Flow::Go);
    let Body::ModelEnded {
        outcome: ModelOutcome::Answered { answer, tools, stop, usage, counted, .. }, ..
    } = body
    else {
        panic!("an answer")
    };
    assert_eq!(answer, Content::of(&blobs[0]));
    let (charged, disbelieved) = usage.check(&counted);
    (blobs[0].clone(), tools, stop, charged, disbelieved)
}

#[test]
fn negative_usage_is_nothing_and_our_count_is_charged() {
    let usage = RawUsage { tokens_in: -5, tokens_out: i64::MIN, tokens_cached: -1, tokens_written: 0 };
    let model = Says { pieces: vec!["eight by".into()], tools: vec![], usage };
    let (bytes, tools, stop, charged, disbelieved) = outcome(&model, 100);
    assert_eq!(bytes, br#"{"text":"eight by","tools":[]}"#);
    assert_eq!((tools, stop, disbelieved), (0, Stop::End, true));
    assert_eq!(charged, Usage { tokens_in: 3, tokens_out: 2, tokens_cached: 0, tokens_written: 0 });
}

#[test]
fn endless_text_is_cut_and_kept_bounded() {
    let model = Says { pieces: vec!["é".repeat(1000); 1000], tools: vec![], usage: RawUsage::default() };
    for max_out in [10, 1_000_000] {
        let (bytes, _, stop, _, _) = outcome(&model, max_out);
        assert!(bytes.len() as u64 <= limits::ANSWER_BYTES_MAX);
        assert_eq!(stop, Stop::Cut);
    }
}

#[test]
fn tool_calls_are_bounded() {
    let tool = ToolCall { name: "n".repeat(1000), arguments: "{".repeat(3000) };
    let model = Says { pieces: vec![], tools: vec![tool; 100], usage: RawUsage::default() };
    let (bytes, tools, stop, _, _) = outcome(&model, 1_000_000);
    assert!(
        bytes.len() as u64 <= limits::ANSWER_BYTES_MAX && tools <= limits::TOOLS_PER_STEP_MAX && tools > 10
    );
    assert_eq!(stop, Stop::Length);
}

#[test]
fn a_driver_that_panics_has_failed() {
    let (body, _) = run_model(&job(10), (&Panics, None), &mut |_, _| Flow::Go);
    let Body::ModelEnded { outcome: ModelOutcome::Failed { again, .. }, .. } = body else { panic!("failed") };
    assert!(!again);
    let effect = EffectJob {
        effect: Default::default(),
        mount: "x".into(),
        kind: "mail.send".into(),
        fields: Some(Fields::new()),
    };
    let (body, blobs) = run_dispatch(&effect, None);
    assert!(matches!(body, Body::EffectEnded { outcome: EffectOutcome::Failed(_), .. }));
    assert_eq!(blobs[0], b"x is not mounted");
    let (body, _) = run_probe(&effect, None);
    assert!(matches!(body, Body::EffectProbed { found: Probed::Unknown, .. }));
}
