//! How a program's request enters the loop: like a line of the door, answered through an exchange.

use crate::{
    ballast,
    cell::{Cell, Ticket},
    exchange::Exchange,
    guard::guard,
    node::{Node, claim},
    turn::Input,
};
use abi::{
    Error, Pid, ReplyTo,
    call::Call,
    event::{Body, Caller},
};
use std::sync::{Arc, atomic::Ordering};

impl Node {
    /// A program's own request at the model endpoint; the number under which it waits.
    pub fn program(
        self: &Arc<Self>,
        cell: &Arc<Cell>,
        (pid, call): (Pid, Call),
        blobs: Vec<Vec<u8>>,
        exchange: &Arc<Exchange>,
    ) -> Result<ReplyTo, Error> {
        let asks = |reply| Body::Call { caller: Caller::Process(pid), reply, call };
        self.enter(cell, asks, blobs, Ticket::Program(exchange.clone()))
    }

    /// Something that a program in a sandbox or at the endpoint asks; the number under which it waits.
    pub fn enter(
        self: &Arc<Self>,
        cell: &Arc<Cell>,
        asks: impl FnOnce(ReplyTo) -> Body,
        blobs: Vec<Vec<u8>>,
        ticket: Ticket,
    ) -> Result<ReplyTo, Error> {
        let reply = ReplyTo(self.replies.fetch_add(1, Ordering::Relaxed) + 1);
        let body = asks(reply);
        if self.ballast.is_short() && !ballast::admits(&body) {
            return Err(self.ballast.refusal());
        }
        let input = Input::now(&*self.clock, body, blobs);
        let run = {
            let mut state = guard(&cell.state);
            self.takes(cell, &state)?;
            guard(&cell.desk).waiting.insert(reply, ticket);
            state.used = input.event.mono;
            state.inbox.push_back(input);
            claim(&mut state)
        };
        if run {
            self.batch(cell);
        }
        Ok(reply)
    }
}
