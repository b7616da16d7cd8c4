//! `sdk/python/skep/calls.py`: a method for each call that is served, and a type for each form of answer.
//!
//! ```text
//! remove: path, base?, …  →  def remove(self, path: str, *, base: Optional[int] = None, …) -> RemoveResult
//! ```
//! How lines go over the socket is written by hand beside it (`client.py`).

use abi::{
    call::{CALLS, Param, Shape, Spec},
    result::{self, FORMS, Field, Form, Holds, There},
};

const HEAD: &str = "\"\"\"A method for each call, and a type for each form of answer.

Made by cargo xtask gen from Skep's tables; changes here are lost.
\"\"\"

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence, TypedDict, Union

#: Text; bytes are taken as well, where they need not be text.
Text = Union[str, bytes]
#: A value of a map of arguments.
Value = Union[str, int, float, bool, Sequence[Union[str, int, float, bool]]]
";

const CLASS: &str = "

class Calls:
    \"\"\"Every call that is served. What is not given is not sent.\"\"\"

    def call(self, method: str, params: Mapping[str, Any]) -> Any:
        \"\"\"One call by its name.\"\"\"
        raise NotImplementedError
";

/// Words of Python that are names of arguments.
const WORDS: [&str; 1] = ["from"];

/// The file.
pub fn text() -> String {
    let mut out = HEAD.to_owned();
    FORMS.iter().for_each(|form| out.push_str(&types(form)));
    out.push_str("\n\n");
    let served = || CALLS.iter().filter(|spec| spec.served);
    for spec in served() {
        let forms: Vec<String> = result::forms(spec.name).map(|form| super::title(form.name)).collect();
        let forms = match forms.as_slice() {
            [one] => one.clone(),
            many => format!("Union[{}]", many.join(", ")),
        };
        out.push_str(&format!("{} = {forms}\n", answer(spec)));
    }
    out.push_str(CLASS);
    served().for_each(|spec| out.push_str(&method(spec)));
    out
}

fn answer(spec: &Spec) -> String {
    format!("{}Result", super::title(spec.name))
}

/// The classes of a form: rows first, then what is always there, then the rest.
fn types(form: &Form) -> String {
    let name = super::title(form.name);
    let rows = form.fields.iter().find_map(|field| match field.holds {
        Holds::Rows(fields) => Some(class(&format!("{name}Row"), "One row.", fields, "")),
        _ => None,
    });
    rows.unwrap_or_default() + &class(&name, &super::sentence(form.meaning), form.fields, &name)
}

fn class(name: &str, about: &str, fields: &[Field], form: &str) -> String {
    let (some, always): (Vec<&Field>, Vec<&Field>) =
        fields.iter().partition(|field| field.there == There::Sometimes);
    let line = |field: &&Field| {
        format!("    #: {}\n    {}: {}\n", super::sentence(field.meaning), field.name, holds(field, form))
    };
    let keys = |fields: &[&Field]| fields.iter().map(line).collect::<String>();
    let about = format!("    \"\"\"{about}\"\"\"\n\n");
    match (always.is_empty(), some.is_empty()) {
        (_, true) => format!("\n\nclass {name}(TypedDict):\n{about}{}", keys(&always)),
        (true, false) => format!("\n\nclass {name}(TypedDict, total=False):\n{about}{}", keys(&some)),
        (false, false) => format!(
            "\n\nclass _{name}(TypedDict):\n{}\n\nclass {name}(_{name}, total=False):\n{about}{}",
            keys(&always),
            keys(&some)
        ),
    }
}

fn holds(field: &Field, form: &str) -> String {
    let holds = match field.holds {
        Holds::Text => "str".to_owned(),
        Holds::Number => "int".to_owned(),
        Holds::Flag => "bool".to_owned(),
        Holds::Texts => "List[str]".to_owned(),
        Holds::Numbers => "List[int]".to_owned(),
        Holds::Logged => "Any".to_owned(),
        Holds::LoggedRows => "List[Dict[str, Any]]".to_owned(),
        Holds::Pairs => "List[List[int]]".to_owned(),
        Holds::Rows(_) => format!("List[{form}Row]"),
    };
    if field.there == There::OrNull { format!("Optional[{holds}]") } else { holds }
}

fn method(spec: &Spec) -> String {
    let (must, may): (Vec<&Param>, Vec<&Param>) = spec.params.iter().partition(|param| param.required);
    // What a file shall hold needs no name, although other modes of write go without it.
    let (text, may): (Vec<&Param>, Vec<&Param>) = may.into_iter().partition(|param| param.name == "text");
    let optional = |param: &&Param| format!("{}: Optional[{}] = None", name(param), shape(param.shape));
    let mut params = vec!["self".to_owned()];
    params.extend(must.iter().map(|param| format!("{}: {}", name(param), shape(param.shape))));
    params.extend(text.iter().map(optional));
    if !may.is_empty() {
        params.push("*".to_owned());
    }
    params
        .extend(may.iter().map(|param| format!("{}: Optional[{}] = None", name(param), shape(param.shape))));
    let told = spec.params.iter().map(|param| format!("        :param {}: {}\n", name(param), param.meaning));
    let sent =
        spec.params.iter().map(|param| format!("                \"{}\": {},\n", param.name, name(param)));
    format!(
        "\n    def {}(\n        {},\n    ) -> {}:\n        \"\"\"{}\n\n{}        \"\"\"\n        result: {} = \
         self.call(\n            \"{}\",\n            {{\n{}            }},\n        )\n        return result\n",
        spec.name,
        params.join(",\n        "),
        answer(spec),
        super::sentence(spec.meaning),
        told.collect::<String>(),
        answer(spec),
        spec.name,
        sent.collect::<String>(),
    )
}

fn name(param: &Param) -> String {
    let end = if WORDS.contains(&param.name) { "_" } else { "" };
    format!("{}{end}", param.name)
}

fn shape(shape: Shape) -> &'static str {
    match shape {
        Shape::Path | Shape::Word | Shape::Principal | Shape::Money => "str",
        Shape::Value => "Text",
        Shape::Number => "int",
        Shape::Flag => "bool",
        Shape::Fields => "Mapping[str, Value]",
        Shape::Postconditions => "Sequence[Mapping[str, str]]",
    }
}
