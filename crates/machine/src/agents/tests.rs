//! Rows: front matter and what comes of it.

use super::*;
use abi::{FileId, LabelId, OpId, Pid, Seq, VersionId, cap::Grant, path::TreePath, tree::Node};

fn version() -> Version {
    Version {
        id: VersionId(7),
        file: FileId(3),
        node: Node::File,
        content: Content::default(),
        mode: 0o644,
        mtime: 0,
        label: LabelId(2),
        actor: "operator:anna".into(),
        pid: Pid(0),
        op: OpId(1),
        seq: Seq(9),
        diverged: false,
        parents: Vec::new(),
        message: None,
        path: TreePath::parse("/agents/x/AGENT.md").unwrap(),
    }
}

#[test]
fn the_shipped_helper_parses() {
    let (def, prompt) = parse("helper", crate::shipped::HELPER, &version()).unwrap();
    assert_eq!((def.name.as_str(), def.model.as_str(), def.tools.len()), ("helper", "scripted", 9));
    assert_eq!((def.version, def.label, def.prompt), (VersionId(7), LabelId(2), Content::of(&prompt)));
    assert!(prompt.starts_with(b"You do one task"));
}

#[test]
fn every_key_counts() {
    let text = b"---\r\nname: x\nmodel: m.1\ntools: [read]\nneeds: [read /a/**, ask any]\n\
        budget: {run: 0.50}\nrestart: on-failure:3\ndescription: d\nx-own: [1]\n---\nbody\n---\n";
    let (def, prompt) = parse("x", text, &version()).unwrap();
    let want = AgentDef {
        name: "x".into(),
        model: "m.1".into(),
        tools: vec!["read".into()],
        needs: vec![Grant::parse("read /a/**").unwrap(), Grant::parse("ask *").unwrap()],
        budget_run: Some(Nano(500_000_000)),
        budget_day: None,
        restart: Restart::OnFailure(3),
        prompt: Content::of(b"body\n---\n"),
        version: VersionId(7),
        label: LabelId(2),
    };
    assert_eq!((def, prompt.as_slice()), (want, b"body\n---\n".as_slice()));
}

#[test]
fn mistakes_are_named() {
    let long = format!("---\nname: x\nmodel: m\ndescription: {}\n---\n", "y".repeat(17_000));
    for (text, message, hint) in [
        ("", "does not open", "start it with"),
        ("name: x\n", "does not open", "start it with"),
        ("---\nname: x\n", "does not end", "end it with"),
        ("---\nmodel: m\n---\n", "name", ""),
        ("---\nname: y\nmodel: m\n---\n", "names itself", "must agree"),
        ("---\nname: x\nmodel: m\ntool: [read]\n---\n", "no key \"tool\"", "did you mean tools?"),
        ("---\nname: x\nmodel: m\ntools: [raed]\n---\n", "no tool \"raed\"", "did you mean read?"),
        ("---\nname: x\nmodel: m\nneeds: [eat /x]\n---\n", "is not a need", "read PATH"),
        ("---\nname: x\nmodel: m\nbudget: {runn: 1}\n---\n", "no key \"runn\"", "did you mean run?"),
        ("---\nname: x\nmodel: m\nbudget: {run: .5}\n---\n", "is not an amount", "0.05"),
        ("---\nname: x\nmodel: m\nrestart: daily\n---\n", "restart is", "on-failure:5"),
        ("---\nname: x\nmodel: \"a b\"\n---\n", "is not a name", "letters"),
        (long.as_str(), "larger than 16 KiB", ""),
    ] {
        let error = parse("x", text.as_bytes(), &version()).unwrap_err();
        assert!(error.message.contains(message), "{text:.80?}: {error}");
        assert!(error.hint.contains(hint), "{text:.80?}: hint {:?}", error.hint);
    }
}
