//! The one table of commands; each is a file of this folder, and its help is the comment on its arguments.

mod allow;
mod attach;
mod audit;
mod autonomy;
mod backup;
mod bind;
mod blame;
mod budget;
mod cat;
mod chat;
mod completions;
mod cost;
mod decide;
mod diff;
mod doctor;
mod down;
mod draft;
mod endorse;
mod endpoint;
mod estop;
mod exec;
mod export;
mod here;
mod import;
mod inbox;
mod log;
mod logs;
mod ls;
mod man;
mod model;
mod modify;
mod mount;
mod open;
mod operator;
#[cfg(feature = "otel")]
mod otel;
mod policy;
mod ports;
mod ps;
mod purge;
mod raised;
mod rename;
mod replay;
mod resolve;
mod restore;
mod retain;
mod run;
mod search;
mod secret;
mod sh;
mod signal;
mod status;
mod top;
mod trace;
mod undo;
mod up;
mod version;
mod why;
mod write;

pub use bind::real;
pub use down::stop;
pub use here::{commands as offer, here};
pub use run::{other, withheld};
pub use undo::undoing;
pub use why::sources_of;

use crate::{demo, fail::Outcome, session::Session};

/// Every command.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    Run(run::Run),
    Chat(chat::Chat),
    Attach(attach::Attach),
    Ps(ps::Ps),
    Top(top::Top),
    Logs(logs::Logs),
    Replay(replay::Replay),
    Trace(trace::Trace),
    Why(why::Why),
    Ls(ls::Ls),
    Cat(cat::Cat),
    Write(write::Write),
    Mv(rename::Mv),
    Rm(rename::Rm),
    Search(search::Search),
    Log(log::Log),
    Diff(diff::Diff),
    Keep(draft::Keep),
    Drop(draft::Drop),
    Blame(blame::Blame),
    Resolve(resolve::Resolve),
    Undo(undo::Undo),
    Exec(exec::Exec),
    Sh(sh::Sh),
    Ports(ports::Ports),
    Open(open::Open),
    Inbox(inbox::Inbox),
    Approve(decide::Approve),
    Reject(decide::Reject),
    Modify(modify::Modify),
    Policy(policy::Policy),
    Allow(allow::Allow),
    Autonomy(autonomy::Autonomy),
    Answer(decide::Answer),
    Endorse(endorse::Endorse),
    Endpoint(endpoint::Endpoint),
    Budget(budget::Budget),
    Cost(cost::Cost),
    Model(model::Model),
    Secret(secret::Secret),
    Freeze(signal::Freeze),
    Thaw(signal::Thaw),
    Kill(signal::Kill),
    Estop(estop::Estop),
    Operator(operator::Operator),
    Mount(mount::Mount),
    Bind(bind::Bind),
    Unbind(bind::Unbind),
    Audit(audit::Audit),
    Backup(backup::Backup),
    Restore(restore::Restore),
    Purge(purge::Purge),
    Retain(retain::Retain),
    Export(export::Export),
    Import(import::Import),
    Status(status::Status),
    Doctor(doctor::Doctor),
    #[cfg(feature = "otel")]
    Otel(otel::Otel),
    Man(man::Man),
    Completions(completions::Completions),
    Up(up::Up),
    Down(down::Down),
    Demo(demo::Demo),
    Version(version::Version),
}

impl Command {
    /// Carries it out.
    pub fn run(self, session: &mut Session) -> Outcome {
        match self {
            Self::Run(run) => run.run(session),
            Self::Chat(chat) => chat.run(session),
            Self::Attach(attach) => attach.run(session),
            Self::Ps(ps) => ps.run(session),
            Self::Top(top) => top.run(session),
            Self::Logs(logs) => logs.run(session),
            Self::Replay(replay) => replay.run(session),
            Self::Trace(trace) => trace.run(session),
            Self::Why(why) => why.run(session),
            Self::Ls(ls) => ls.run(session),
            Self::Cat(cat) => cat.run(session),
            Self::Write(write) => write.run(session),
            Self::Mv(mv) => mv.run(session),
            Self::Rm(rm) => rm.run(session),
            Self::Search(search) => search.run(session),
            Self::Log(log) => log.run(session),
            Self::Diff(diff) => diff.run(session),
            Self::Keep(keep) => keep.run(session),
            Self::Drop(drop) => drop.run(session),
            Self::Blame(blame) => blame.run(session),
            Self::Resolve(resolve) => resolve.run(session),
            Self::Undo(undo) => undo.run(session),
            Self::Exec(exec) => exec.run(session),
            Self::Sh(sh) => sh.run(session),
            Self::Ports(ports) => ports.run(session),
            Self::Open(open) => open.run(session),
            Self::Inbox(inbox) => inbox.run(session),
            Self::Approve(approve) => approve.run(session),
            Self::Reject(reject) => reject.run(session),
            Self::Modify(modify) => modify.run(session),
            Self::Policy(policy) => policy.run(session),
            Self::Allow(allow) => allow.run(session),
            Self::Autonomy(autonomy) => autonomy.run(session),
            Self::Answer(answer) => answer.run(session),
            Self::Endorse(endorse) => endorse.run(session),
            Self::Endpoint(endpoint) => endpoint.run(session),
            Self::Budget(budget) => budget.run(session),
            Self::Cost(cost) => cost.run(session),
            Self::Model(model) => model.run(session),
            Self::Secret(secret) => secret.run(session),
            Self::Freeze(freeze) => freeze.run(session),
            Self::Thaw(thaw) => thaw.run(session),
            Self::Kill(kill) => kill.run(session),
            Self::Estop(estop) => estop.run(session),
            Self::Operator(operator) => operator.run(session),
            Self::Mount(mount) => mount.run(session),
            Self::Bind(bind) => bind.run(session),
            Self::Unbind(unbind) => unbind.run(session),
            Self::Audit(audit) => audit.run(session),
            Self::Backup(backup) => backup.run(session),
            Self::Restore(restore) => restore.run(session),
            Self::Purge(purge) => purge.run(session),
            Self::Retain(retain) => retain.run(session),
            Self::Export(export) => export.run(session),
            Self::Import(import) => import.run(session),
            Self::Status(status) => status.run(session),
            Self::Doctor(doctor) => doctor.run(session),
            #[cfg(feature = "otel")]
            Self::Otel(otel) => otel.run(session),
            Self::Man(man) => man.run(session),
            Self::Completions(completions) => completions.run(session),
            Self::Up(up) => up.run(session),
            Self::Down(down) => down.run(session),
            Self::Demo(demo) => demo.run(session),
            Self::Version(version) => version.run(session),
        }
    }
}
