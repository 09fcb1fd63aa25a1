//! Passwords and tokens.

use std::fmt;

use zeroize::Zeroizing;

/// A password or token. It is never shown, and is wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// A copy of `secret`.
    pub fn new(secret: &str) -> Secret {
        Secret(Zeroizing::new(secret.to_owned()))
    }

    /// The text. It must not be logged or shown.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
