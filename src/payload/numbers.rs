//! The numbers of a JSON text: serde_json keeps the text of whole numbers only, and reads none beyond a double.

use std::ops::Range;

/// The places of the numbers in a text, as [`without_numbers`] finds them.
pub struct Numbers<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Numbers<'a> {
    /// All numbers of a text.
    pub fn of(text: &'a str) -> Numbers<'a> {
        Numbers { text, at: 0 }
    }
}

impl Iterator for Numbers<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let bytes = self.text.as_bytes();
        let (mut in_string, mut escaped) = (false, false);
        while let Some(&byte) = bytes.get(self.at) {
            if in_string {
                in_string = escaped || byte != b'"';
                escaped = !escaped && byte == b'\\';
            } else if byte.is_ascii_digit() {
                let digits = self.at;
                let rest = bytes[digits..].iter();
                self.at += rest.take_while(|byte| belongs_to_number(**byte)).count();
                let has_minus = digits > 0 && bytes[digits - 1] == b'-';
                return Some(digits - usize::from(has_minus)..self.at);
            } else {
                in_string = byte == b'"';
            }
            self.at += 1;
        }
        None
    }
}

fn belongs_to_number(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-')
}

/// Whether a text is a number (RFC 8259, section 6).
pub fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let exponent = exponent.map(|text| text.strip_prefix(['+', '-']).unwrap_or(text));
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(digits)
}

/// The same text with a 0 for each number. Everything else keeps its place.
pub fn without_numbers(text: &str) -> String {
    let (mut in_string, mut escaped, mut in_number) = (false, false, false);
    text.chars()
        .map(|c| {
            if in_string {
                in_string = escaped || c != '"';
                escaped = !escaped && c == '\\';
                return c;
            }
            let was_in_number = in_number;
            in_number =
                c.is_ascii_digit() || was_in_number && u8::try_from(c).is_ok_and(belongs_to_number);
            in_string = c == '"';
            match (in_number, was_in_number) {
                (true, false) => '0',
                (true, true) => ' ',
                (false, _) => c,
            }
        })
        .collect()
}
