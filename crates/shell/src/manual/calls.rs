//! Section 2: a page for each of the 24 calls, from the tables of calls, answers and errors.

use super::Page;
use abi::{
    Code,
    call::{CALLS, Param, Shape, Spec},
    result::{self, Field, Holds, There},
};

/// Arguments that every call takes (docs/how/speak-to-the-socket.md).
const ALWAYS: [(&str, &str); 2] = [
    ("workspace WORD", "in which workspace; home without it"),
    ("token TEXT", "as which process: what /proc/PID/token holds; without it you are the operator"),
];

/// All of them.
pub fn pages() -> Vec<Page> {
    CALLS.iter().map(page).collect()
}

fn page(spec: &Spec) -> Page {
    let mut page = Page::new(spec.name, 2, spec.meaning);
    page.part("SYNOPSIS").lines(synopsis(spec));
    page.part("DESCRIPTION").text(format!("Call {} of 24: {}.", spec.number, spec.meaning));
    if !spec.served {
        page.text("It is not served by this version and answers Unavailable; its arguments are not settled.");
        return page;
    }
    page.part("ARGUMENTS");
    page.items(spec.params.iter().map(|param| (argument(param), meaning(param)))).items(ALWAYS);
    page.part("ANSWERS");
    for form in result::forms(spec.name) {
        page.text(format!("{}: {}", form.name, form.meaning));
        form.fields.iter().for_each(|field| answer(&mut page, "", field));
    }
    page.part("ERRORS")
        .text("Any of the codes of all calls; each comes with a sentence, and a hint where there is one.");
    for (code, number, meaning) in Code::TABLE {
        page.item(format!("{} ({number})", code.word()), *meaning);
    }
    page.part("SEE ALSO").text("socket(5)");
    page
}

/// The call as a line of the socket, with what it must be given.
fn synopsis(spec: &Spec) -> String {
    let must = spec.params.iter().filter(|param| param.required);
    let params: Vec<String> =
        must.map(|param| format!("\"{}\": {}", param.name, word(param.shape))).collect();
    format!("{{\"method\": \"{}\", \"params\": {{{}}}}}", spec.name, params.join(", "))
}

fn argument(param: &Param) -> String {
    let may = if param.required { "" } else { " (optional)" };
    format!("{} {}{may}", param.name, word(param.shape))
}

fn meaning(param: &Param) -> String {
    match (param.shape, param.name) {
        (Shape::Value, "text") => format!("{}; or base64 in its place", param.meaning),
        _ => param.meaning.to_owned(),
    }
}

fn answer(page: &mut Page, above: &str, field: &Field) {
    let there = match field.there {
        There::Always => "",
        There::OrNull => " or null",
        There::Sometimes => " (where there is something to say)",
    };
    page.item(format!("{above}{} {}{there}", field.name, holds(field.holds)), field.meaning);
    if let Holds::Rows(fields) = field.holds {
        fields.iter().for_each(|below| answer(page, &format!("{above}{}[].", field.name), below));
    }
}

/// A shape in a word.
pub fn word(shape: Shape) -> &'static str {
    match shape {
        Shape::Path => "PATH",
        Shape::Value => "TEXT",
        Shape::Word => "WORD",
        Shape::Number => "NUMBER",
        Shape::Flag => "FLAG",
        Shape::Money => "MONEY",
        Shape::Fields => "FIELDS",
        Shape::Principal => "KIND:NAME",
        Shape::Postconditions => "POSTCONDITIONS",
    }
}

fn holds(holds: Holds) -> &'static str {
    match holds {
        Holds::Text => "TEXT",
        Holds::Number => "NUMBER",
        Holds::Flag => "FLAG",
        Holds::Texts => "TEXT[]",
        Holds::Numbers => "NUMBER[]",
        Holds::Logged => "OBJECT",
        Holds::LoggedRows => "OBJECT[]",
        Holds::Pairs => "[NUMBER, NUMBER][]",
        Holds::Rows(_) => "OBJECT[]",
    }
}
