//! The node's key and what it signs: that a log had a record of this hash at this place.
//!
//! ```text
//! Ed25519 (RFC 8032) over six fields, each preceded by its length as eight bytes, lowest first:
//!   "skep-checkpoint-1" · workspace, 16 bytes · name · seq, 8 bytes · hash, 32 bytes · at, 8 bytes
//! ```
//!
//! `crates/audit` reads it by the same description and none of this code. Never here: files.

use abi::{Hash, Micros, Seq};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::json;
use std::path::PathBuf;
use store::Trouble;

/// So that a signature for this can be one for nothing else.
const PURPOSE: &str = "skep-checkpoint-1";

/// Where a log stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint<'a> {
    /// The workspace's id.
    pub id: [u8; 16],
    /// Its name here.
    pub name: &'a str,
    /// The last record.
    pub seq: Seq,
    /// Its hash.
    pub hash: Hash,
    /// When it was signed.
    pub at: Micros,
}

impl Checkpoint<'_> {
    fn bytes(&self) -> Vec<u8> {
        let (seq, at) = (self.seq.0.to_le_bytes(), self.at.to_le_bytes());
        let fields: [&[u8]; 6] =
            [PURPOSE.as_bytes(), &self.id, self.name.as_bytes(), &seq, &self.hash.0, &at];
        let length = |field: &[u8]| (field.len() as u64).to_le_bytes();
        fields.iter().flat_map(|field| length(field).into_iter().chain(field.iter().copied())).collect()
    }
}

/// The key, which leaves this module only as signatures.
pub(crate) struct Signer(Ed25519KeyPair);

impl Signer {
    /// The key of this seed.
    pub fn new(seed: &[u8; 32]) -> Result<Self, Trouble> {
        let refused = |error: ring::error::KeyRejected| Trouble::Io {
            file: PathBuf::from("node.db"),
            what: format!("its signing key is none: {error}"),
        };
        Ed25519KeyPair::from_seed_unchecked(seed).map(Self).map_err(refused)
    }

    /// The public key, as 64 hexadecimal digits.
    pub fn key(&self) -> String {
        hex(self.0.public_key().as_ref())
    }

    /// A checkpoint as a line of JSON.
    pub fn line(&self, checkpoint: &Checkpoint<'_>) -> String {
        let signature = self.0.sign(&checkpoint.bytes());
        let line = json!({
            "format": 1, "workspace": hex(&checkpoint.id), "name": checkpoint.name, "seq": checkpoint.seq,
            "hash": checkpoint.hash, "at": checkpoint.at, "key": self.key(),
            "signature": hex(signature.as_ref()),
        });
        format!("{line}\n")
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::{ED25519, UnparsedPublicKey};

    const ZEROS: [u8; 7] = [0; 7];

    /// The key of a seed is RFC 8032's (7.1, test 1); a signature is over the bytes described above.
    #[test]
    fn a_line_is_what_is_described() {
        let seed: Hash = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60".parse().unwrap();
        let signer = Signer::new(&seed.0).unwrap();
        assert_eq!(signer.key(), "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        let of = Checkpoint { id: [7; 16], name: "home", seq: Seq(258), hash: Hash::of(b"x"), at: 3 };
        let line: serde_json::Value = serde_json::from_str(&signer.line(&of)).unwrap();
        let digits = line["signature"].as_str().unwrap();
        let signature: Vec<u8> =
            (0..64).map(|at| u8::from_str_radix(&digits[at * 2..at * 2 + 2], 16).unwrap()).collect();
        let hash = Hash::of(b"x").0;
        let fields: [(u8, &[u8]); 6] = [
            (17, b"skep-checkpoint-1"),
            (16, &[7; 16]),
            (4, b"home"),
            (8, &[2, 1, 0, 0, 0, 0, 0, 0]),
            (32, &hash),
            (8, &[3, 0, 0, 0, 0, 0, 0, 0]),
        ];
        let mut bytes: Vec<u8> = Vec::new();
        for (length, field) in fields {
            bytes.push(length);
            bytes.extend(ZEROS);
            bytes.extend(field);
        }
        let key = UnparsedPublicKey::new(&ED25519, signer.0.public_key());
        assert!(key.verify(&bytes, &signature).is_ok());
        bytes[30] ^= 1;
        assert!(key.verify(&bytes, &signature).is_err());
        assert_eq!((line["seq"].as_u64(), line["name"].as_str()), (Some(258), Some("home")));
    }
}
