//! Spans as OTLP/HTTP JSON: the protobuf message `ExportTraceServiceRequest` in its JSON mapping, where names
//! of traces and spans are hexadecimal, 64-bit numbers are text and enumerations are numbers.

use super::span::{Kind, Span, Value};
use serde_json::{Map, Value as Json, json};

/// `SPAN_KIND_INTERNAL`, `SPAN_KIND_CLIENT`, `STATUS_CODE_ERROR`.
const INTERNAL: u8 = 1;
const CLIENT: u8 = 3;
const ERROR: u8 = 2;

/// One request.
pub fn batch(workspace: (&str, &str), spans: &[Span]) -> Json {
    let (name, id) = workspace;
    let about = [
        ("service.name", Value::Text("skep".to_owned())),
        ("service.version", Value::Text(env!("CARGO_PKG_VERSION").to_owned())),
        ("service.instance.id", Value::Text(id.to_owned())),
        ("skep.workspace", Value::Text(name.to_owned())),
    ];
    let scope = json!({ "name": "skep", "version": env!("CARGO_PKG_VERSION") });
    let spans: Vec<Json> = spans.iter().map(span).collect();
    json!({
        "resourceSpans": [{
            "resource": { "attributes": attributes(&about) },
            "scopeSpans": [{ "scope": scope, "spans": spans }],
        }],
    })
}

fn span(span: &Span) -> Json {
    let kind = match span.kind {
        Kind::Internal => INTERNAL,
        Kind::Client => CLIENT,
    };
    let nanos = |micros: u64| format!("{micros}000");
    let mut about = span.about.clone();
    let mut object = Map::new();
    if let Some(error) = &span.error {
        about.push(("error.type", Value::Text(error.clone())));
        object.insert("status".into(), json!({ "code": ERROR }));
    }
    if !span.parent.is_empty() {
        object.insert("parentSpanId".into(), span.parent.clone().into());
    }
    for (key, value) in [
        ("traceId", json!(span.trace)),
        ("spanId", json!(span.id)),
        ("name", json!(span.name)),
        ("kind", json!(kind)),
        ("startTimeUnixNano", json!(nanos(span.time.0))),
        ("endTimeUnixNano", json!(nanos(span.time.1))),
        ("attributes", attributes(&about)),
    ] {
        object.insert(key.into(), value);
    }
    Json::Object(object)
}

fn attributes(about: &[(&'static str, Value)]) -> Json {
    about.iter().map(|(key, one)| json!({ "key": key, "value": value(one) })).collect()
}

fn value(value: &Value) -> Json {
    match value {
        Value::Text(text) => json!({ "stringValue": text }),
        Value::Number(number) => json!({ "intValue": number.to_string() }),
        Value::Money(money) => json!({ "doubleValue": money }),
        Value::Texts(texts) => {
            let values: Vec<Json> = texts.iter().map(|text| json!({ "stringValue": text })).collect();
            json!({ "arrayValue": { "values": values } })
        }
    }
}
