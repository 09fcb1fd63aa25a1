//! Format, generation and parsing of sending tokens.
//!
//! `pmsg_`, 16 hex digits (the id), `_`, 27 characters of base64url (160 random bits), and 6 characters of checksum.
//! The checksum is the beginning of the base64url (RFC 4648, section 5) of the SHA-256 of everything before it. A token
//! needs no encoding in a URL, and a scanner for secrets recognises it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::secret::Secret;

const PREFIX: &str = "pmsg_";
const ID_BYTES: usize = 8;
const SECRET_BYTES: usize = 20;
/// The ends of the id and of the text before the checksum.
const ID_END: usize = PREFIX.len() + 2 * ID_BYTES;
const CHECKED: usize = ID_END + 1 + 27;
const LENGTH: usize = CHECKED + 6;

/// A text with the form of a sending token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token(Secret);

impl Token {
    /// A new token.
    ///
    /// # Errors
    /// If the system has no random bytes.
    pub fn new() -> Result<Token, getrandom::Error> {
        let mut id = [0; ID_BYTES];
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        getrandom::fill(&mut id)?;
        getrandom::fill(&mut *secret)?;
        let id = hex(&id);
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(secret.as_slice()));
        let mut token = Zeroizing::new(format!("{PREFIX}{id}_{}", *secret));
        let checksum = checksum(&token);
        token.push_str(&checksum);
        Ok(Token(Secret::new(&token)))
    }

    /// `None` if the text does not have the form of a sending token, or has a wrong checksum.
    pub fn parse(text: &str) -> Option<Token> {
        let checked = text.get(..CHECKED)?;
        let id = checked.get(PREFIX.len()..ID_END)?;
        let right = text.len() == LENGTH
            && text.starts_with(PREFIX)
            && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
            && text.get(CHECKED..) == Some(checksum(checked).as_str());
        right.then(|| Token(Secret::new(text)))
    }

    /// Its id, which may be shown.
    pub fn id(&self) -> &str {
        self.0
            .expose()
            .get(PREFIX.len()..ID_END)
            .unwrap_or_default()
    }

    /// The SHA-256 of the token in hex digits. Only this is stored. It needs no salt and no key derivation: 160 random
    /// bits cannot be guessed.
    pub fn hash(&self) -> String {
        hex(&Sha256::digest(self.0.expose()))
    }

    /// The text of the token, which is shown once, to its owner.
    pub fn secret(&self) -> &Secret {
        &self.0
    }
}

/// Formatting with `{:x}` takes a microsecond more for each request.
fn hex(bytes: &[u8]) -> String {
    let digits = b"0123456789abcdef";
    let digit = |value: u8| char::from(digits[usize::from(value)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

fn checksum(checked: &str) -> String {
    let mut checksum = URL_SAFE_NO_PAD.encode(Sha256::digest(checked));
    checksum.truncate(LENGTH - CHECKED);
    checksum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_token_is_parsed() {
        let token = Token::new().unwrap();
        let text = token.secret().expose().to_owned();
        assert_eq!(text.len(), LENGTH, "{text}");
        assert_eq!(Token::parse(&text), Some(token.clone()));
        assert_eq!(token.id(), &text[5..21]);
        assert_eq!(token.hash(), format!("{:x}", Sha256::digest(&text)));
        assert_ne!(Token::new().unwrap().id(), token.id());
        assert!(!format!("{token:?}").contains("pmsg"));
    }

    #[test]
    fn a_mistyped_token_is_not_parsed() {
        let text = Token::new().unwrap().secret().expose().to_owned();
        for (at, old) in text.char_indices() {
            for new in ['a', 'B', '_', 'é'].into_iter().filter(|new| *new != old) {
                let mut other = text.clone();
                other.replace_range(at..=at, &new.to_string());
                assert_eq!(Token::parse(&other), None, "{other}");
            }
            assert_eq!(Token::parse(&text[..at]), None);
        }
        assert_eq!(Token::parse(&format!("{text}a")), None);
        assert_eq!(Token::parse(&text.to_uppercase()), None);
    }
}
