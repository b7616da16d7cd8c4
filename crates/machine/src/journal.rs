//! The daemon's own words: one bounded line each to standard error, without control characters. What is
//! decided stands in the workspaces' logs, not here.

use std::io::Write;

const LINE_CHARS_MAX: usize = 600;

/// Says one line.
pub fn say(about: &str, message: &str) {
    let line: String = format!("skep: {about}: {message}")
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(LINE_CHARS_MAX)
        .chain(['\n'])
        .collect();
    // Nobody may be there to read it; that is no reason to fail.
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}
