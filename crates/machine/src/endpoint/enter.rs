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
        let reply = ReplyTo(self.replies.fetch_add(1, Ordering::Relaxed) + 1);
        let body = Body::Call { caller: Caller::Process(pid), reply, call };
        if self.ballast.is_short() && !ballast::admits(&body) {
            return Err(self.ballast.refusal());
        }
        let input = Input::now(&*self.clock, body, blobs);
        let run = {
            let mut state = guard(&cell.state);
            self.takes(cell, &state)?;
            guard(&cell.desk).waiting.insert(reply, Ticket::Program(exchange.clone()));
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
