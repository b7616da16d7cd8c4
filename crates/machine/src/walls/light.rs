//! A command in the virtual shell: in this process, over the view of the sandbox, with no program of the
//! host. What it cannot do goes on to the native wall, where the process may, as if nothing had run before.

use super::{
    Sandbox, native,
    run::Ended,
    said::{PIECE_BYTES, Said},
};
use crate::{guard::guard, job::ExecJob, node::Node};
use abi::{
    Code, Error,
    call::Wall,
    record::{Finish, Used},
};
use sandbox::{
    jail::ENV,
    shell::{self, Limits, Order, Outcome},
    view::View,
};
use std::{sync::Arc, time::Duration};

/// Runs it; none if it is for the native wall: then nothing of it was said, and nothing is left in the view.
pub(crate) fn run(
    node: &Node,
    workspace: &str,
    sandbox: &Sandbox,
    (view, job): (&Arc<View>, &ExecJob),
    said: &mut Said,
) -> Result<Option<Ended>, Error> {
    let (command, exec) = (&job.command, job.command.exec);
    // Programs that stand already see what one after the other writes, not two at once.
    let stands = guard(&sandbox.control).native.is_some();
    let native = match command.wall {
        Wall::Native => return Ok(None),
        Wall::Auto if stands => return Ok(None),
        Wall::Auto => shell::Native::May,
        Wall::Shell if stands => {
            return Err(Error::new(
                Code::Busy,
                "real programs stand in this sandbox; the shell would not share it",
            )
            .argument("wall")
            .hint("leave out wall, or make it native"));
        }
        Wall::Shell => shell::Native::MayNot,
    };
    if !sandbox.wait_thawed() {
        return Ok(Some(stopped(0)));
    }
    let Ok(text) = std::str::from_utf8(&job.text) else {
        return match native {
            shell::Native::May => Ok(None),
            shell::Native::MayNot => Err(Error::new(Code::Invalid, "the text is no UTF-8").argument("text")),
        };
    };
    let mut env: Vec<(String, String)> =
        ENV.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    env.push(("SKEP_WORKSPACE".to_owned(), workspace.to_owned()));
    env.push(("SKEP_PID".to_owned(), command.pid.to_string()));
    let most = Limits::default();
    let time = match native {
        shell::Native::May => most.time,
        shell::Native::MayNot => Duration::from_micros(command.timeout_us),
    };
    let time = time.min(Duration::from_micros(command.timeout_us));
    let order = Order { text, dir: command.dir.as_str(), env, native, limits: Limits { time, ..most } };
    let began = node.clock.mono();
    let mut heard = Vec::new();
    let outcome =
        shell::run(view, &order, &mut |piece| heard.extend_from_slice(piece), &|| sandbox.is_stopped(exec));
    let wall_us = node.clock.mono().saturating_sub(began);
    let how = match outcome {
        Outcome::Ended { status } => Finish::Exited(status),
        Outcome::Stopped => return Ok(Some(stopped(wall_us))),
        Outcome::TimedOut if wall_us >= command.timeout_us || native == shell::Native::MayNot => {
            Finish::TimedOut
        }
        Outcome::Over(what) if native == shell::Native::MayNot => Finish::Over(what.to_owned()),
        Outcome::TimedOut | Outcome::Over(_) | Outcome::NeedsNative { .. } => {
            view.discard().map_err(|error| {
                guard(&sandbox.control).spoilt = true;
                Error::new(Code::Unavailable, format!("its view failed: {error}"))
            })?;
            return Ok(None);
        }
    };
    for piece in heard.chunks(PIECE_BYTES) {
        native::catch_up(said);
        said.push(piece);
    }
    Ok(Some(Ended { how, used: Used { wall_us, ..Used::default() } }))
}

fn stopped(wall_us: u64) -> Ended {
    let how = Finish::Stopped("it was ended; nothing of it was kept".to_owned());
    Ended { how, used: Used { wall_us, ..Used::default() } }
}
