//! What a host can enforce is tried, not guessed: where all is there everything is proved, and each thing
//! that is taken away is named, with the command that brings it back.

use crate::cell::{Cell, helper};
use sandbox::jail::{Error, Need, State, Wall};

#[test]
fn here_all_of_it_is_proved() {
    let all = Wall::new(helper()).probe();
    let missing: Vec<_> = all.iter().filter(|one| one.state != State::Proved).collect();
    assert!(missing.is_empty() && all.len() == 11, "{all:#?}");
}

#[test]
fn a_start_that_cannot_be_held_names_what_is_missing() {
    // A helper that is no helper: nothing can be tried, so nothing is proved.
    let none = Wall::new("/bin/false").probe();
    assert!(none.iter().all(|one| matches!(&one.state, State::Missing { .. })), "{none:#?}");
    let error = Cell::start(|spec| spec.parts[0].source = "/no/such/part".into()).err().unwrap();
    assert_eq!(error.to_string(), "no sandbox: /no/such/part: No such file or directory");
    assert!(matches!(error, Error::Start { .. }));
    let named = |name: &str| none.iter().find(|one| one.name == name).unwrap();
    assert!(!named("freezing").required(Need::Cgroup) && named("memory limit").required(Need::Cgroup));
    assert!(
        !named("memory limit").required(Need::EachProcess)
            && named("user namespaces").required(Need::EachProcess)
    );
}
