//! One page of the manual, and its two forms.
//!
//! `## path PATH` with its sentence is an `Item`:
//!
//! ```text
//! roff:   .TP                      plain:      path PATH
//!         \fBpath PATH\fR                          the path
//!         the path
//! ```
//! Never here: what a page says.

/// A page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its name: `skep-run`, `write`.
    pub name: String,
    /// 1 commands, 2 calls, 3 file trees, 5 protocol, 6 formats.
    pub section: u8,
    /// One line.
    pub about: String,
    parts: Vec<Part>,
}

/// A titled part of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    title: String,
    blocks: Vec<Block>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Block {
    /// Running text.
    Text(String),
    /// A word and what it means.
    Item(String, String),
    /// Lines as they are.
    Lines(String),
}

/// Columns before running text, and before what an item means.
const INDENT: usize = 7;
const DEEPER: usize = 14;

impl Page {
    /// A page that says only what it is.
    pub fn new(name: impl Into<String>, section: u8, about: impl Into<String>) -> Self {
        Self { name: name.into(), section, about: about.into(), parts: Vec::new() }
    }

    /// Begins a part; what follows stands in it.
    pub fn part(&mut self, title: &str) -> &mut Self {
        self.parts.push(Part { title: title.to_owned(), blocks: Vec::new() });
        self
    }

    /// Running text.
    pub fn text(&mut self, text: impl Into<String>) -> &mut Self {
        self.add(Block::Text(text.into()))
    }

    /// A word and what it means.
    pub fn item(&mut self, word: impl Into<String>, meaning: impl Into<String>) -> &mut Self {
        self.add(Block::Item(word.into(), meaning.into()))
    }

    /// Words and what each means.
    pub fn items<W: Into<String>, M: Into<String>>(
        &mut self,
        rows: impl IntoIterator<Item = (W, M)>,
    ) -> &mut Self {
        for (word, meaning) in rows {
            self.item(word, meaning);
        }
        self
    }

    /// Lines as they are.
    pub fn lines(&mut self, lines: impl Into<String>) -> &mut Self {
        self.add(Block::Lines(lines.into()))
    }

    fn add(&mut self, block: Block) -> &mut Self {
        if let Some(part) = self.parts.last_mut() {
            part.blocks.push(block);
        }
        self
    }

    /// Where it lies below `man/`: `man1/skep-run.1`.
    pub fn file(&self) -> String {
        format!("man{0}/{1}.{0}", self.section, self.name)
    }

    /// For `man`.
    pub fn roff(&self) -> String {
        let head = self.name.to_uppercase();
        let mut out = format!(
            ".\\\" Made by cargo xtask gen from the tables; changes here are lost.\n\
             .TH \"{}\" \"{}\" \"\" \"skep {}\" \"Skep\"\n.nh\n.ad l\n.SH NAME\n{} \\- {}\n",
            roff(&head),
            self.section,
            env!("CARGO_PKG_VERSION"),
            roff(&self.name),
            roff(&self.about)
        );
        for part in &self.parts {
            out.push_str(&format!(".SH \"{}\"\n", roff(&part.title)));
            for block in &part.blocks {
                out.push_str(&match block {
                    Block::Text(text) => format!(".PP\n{}\n", roff(text)),
                    Block::Item(word, meaning) => {
                        format!(".TP\n\\fB{}\\fR\n{}\n", roff(word), roff(meaning))
                    }
                    Block::Lines(lines) => format!(".PP\n.nf\n{}\n.fi\n", roff(lines.trim_end())),
                });
            }
        }
        out
    }

    /// For who has no `man`, in at most so many columns.
    pub fn plain(&self, columns: usize) -> String {
        let head = format!("{}({})", self.name.to_uppercase(), self.section);
        let mut out = format!("{head}\n\nNAME\n");
        out.push_str(&wrap(&format!("{} - {}", self.name, self.about), INDENT, columns));
        for part in &self.parts {
            out.push_str(&format!("\n{}\n", part.title));
            for (ix, block) in part.blocks.iter().enumerate() {
                let gap = if ix > 0 { "\n" } else { "" };
                out.push_str(gap);
                out.push_str(&match block {
                    Block::Text(text) => paragraphs(text, columns),
                    Block::Item(word, meaning) => {
                        wrap(word, INDENT, columns) + &wrap(meaning, DEEPER, columns)
                    }
                    Block::Lines(lines) => indented(lines),
                });
            }
        }
        out
    }
}

/// Running text, with an empty line between its paragraphs.
fn paragraphs(text: &str, columns: usize) -> String {
    text.split("\n\n").map(|part| wrap(part, INDENT, columns)).collect::<Vec<_>>().join("\n")
}

/// Words of a text in lines that begin after so many columns.
fn wrap(text: &str, indent: usize, columns: usize) -> String {
    let (mut out, mut width) = (String::new(), 0);
    for word in text.split_whitespace() {
        let long = word.chars().count();
        if width > 0 && width + 1 + long > columns {
            out.push('\n');
            width = 0;
        }
        if width == 0 {
            out.push_str(&" ".repeat(indent));
            width = indent;
        } else {
            out.push(' ');
            width += 1;
        }
        out.push_str(word);
        width += long;
    }
    if width > 0 {
        out.push('\n');
    }
    out
}

fn indented(lines: &str) -> String {
    let shown = |line: &str| match line.is_empty() {
        true => "\n".to_owned(),
        false => format!("{}{line}\n", " ".repeat(INDENT)),
    };
    lines.trim_end().lines().map(shown).collect()
}

/// Text as roff takes it: a backslash and a hyphen are themselves, and no line is a request.
fn roff(text: &str) -> String {
    let line = |line: &str| {
        let line = line.replace('\\', "\\e").replace('-', "\\-").replace('"', "\\(dq");
        if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line }
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms() {
        let mut page = Page::new("x-y", 6, "a thing");
        page.part("KEYS").text(".first \\ line").item("key", "what it means in words").lines("a: 1\n\n'b'");
        let roff = page.roff();
        let body = roff.split_once(".SH NAME\n").map(|(_, body)| body);
        let want = "x\\-y \\- a thing\n.SH \"KEYS\"\n.PP\n\\&.first \\e line\n.TP\n\\fBkey\\fR\n\
                    what it means in words\n.PP\n.nf\na: 1\n\n\\&'b'\n.fi\n";
        assert_eq!(body, Some(want));
        let want = "X-Y(6)\n\nNAME\n       x-y - a thing\n\nKEYS\n       .first \\ line\n\n       key\n              \
                    what it\n              means in\n              words\n\n       a: 1\n\n       'b'\n";
        assert_eq!(page.plain(23), want);
        assert_eq!(page.file(), "man6/x-y.6");
    }
}
