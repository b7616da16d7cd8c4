//! What a plan says of everything below a directory, so that most names need no pattern matched.

use abi::{cap::Rights, path::Pattern, view::Plan};

/// What may be done below a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// The same everywhere.
    Same(Rights),
    /// It depends on the path.
    Mixed,
}

/// How much of what is below a directory a pattern matches.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    All,
    Part,
    Nothing,
}

fn reach(pattern: &Pattern, dir: &str) -> Reach {
    if !pattern.as_str().starts_with('/') {
        return if pattern.as_str() == "*" { Reach::All } else { Reach::Nothing };
    }
    let mut parts = pattern.as_str().split('/').filter(|part| !part.is_empty());
    let mut names = dir.split('/').filter(|name| !name.is_empty());
    loop {
        match (parts.next(), names.next()) {
            (Some("**"), _) if parts.next().is_none() => return Reach::All,
            (Some("**"), _) | (Some(_), None) => return Reach::Part,
            (Some("*"), Some(_)) => {}
            (Some(part), Some(name)) if part == name => {}
            (None, _) | (Some(_), Some(_)) => return Reach::Nothing,
        }
    }
}

/// What may be done with everything below this directory.
pub(super) fn below(plan: &Plan, dir: &str) -> Scope {
    let fold = |rows: &[(Pattern, Rights)]| {
        let mut all = Rights::default();
        for (pattern, rights) in rows {
            match reach(pattern, dir) {
                Reach::All => all = all.union(*rights),
                Reach::Part => return None,
                Reach::Nothing => {}
            }
        }
        Some(all)
    };
    match (fold(&plan.rights), fold(&plan.denied)) {
        (Some(given), Some(taken)) => Scope::Same(given.without(taken)),
        (None, _) | (_, None) => Scope::Mixed,
    }
}

/// Whether something below this directory may be shown: then the way to it is there.
pub(super) fn leads(plan: &Plan, dir: &str) -> bool {
    let mut given = Rights::default();
    for (pattern, rights) in &plan.rights {
        if reach(pattern, dir) != Reach::Nothing {
            given = given.union(*rights);
        }
    }
    let whole = plan.denied.iter().filter(|(pattern, _)| reach(pattern, dir) == Reach::All);
    let files = Rights::READING.union(Rights::WRITING);
    !whole.fold(given.meet(files), |left, (_, rights)| left.without(*rights)).is_empty()
}

/// Whether these rights show a file at all.
pub(super) fn shows(rights: Rights) -> bool {
    !rights.meet(Rights::READ.union(Rights::LIST)).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::{Seq, view::Quota};
    use std::collections::BTreeSet;

    fn plan(rights: &[(&str, Rights)], denied: &[(&str, Rights)]) -> Plan {
        let rows = |rows: &[(&str, Rights)]| {
            rows.iter().map(|(pattern, rights)| (Pattern::parse(pattern).unwrap(), *rights)).collect()
        };
        Plan {
            kind: abi::view::Kind::Command,
            seq: Seq(1),
            generation: 0,
            rights: rows(rights),
            denied: rows(denied),
            hidden: BTreeSet::new(),
            quota: Quota { bytes: 0, files: 0 },
            bound: Vec::new(),
            waits: BTreeSet::new(),
        }
    }

    #[test]
    fn what_is_the_same_below_needs_no_matching() {
        let plan = plan(
            &[("/data/**", Rights::ALL), ("/mail/*/new", Rights::READ)],
            &[("/data/x/**", Rights::WRITE)],
        );
        assert_eq!(below(&plan, "/"), Scope::Mixed);
        assert_eq!(below(&plan, "/data"), Scope::Mixed);
        assert_eq!(below(&plan, "/data/x/y"), Scope::Same(Rights::ALL.without(Rights::WRITE)));
        assert_eq!(below(&plan, "/data/y"), Scope::Same(Rights::ALL));
        assert_eq!(below(&plan, "/mail/a"), Scope::Mixed);
        assert_eq!(below(&plan, "/mail/a/new"), Scope::Same(Rights::default()));
        assert_eq!(below(&plan, "/other"), Scope::Same(Rights::default()));
    }

    #[test]
    fn the_way_to_what_is_shown_is_there() {
        let plan = plan(
            &[("/data/**", Rights::READ), ("/mail/*/new", Rights::READ)],
            &[("/data/x/**", Rights::ALL)],
        );
        for (dir, yes) in [
            ("/", true),
            ("/mail", true),
            ("/mail/a", true),
            ("/mail/a/new", false),
            ("/data", true),
            ("/data/x", false),
            ("/sys", false),
        ] {
            assert_eq!(leads(&plan, dir), yes, "{dir}");
        }
    }

    /// Whatever `below` says is the same must be what the plan says of each path below.
    #[test]
    fn a_scope_agrees_with_the_plan() {
        let words = ["/**", "/a/**", "/a/*", "/a", "/*/b", "/**/c", "/a/b/**", "/"];
        let paths = ["/", "/a", "/b", "/a/b", "/a/c", "/b/b", "/a/b/c", "/a/b/d", "/x/y/c"];
        for one in words {
            for two in words {
                let plan = plan(&[(one, Rights::ALL)], &[(two, Rights::WRITE)]);
                for dir in paths {
                    let Scope::Same(rights) = below(&plan, dir) else { continue };
                    for path in paths.iter().filter(|path| **path != dir) {
                        if dir == "/" || path.starts_with(&format!("{dir}/")) {
                            assert_eq!(plan.rights(path), rights, "{one} {two} {dir} {path}");
                        }
                    }
                }
            }
        }
    }
}
