//! A secret, lent to one request: it can be shown to the other side and to nobody else.

use std::fmt;

/// What opens a door at a provider. Borrowed from the machine, which keeps it and zeroes it; never cloned,
/// never written anywhere but into the header of one request.
pub struct Secret<'a>(&'a str);

impl<'a> Secret<'a> {
    /// Lends it.
    pub fn lend(value: &'a str) -> Self {
        Self(value)
    }

    /// Its characters, for the one header that needs them.
    pub fn expose(&self) -> &str {
        self.0
    }
}

impl fmt::Debug for Secret<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret(…)")
    }
}
