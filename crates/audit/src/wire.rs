//! The bytes of a record as values, without knowing what they mean.
//!
//! ```text
//! one value = a byte of 2 bits kind, 6 bits data; data 63 = the number follows, seven bits a byte, low first
//!   01  data bytes follow                      text, hashes
//!   10  data values follow                     lists; a struct is (number, value) pairs; a variant is
//!                                              (number, value), or only its number where none holds
//!                                              anything; an option is none or one value
//!   11  data is the number                     unsigned; a signed one is zigzag
//! ```
//!
//! `c5` → 5 · `42 2f 61` → "/a" · `82 c0 c5` → {0: 5}. What is not of this shape is refused; nothing is
//! reserved by a length that is only claimed.

use crate::bound::DEPTH_MAX;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    List(Vec<Value<'a>>),
}

/// The one value that these bytes are, whole.
pub fn read(bytes: &[u8]) -> Option<Value<'_>> {
    let mut rest = bytes;
    let value = value(&mut rest, 0)?;
    rest.is_empty().then_some(value)
}

fn byte(rest: &mut &[u8]) -> Option<u8> {
    let (first, after) = rest.split_first()?;
    *rest = after;
    Some(*first)
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let next = byte(rest)?;
        let part = u64::from(next & 0x7f);
        // The tenth byte has room for one bit.
        if shift == 63 && part > 1 {
            return None;
        }
        number |= part << shift;
        if next & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn value<'a>(rest: &mut &'a [u8], depth: usize) -> Option<Value<'a>> {
    let tag = byte(rest)?;
    let data = match tag & 0x3f {
        0x3f => number(rest)?,
        small => u64::from(small),
    };
    match tag >> 6 {
        1 => {
            let (bytes, after) = rest.split_at_checked(usize::try_from(data).ok()?)?;
            *rest = after;
            Some(Value::Bytes(bytes))
        }
        2 if depth < DEPTH_MAX => {
            let mut list = Vec::new();
            for _ in 0..data {
                list.push(value(rest, depth + 1)?);
            }
            Some(Value::List(list))
        }
        3 => Some(Value::Number(data)),
        _ => None,
    }
}

impl<'a> Value<'a> {
    /// The number, if it is one.
    pub fn number(&self) -> Option<u64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    /// The text, if it is one.
    pub fn text(&self) -> Option<&'a str> {
        if let Self::Bytes(bytes) = self { std::str::from_utf8(bytes).ok() } else { None }
    }

    /// 32 bytes, if it is that.
    pub fn digest(&self) -> Option<[u8; 32]> {
        if let Self::Bytes(bytes) = self { (*bytes).try_into().ok() } else { None }
    }

    /// The values of a list.
    pub fn list(&self) -> Option<&[Value<'a>]> {
        if let Self::List(list) = self { Some(list) } else { None }
    }

    /// The field of this number of a struct.
    pub fn field(&self, number: u64) -> Option<&Value<'a>> {
        let pairs = self.list()?.as_chunks().0;
        pairs.iter().find(|[name, _]| name.number() == Some(number)).map(|[_, value]| value)
    }

    /// A variant's number and what it holds.
    pub fn variant(&self) -> Option<(u64, &Value<'a>)> {
        match self.list()? {
            [tag, value] => Some((tag.number()?, value)),
            _ => None,
        }
    }

    /// What an option holds: `Some(None)` is nothing, `None` is no option.
    pub fn option(&self) -> Option<Option<&Value<'a>>> {
        match self.list()? {
            [] => Some(None),
            [value] => Some(Some(value)),
            _ => None,
        }
    }

    /// `{0: hash, 1: length}`: bytes that lie elsewhere under their hash.
    pub fn content(&self) -> Option<([u8; 32], u64)> {
        match self.list()? {
            [Self::Number(0), hash, Self::Number(1), Self::Number(bytes)] => Some((hash.digest()?, *bytes)),
            _ => None,
        }
    }

    /// Hands over every content within.
    pub fn contents(&self, each: &mut dyn FnMut([u8; 32], u64)) {
        if let Some((hash, bytes)) = self.content() {
            each(hash, bytes);
        } else {
            self.list().unwrap_or_default().iter().for_each(|value| value.contents(each));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_and_what_is_none_is_refused() {
        use Value::{Bytes, List, Number};
        let rows: [(&[u8], Option<Value<'_>>); 12] = [
            (&[0xc5], Some(Number(5))),
            (&[0xff, 0xac, 0x02], Some(Number(300))),
            (&[0x42, b'/', b'a'], Some(Bytes(b"/a"))),
            (&[0x82, 0xc0, 0xc5], Some(List(vec![Number(0), Number(5)]))),
            (&[0x80], Some(List(vec![]))),
            (&[], None),
            (&[0x00], None),
            (&[0xc5, 0xc5], None),
            (&[0x42, b'/'], None),
            (&[0xbf, 0xff, 0xff, 0xff, 0xff, 0x0f, 0xc0], None),
            (&[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], None),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02], None),
        ];
        for (bytes, value) in rows {
            assert_eq!(read(bytes), value, "{bytes:02x?}");
        }
        assert_eq!(read(&[0x81; 10_000]), None);
    }
}
