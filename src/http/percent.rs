//! Percent-encoding.

/// Decodes percent-encoding as the URL Standard of the WHATWG has it (section 1.3): a `%` without two hex digits after it stands for
/// itself.
pub fn decode_lenient(encoded: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((&byte, behind)) = rest.split_first() {
        let (byte, behind) = match byte {
            b'%' => escaped_byte(behind).unwrap_or((b'%', behind)),
            byte => (byte, behind),
        };
        decoded.push(byte);
        rest = behind;
    }
    decoded
}

/// Decodes percent-encoding (RFC 3986, section 2.1).
///
/// # Errors
/// The offset of a `%` that is not followed by two hex digits.
pub fn decode(encoded: &[u8]) -> Result<Vec<u8>, usize> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((&byte, behind)) = rest.split_first() {
        let (byte, behind) = match byte {
            b'%' => escaped_byte(behind).ok_or(encoded.len() - rest.len())?,
            byte => (byte, behind),
        };
        decoded.push(byte);
        rest = behind;
    }
    Ok(decoded)
}

/// The byte that the first two hex digits of `text` stand for, and the text after them.
pub fn escaped_byte(text: &[u8]) -> Option<(u8, &[u8])> {
    let digit = |byte: u8| {
        let digit = char::from(byte).to_digit(16);
        digit.and_then(|digit| u8::try_from(digit).ok())
    };
    match text {
        [high, low, behind @ ..] => Some(((digit(*high)? << 4) | digit(*low)?, behind)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_decoding_returns_the_offset_of_a_fault() {
        assert_eq!(decode(b"a%41%c3%BC+%25"), Ok("aAü+%".into()));
        assert_eq!(decode(b"a%"), Err(1));
        assert_eq!(decode(b"%41%4"), Err(3));
        assert_eq!(decode(b"%+1"), Err(0));
    }
}
