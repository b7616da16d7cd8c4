//! Connections: whether a program in a process's sandbox may speak to somebody, one decision each, recorded
//! before a byte leaves.
//!
//! ```text
//! Connect ─▶ held by no capability, or denied: Refused, with the word that would allow it
//!         ├▶ policy asks: Proposed, a `grant` that is carried out when an operator approves
//!         └▶ Connected: the process has heard what is external, from `net:HOST`
//! ```
//! Bytes that nobody looks into need all that can be asked there. Where only a part is allowed, or a secret
//! is held for the host, the machine is told to look into them, and each request is decided by itself; the
//! secret is named in the answer and in the record, and the machine puts it in. What an operator allowed this
//! very process (the right `apply`) is not asked again; what they said no to is refused for ten minutes
//! without asking. Never here: addresses of names, bytes.

use crate::{
    Kernel,
    effect::{self, Intent},
    exec, login, proposal, sink,
    state::Proposal,
    step::Step,
};
use abi::{
    Code, Error, Micros, Pid, ReplyTo, WORKSPACE,
    answer::Answer,
    call::Call,
    cap::{Grant, Object, Rights},
    fact::Facts,
    label::{Integrity, Label},
    limits,
    manifest::{Class, Kind, Recovery},
    net::{Asked, Hosts, Ports, Reach, reach},
    path::{Pattern, TreePath},
    record::{Entry, Rule},
};
use alloc::{format, string::String, string::ToString};

/// All that can be asked of a host.
const BOTH: Rights = Rights(Rights::READ.0 | Rights::WRITE.0);

/// Bytes of a reason that are kept.
const WHY_BYTES_MAX: usize = 256;

/// What a connection takes.
fn needed(asked: &Asked) -> Rights {
    match &asked.method {
        None => BOTH,
        Some(_) if asked.reads() => Rights::READ,
        Some(_) => Rights::WRITE,
    }
}

/// What it is, for messages.
fn about(asked: &Asked) -> String {
    let method = asked.method.as_deref().unwrap_or("CONNECT");
    format!("{method} {}:{}", asked.host, asked.port)
}

/// What may be asked of a host, by what is held, and by what policy says of it.
#[derive(Clone, Copy, Default)]
struct May {
    held: Rights,
    /// Of it, what an operator allowed this very process.
    approved: Rights,
    denied: Rights,
    asked: Rights,
}

impl May {
    /// What is allowed, if an operator is asked.
    fn at_most(self) -> Rights {
        self.held.without(self.denied)
    }

    /// What is allowed without.
    fn now(self) -> Rights {
        self.at_most().without(self.asked.without(self.approved))
    }
}

impl Kernel {
    /// The rights that a process's capabilities give for this.
    pub(crate) fn net_rights(&self, pid: Pid, asked: &Asked, at: Micros) -> Rights {
        self.net_grants(pid, asked, at).fold(Rights::default(), Rights::union)
    }

    /// The same, of each of them.
    fn net_grants(&self, pid: Pid, asked: &Asked, at: Micros) -> impl Iterator<Item = Rights> {
        let gives = move |grant: &Grant| match &grant.object {
            Object::Net { hosts, ports } => {
                let lives = grant.expires.is_none_or(|end| at < end);
                let here = ports.includes(Ports::One(asked.port));
                (lives && here && hosts.has(&asked.host, &asked.presets)).then_some(grant.rights)
            }
            _ => None,
        };
        self.caps_of(pid).filter_map(move |cap| gives(&cap.grant))
    }

    fn net_may(&self, pid: Pid, asked: &Asked, at: Micros) -> May {
        let mut may = May::default();
        let port = Ports::One(asked.port);
        for rights in self.net_grants(pid, asked, at) {
            may.held = may.held.union(rights.meet(BOTH));
            if rights.contains(Rights::APPLY) {
                may.approved = may.approved.union(rights.meet(BOTH));
            }
        }
        let agent = self.state.processes.get(&pid).map_or("", |process| process.agent.as_str());
        let kept = |grants: &[Grant]| {
            let rows = grants.iter().filter(|grant| match &grant.object {
                Object::Net { hosts, ports } => {
                    ports.includes(port) && hosts.keeps(&asked.host, &asked.presets)
                }
                _ => false,
            });
            rows.fold(Rights::default(), |all, grant| all.union(grant.rights))
        };
        for row in self.policy_rows(agent) {
            may.denied = may.denied.union(kept(&row.deny));
            may.asked = may.asked.union(kept(&row.ask));
        }
        may
    }

    /// Whether names may lead this process to addresses that are not public.
    fn may_go_private(&self, pid: Pid, asked: &Asked, at: Micros) -> bool {
        let gives = |grant: &Grant| match &grant.object {
            Object::Net { hosts: Hosts::Private, ports } => {
                ports.includes(Ports::One(asked.port)) && !grant.rights.meet(needed(asked)).is_empty()
            }
            _ => false,
        };
        let lives = |grant: &Grant| grant.expires.is_none_or(|end| at < end);
        let agent = self.state.processes.get(&pid).map_or("", |process| process.agent.as_str());
        let denied = self.policy_rows(agent).flat_map(|row| &row.deny).any(gives);
        !denied && self.caps_of(pid).any(|cap| lives(&cap.grant) && gives(&cap.grant))
    }

    /// The secret that is put into what this process asks there: of one host and port, over TLS that ends
    /// with us, and kept back by what policy denies, or asks of whom no operator has given it.
    fn secret_for(&self, pid: Pid, asked: &Asked, at: Micros) -> Option<String> {
        let is_there = asked.secure || asked.method.is_none();
        let agent = self.state.processes.get(&pid).map_or("", |process| process.agent.as_str());
        let keeps = |rows: &[Grant], grant: &Grant| rows.iter().any(|row| row.object.includes(&grant.object));
        let may = |grant: &Grant| {
            let asks = !grant.rights.contains(Rights::APPLY);
            let mut rows = self.policy_rows(agent);
            let lives = grant.expires.is_none_or(|end| at < end) && grant.rights.contains(Rights::USE);
            lives && !rows.any(|row| keeps(&row.deny, grant) || (asks && keeps(&row.ask, grant)))
        };
        let named = |grant: &Grant| match &grant.object {
            Object::Secret { name, hosts: Hosts::One(host), ports } => {
                let here = *host == asked.host && ports.includes(Ports::One(asked.port));
                (here && may(grant)).then(|| name.as_str().to_string())
            }
            _ => None,
        };
        self.caps_of(pid).filter(|_| is_there).find_map(|cap| named(&cap.grant))
    }
}

/// A program wants to speak to somebody.
pub fn connect(step: &mut Step<'_>, (pid, reply): (Pid, ReplyTo), asked: &Asked, facts: Facts) {
    step.act_as_process(pid);
    let answer = match facts {
        Facts::Refused(error) => Err(error),
        Facts::Found(_) => decide(step, pid, asked),
    };
    if let Err(error) = &answer {
        step.emit(Entry::Refused { call: String::from("net"), code: error.code, about: about(asked) });
    }
    step.reply(reply, answer);
}

/// It may, and did not get there: the name leads nowhere, or to where it may not.
pub fn unreached(step: &mut Step<'_>, pid: Pid, asked: &Asked, why: &str) {
    if step.state().processes.contains_key(&pid) {
        step.act_as_process(pid);
        let why = why.get(..why.floor_char_boundary(WHY_BYTES_MAX)).unwrap_or_default();
        let about = format!("{}: {why}", about(asked));
        step.emit(Entry::Refused { call: String::from("net"), code: Code::Unavailable, about });
    }
}

fn decide(step: &mut Step<'_>, pid: Pid, asked: &Asked) -> Result<Answer, Error> {
    let may = step.kernel.net_may(pid, asked, step.at);
    let needed = needed(asked);
    let refused = |why: String| Error::new(Code::Denied, why).argument("host");
    if asked.host.address().map(reach) == Some(Reach::Never) {
        return Err(refused(format!("{} is nobody's address", asked.host)));
    }
    if may.held.meet(needed).is_empty() {
        return Err(refused(format!("no capability of process {pid} allows {}", about(asked)))
            .hint(allow(pid, asked)));
    }
    if may.at_most().meet(needed).is_empty() {
        return Err(refused(format!("policy denies {}", about(asked))).hint("see /sys/policy.yaml"));
    }
    let private = step.kernel.may_go_private(pid, asked, step.at);
    let secret = step.kernel.secret_for(pid, asked, step.at);
    if may.now().contains(needed) {
        if asked.method.is_none() && secret.is_some() {
            return Ok(Answer::Connect { inspect: true, private, secret: None });
        }
        heard(step, pid, asked, secret.clone())?;
        return Ok(Answer::Connect { inspect: false, private, secret });
    }
    // A part of what can be asked there is allowed: each request is decided when it is known.
    let part = if may.at_most().contains(needed) { may.now() } else { may.at_most() };
    if asked.method.is_none() && !part.is_empty() {
        return Ok(Answer::Connect { inspect: true, private, secret: None });
    }
    if step.kernel.hides_label(pid, &external(asked)) {
        return Err(below(step.kernel, pid));
    }
    ask(step, pid, asked, needed)
}

/// The word that would allow it.
fn allow(pid: Pid, asked: &Asked) -> String {
    let port = match asked.port {
        80 | 443 => String::new(),
        port => format!(" {port}"),
    };
    let read = if asked.reads() { " read" } else { "" };
    format!("skep allow {pid} net {}{port}{read}", asked.host.as_str())
}

/// Whether something is a capability to speak to others.
pub fn is_way(object: &Object) -> bool {
    matches!(object, Object::Net { .. } | Object::Secret { .. })
}

/// Whatever comes of it is external, and from there.
fn external(asked: &Asked) -> Label {
    Label::new(Integrity::External, format!("net:{}", asked.host.as_str()))
}

fn below(kernel: &Kernel, pid: Pid) -> Error {
    let ceiling = kernel.ceiling(pid).word();
    let message = format!("what comes from the network lies below the ceiling of process {pid}, {ceiling}");
    Error::new(Code::Denied, message).hint("start it without a ceiling")
}

/// It goes out: from now on the process has heard what is external.
fn heard(step: &mut Step<'_>, pid: Pid, asked: &Asked, secret: Option<String>) -> Result<(), Error> {
    let label = external(asked);
    if step.kernel.hides_label(pid, &label) {
        return Err(below(step.kernel, pid));
    }
    login::room(step, pid, asked)?;
    step.emit(Entry::Connected { asked: asked.clone(), secret });
    exec::speaks(step, pid);
    if let (true, Ok(path)) = (step.kernel.has(sink::rule::NET), TreePath::parse(&format!("/proc/{pid}/net")))
    {
        let label = step.intern(&label);
        step.saw(pid, &path, None, label);
    }
    Ok(())
}

/// Holds it: an operator who approves gives the process this host, this port, and what was asked. What waits
/// already waits on.
fn ask(step: &mut Step<'_>, pid: Pid, asked: &Asked, rights: Rights) -> Result<Answer, Error> {
    let object = Object::Net { hosts: Hosts::One(asked.host.clone()), ports: Ports::One(asked.port) };
    let call = Call::Grant { pid, grant: Grant::new(object, rights), expires_us: None };
    let args = step.blob(musli::wire::to_vec(&call).unwrap_or_default());
    let rows = step.state().proposals.iter();
    let same = |row: &Proposal| row.pid == pid && row.mount.is_empty() && row.args == args;
    if let Some(waiting) = rows.filter(|(_, row)| same(row)).map(|(id, _)| *id).next() {
        step.out.blobs.pop();
        return Ok(Answer::held(waiting, Rule::Net));
    }
    let until = step.kernel.volatile.turned_down.get(&(pid, args.hash)).copied();
    if let Some(until) = until.filter(|until| step.at < *until) {
        step.out.blobs.pop();
        let minutes = until.saturating_sub(step.at).div_ceil(60_000_000);
        let why = format!(
            "an operator was asked for {}: no; nobody is asked again for {minutes} min",
            about(asked)
        );
        return Err(Error::new(Code::Denied, why).argument("host").hint(allow(pid, asked)));
    }
    let kind = Kind::new(call.name(), Class::Reversible, Recovery::Repeat);
    let intent = Intent { pid, mount: String::new(), kind, args, moves: Default::default() };
    let effect = effect::effect_id(step, &intent);
    proposal::hold_grant(step, (effect, intent), about(asked))
}

/// An operator said no to a connection, or nothing in time: it stays refused for a while.
pub fn turned_down(step: &mut Step<'_>, row: &Proposal) {
    let at = step.at;
    let known = &mut step.kernel.volatile.turned_down;
    known.retain(|_, until| at < *until);
    if known.len() >= limits::TURNED_DOWN_MAX
        && let Some(first) = known.iter().min_by_key(|(_, until)| **until).map(|(key, _)| *key)
    {
        known.remove(&first);
    }
    known.insert((row.pid, row.args.hash), at.saturating_add(limits::TURNED_DOWN_US));
}

/// The workspace may all that there is of what is given here; those made before there was anything to give
/// have it now.
pub fn root<'a>(step: &mut Step<'_>, given: impl IntoIterator<Item = &'a Grant>) {
    let (hosts, ports) = (Hosts::All, Ports::Any);
    for grant in given {
        let object = match &grant.object {
            Object::Net { .. } => Object::Net { hosts: hosts.clone(), ports },
            Object::Secret { .. } => match Pattern::word("*") {
                Ok(name) => Object::Secret { name, hosts: hosts.clone(), ports },
                Err(_) => continue,
            },
            _ => continue,
        };
        if !step.kernel.caps_of(WORKSPACE).any(|cap| cap.grant.object == object) {
            step.give(WORKSPACE, None, Grant::new(object, Rights::ALL));
        }
    }
}

/// As it is shown to who decides: a process, where, and what may be asked there.
pub fn shown(pid: Pid, grant: &Grant) -> Option<[(&'static str, String); 4]> {
    let Object::Net { hosts: Hosts::One(host), ports: Ports::One(port) } = &grant.object else { return None };
    let may = match grant.rights.meet(BOTH) {
        Rights::READ => "only look: GET, HEAD, OPTIONS",
        Rights::WRITE => "send: every method but GET, HEAD, OPTIONS",
        _ => "all of it, unseen",
    };
    Some([
        ("process", pid.to_string()),
        ("host", host.as_str().to_string()),
        ("port", port.to_string()),
        ("may", may.to_string()),
    ])
}
