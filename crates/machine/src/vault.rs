//! Secrets sealed and opened: ChaCha20-Poly1305 (RFC 8439), under a key in a file of its own.
//!
//! ```text
//! node.key    32 random bytes, 0600, made with the first secret
//! sealed      nonce, 12 bytes · ciphertext · tag, 16 bytes; bound to name and origin as associated data
//! ```
//! `node.db` alone opens nothing, nor does the key alone; a row that was moved to another name or origin does
//! not open. An opened value lives in memory that is zeroed when it is dropped, is lent to one request, and
//! has no way into text: no Clone, no Debug, no serialisation. Never here: who may, or whom it is shown to.

use crate::random;
use abi::{Code, Error, limits};
use drivers::Secret;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Mutex,
};
use zeroize::Zeroizing;

use crate::guard::guard;

const KEY_BYTES: usize = 32;

/// The value of a secret, open.
pub(crate) struct Value(Zeroizing<String>);

impl Value {
    /// What somebody typed: visible ASCII without quotes and backslashes, so that it is one header of a
    /// request and can be found again, whoever quotes it.
    pub fn of(text: String) -> Result<Self, Error> {
        let whole = Zeroizing::new(text);
        let value = Zeroizing::new(whole.trim().to_owned());
        let good = |byte: u8| byte.is_ascii_graphic() && !b"\"'\\".contains(&byte);
        if value.is_empty() || value.len() > limits::SECRET_BYTES_MAX || !value.bytes().all(good) {
            return Err(Error::invalid("text", "this cannot be a secret")
                .hint("one line of visible ASCII without quotes, at most 4096 bytes"));
        }
        Ok(Self(value))
    }

    /// Lends it to one request.
    pub fn lend(&self) -> Secret<'_> {
        Secret::lend(&self.0)
    }

    /// The text without it, whoever put it there.
    pub fn redact(&self, text: &str) -> String {
        text.replace(self.0.as_str(), "[secret]")
    }
}

/// What seals.
pub(crate) struct Vault {
    file: PathBuf,
    key: Mutex<Option<LessSafeKey>>,
}

impl Vault {
    /// That of a home. The key is read when it is first needed.
    pub fn of(home: &Path) -> Self {
        Self { file: home.join("node.key"), key: Mutex::default() }
    }

    /// Seals a value for this name and origin.
    pub fn seal(&self, (name, origin): (&str, &str), value: &Value) -> Result<Vec<u8>, Error> {
        let refused = |_| Error::new(Code::Unavailable, "the secret could not be sealed");
        let mut held = self.key(Missing::Make)?;
        let key = held.as_mut().ok_or_else(|| refused(ring::error::Unspecified))?;
        let random = random::secret().map_err(|_| refused(ring::error::Unspecified))?;
        let nonce: [u8; NONCE_LEN] = random.first_chunk().copied().unwrap_or_default();
        let mut bytes = value.0.as_bytes().to_vec();
        let bound = Aad::from(bound(name, origin));
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), bound, &mut bytes)
            .map_err(refused)?;
        Ok(nonce.into_iter().chain(bytes).collect())
    }

    /// Opens what was sealed for this name and origin.
    pub fn open(&self, (name, origin): (&str, &str), sealed: &[u8]) -> Result<Value, Error> {
        let shut = || {
            Error::new(Code::Unavailable, format!("the secret {name} does not open with node.key"))
                .hint(format!("skep secret add {name}"))
        };
        let mut held = self.key(Missing::Refuse)?;
        let key = held.as_mut().ok_or_else(shut)?;
        let (nonce, bytes) = sealed.split_first_chunk::<NONCE_LEN>().ok_or_else(shut)?;
        let mut bytes = Zeroizing::new(bytes.to_vec());
        let bound = Aad::from(bound(name, origin));
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let open = key.open_in_place(nonce, bound, &mut bytes).map_err(|_| shut())?;
        let text = std::str::from_utf8(open).map_err(|_| shut())?;
        Value::of(text.to_owned())
    }

    fn key(&self, missing: Missing) -> Result<std::sync::MutexGuard<'_, Option<LessSafeKey>>, Error> {
        let mut held = guard(&self.key);
        if held.is_none() {
            *held = self.load(missing).map_err(|error| {
                let file = self.file.display();
                Error::new(Code::Unavailable, format!("{file}: {error}"))
                    .hint("it holds what opens the node's secrets: 32 bytes, for you alone")
            })?;
        }
        Ok(held)
    }

    fn load(&self, missing: Missing) -> io::Result<Option<LessSafeKey>> {
        let mut bytes = Zeroizing::new([0_u8; KEY_BYTES]);
        match File::open(&self.file) {
            Ok(mut file) => {
                if file.metadata()?.permissions().mode() & 0o077 != 0 {
                    fs::set_permissions(&self.file, fs::Permissions::from_mode(0o600))?;
                }
                file.read_exact(bytes.as_mut_slice())?;
            }
            Err(error) if error.kind() == ErrorKind::NotFound => match missing {
                Missing::Refuse => return Ok(None),
                Missing::Make => {
                    *bytes = random::secret()?;
                    self.make(bytes.as_slice())?;
                }
            },
            Err(error) => return Err(error),
        }
        let key = UnboundKey::new(&CHACHA20_POLY1305, bytes.as_slice());
        key.map(|key| Some(LessSafeKey::new(key))).map_err(|_| io::Error::other("this is no key"))
    }

    /// Under its name only when all of it is on the disk.
    fn make(&self, bytes: &[u8]) -> io::Result<()> {
        let new = self.file.with_extension("key.new");
        let open = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new);
        let mut file = open?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, &self.file)?;
        File::open(self.file.parent().unwrap_or(Path::new(".")))?.sync_all()
    }
}

/// What to do without a key.
#[derive(Clone, Copy)]
enum Missing {
    /// Make one.
    Make,
    /// Nothing that was sealed can be opened.
    Refuse,
}

fn bound(name: &str, origin: &str) -> Vec<u8> {
    [b"skep-secret-1\0", name.as_bytes(), b"\0", origin.as_bytes()].concat()
}

/// Takes a value out of text that comes in pieces, also where a piece ends within it.
pub(crate) struct Sieve<'a> {
    value: &'a Value,
    held: String,
}

impl<'a> Sieve<'a> {
    /// For this value.
    pub fn of(value: &'a Value) -> Self {
        Self { value, held: String::new() }
    }

    /// What of it can go on: all but an end that may be the beginning of the value.
    pub fn pass(&mut self, piece: &str) -> String {
        self.held.push_str(piece);
        let text = self.value.redact(&self.held);
        let key = self.value.0.as_str();
        let longest = key.len().saturating_sub(1).min(text.len());
        let keeps = |length: &usize| {
            text.is_char_boundary(text.len() - length)
                && key.starts_with(text.get(text.len() - length..).unwrap_or("\0"))
        };
        let tail = (1..=longest).rev().find(keeps).unwrap_or(0);
        let (go, stay) = text.split_at(text.len() - tail);
        let gone = go.to_owned();
        self.held = stay.to_owned();
        gone
    }

    /// What was held back.
    pub fn rest(self) -> String {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn value(text: &str) -> Value {
        Value::of(text.to_owned()).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn what_is_sealed_opens_with_its_key_its_name_and_its_origin_and_with_nothing_else() {
        let (home, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let vault = Vault::of(home.path());
        let sealed = vault.seal(("a", "https://x"), &value("sk-1234")).unwrap();
        assert!(!sealed.windows(7).any(|part| part == b"sk-1234"));
        let mode = fs::metadata(home.path().join("node.key")).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        let opens = |vault: &Vault, bound: (&str, &str), bytes: &[u8]| {
            vault.open(bound, bytes).is_ok_and(|value| value.lend().expose() == "sk-1234")
        };
        assert!(opens(&vault, ("a", "https://x"), &sealed));
        assert!(opens(&Vault::of(home.path()), ("a", "https://x"), &sealed), "the key is on the disk");
        assert!(!opens(&vault, ("b", "https://x"), &sealed));
        assert!(!opens(&vault, ("a", "https://y"), &sealed));
        assert!(!opens(&Vault::of(other.path()), ("a", "https://x"), &sealed), "there is no key there");
        let mut changed = sealed.clone();
        changed[13] ^= 1;
        assert!(!opens(&vault, ("a", "https://x"), &changed));
        assert!(!opens(&vault, ("a", "https://x"), &sealed[..5]));
        let again = vault.seal(("a", "https://x"), &value("sk-1234")).unwrap();
        assert_ne!(again, sealed, "a nonce is used once");
    }

    #[test]
    fn a_value_is_one_word_of_visible_ascii() {
        for bad in ["", " ", "a b", "a\nb", "é", "a\"b", "a\\b", "a'b", &"x".repeat(4097)] {
            assert!(Value::of(bad.to_owned()).is_err(), "{bad:?}");
        }
        assert_eq!(value(" sk-1\n").lend().expose(), "sk-1");
    }

    #[test]
    fn a_value_does_not_pass_in_one_piece_or_in_many() {
        let value = value("abcabd");
        for pieces in [
            vec!["x abcabd y"],
            vec!["x abc", "abd y"],
            vec!["x a", "b", "c", "a", "b", "d", " y"],
            vec!["x ", "abcabd", " y"],
        ] {
            let mut sieve = Sieve::of(&value);
            let mut all: String = pieces.iter().map(|piece| sieve.pass(piece)).collect();
            all.push_str(&sieve.rest());
            assert_eq!(all, "x [secret] y", "{pieces:?}");
        }
        let mut sieve = Sieve::of(&value);
        let mut all = String::new();
        for piece in ["ab", "cabc", "abé", "abcab"] {
            all.push_str(&sieve.pass(piece));
        }
        assert_eq!(all + &sieve.rest(), "abcabcabéabcab");
    }
}
