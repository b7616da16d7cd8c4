//! What others wrote, made safe for a terminal. Names, arguments, messages, mails and model answers may hold
//! escape sequences that move the cursor, or invisible characters that turn text around; here each becomes
//! visible as `\u{…}`. Nothing untrusted is printed to a terminal in any other way.

/// What is left as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Nothing: the result is one line.
    Nothing,
    /// Line ends and tabs: the result is a text.
    Lines,
}

/// The text with every control, bidirectional, zero-width and tag character made visible.
pub fn escape(text: &str, keep: Keep) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' | '\t' if keep == Keep::Lines => out.push(c),
            '\r' if keep == Keep::Lines && chars.peek() == Some(&'\n') => {}
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if is_hidden(c) => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

/// One line of it.
pub fn line(text: &str) -> String {
    escape(text, Keep::Nothing)
}

/// Characters that change how others are shown, or that are not seen themselves (Unicode 16: Cc, the bidi
/// controls of UAX 9, and the default-ignorable format characters).
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_hidden_reaches_the_terminal() {
        let rows = [
            ("plain, Größe, 東京, 🐝", "plain, Größe, 東京, 🐝"),
            ("\u{1b}[2J\u{1b}]0;title\u{7}", "\\u{1b}[2J\\u{1b}]0;title\\u{7}"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("a\nb\tc\rd\0", "a\\nb\\tc\\rd\\u{0}"),
            ("invoice\u{202e}fdp.exe", "invoice\\u{202e}fdp.exe"),
            ("\u{2066}x\u{2069}\u{61c}", "\\u{2066}x\\u{2069}\\u{61c}"),
            ("pay\u{200b}pal\u{feff}\u{ad}", "pay\\u{200b}pal\\u{feff}\\u{ad}"),
            ("\u{e0041}\u{e007f}", "\\u{e0041}\\u{e007f}"),
            ("a\u{2028}b\u{7f}", "a\\u{2028}b\\u{7f}"),
        ];
        for (raw, shown) in rows {
            assert_eq!(line(raw), shown, "{raw:?}");
        }
    }

    #[test]
    fn a_text_keeps_its_lines_and_nothing_else() {
        let rows = [
            ("a\r\nb\n\tc", "a\nb\n\tc"),
            ("a\rb", "a\\rb"),
            ("\u{1b}[1A\nx", "\\u{1b}[1A\nx"),
            ("end\r", "end\\r"),
        ];
        for (raw, shown) in rows {
            assert_eq!(escape(raw, Keep::Lines), shown, "{raw:?}");
        }
    }
}
