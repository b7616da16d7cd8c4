//! Model calls that no turn makes: the call `complete`, and a program's own request at the model endpoint.
//!
//! ```text
//! complete {model, text}            one item, no memory
//! complete {model, request}         pieces; of two requests of one process those at the front that are the
//!                                   same are kept, as a turn keeps its context
//! ```
//! An answer that streams is reserved in steps, like a turn's. One that comes whole cannot be ended on the
//! way: as much output is reserved for it as every account above has room for, and it may say no more.

use crate::{
    Kernel, account, model,
    state::ROOT_ACCOUNT,
    step::{Outcome, Step},
    turn::{self, Request},
};
use abi::{
    AccountId, Code, Content, Error, Micros, Pid,
    call::Call,
    effect::{Item, Role},
    fact::{Facts, Lookup},
    limits,
    money::{Amounts, Price},
    request::{self, Api, Asked, Delivery},
};
use alloc::{format, string::String, vec, vec::Vec};

/// Authority for a model call.
pub fn plan(kernel: &Kernel, pid: Pid, model: &str, at: Micros) -> Result<Vec<Lookup>, Error> {
    crate::stop::admits(kernel)?;
    model::choose(kernel, pid, model, at).map(|_| vec![])
}

/// The call `complete`.
pub fn complete(step: &mut Step<'_>, pid: Pid, call: &Call) -> Outcome {
    let Call::Complete { model, text, max_out, request } = call else {
        return Outcome::Now(Err(Facts::mismatch()));
    };
    let begun = model::choose(step.kernel, pid, model, step.at).and_then(|chosen| match request {
        None => bare(step, pid, chosen, (text.content, *max_out)),
        Some(request) => passed(step, pid, chosen, (*max_out, request)),
    });
    match begun {
        Ok(request) => Outcome::Model(turn::call_model(step, request)),
        Err(error) => Outcome::Now(Err(error)),
    }
}

fn bare(
    step: &mut Step<'_>,
    pid: Pid,
    (model, price): (String, Price),
    (text, max_out): (Content, u64),
) -> Result<Request, Error> {
    let items = vec![Item { role: Role::User, content: text }];
    let out = limits::OUTPUT_STEP_TOKENS.min(max_out);
    let reserved = account::first_reservation(&price, turn::bytes_of(&items), out);
    reserve(step, pid, &reserved)?;
    Ok(Request {
        pid,
        number: 0,
        attempt: 1,
        model,
        prev: None,
        keep: 0,
        add: items.clone(),
        items,
        tools: vec![],
        reserved,
        reserved_out: out,
        max_out,
        asked: None,
    })
}

/// A program's own request.
fn passed(
    step: &mut Step<'_>,
    pid: Pid,
    (model, price): (String, Price),
    (max_out, request): (u64, &request::Request),
) -> Result<Request, Error> {
    if request.pieces.len() > limits::REQUEST_PIECES_MAX {
        let message = format!("a request has at most {} pieces", limits::REQUEST_PIECES_MAX);
        return Err(Error::new(Code::TooLarge, message));
    }
    let role = |at: usize| if at == 0 { Role::System } else { Role::User };
    let pieces = request.pieces.iter().enumerate();
    let items: Vec<Item> = pieces.map(|(at, content)| Item { role: role(at), content: *content }).collect();
    let (reserved, reserved_out, max_out) = match (request.api, request.delivery) {
        (Api::CountTokens | Api::GeminiCount, _) => (Amounts { calls: 1, ..Amounts::default() }, 0, 0),
        (_, Delivery::Streamed) => {
            let out = limits::OUTPUT_STEP_TOKENS.min(max_out);
            (account::first_reservation(&price, request.weight, out), out, max_out)
        }
        (_, Delivery::Whole) => {
            let (account, weight) = (account_of(step, pid), request.weight);
            let most = account::affordable(step.state(), account, &price, weight, max_out, step.at);
            // Not even one step: that is what is asked for, and refused.
            let out = most.unwrap_or(limits::OUTPUT_STEP_TOKENS.min(max_out));
            (account::first_reservation(&price, request.weight, out), out, out)
        }
    };
    reserve(step, pid, &reserved)?;
    let turn = step.state().processes.get(&pid).map(|process| &process.turn);
    let before: &[Item] = turn.map(|turn| turn.items.as_slice()).unwrap_or_default();
    let same = before.iter().zip(&items).take_while(|(before, item)| before == item).count();
    let prev = turn.and_then(|turn| turn.prev).filter(|_| same > 0);
    Ok(Request {
        pid,
        number: 0,
        attempt: 1,
        model,
        prev,
        keep: u32::try_from(same).unwrap_or(u32::MAX),
        add: items.get(same..).unwrap_or_default().to_vec(),
        items,
        tools: vec![],
        reserved,
        reserved_out,
        max_out,
        asked: Some(Asked { api: request.api, delivery: request.delivery }),
    })
}

fn account_of(step: &Step<'_>, pid: Pid) -> AccountId {
    step.state().processes.get(&pid).map_or(ROOT_ACCOUNT, |process| process.account)
}

fn reserve(step: &mut Step<'_>, pid: Pid, reserved: &Amounts) -> Result<(), Error> {
    let account = account_of(step, pid);
    account::check(step.state(), account, reserved, step.at).map_err(|reached| step.exhausted(pid, reached))
}
