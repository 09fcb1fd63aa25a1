//! The parameters of a header's value.

use std::borrow::Cow;

/// Splits a header's value into the text before the first `;` and the parameters after it, as `Content-Type` (RFC 9110,
/// section 8.3.1) and `Content-Disposition` (RFC 6266, section 4.1) are written.
pub fn parameters(value: &[u8]) -> (&[u8], Parameters<'_>) {
    let end = value
        .iter()
        .position(|&byte| byte == b';')
        .unwrap_or(value.len());
    let (first, rest) = value.split_at(end);
    (skip_ows_back(skip_ows(first)), Parameters { rest })
}

/// Parameters (RFC 9110, section 5.6.6): names as written (they are case-insensitive), values unquoted.
///
/// A value without quotes may hold any visible ASCII except `"`, `,`, `;` and `\`. RFC 9110 allows only a token, but
/// some clients send `boundary===123===`, which has no other meaning. White space around the `=` is skipped, as in
/// Content-Disposition (RFC 6266, section 4.1). Empty parameters are skipped. An `Err` says what is wrong, and ends the
/// iteration.
#[derive(Debug, Clone)]
pub struct Parameters<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Parameters<'a> {
    type Item = Result<(&'a [u8], Cow<'a, [u8]>), &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        // `rest` stays empty when an error is returned.
        let mut rest = skip_ows(std::mem::take(&mut self.rest));
        loop {
            match rest {
                [] => return None,
                [b';', tail @ ..] => rest = skip_ows(tail),
                _ => break,
            }
        }
        match parameter(rest) {
            Ok((name, value, tail)) => {
                self.rest = tail;
                Some(Ok((name, value)))
            }
            Err(fault) => Some(Err(fault)),
        }
    }
}

/// A name, its value, and the text after them.
type Parameter<'a> = (&'a [u8], Cow<'a, [u8]>, &'a [u8]);

fn parameter(text: &[u8]) -> Result<Parameter<'_>, &'static str> {
    let (name, rest) = split_while(text, is_token);
    if name.is_empty() {
        return Err("a name is missing, or has an illegal character");
    }
    let Some(written) = skip_ows(rest).strip_prefix(b"=").map(skip_ows) else {
        return Err("a name is not followed by =");
    };
    let (value, rest) = match written.strip_prefix(b"\"") {
        Some(rest) => quoted(rest)?,
        None => {
            let (value, rest) = split_while(written, |byte| {
                byte.is_ascii_graphic() && !b"\",;\\".contains(&byte)
            });
            (Cow::Borrowed(value), rest)
        }
    };
    // `x=""` has a value, `x=` has none.
    if written.len() == rest.len() {
        return Err("a value is missing, or needs quotes");
    }
    match skip_ows(rest) {
        tail @ ([] | [b';', ..]) => Ok((name, value, tail)),
        _ => Err("a value is followed by something other than a semicolon"),
    }
}

/// The rest of a quoted-string (RFC 9110, section 5.6.4) whose opening quote has been read.
fn quoted(text: &[u8]) -> Result<(Cow<'_, [u8]>, &[u8]), &'static str> {
    let legal = |byte: u8| byte == b'\t' || !byte.is_ascii_control();
    let (plain, mut rest) = split_while(text, |byte| legal(byte) && byte != b'"' && byte != b'\\');
    let mut value = Cow::Borrowed(plain);
    loop {
        let (byte, tail) = match rest {
            [b'"', tail @ ..] => return Ok((value, tail)),
            [] | [b'\\'] => return Err("a quoted value has no closing quote"),
            [b'\\', byte, tail @ ..] | [byte, tail @ ..] => (*byte, tail),
        };
        if !legal(byte) {
            return Err("a quoted value holds a control character");
        }
        value.to_mut().push(byte);
        rest = tail;
    }
}

fn split_while(text: &[u8], belongs: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let end = text.iter().position(|&byte| !belongs(byte));
    text.split_at(end.unwrap_or(text.len()))
}

/// RFC 9110, section 5.6.2.
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Optional white space (RFC 9110, section 5.6.3).
fn is_ows(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

fn skip_ows(text: &[u8]) -> &[u8] {
    split_while(text, is_ows).1
}

fn skip_ows_back(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|&byte| !is_ows(byte));
    &text[..end.map_or(0, |last| last + 1)]
}
