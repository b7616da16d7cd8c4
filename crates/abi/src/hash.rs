//! BLAKE3 content hashes (Aumasson, O'Connor, Neves, Wilcox-O'Hearn 2020): the name of every blob and effect.

use alloc::string::String;
use core::{fmt, str::FromStr};
use musli::{Decode, Encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// 32 bytes of BLAKE3. Shown and parsed as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[musli(transparent)]
pub struct Hash(#[musli(bytes)] pub [u8; 32]);

impl Hash {
    /// The hash of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The hash of several fields in an order, each preceded by its length, under a name for the purpose: two
    /// different lists of fields never feed the hash the same bytes.
    pub fn of_fields(purpose: &str, fields: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for field in core::iter::once(&purpose.as_bytes()).chain(fields) {
            hasher.update(&(field.len() as u64).to_le_bytes());
            hasher.update(field);
        }
        Self(*hasher.finalize().as_bytes())
    }

    /// The first 8 bytes as a number, for tables that need a short key and can bear a collision.
    pub fn short(&self) -> u64 {
        let mut first = [0; 8];
        first.iter_mut().zip(self.0).for_each(|(to, from)| *to = from);
        u64::from_le_bytes(first)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(4).try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl FromStr for Hash {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut hash = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return Err(());
        }
        for (ix, byte) in hash.iter_mut().enumerate() {
            let pair = text.get(ix * 2..ix * 2 + 2).ok_or(())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| ())?;
        }
        Ok(Self(hash))
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(|()| de::Error::custom("a hash is 64 hexadecimal digits"))
    }
}

/// A content whose bytes come in pieces.
#[derive(Default)]
pub struct Hasher {
    of: blake3::Hasher,
    bytes: u64,
}

impl Hasher {
    /// The next of them.
    pub fn push(&mut self, bytes: &[u8]) {
        self.of.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    /// What they come to.
    pub fn content(&self) -> Content {
        Content { hash: Hash(*self.of.finalize().as_bytes()), bytes: self.bytes }
    }
}

/// What an effect is called before and after it happened.
pub type EffectId = Hash;

/// Bytes that lie in the blob table, named by hash.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize,
)]
pub struct Content {
    /// Name of the blob.
    pub hash: Hash,
    /// Length in bytes.
    pub bytes: u64,
}

impl Content {
    /// The name and length of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self { hash: Hash::of(bytes), bytes: bytes.len() as u64 }
    }
}
