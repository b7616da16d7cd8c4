//! Section 5: what passes over the socket. The numbers come from `abi::limits`, the rest of it from the
//! tables; docs/how/speak-to-the-socket.md tells more.

use super::{Page, calls};
use crate::figures;
use abi::{
    Code,
    call::{CALLS, Shape},
    control::WORDS,
    limits,
};

/// What is said of every shape.
const SHAPES: [(Shape, &str); 9] = [
    (Shape::Path, "text: a normalised absolute path of the tree"),
    (Shape::Value, "text under its own name, or bytes as base64 (RFC 4648, padded) under the name base64"),
    (Shape::Word, "text: letters, digits, . _ -"),
    (Shape::Number, "a whole number, not negative"),
    (Shape::Flag, "true or false"),
    (Shape::Money, "text: decimal money, as 0.05"),
    (Shape::Fields, "an object of text, numbers, or lists of them"),
    (Shape::Principal, "text: two words with a colon between"),
    (Shape::Postconditions, "a list of {\"exists\": PATH} or {\"contains\": PATH, \"text\": TEXT}"),
];

const NOTES: [(&str, &str); 2] = [
    ("record", "trace with follow: {workspace, record}, once a record is durable"),
    ("preview", "trace with follow: {workspace, pid, text}, early and incomplete, while a model answers"),
];

/// The page.
pub fn page() -> Page {
    let mut page = Page::new("socket", 5, "what passes between the daemon and its clients");
    let line = figures::count(limits::LINE_BYTES_MAX as u64);
    page.part("DESCRIPTION").text(format!(
        "JSON-RPC 2.0 over a Unix socket, one message a line, at most {line} bytes and {} levels deep. skep \
         status prints where the socket is. A method is a call (section 2); its arguments are params, with \
         workspace and token beside them.",
        limits::JSON_DEPTH_MAX
    ));
    page.lines(
        "> {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"read\",\"params\":{\"path\":\"/data/a.md\"}}\n\
         < {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"text\":\"one\",\"version\":13,...}}\n\
         < {\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-33002,\"message\":\"...\",\"data\":{...}}}",
    );
    page.part("WHO YOU ARE").text(
        "The user id at the other end makes you an operator. A connection that ever shows a token, even a bad \
         one, is that token's process and never the operator again.",
    );
    page.part("SHAPES").items(SHAPES.map(|(shape, meaning)| (calls::word(shape), meaning)));
    page.part("ERRORS").text(
        "error.code is the number, error.message one sentence; error.data has the code's word, a hint and the \
         argument to blame, where there is one.",
    );
    for (code, number, meaning) in Code::TABLE {
        page.item(format!("{number} {}", code.word()), *meaning);
    }
    page.part("NOTIFICATIONS").items(NOTES);
    page.part("ORDER").text(
        "Requests may be pipelined; answers carry their id and may come in another order. An answer comes after \
         what it tells of is durable. Who does not read is dropped.",
    );
    page.part("CONTROL WORDS").text("Text written to a control file is a word, and for operators only:");
    for (file, form, meaning) in WORDS {
        page.item(format!("{file}: {form}"), meaning);
    }
    page.part("CALLS");
    for spec in CALLS {
        let served = if spec.served { "" } else { " (not served by this version)" };
        page.item(format!("{}(2)", spec.name), format!("{}{served}", spec.meaning));
    }
    page
}
