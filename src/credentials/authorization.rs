//! The Authorization header → credentials.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use super::secret::Secret;

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

#[cfg(test)]
mod tests {
    use super::*;

    fn header(scheme: &str, decoded: &[u8]) -> Vec<u8> {
        let encoded = base64::engine::general_purpose::STANDARD.encode(decoded);
        format!("{scheme} {encoded}").into_bytes()
    }

    fn basic_of(decoded: &[u8]) -> Option<(String, String)> {
        match Credentials::parse(&header("Basic", decoded))? {
            Credentials::Basic { address, password } => {
                Some((address, password.expose().to_owned()))
            }
            Credentials::Bearer { .. } => None,
        }
    }

    #[test]
    fn the_first_colon_ends_the_address() {
        let is = |address: &str, password: &str| Some((address.to_owned(), password.to_owned()));
        assert_eq!(
            basic_of(b"me@example.com:a:b:"),
            is("me@example.com", "a:b:")
        );
        assert_eq!(
            basic_of("jürgen:pässword ".as_bytes()),
            is("jürgen", "pässword ")
        );
    }

    #[test]
    fn scheme_names_are_known_in_any_case() {
        for scheme in ["basic", "BASIC", "Basic "] {
            let parsed = Credentials::parse(&header(scheme, b"me:pw"));
            assert!(
                matches!(parsed, Some(Credentials::Basic { .. })),
                "{scheme}"
            );
        }
        let token = Secret::new("secret-token:a.b==");
        for written in ["bearer secret-token:a.b==", " Bearer  secret-token:a.b== "] {
            let parsed = Credentials::parse(written.as_bytes());
            assert_eq!(
                parsed,
                Some(Credentials::Bearer {
                    token: token.clone()
                }),
                "{written}"
            );
        }
    }

    #[test]
    fn padding_may_be_left_out() {
        assert!(Credentials::parse(b"Basic bWU6cHc=").is_some());
        assert!(Credentials::parse(b"Basic bWU6cHc").is_some());
    }

    #[test]
    fn what_holds_no_credentials_is_none() {
        for written in [
            "",
            " ",
            "Basic",
            "Basic ",
            "Bearer",
            "Bearer ",
            "Bearer a b",
            "Bearer ä",
            "Basic !",
            "Basic bWU6cHc=x",
            "Digest bWU6cHc=",
            "bWU6cHc=",
            "Basic\tbWU6cHc=",
        ] {
            assert_eq!(Credentials::parse(written.as_bytes()), None, "{written:?}");
        }
        assert_eq!(Credentials::parse(b"Bearer \xFF"), None);
        for decoded in [
            &b"me"[..],
            b":pw",
            b"me:",
            b"me\0:pw",
            b"me:p\0w",
            b"me:\xFF",
            b"",
        ] {
            assert_eq!(basic_of(decoded), None, "{}", decoded.escape_ascii());
        }
    }

    #[test]
    fn a_secret_is_in_no_debug_output() {
        let secret = Secret::new("hunter2");
        let basic = Credentials::parse(&header("Basic", b"me:hunter2"));
        let bearer = Credentials::parse(b"Bearer hunter2");
        for shown in [
            format!("{secret:?}"),
            format!("{basic:?}"),
            format!("{bearer:#?}"),
        ] {
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
}
