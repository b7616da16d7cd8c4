//! Choosing a planted bug: `kernel:N`, `store:N`, or N for the kernel's. Only a build with the feature
//! `plant` has any.

/// Every bug there is, and what it is.
pub const BUGS: [(&str, &str); 27] = [
    ("kernel:1", "a write to /data/poison panics"),
    ("kernel:2", "settling forgets the accounts below the root"),
    ("kernel:3", "listing does not raise the reader's label"),
    ("kernel:4", "revoking stops after one level"),
    ("kernel:5", "a model call of a finished step is made again after a restart"),
    ("kernel:6", "a stale write becomes the head"),
    ("kernel:7", "a dispatched effect is dispatched again after a restart, whatever its class"),
    ("kernel:8", "a reservation is checked at the process's own account only"),
    ("kernel:9", "a merge has the label of the head alone"),
    ("kernel:10", "a merge does not say that it resolved the writer's version"),
    ("kernel:11", "who searches or looks at an operation keeps the label it had"),
    ("kernel:12", "what a turn has seen is forgotten"),
    ("kernel:13", "an undo puts back what was before, whoever wrote since"),
    ("kernel:14", "what lies below a ceiling is found by searches, histories and the like"),
    ("kernel:15", "a limit over a month holds nothing"),
    ("kernel:16", "what a provider writes to its cache is not charged"),
    ("kernel:17", "a turn goes on with another session of its agent"),
    ("kernel:18", "who was added to the node acts where nobody is listed"),
    ("kernel:19", "a turn goes on although everything stands still"),
    ("kernel:20", "a model that was given up is asked again"),
    ("kernel:21", "what a process's programs listen at stays open when it ends"),
    ("kernel:22", "what a program asked before it went on outlives it"),
    ("kernel:23", "what a program removes in a guarded place does not wait"),
    ("store:1", "the fold drops the second change of an operation"),
    ("store:2", "every 13th commit is rolled back and says it is done"),
    ("store:4", "a conflict is not listed"),
    ("store:5", "what a lost call costs is in no sum"),
];

/// Bugs that only a power cut shows: [`crate::disk::cuts`] finds them, and no run of seeds does.
pub const CUT_BUGS: [(&str, &str); 1] = [("store:3", "a commit is acknowledged before it is synced")];

/// Makes this bug alive, and no other; an empty name makes all of them dead.
pub fn choose(name: &str) -> Result<(), String> {
    let (kernel, store) = match name.split_once(':') {
        Some(("kernel", number)) => (number, "0"),
        Some(("store", number)) => ("0", number),
        None if name.is_empty() => ("0", "0"),
        None => (name, "0"),
        Some(_) => return Err(unknown(name)),
    };
    let number = |text: &str| text.parse::<u8>().map_err(|_| unknown(name));
    set(number(kernel)?, number(store)?)
}

fn unknown(name: &str) -> String {
    let all: Vec<&str> = BUGS.iter().chain(&CUT_BUGS).map(|(name, _)| *name).collect();
    format!("there is no bug {name:?}\nhint: {}", all.join(" "))
}

#[cfg(feature = "plant")]
fn set(kernel: u8, store: u8) -> Result<(), String> {
    use std::sync::atomic::Ordering;
    kernel::plant::BUG.store(kernel, Ordering::Relaxed);
    store::plant::BUG.store(store, Ordering::Relaxed);
    Ok(())
}

#[cfg(not(feature = "plant"))]
fn set(kernel: u8, store: u8) -> Result<(), String> {
    if (kernel, store) == (0, 0) {
        return Ok(());
    }
    Err("this build has no planted bugs\nhint: cargo run -p sim --features plant -- --plant NAME".to_owned())
}
