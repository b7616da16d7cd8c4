//! Names of users, from `/etc/passwd`: what an operator is called. A user without a name there is `uidN`.

use abi::wire;
use std::path::PathBuf;

/// The name of a user.
pub(crate) fn name(uid: u32) -> String {
    let text = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    find(&text, uid).unwrap_or_else(|| format!("uid{uid}"))
}

fn find(text: &str, uid: u32) -> Option<String> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, id) = (fields.next()?, fields.nth(1)?);
        (id.parse() == Ok(uid)).then(|| wire::word("name", name).ok())?
    })
}

/// The home of a user, if the table has one.
pub(crate) fn home(uid: u32) -> Option<PathBuf> {
    let text = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    text.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let (id, home) = (fields.get(2)?, fields.get(5)?);
        (id.parse() == Ok(uid) && !home.is_empty()).then(|| PathBuf::from(home))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_word_of_the_table() {
        let table = "root:x:0:0:root:/root:/bin/sh\nbad\nanna:x:1000:1000::/home/anna:\nno name:x:7:7:::\n";
        for (uid, name) in [(0, Some("root")), (1000, Some("anna")), (7, None), (5, None)] {
            assert_eq!(find(table, uid).as_deref(), name);
        }
    }
}
