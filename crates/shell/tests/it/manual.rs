//! The manual and what shells complete, as commands: no daemon is asked for either.

use crate::door::alone;
use expect_test::expect;

#[test]
fn a_page_is_found_by_its_name_and_what_else_has_it_is_told() {
    let shown = alone(&["man", "undo"]);
    assert!(shown.starts_with("| SKEP-UNDO(1)\n") && shown.contains("|        skep undo"), "{shown}");
    let shown = alone(&["man", "write"]);
    assert!(shown.starts_with("| SKEP-WRITE(1)\n"), "{shown}");
    assert!(shown.contains("! hint: skep man 2 write   a new version of a file"), "{shown}");
    let shown = alone(&["man", "2", "write"]);
    assert!(shown.starts_with("| WRITE(2)\n") && !shown.contains("! hint"), "{shown}");
    assert!(alone(&["man", "--roff", "5", "socket"]).contains("| .TH \"SOCKET\" \"5\""));
    let object = alone(&["--json", "man", "6", "policy"]);
    assert!(object.contains("\"name\":\"policy\",\"section\":6"), "{object}");
}

#[test]
fn what_is_no_page_is_an_error_with_a_hint() {
    expect![[r#"
        | exit 1
        ! error: there is no page "undoo"
        ! hint: did you mean undo?
    "#]]
    .assert_eq(&alone(&["man", "undoo"]));
    expect![[r#"
        | exit 2
        ! error: there is no section "4"
        ! hint: 1 commands · 2 calls · 3 file trees · 5 protocol · 6 formats
    "#]]
    .assert_eq(&alone(&["man", "4", "write"]));
}

#[test]
fn the_list_has_every_section() {
    let list = alone(&["man"]);
    for page in ["skep(1)", "skep-run(1)", "spawn(2)", "proc(3)", "socket(5)", "agent(6)"] {
        assert!(list.lines().any(|line| line.starts_with(&format!("| {page} "))), "{page}: {list}");
    }
    let trees = alone(&["man", "3"]);
    assert!(trees.contains("| sys(3)") && !trees.contains("(2)"), "{trees}");
}

#[test]
fn every_shell_has_its_script() {
    for (shell, said) in
        [("bash", "complete -F _skep"), ("zsh", "#compdef skep"), ("fish", "complete -c skep")]
    {
        let script = alone(&["completions", shell]);
        assert!(script.contains(said) && script.contains("endorse"), "{shell}");
    }
    let refused = alone(&["completions", "csh"]);
    assert!(refused.contains("| exit 2") && refused.contains("bash, zsh, fish"), "{refused}");
}
