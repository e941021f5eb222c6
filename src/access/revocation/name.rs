//! Names in commands of operators: of a user, a token, a connection or an
//! issuer, short enough to be kept and sent around. Earlier versions admitted
//! users whose names are refused today, so invisible characters pass.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::ISSUER_BYTES;

/// Bytes of a name: those that users and tokens may have.
pub const NAME_BYTES: usize = 128;

/// A name of 1 to `BYTES` bytes without control characters.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(try_from = "String")]
pub struct BoundedName<const BYTES: usize>(String);

/// The name of a user, a token or a connection.
pub type Name = BoundedName<NAME_BYTES>;

/// The name of an issuer (`iss`).
pub type IssuerName = BoundedName<ISSUER_BYTES>;

/// The text is too long for a name, empty, or has control characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to {0} bytes and no control characters")]
pub struct NoName(usize);

impl<const BYTES: usize> BoundedName<BYTES> {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const BYTES: usize> TryFrom<String> for BoundedName<BYTES> {
    type Error = NoName;

    fn try_from(text: String) -> Result<Self, NoName> {
        let fits = (1..=BYTES).contains(&text.len()) && !text.chars().any(char::is_control);
        if fits { Ok(Self(text)) } else { Err(NoName(BYTES)) }
    }
}

impl<const BYTES: usize> fmt::Display for BoundedName<BYTES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_neither_empty_nor_long_nor_a_trap_for_logs() {
        for text in ["u42", "auth0|63f", "\u{e9}", &"x".repeat(NAME_BYTES)] {
            assert_eq!(Name::try_from(text.to_owned()).map(|name| name.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "a\nb", "a\u{0}", "\u{85}", &"x".repeat(NAME_BYTES + 1)] {
            assert_eq!(Name::try_from(text.to_owned()), Err(NoName(NAME_BYTES)), "{text:?}");
        }
    }
}
