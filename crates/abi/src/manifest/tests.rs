//! What a manifest may not say, as rows.

use super::*;

fn kind(name: &str, class: Class) -> Kind {
    Kind {
        steering: vec!["to".into()],
        payload: vec!["body".into()],
        ..Kind::new(name, class, Recovery::Keyed)
    }
}

fn of(kinds: Vec<Kind>) -> Manifest {
    Manifest { kinds, ..Manifest::default() }
}

#[test]
fn what_contradicts_itself_is_refused() {
    let send = || kind("mail.send", Class::ExternalIrreversible);
    let named = |who: &str| Audience::Named(vec![who.into()]);
    let back = |class| Kind { undo: Some("mail.send".into()), ..kind("a", class) };
    let brings = |integrity, directory| {
        let pattern = Pattern::parse("/contacts/**").unwrap();
        Manifest {
            brings: vec![Brings { pattern, integrity, readers: Readers::Any, directory }],
            ..of(vec![])
        }
    };
    let rows = [
        (of(vec![send(), send()]), "declared twice"),
        (of(vec![kind("no name", Class::Pure)]), "is not a name"),
        (of(vec![Kind { payload: vec!["to".into()], ..send() }]), "an argument twice"),
        (of(vec![Kind { undo: Some("gone".into()), ..send() }]), "is not there"),
        (of(vec![Kind { amount: Some("sum".into()), ..send() }]), "does not take"),
        (of(vec![Kind { attachments: vec!["file".into()], ..send() }]), "does not take"),
        (of(vec![Kind { audience: named("body"), ..send() }]), "no steering argument"),
        (of(vec![Kind { audience: Audience::Named(vec![]), ..send() }]), "no steering argument"),
        (of(vec![send(), back(Class::Pure)]), "pure and has a consequence"),
        (of(vec![kind("a", Class::Reversible)]), "nothing undoes it"),
        (of(vec![send(), back(Class::Reversible)]), "others see it"),
        (
            of(vec![send(), Kind { audience: Audience::Operator, ..back(Class::ExternalIrreversible) }]),
            "can be undone",
        ),
        (of(vec![kind("a", Class::Money)]), "how much or to whom"),
        (of(vec![Kind { steering: vec![], ..kind("a", Class::Account) }]), "says to what"),
        (of(vec![Kind { recovery: Recovery::Repeat, ..kind("a", Class::Account) }]), "after a crash"),
        (of(vec![Kind { attachments: vec!["body".into()], ..kind("a", Class::Pure) }]), "attaches something"),
        (of(vec![kind("a", Class::Account), Kind { undo: Some("a".into()), ..send() }]), "money or account"),
        (of(vec![Kind { steering: vec![], ..kind("a", Class::Get) }]), "one URL"),
        (brings(Integrity::Operator, false), "the operator's"),
        (brings(Integrity::External, true), "directory and external"),
    ];
    for (manifest, want) in rows {
        let error = manifest.lint().unwrap_err();
        assert!(error.message.contains(want), "{want:?}: {error}");
    }
}

#[test]
fn what_is_whole_passes_and_has_one_name() {
    let put =
        Kind { undo: Some("take".into()), audience: Audience::Operator, ..kind("put", Class::Reversible) };
    let take =
        Kind { undo: Some("put".into()), audience: Audience::Operator, ..kind("take", Class::Reversible) };
    let money = Kind { amount: Some("body".into()), ..kind("pay", Class::Money) };
    let manifest = of(vec![put, take, money, kind("mail.send", Class::ExternalIrreversible)]);
    manifest.lint().unwrap();
    let json = serde_json::to_string(&manifest).unwrap();
    let again: Manifest = serde_json::from_str(&json).unwrap();
    assert_eq!(again, manifest);
    assert_eq!(again.digest(), manifest.digest());
    let other = Manifest { open: true, ..manifest.clone() };
    assert_ne!(other.digest(), manifest.digest());
}

#[test]
fn an_open_mount_takes_what_nobody_declared_as_the_worst() {
    let names = || [String::from("to"), String::from("x")].into_iter();
    assert_eq!(of(vec![]).kind_for("do", names()), None);
    let open = Manifest { open: true, ..of(vec![]) };
    let kind = open.kind_for("do", names()).unwrap().into_owned();
    assert_eq!((kind.class, kind.recovery), (Class::ExternalIrreversible, Recovery::Opaque));
    assert_eq!(kind.steering, ["to", "x"]);
}
