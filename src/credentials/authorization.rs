//! The Authorization header, and the tokens of the query → credentials.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use super::secret::Secret;
use super::token::Token;

/// The credentials of a sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// RFC 7617. The address is as the client wrote it.
    Basic { address: String, password: Secret },
    /// RFC 6750.
    Bearer { token: Secret },
    /// A sending token, from any place. It has an address if it came as the password of Basic.
    Sending {
        address: Option<String>,
        token: Token,
    },
}

/// The credentials in all places of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum RequestCredentials {
    /// No credentials.
    Nothing,
    /// Malformed, or of an unknown scheme.
    Unreadable,
    /// Two different credentials.
    Several,
    /// Exactly one, perhaps in two places.
    One(Credentials),
}

impl RequestCredentials {
    /// `authorization` is the value of the header, `elsewhere` the tokens from the URL's query and from other headers.
    pub fn of(authorization: Option<&[u8]>, elsewhere: &[Zeroizing<String>]) -> RequestCredentials {
        RequestCredentials::of_all(authorization, &[], elsewhere)
    }

    /// The same, with the values of Authorization headers in the query, which may have tokens only: URLs are logged.
    pub fn of_all(
        authorization: Option<&[u8]>,
        in_query: &[Zeroizing<String>],
        elsewhere: &[Zeroizing<String>],
    ) -> RequestCredentials {
        let in_query = in_query.iter().map(|value| {
            let credentials = Credentials::parse(value.as_bytes());
            credentials.filter(|credentials| matches!(credentials, Credentials::Sending { .. }))
        });
        let header = authorization.into_iter().map(Credentials::parse);
        let tokens = elsewhere.iter().map(|token| {
            let token = Token::parse(token)?;
            Some(Credentials::Sending {
                address: None,
                token,
            })
        });
        let mut all = RequestCredentials::Nothing;
        for credentials in header.chain(in_query).chain(tokens) {
            all = match (all, credentials) {
                (RequestCredentials::Nothing, Some(credentials)) => {
                    RequestCredentials::One(credentials)
                }
                (RequestCredentials::One(first), Some(second)) => match first.merge(second) {
                    Some(one) => RequestCredentials::One(one),
                    None => return RequestCredentials::Several,
                },
                (RequestCredentials::Nothing | RequestCredentials::Unreadable, None) => {
                    RequestCredentials::Unreadable
                }
                _ => return RequestCredentials::Several,
            };
        }
        all
    }
}

/// Some clients leave out the padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl Credentials {
    /// Reads the value of an Authorization header (RFC 9110, section 11.6.2). `None` if it is malformed, or of an
    /// unknown scheme.
    fn parse(authorization: &[u8]) -> Option<Credentials> {
        let authorization = std::str::from_utf8(authorization)
            .ok()?
            .trim_matches([' ', '\t']);
        let (scheme, value) = authorization.split_once(' ')?;
        let value = value.trim_start_matches(' ');
        if scheme.eq_ignore_ascii_case("Basic") {
            basic(value)
        } else if scheme.eq_ignore_ascii_case("Bearer") {
            // A token of Prosody may have a colon, which RFC 6750's b64token does not allow.
            let token = !value.is_empty() && value.bytes().all(|b| b.is_ascii_graphic());
            token.then(|| match Token::parse(value) {
                Some(token) => Credentials::Sending {
                    address: None,
                    token,
                },
                None => Credentials::Bearer {
                    token: Secret::new(value),
                },
            })
        } else {
            None
        }
    }

    /// Merges two equal credentials. A token with an address equals the same token without one.
    fn merge(self, other: Credentials) -> Option<Credentials> {
        match (self, other) {
            (
                Credentials::Sending { address, token },
                Credentials::Sending {
                    address: second,
                    token: other,
                },
            ) if token == other && (address == second || address.is_none() || second.is_none()) => {
                Some(Credentials::Sending {
                    address: address.or(second),
                    token,
                })
            }
            (first, second) => (first == second).then_some(first),
        }
    }
}

fn basic(value: &str) -> Option<Credentials> {
    let decoded = Zeroizing::new(BASE64.decode(value).ok()?);
    let (address, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    // A program that knows only Basic may send a token as either part.
    let alone = match (address, password) {
        ("", token) | (token, "") => Token::parse(token),
        _ => None,
    };
    if let Some(token) = alone {
        return Some(Credentials::Sending {
            address: None,
            token,
        });
    }
    // NUL separates the parts of a SASL PLAIN message (RFC 4616): no part may contain one.
    if address.is_empty()
        || password.is_empty()
        || address.contains('\0')
        || password.contains('\0')
    {
        return None;
    }
    let address = address.to_owned();
    Some(match Token::parse(password) {
        Some(token) => Credentials::Sending {
            address: Some(address),
            token,
        },
        None => Credentials::Basic {
            address,
            password: Secret::new(password),
        },
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
            _ => None,
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
    fn malformed_credentials_are_unreadable() {
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
    fn a_sending_token_is_found_in_every_place() {
        let token = Token::new().unwrap();
        let text = token.secret().expose();
        let bearer = format!("Bearer {text}").into_bytes();
        let basic = header("Basic", format!("me:{text}").as_bytes());
        let sending = |address: Option<&str>| {
            RequestCredentials::One(Credentials::Sending {
                address: address.map(str::to_owned),
                token: token.clone(),
            })
        };
        let query = [Zeroizing::new(text.to_owned())];
        assert_eq!(RequestCredentials::of(Some(&bearer), &[]), sending(None));
        assert_eq!(
            RequestCredentials::of(Some(&basic), &[]),
            sending(Some("me"))
        );
        assert_eq!(RequestCredentials::of(None, &query), sending(None));
        assert_eq!(RequestCredentials::of(Some(&bearer), &query), sending(None));
        assert_eq!(
            RequestCredentials::of(Some(&basic), &query),
            sending(Some("me"))
        );
    }

    #[test]
    fn two_different_credentials_are_several() {
        let token = || Token::new().unwrap().secret().expose().to_owned();
        let (first, second) = (token(), token());
        let password = header("Basic", b"me:pw");
        let with = |value: &str| format!("Bearer {value}").into_bytes();
        for (authorization, query) in [
            (Some(&password), vec![first.clone()]),
            (Some(&with(&first)), vec![second.clone()]),
            (Some(&with("other")), vec![first.clone()]),
            (Some(&with("a b")), vec![first.clone()]),
            (Some(&with(&first)), vec!["other".to_owned()]),
            (None, vec![first.clone(), second.clone()]),
            (None, vec![first.clone(), String::new()]),
        ] {
            let query: Vec<_> = query.into_iter().map(Zeroizing::new).collect();
            let credentials = RequestCredentials::of(authorization.map(Vec::as_slice), &query);
            assert_eq!(credentials, RequestCredentials::Several);
        }
        assert_eq!(
            RequestCredentials::of(None, &[]),
            RequestCredentials::Nothing
        );
        assert_eq!(
            RequestCredentials::of(Some(b"Digest a, b"), &[]),
            RequestCredentials::Unreadable
        );
        assert_eq!(
            RequestCredentials::of(None, &[Zeroizing::new("x".to_owned())]),
            RequestCredentials::Unreadable
        );
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
