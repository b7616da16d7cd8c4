//! `sdk/schema/skep.json`: JSON Schema (2020-12) of all that passes over the socket. The whole describes one
//! line; under `$defs` stand `CALL.params` and `CALL.result` of every call that is served, for generators.

use abi::{
    Code,
    call::CALLS,
    result::{self, Field, Form, Holds, There},
    schema,
};
use serde_json::{Map, Value, json};

/// The file.
pub fn text() -> String {
    let mut text = serde_json::to_string_pretty(&all()).unwrap_or_default();
    text.push('\n');
    text
}

fn all() -> Value {
    let mut defs = Map::new();
    let mut requests = Vec::new();
    let mut results = Vec::new();
    for spec in CALLS.iter().filter(|spec| spec.served) {
        let (params, result) = (format!("{}.params", spec.name), format!("{}.result", spec.name));
        let mut of = schema::call(spec);
        for (key, meaning) in [
            ("workspace", "in which workspace; home without it"),
            ("token", "as which process; without it you are the operator"),
        ] {
            of["properties"][key] = json!({ "type": "string", "description": meaning });
        }
        of["description"] = spec.meaning.into();
        requests.push(request(spec.name, &params));
        results.push(json!({ "$ref": format!("#/$defs/{result}") }));
        let forms: Vec<Value> = result::forms(spec.name).map(form).collect();
        defs.insert(params, of);
        defs.insert(result, json!({ "description": format!("what {} answers", spec.name), "anyOf": forms }));
    }
    defs.insert("error".to_owned(), error());
    defs.insert("request".to_owned(), json!({ "oneOf": requests }));
    defs.insert("answer".to_owned(), answer(results));
    defs.insert("note".to_owned(), note());
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Skep's socket",
        "description": "One line of the socket. Made by cargo xtask gen; changes here are lost.",
        "anyOf": [
            { "$ref": "#/$defs/request" },
            { "$ref": "#/$defs/answer" },
            { "$ref": "#/$defs/note" },
        ],
        "$defs": defs,
    })
}

fn request(name: &str, params: &str) -> Value {
    json!({
        "type": "object",
        "properties": {
            "jsonrpc": { "const": "2.0" },
            "id": { "type": ["string", "number", "null"] },
            "method": { "const": name },
            "params": { "$ref": format!("#/$defs/{params}") },
        },
        "required": ["jsonrpc", "method"],
        "additionalProperties": false,
    })
}

fn answer(results: Vec<Value>) -> Value {
    json!({
        "type": "object",
        "properties": {
            "jsonrpc": { "const": "2.0" },
            "id": { "type": ["string", "number", "null"] },
            "result": { "anyOf": results },
            "error": { "$ref": "#/$defs/error" },
        },
        "required": ["jsonrpc", "id"],
        "oneOf": [{ "required": ["result"] }, { "required": ["error"] }],
        "additionalProperties": false,
    })
}

fn note() -> Value {
    json!({
        "type": "object",
        "description": "what comes by itself to who follows a trace",
        "properties": {
            "jsonrpc": { "const": "2.0" },
            "method": { "enum": ["record", "preview"] },
            "params": { "type": "object" },
        },
        "required": ["jsonrpc", "method", "params"],
        "additionalProperties": false,
    })
}

fn error() -> Value {
    let codes: Vec<Value> = Code::TABLE
        .iter()
        .map(|(code, number, says)| json!({ "const": number, "title": code.word(), "description": says }))
        .collect();
    let words: Vec<&str> = Code::TABLE.iter().map(|(code, ..)| code.word()).collect();
    // -32700 and the like.
    let of_json_rpc = json!({ "type": "integer", "minimum": -32768, "maximum": -32000 });
    json!({
        "type": "object",
        "properties": {
            "code": { "anyOf": [{ "oneOf": codes }, of_json_rpc] },
            "message": { "type": "string", "description": "one sentence: what is" },
            "data": {
                "type": "object",
                "properties": {
                    "code": { "enum": words },
                    "hint": { "type": "string", "description": "what to do next" },
                    "argument": { "type": "string", "description": "the argument to blame" },
                },
                "required": ["code"],
            },
        },
        "required": ["code", "message"],
    })
}

fn form(form: &Form) -> Value {
    let mut schema = object(form.fields);
    schema["title"] = form.name.into();
    schema["description"] = form.meaning.into();
    schema
}

fn object(fields: &[Field]) -> Value {
    let properties: Map<String, Value> =
        fields.iter().map(|field| (field.name.to_owned(), of(field))).collect();
    let always = fields.iter().filter(|field| field.there != There::Sometimes);
    let required: Vec<&str> = always.map(|field| field.name).collect();
    json!({
        "type": "object", "properties": properties, "required": required, "additionalProperties": false,
    })
}

fn of(field: &Field) -> Value {
    let number = || json!({ "type": "integer", "minimum": 0 });
    let mut schema = match field.holds {
        Holds::Text => json!({ "type": "string" }),
        Holds::Number => number(),
        Holds::Flag => json!({ "type": "boolean" }),
        Holds::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Holds::Numbers => json!({ "type": "array", "items": number() }),
        Holds::Logged => json!({ "type": ["object", "string"] }),
        Holds::LoggedRows => json!({ "type": "array", "items": { "type": "object" } }),
        Holds::Pairs => json!({
            "type": "array",
            "items": { "type": "array", "items": number(), "minItems": 2, "maxItems": 2 },
        }),
        Holds::Rows(fields) => json!({ "type": "array", "items": object(fields) }),
    };
    if field.there == There::OrNull {
        schema = json!({ "anyOf": [schema, { "type": "null" }] });
    }
    schema["description"] = field.meaning.into();
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every reference leads somewhere.
    #[test]
    fn no_reference_is_loose() {
        let text = text();
        let schema: Value = serde_json::from_str(&text).unwrap();
        let defs = schema["$defs"].as_object().unwrap();
        let mut count = 0;
        for part in text.split("#/$defs/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(defs.contains_key(name), "{name}");
            count += 1;
        }
        assert!(count >= 34, "{count} references");
    }
}
