//! `sdk/typescript/calls.mjs` and `calls.d.mts`: a method for each call that is served, and a type for each
//! form of answer. How lines go over the socket is written by hand beside them (`client.mjs`).

use abi::{
    call::{CALLS, Param, Shape, Spec},
    result::{self, FORMS, Field, Form, Holds, There},
};

const HEAD: &str = "// A method for each call, and a type for each form of answer.
// Made by cargo xtask gen from Skep's tables; changes here are lost.
";

const TYPES: &str = "
/** Text; bytes are taken as well, where they need not be text. */
export type Text = string | Uint8Array;
/** A value of a map of arguments. */
export type Value = string | number | boolean | (string | number | boolean)[];
";

/// What runs.
pub fn code() -> String {
    let mut out = format!("{HEAD}\nexport class Calls {{\n");
    for spec in served() {
        let name = spec.name;
        out.push_str(&format!(
            "  {name}(params = {{}}) {{\n    return this.call(\"{name}\", params);\n  }}\n"
        ));
    }
    out + "}\n"
}

/// What is known of it.
pub fn types() -> String {
    let mut out = format!("{HEAD}{TYPES}");
    FORMS.iter().for_each(|form| out.push_str(&interface(form)));
    for spec in served() {
        let forms: Vec<String> = result::forms(spec.name).map(|form| super::title(form.name)).collect();
        out.push_str(&params(spec));
        out.push_str(&format!("\nexport type {}Result = {};\n", super::title(spec.name), forms.join(" | ")));
    }
    out.push_str("\n/** Every call that is served. */\nexport class Calls {\n");
    for spec in served() {
        let title = super::title(spec.name);
        let may = if spec.params.iter().any(|param| param.required) { "" } else { "?" };
        let about = super::sentence(spec.meaning);
        let params = format!("params{may}: {title}Params");
        out.push_str(&format!("  /** {about} */\n  {}({params}): Promise<{title}Result>;\n", spec.name));
    }
    out + "}\n"
}

fn served() -> impl Iterator<Item = &'static Spec> {
    CALLS.iter().filter(|spec| spec.served)
}

fn interface(form: &Form) -> String {
    let name = super::title(form.name);
    let rows = form.fields.iter().find_map(|field| match field.holds {
        Holds::Rows(fields) => Some(keys(&format!("{name}Row"), "One row.", fields, "")),
        _ => None,
    });
    rows.unwrap_or_default() + &keys(&name, &super::sentence(form.meaning), form.fields, &name)
}

fn keys(name: &str, about: &str, fields: &[Field], form: &str) -> String {
    let line = |field: &Field| {
        let may = if field.there == There::Sometimes { "?" } else { "" };
        let null = if field.there == There::OrNull { " | null" } else { "" };
        let about = super::sentence(field.meaning);
        format!("  /** {about} */\n  {}{may}: {}{null};\n", field.name, holds(field.holds, form))
    };
    let lines: String = fields.iter().map(line).collect();
    format!("\n/** {about} */\nexport interface {name} {{\n{lines}}}\n")
}

fn holds(holds: Holds, form: &str) -> String {
    match holds {
        Holds::Text => "string".to_owned(),
        Holds::Number => "number".to_owned(),
        Holds::Flag => "boolean".to_owned(),
        Holds::Texts => "string[]".to_owned(),
        Holds::Numbers => "number[]".to_owned(),
        Holds::Logged => "unknown".to_owned(),
        Holds::LoggedRows => "(Record<string, unknown> & { seq: number })[]".to_owned(),
        Holds::Pairs => "[number, number][]".to_owned(),
        Holds::Rows(_) => format!("{form}Row[]"),
    }
}

fn params(spec: &Spec) -> String {
    let line = |param: &Param| {
        let may = if param.required { "" } else { "?" };
        let about = super::sentence(param.meaning);
        format!("  /** {about} */\n  {}{may}: {};\n", param.name, shape(param.shape))
    };
    let lines: String = spec.params.iter().map(line).collect();
    let title = super::title(spec.name);
    format!("\n/** What {} takes. */\nexport interface {title}Params {{\n{lines}}}\n", spec.name)
}

fn shape(shape: Shape) -> &'static str {
    match shape {
        Shape::Path | Shape::Word | Shape::Principal | Shape::Money => "string",
        Shape::Value => "Text",
        Shape::Number => "number",
        Shape::Flag => "boolean",
        Shape::Fields => "Record<string, Value>",
        Shape::Postconditions => "({ exists: string } | { contains: string; text: string })[]",
    }
}
