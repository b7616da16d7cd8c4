//! Tokens: how a process shows who it is. `PID.HEX`, where HEX is a hash keyed by the node's secret over
//! workspace and pid. Nothing is stored: a token is computed when asked for and computed again to check it.

use abi::{Hash, Pid};

/// The node's secret and the workspace a token is for.
pub fn mint(secret: &[u8; 32], workspace: &str, pid: Pid) -> String {
    format!("{pid}.{}", digest(secret, workspace, pid))
}

/// The process that this token names, if it is one of this node's for this workspace.
pub fn check(secret: &[u8; 32], workspace: &str, token: &str) -> Option<Pid> {
    let (pid, hex) = token.split_once('.')?;
    if pid.len() > 20 || !pid.bytes().all(|byte| byte.is_ascii_digit()) || pid.starts_with('0') {
        return None;
    }
    let pid = Pid(pid.parse().ok()?);
    let shown: Hash = hex.parse().ok()?;
    let wanted = digest(secret, workspace, pid);
    // Every byte is looked at, so that the time taken says nothing about how far a guess was right.
    let differs = wanted.0.iter().zip(shown.0).fold(0, |sum, (a, b)| sum | (a ^ b));
    (differs == 0).then_some(pid)
}

fn digest(secret: &[u8; 32], workspace: &str, pid: Pid) -> Hash {
    Hash::of_fields("skep process token 1", &[secret, workspace.as_bytes(), &pid.0.to_le_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_one_process_of_one_workspace() {
        let secret = [7; 32];
        let token = mint(&secret, "home", Pid(12));
        assert_eq!(check(&secret, "home", &token), Some(Pid(12)));
        assert_eq!(check(&secret, "other", &token), None);
        assert_eq!(check(&[8; 32], "home", &token), None);
        let hex = token.split_once('.').unwrap().1;
        for bad in [
            String::new(),
            "12".into(),
            "12.".into(),
            format!("13.{hex}"),
            format!("012.{hex}"),
            format!("+12.{hex}"),
            format!("12.{hex}0"),
            format!(" 12.{hex}"),
            format!("0.{hex}"),
            token.replace(&hex[..1], if &hex[..1] == "0" { "1" } else { "0" }),
        ] {
            assert_eq!(check(&secret, "home", &bad), None, "{bad:?} must be refused");
        }
    }
}
