//! JSON Schema (2020-12) of what a call takes, made from the table in `call` and from nothing else.
//!
//! ```text
//! remove: path, base?, tree?  ─▶  {"type": "object", "additionalProperties": false, "required": ["path"],
//!                                  "properties": {"base": {"type": "integer", "minimum": 0, …}, …}}
//! ```
//! `call` says all that the door takes; `tool` what a model is told. A schema here never decides anything:
//! `wire::decode` does, for clients and models alike.

use crate::{
    call::{Param, Shape, Spec},
    limits,
};
use alloc::{borrow::ToOwned, vec::Vec};
use serde_json::{Map, Value, json};

/// What a model is not told of: whose words a text is, which is never its to say, and uploads, which belong
/// to a connection.
const NOT_OF_A_TURN: [&str; 2] = ["origin", "upload"];

/// The parameters of a call as the door takes them.
pub fn call(spec: &Spec) -> Value {
    let mut schema = object(spec.params.iter());
    // Only a keyword beside `properties` can say that base64 stands for a text that must be there.
    let stands_for = spec.params.iter().any(|param| param.name == "text" && param.required);
    if let (true, Some(map)) = (stands_for, schema.as_object_mut()) {
        let rest = required(spec.params.iter().filter(|param| param.name != "text"));
        map.insert("required".to_owned(), rest);
        map.insert("anyOf".to_owned(), json!([{ "required": ["text"] }, { "required": ["base64"] }]));
    }
    schema
}

/// The parameters of a call as a tool of a model: providers take no `anyOf` at the top, so a text that must
/// be there is text.
pub fn tool(spec: &Spec) -> Value {
    object(spec.params.iter().filter(|param| !NOT_OF_A_TURN.contains(&param.name)))
}

fn object<'a>(params: impl Iterator<Item = &'a Param> + Clone) -> Value {
    let mut properties = Map::new();
    for param in params.clone() {
        properties.insert(param.name.to_owned(), of(param));
        if param.name == "text" && param.shape == Shape::Value {
            let base64 = json!({
                "type": "string",
                "contentEncoding": "base64",
                "description": "instead of text: bytes that are not UTF-8",
            });
            properties.insert("base64".to_owned(), base64);
        }
    }
    json!({
        "type": "object",
        "properties": properties,
        "required": required(params),
        "additionalProperties": false,
    })
}

fn required<'a>(params: impl Iterator<Item = &'a Param>) -> Value {
    params.filter(|param| param.required).map(|param| param.name).collect::<Vec<_>>().into()
}

fn of(param: &Param) -> Value {
    let mut schema = match param.shape {
        Shape::Path | Shape::Value | Shape::Word | Shape::Principal | Shape::Money => {
            json!({ "type": "string" })
        }
        Shape::Number => json!({ "type": "integer", "minimum": 0 }),
        Shape::Flag => json!({ "type": "boolean" }),
        Shape::Fields => {
            let one = json!([{ "type": "string" }, { "type": "number" }, { "type": "boolean" }]);
            let many = json!({ "type": "array", "items": { "anyOf": one } });
            let mut any = one;
            if let Some(rows) = any.as_array_mut() {
                rows.push(many);
            }
            json!({ "type": "object", "additionalProperties": { "anyOf": any } })
        }
        Shape::Postconditions => json!({
            "type": "array",
            "maxItems": limits::POSTCONDITIONS_MAX,
            "items": { "anyOf": [
                row(&["exists"]),
                row(&["contains", "text"]),
            ] },
        }),
    };
    if let Some(map) = schema.as_object_mut() {
        map.insert("description".to_owned(), param.meaning.into());
    }
    schema
}

/// An object of these texts, all of them required.
fn row(keys: &[&str]) -> Value {
    let properties: Map<_, _> =
        keys.iter().map(|key| ((*key).to_owned(), json!({ "type": "string" }))).collect();
    json!({ "type": "object", "properties": properties, "required": keys, "additionalProperties": false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{CALLS, spec};
    use alloc::string::ToString;

    #[test]
    fn a_call_reads_as_the_table_says() {
        let remove = call(spec("remove").unwrap());
        let want = json!({
            "type": "object",
            "properties": {
                "base": {
                    "type": "integer",
                    "minimum": 0,
                    "description": "the version this change was made from",
                },
                "path": { "type": "string", "description": "the path" },
                "tree": { "type": "boolean", "description": "also a directory that is not empty" },
            },
            "required": ["path"],
            "additionalProperties": false,
        });
        assert_eq!(remove, want);
    }

    #[test]
    fn base64_stands_for_text_at_the_door_and_beside_it_in_a_tool() {
        let spawn = spec("spawn").unwrap();
        assert_eq!(call(spawn)["required"], json!(["agent"]));
        assert_eq!(call(spawn)["anyOf"], json!([{ "required": ["text"] }, { "required": ["base64"] }]));
        assert_eq!(tool(spawn)["required"], json!(["agent", "text"]));
        assert_eq!(tool(spawn).get("anyOf"), None);
        assert!(call(spawn)["properties"].get("base64").is_some());
        // The text of `write` is optional: nothing is said of it at the top.
        assert_eq!(call(spec("write").unwrap()).get("anyOf"), None);
    }

    #[test]
    fn a_model_is_not_told_what_it_may_not_say() {
        for row in &CALLS {
            for name in NOT_OF_A_TURN {
                assert_eq!(tool(row)["properties"].get(name), None, "{} {name}", row.name);
            }
        }
        assert!(call(spec("write").unwrap())["properties"].get("origin").is_some());
        assert!(call(spec("write").unwrap())["properties"].get("upload").is_some());
    }

    #[test]
    fn every_parameter_has_a_type_and_a_meaning() {
        for row in &CALLS {
            let schema = call(row);
            for param in row.params {
                let of = &schema["properties"][param.name];
                assert!(of["type"].is_string(), "{} {}", row.name, param.name);
                assert_eq!(of["description"].as_str(), Some(param.meaning));
            }
            // The decoder and the schema agree on what is a key at all.
            let keys = schema["properties"].as_object().unwrap().keys();
            for key in keys.filter(|key| *key != "base64") {
                assert!(row.params.iter().any(|param| param.name == key), "{}", row.name);
            }
            assert!(schema.to_string().len() < 8 * 1024);
        }
    }
}
