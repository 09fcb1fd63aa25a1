//! Signatures of webhooks, made with a secret that belongs to a sending token.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// The headers of a request that prove the secret.
#[derive(Debug, Default, Clone, Copy)]
pub struct Claims<'a> {
    /// `X-Hub-Signature-256` (GitHub): `sha256=`, and the HMAC-SHA256 of the body in hex digits.
    pub hub: Option<&'a [u8]>,
    /// `X-Gitea-Signature` (Gitea, Forgejo): the same digits alone.
    pub gitea: Option<&'a [u8]>,
    /// `X-Gogs-Signature` (Gogs): the same.
    pub gogs: Option<&'a [u8]>,
    /// `X-Gitlab-Token` (GitLab): the secret itself.
    pub gitlab: Option<&'a [u8]>,
}

/// Takes a body in pieces, and says whether it is signed.
pub struct Signature {
    mac: Hmac<Sha256>,
    /// The authentication codes from the headers.
    codes: Vec<Vec<u8>>,
    /// Whether the header with the secret itself is right, if there is one.
    secret_is_right: Option<bool>,
}

impl Signature {
    /// `None` if a header is malformed.
    pub fn new(secret: &[u8], claims: Claims) -> Option<Signature> {
        let hub = match claims.hub {
            Some(hub) => Some(hub.strip_prefix(b"sha256=")?),
            None => None,
        };
        let codes = [hub, claims.gitea, claims.gogs].into_iter().flatten();
        Some(Signature {
            mac: Hmac::new_from_slice(secret).ok()?,
            codes: codes.map(bytes).collect::<Option<_>>()?,
            secret_is_right: claims.gitlab.map(|token| token.ct_eq(secret).into()),
        })
    }

    /// Takes the next piece of the body.
    pub fn update(&mut self, piece: &[u8]) {
        self.mac.update(piece);
    }

    /// Whether there is a header, and all headers are right. The time of each comparison does not depend on the value.
    pub fn is_right(&self) -> bool {
        let codes = self.codes.iter();
        let signed = codes.fold(true, |right, code| {
            self.mac.clone().verify_slice(code).is_ok() & right
        });
        let is_any = !self.codes.is_empty() || self.secret_is_right.is_some();
        is_any & signed & self.secret_is_right.unwrap_or(true)
    }
}

/// Hex digits → bytes.
fn bytes(digits: &[u8]) -> Option<Vec<u8>> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let byte = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
        _ => None,
    };
    digits.chunks(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example in GitHub's documentation: secret, payload, signature.
    const SECRET: &[u8] = b"It's a Secret to Everybody";
    const BODY: &[u8] = b"Hello, World!";
    const CODE: &[u8] = b"757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn is_right(claims: Claims) -> bool {
        let Some(mut signature) = Signature::new(SECRET, claims) else {
            return false;
        };
        signature.update(&BODY[..5]);
        signature.update(&BODY[5..]);
        signature.is_right()
    }

    #[test]
    fn the_signature_of_each_program_is_right() {
        let hub = [b"sha256=", CODE].concat();
        let upper = CODE.to_ascii_uppercase();
        let no_claims = Claims::default();
        for claims in [
            Claims {
                hub: Some(&hub),
                ..no_claims
            },
            Claims {
                gitea: Some(CODE),
                ..no_claims
            },
            Claims {
                gogs: Some(&upper),
                ..no_claims
            },
            Claims {
                gitlab: Some(SECRET),
                ..no_claims
            },
            Claims {
                hub: Some(&hub),
                gitea: Some(CODE),
                gogs: Some(CODE),
                ..no_claims
            },
        ] {
            assert!(is_right(claims), "{claims:?}");
        }
    }

    #[test]
    fn missing_and_wrong_signatures_are_not_right() {
        let hub = [b"sha256=", CODE].concat();
        let other = [&CODE[1..], b"0"].concat();
        let no_claims = Claims::default();
        for claims in [
            no_claims,
            Claims {
                hub: Some(CODE),
                ..no_claims
            },
            Claims {
                hub: Some(b"sha256="),
                ..no_claims
            },
            Claims {
                hub: Some(&hub[..hub.len() - 1]),
                ..no_claims
            },
            Claims {
                hub: Some(b"sha256=zz"),
                ..no_claims
            },
            Claims {
                gitea: Some(&other),
                ..no_claims
            },
            Claims {
                gitea: Some(b""),
                ..no_claims
            },
            Claims {
                gitlab: Some(b"It's a Secret"),
                ..no_claims
            },
            Claims {
                gitlab: Some(b""),
                ..no_claims
            },
            Claims {
                hub: Some(&hub),
                gitea: Some(&other),
                ..no_claims
            },
            Claims {
                hub: Some(&hub),
                gitlab: Some(b"x"),
                ..no_claims
            },
        ] {
            assert!(!is_right(claims), "{claims:?}");
        }
    }
}
