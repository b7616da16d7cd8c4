//! What init gives up, for itself and for all that it will ever start: capabilities, privileges by
//! set-user-id, paths that are not beneath its root (Landlock), system calls that are not on the list
//! (seccomp), more than its share (rlimits). In this order; each is checked, and a step that fails ends the
//! sandbox.

use super::{
    Fault, Here,
    spec::{Limits, Need},
    sys, syscalls,
};
use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetStatus, Scope,
};
use rustix::{
    fd::OwnedFd,
    fs::{Mode, OFlags},
    io::Errno,
    process::{DumpableBehavior, Resource, Rlimit},
    thread::{CapabilitySet, CapabilitySets},
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};
use std::collections::BTreeMap;

/// Everything below `/` but what makes device nodes; terminals may be spoken to below `/dev`.
const ABI_BEST: ABI = ABI::V6;

/// Descriptors of init: for a thousand commands at once.
const FILES_OF_INIT: u64 = 4096;

/// All of it.
pub fn down(limits: &Limits, need: Need) -> Result<(), Fault> {
    rlimits(limits, need)?;
    privileges()?;
    landlock("/")?;
    seccomp()
}

/// Its share of what the kernel counts for each process.
pub fn rlimits(limits: &Limits, need: Need) -> Result<(), Fault> {
    let mut list = vec![
        // 1, not 0: a host that pipes core dumps to a program runs it, as root, for every other limit.
        (Resource::Core, 1),
        // Init takes four for each order; a command is held to its own when it starts.
        (Resource::Nofile, limits.files.max(FILES_OF_INIT)),
        (Resource::Fsize, limits.file_bytes),
        // Counted for this user in this namespace and all within it: in one sandbox.
        (Resource::Nproc, u64::from(limits.processes)),
        (Resource::Memlock, 64 << 20),
        (Resource::Msgqueue, 1 << 20),
        (Resource::Sigpending, 4096),
        (Resource::Rtprio, 0),
        (Resource::Nice, 0),
    ];
    if limits.cpu_seconds > 0 {
        list.push((Resource::Cpu, limits.cpu_seconds));
    }
    if need == Need::EachProcess {
        list.push((Resource::Data, limits.memory_bytes));
    }
    list.into_iter().try_for_each(|(resource, most)| limit(resource, most).here("setting resource limits"))
}

/// Sets a limit, or what was allowed before if that is less.
pub fn limit(resource: Resource, most: u64) -> Result<(), Errno> {
    let most = rustix::process::getrlimit(resource).maximum.map_or(most, |old| old.min(most));
    rustix::process::setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })
}

/// No capability, no way to one, and nobody reads this process's memory.
pub fn privileges() -> Result<(), Fault> {
    let what = "giving up capabilities";
    rustix::thread::clear_ambient_capability_set().here(what)?;
    sys::drop_bounding_set().here(what)?;
    let none = CapabilitySet::empty();
    let none = CapabilitySets { effective: none, permitted: none, inheritable: none };
    rustix::thread::set_capabilities(None, none).here(what)?;
    let left = rustix::thread::capabilities(None).here(what)?;
    if !(left.effective | left.permitted | left.inheritable).is_empty() {
        return Err(Errno::PERM).here(what);
    }
    rustix::thread::set_no_new_privs(true).here("setting no-new-privileges")?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).here("hiding init's memory")
}

/// Paths: everything beneath this directory, nothing that is not; no device, no socket or signal that
/// leads out.
pub fn landlock(root: &str) -> Result<(), Fault> {
    let what = "restricting paths (Landlock)";
    let all = AccessFs::from_all(ABI_BEST);
    let nodes = AccessFs::MakeBlock | AccessFs::MakeChar | AccessFs::IoctlDev;
    let (root, dev) = (beneath(root)?, beneath("/dev")?);
    let apply = move || -> Result<RulesetStatus, landlock::RulesetError> {
        let status = Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            // What must be there: renames across directories are refused by the first ABI.
            .handle_access(AccessFs::from_all(ABI::V2))?
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(all)?
            .scope(Scope::AbstractUnixSocket | Scope::Signal)?
            .create()?
            .add_rule(PathBeneath::new(root, all & !nodes))?
            .add_rule(PathBeneath::new(dev, AccessFs::IoctlDev))?
            .restrict_self()?;
        Ok(status.ruleset)
    };
    match apply() {
        Ok(RulesetStatus::NotEnforced) | Err(_) => Err(Errno::NOSYS).here(what),
        Ok(_) => Ok(()),
    }
}

fn beneath(path: &str) -> Result<OwnedFd, Fault> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).at(path)
}

/// System calls: what is on no list does not exist; what is refused by name is forbidden.
pub fn seccomp() -> Result<(), Fault> {
    let what = "restricting system calls (seccomp)";
    let refused = refusals().and_then(|list| compile(&list)).ok_or(Errno::INVAL).here(what)?;
    let allowed = compile(&allowances()).ok_or(Errno::INVAL).here(what)?;
    // Of two answers of the same kind the later filter's counts: what is refused by name says so.
    for program in [allowed, refused] {
        seccompiler::apply_filter(&program).map_err(|_| Errno::INVAL).here(what)?;
    }
    Ok(())
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

struct List {
    rules: Rules,
    otherwise: SeccompAction,
    listed: SeccompAction,
}

fn compile(list: &List) -> Option<BpfProgram> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).ok()?;
    let (otherwise, listed) = (list.otherwise.clone(), list.listed.clone());
    SeccompFilter::new(list.rules.clone(), otherwise, listed, arch).ok()?.try_into().ok()
}

fn allowances() -> List {
    let rules = syscalls::allowed().map(|call| (call, Vec::new())).collect();
    let missing = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    List { rules, otherwise: missing, listed: SeccompAction::Allow }
}

fn refusals() -> Option<List> {
    let mut rules: Rules = syscalls::REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    for refused in syscalls::REFUSED_WHEN {
        let conditions = refused.when.iter().map(|test| {
            let half = SeccompCmpArgLen::Dword;
            let (argument, length, op, value) = match *test {
                syscalls::Test::Is(argument, value) => (argument, half, SeccompCmpOp::Eq, value),
                syscalls::Test::IsNot(argument, value) => (argument, half, SeccompCmpOp::Ne, value),
                syscalls::Test::Has(argument, bits) => (argument, half, SeccompCmpOp::MaskedEq(bits), bits),
                syscalls::Test::Given(argument) => (argument, SeccompCmpArgLen::Qword, SeccompCmpOp::Ne, 0),
            };
            SeccompCondition::new(argument, length, op, value)
        });
        // A rule that cannot be made must not be left out: the sandbox would start without it.
        let rule = SeccompRule::new(conditions.collect::<Result<_, _>>().ok()?).ok()?;
        rules.entry(refused.call).or_default().push(rule);
    }
    let forbidden = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    Some(List { rules, otherwise: SeccompAction::Allow, listed: forbidden })
}
