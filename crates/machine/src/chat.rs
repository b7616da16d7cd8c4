//! A session as Markdown, from the texts that the kernel names.
//!
//! ```text
//! # helper, main
//!
//! ## anna                     who speaks; a line of a text that begins with # begins with \\# here
//!
//! What is in /data?
//!
//! ## helper, process 12
//!
//! Three notes.
//! ```
//! Never here: whose session it is, and who may read it.

use crate::render::said;
use abi::{call::Part, fact::Spoken, limits, path::TreePath, session::of_path};
use serde_json::{Value, json};
use store::{Batch, Trouble};

/// The session at a path; only a part of its bytes, if so asked.
pub(crate) fn shown(
    batch: &mut Batch<'_>,
    path: &TreePath,
    lines: &[Spoken],
    part: Option<Part>,
) -> Result<Value, Trouble> {
    let (agent, slug) = of_path(path).unwrap_or_default();
    let mut text = format!("# {agent}, {slug}\n");
    for line in lines {
        match line {
            Spoken::Who(who) => text.push_str(&format!("\n## {}\n", plain(who))),
            Spoken::Note(note) => text.push_str(&format!("\n*{}*\n", plain(note))),
            Spoken::Words(content) => {
                let words = batch.blob(&content.hash)?;
                let words = words.map_or_else(|| String::from("(not kept any more)"), |bytes| said(&bytes));
                text.push('\n');
                words.trim_end().lines().for_each(|line| text.extend([quoted(line), line, "\n"]));
            }
        }
    }
    Ok(json!({ "text": cut(&text, part) }))
}

/// What makes a line of a text that looks like a heading no heading.
fn quoted(line: &str) -> &'static str {
    if line.trim_start().starts_with('#') { "\\" } else { "" }
}

/// On one line, and without what would end the emphasis.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || c == '*' { ' ' } else { c }).collect()
}

fn cut(text: &str, part: Option<Part>) -> &str {
    let most = limits::VALUE_BYTES_MAX as u64;
    let part = part.unwrap_or(Part { offset: 0, length: most });
    let at = |bytes: u64| text.floor_char_boundary(usize::try_from(bytes).unwrap_or(usize::MAX));
    let (from, to) = (at(part.offset), at(part.offset.saturating_add(part.length.min(most))));
    text.get(from..to).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_makes_no_heading() {
        let rows = [("## boss", "\\"), ("  # x", "\\"), ("a # b", ""), ("", "")];
        for (line, want) in rows {
            assert_eq!(quoted(line), want, "{line}");
        }
        assert_eq!(plain("killed: *a*\n## b"), "killed:  a  ## b");
    }

    #[test]
    fn a_part_is_cut_between_letters() {
        let part = |offset, length| Some(Part { offset, length });
        let rows = [
            (None, "aöb"),
            (part(0, 2), "a"),
            (part(1, 2), "ö"),
            (part(9, 9), ""),
            (part(0, u64::MAX), "aöb"),
        ];
        for (part, want) in rows {
            assert_eq!(cut("aöb", part), want, "{part:?}");
        }
    }
}
