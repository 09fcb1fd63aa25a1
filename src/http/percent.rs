//! Percent-encoding.

/// Undoes percent-encoding (RFC 3986, section 2.1).
///
/// # Errors
/// The offset of a `%` that is not followed by two hex digits.
pub fn decode(encoded: &[u8]) -> Result<Vec<u8>, usize> {
    let digit = |byte: Option<&u8>| byte.and_then(|&byte| char::from(byte).to_digit(16));
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut at = 0;
    while let Some(&byte) = encoded.get(at) {
        if byte == b'%' {
            match (digit(encoded.get(at + 1)), digit(encoded.get(at + 2))) {
                (Some(high), Some(low)) => decoded.push((high * 16 + low) as u8),
                _ => return Err(at),
            }
            at += 3;
        } else {
            decoded.push(byte);
            at += 1;
        }
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_decoding_tells_where_it_fails() {
        assert_eq!(decode(b"a%41%c3%BC+%25"), Ok("aAü+%".into()));
        assert_eq!(decode(b"a%"), Err(1));
        assert_eq!(decode(b"%41%4"), Err(3));
        assert_eq!(decode(b"%+1"), Err(0));
    }
}
