//! The Authorization header → credentials.

use std::fmt;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

/// A password or token: never shown, and wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub fn new(secret: &str) -> Secret {
        Secret(Zeroizing::new(secret.to_owned()))
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What an Authorization header holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// RFC 7617. The address is as the client wrote it.
    Basic { address: String, password: Secret },
    /// RFC 6750.
    Bearer { token: Secret },
}

/// Padding may be left out, as some clients do.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl Credentials {
    /// Reads the value of an Authorization header (RFC 9110, section 11.6.2).
    /// `None` where it holds no credentials of a known scheme.
    pub fn parse(authorization: &[u8]) -> Option<Credentials> {
        let authorization = std::str::from_utf8(authorization)
            .ok()?
            .trim_matches([' ', '\t']);
        let (scheme, value) = authorization.split_once(' ')?;
        let value = value.trim_start_matches(' ');
        if scheme.eq_ignore_ascii_case("Basic") {
            basic(value)
        } else if scheme.eq_ignore_ascii_case("Bearer") {
            // A token of Prosody's may hold a colon, which RFC 6750's b64token has not.
            let token = !value.is_empty() && value.bytes().all(|b| b.is_ascii_graphic());
            token.then(|| Credentials::Bearer {
                token: Secret::new(value),
            })
        } else {
            None
        }
    }
}

fn basic(value: &str) -> Option<Credentials> {
    let decoded = Zeroizing::new(BASE64.decode(value).ok()?);
    let (address, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    // NUL separates the parts of a SASL PLAIN message (RFC 4616): no part may contain one.
    if address.is_empty()
        || password.is_empty()
        || address.contains('\0')
        || password.contains('\0')
    {
        return None;
    }
    Some(Credentials::Basic {
        address: address.to_owned(),
        password: Secret::new(password),
    })
}
