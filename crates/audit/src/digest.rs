//! Hashes, as they are described in docs/how/prove-a-log.md, and as hexadecimal text.

/// 32 bytes of BLAKE3.
pub type Digest = [u8; 32];

/// `BLAKE3(len(purpose) purpose len(a) a len(b) b …)`; a length is eight bytes, lowest first.
fn of_fields(purpose: &str, fields: &[&[u8]]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    for field in std::iter::once(&purpose.as_bytes()).chain(fields) {
        hasher.update(&(field.len() as u64).to_le_bytes());
        hasher.update(field);
    }
    *hasher.finalize().as_bytes()
}

/// The hash of a record: of the hash before it (zeros for the first) and of its bytes.
pub fn record_hash(prev: &Digest, body: &[u8]) -> Digest {
    of_fields("skep-record", &[prev, body])
}

/// Lower-case hexadecimal digits.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Exactly `N` bytes from hexadecimal digits.
pub fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != N * 2 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_is_exact() {
        assert_eq!(from_hex::<2>("0aFf"), Some([10, 255]));
        for bad in ["0a", "0aff0", "+aff", "0aé", "zzzz"] {
            assert_eq!(from_hex::<2>(bad), None, "{bad}");
        }
        assert_eq!(to_hex(&[10, 255]), "0aff");
    }
}
