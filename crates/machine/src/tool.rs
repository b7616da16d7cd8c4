//! Tool calls as a model wrote them: raw text taken out of a durable answer, decoded as the door decodes.
//!
//! An answer is canonical JSON: `{"text": "…", "tools": [{"name": "…", "arguments": "…"}]}`, where
//! `arguments` is the text the model wrote, JSON if it was well. A model can never claim that something was
//! typed: its `origin` is dropped, so that it is a pipe's.

use abi::{
    Code, Content, Error, Pid,
    call::{self, Call, Write},
    event::Body,
    limits,
    wire::{self, Decoded},
};
use serde_json::Value;

/// The event that brings tool call `index` of an answer, and its blobs.
pub fn take(pid: Pid, step: u32, index: u32, answer: Option<&[u8]>) -> (Body, Vec<Vec<u8>>) {
    let (name, arguments) = answer.and_then(|bytes| find(bytes, index)).unwrap_or_default();
    let decoded = decode(&name, &arguments);
    let raw = cut(&arguments, limits::ARGUMENT_BYTES_MAX as usize).as_bytes().to_vec();
    let args = Content::of(&raw);
    let mut blobs = vec![raw];
    let call = decoded.map(|decoded| {
        blobs.extend(decoded.blobs);
        decoded.call
    });
    let name = cut(&name, limits::WORD_BYTES_MAX).to_owned();
    (Body::Tool { pid, step, index, name, args, call }, blobs)
}

/// What is said of an event that is not tried again.
pub fn set_aside() -> Error {
    Error::new(Code::Unavailable, "this killed its workspace three times and is set aside")
        .hint("skep trace shows when; the workspace itself goes on")
}

/// The same event with a call that is refused: what becomes of one that kills its workspace.
pub fn refused(body: &Body, error: Error) -> Option<Body> {
    let Body::Tool { pid, step, index, name, args, .. } = body else { return None };
    Some(Body::Tool {
        pid: *pid,
        step: *step,
        index: *index,
        name: name.clone(),
        args: *args,
        call: Err(error),
    })
}

fn find(answer: &[u8], index: u32) -> Option<(String, String)> {
    let mut value: Value = serde_json::from_slice(answer).ok()?;
    let tool = value.get_mut("tools")?.get_mut(usize::try_from(index).ok()?)?;
    let name = tool.get("name")?.as_str()?.to_owned();
    Some((name, tool.get("arguments")?.as_str()?.to_owned()))
}

fn decode(name: &str, arguments: &str) -> Result<Decoded, Error> {
    if arguments.len() as u64 > limits::ARGUMENT_BYTES_MAX {
        return Err(Error::new(Code::TooLarge, "the arguments are larger than 64 KiB").argument("arguments"));
    }
    if wire::deeper_than(arguments.as_bytes(), limits::JSON_DEPTH_MAX) {
        return Err(Error::invalid("arguments", "the arguments are nested deeper than 32"));
    }
    let mut params: Value = serde_json::from_str(arguments)
        .map_err(|error| Error::invalid("arguments", format!("the arguments are not JSON: {error}")))?;
    if let Value::Object(map) = &mut params {
        map.remove("origin");
        if name == call::BASH
            && let Some(text) = map.remove("command")
        {
            map.insert("text".to_owned(), text);
        }
    }
    let decoded = wire::decode(if name == call::BASH { "exec" } else { name }, params)?;
    if decoded.upload.is_some() {
        return Err(Error::new(Code::Unavailable, "a turn writes its text whole").argument("upload"));
    }
    fits(&decoded)?;
    Ok(decoded)
}

/// Whether every value is as short as its place asks for: a file's bytes may be a whole value, all that
/// enters the loop or a listing is at most 64 KiB.
pub fn fits(decoded: &Decoded) -> Result<(), Error> {
    let over = |bytes: u64| bytes > limits::BLOB_INLINE_BYTES_MAX;
    let argument = match &decoded.call {
        Call::Write { message: Some(message), .. } if over(message.bytes) => "message",
        Call::Write { write: Write::Link(target), .. } if over(target.bytes) => "text",
        Call::Write { .. } => return Ok(()),
        _ if decoded.blobs.iter().any(|blob| over(blob.len() as u64)) => "arguments",
        _ => return Ok(()),
    };
    Err(Error::new(Code::TooLarge, "the value is larger than 64 KiB, the most there may be here")
        .argument(argument)
        .hint("write it to a file and name the file"))
}

/// The text cut to so many bytes, between characters.
pub fn cut(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::call::Origin;

    fn taken(tools: &str) -> (String, Result<Call, Error>) {
        let answer = format!("{{\"text\":\"\",\"tools\":{tools}}}");
        let (body, blobs) = take(Pid(3), 1, 0, Some(answer.as_bytes()));
        let Body::Tool { name, args, call, .. } = body else { panic!("a tool") };
        assert_eq!(args, Content::of(&blobs[0]));
        (name, call)
    }

    #[test]
    fn a_model_is_decoded_like_a_client_and_is_never_typed() {
        let (name, call) = taken(
            r#"[{"name":"dispatch","arguments":"{\"agent\":\"x\",\"text\":\"t\",\"origin\":\"typed\"}"}]"#,
        );
        let Ok(Call::Dispatch { text, .. }) = call else { panic!("{call:?}") };
        assert_eq!((name.as_str(), text.origin), ("dispatch", Origin::Pipe));
    }

    #[test]
    fn nonsense_is_an_answer_not_a_fault() {
        let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
        let long = "a".repeat(70_000);
        for (name, arguments, code, message) in [
            ("read", "{not json", Code::Invalid, "not JSON"),
            ("read", "[]", Code::Invalid, "an object"),
            ("raed", "{}", Code::Invalid, "no call"),
            ("watch", "{}", Code::Unavailable, "not served"),
            ("read", "{\"path\":\"/a\",\"x\":1}", Code::Invalid, "no argument"),
            ("read", deep.as_str(), Code::Invalid, "deeper than 32"),
            ("write", long.as_str(), Code::TooLarge, "64 KiB"),
        ] {
            let tools = serde_json::json!([{ "name": name, "arguments": arguments }]).to_string();
            let error = taken(&tools).1.unwrap_err();
            assert_eq!(error.code, code, "{name} {arguments:.40}");
            assert!(error.message.contains(message), "{error}");
        }
        for answer in [None, Some(&b"\xff"[..]), Some(b"{}"), Some(b"{\"tools\":[1]}")] {
            let Body::Tool { call, .. } = take(Pid(1), 1, 0, answer).0 else { panic!("a tool") };
            assert!(call.is_err());
        }
    }
}
