//! The `style` of an element.

/// The recommended style properties (XEP-0071, section 7.6.1).
#[rustfmt::skip]
const PROPERTIES: [&str; 10] = [
    "background-color", "color", "font-family", "font-size", "font-style", "font-weight",
    "margin-left", "margin-right", "text-align", "text-decoration",
];

/// The allowed declarations, each as `name: value`, joined by `; `.
pub fn reduce_style(style: &str) -> String {
    let declarations = style.split(';').filter_map(|declaration| {
        let (name, value) = declaration.split_once(':')?;
        let name = PROPERTIES
            .iter()
            .find(|known| known.eq_ignore_ascii_case(name.trim()))?;
        let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
        is_style_value(name, &value).then(|| format!("{name}: {value}"))
    });
    declarations.collect::<Vec<_>>().join("; ")
}

/// Allows words, numbers and colours, and quotes around the name of a font. Functions, escapes, comments and addresses
/// need characters that are not allowed.
fn is_style_value(property: &str, value: &str) -> bool {
    let plain = |char: char| char.is_alphanumeric() || " #%,.+-_".contains(char);
    let lower = value.to_ascii_lowercase();
    if value.is_empty() || lower.contains("javascript") || lower.contains("expression") {
        return false;
    }
    match property {
        // A name in quotes may not have other quotes inside, so that no quote is left open.
        "font-family" => value.split(',').all(|font| {
            let font = font.trim();
            let inner = ['\'', '"']
                .iter()
                .find_map(|quote| font.strip_prefix(*quote)?.strip_suffix(*quote));
            inner.unwrap_or(font).chars().all(plain)
        }),
        "color" | "background-color" => match lower.split_once('(') {
            Some((function, arguments)) => {
                let arguments = arguments.strip_suffix(')').unwrap_or("(");
                matches!(function, "rgb" | "rgba" | "hsl" | "hsla")
                    && arguments
                        .chars()
                        .all(|char| char.is_ascii_digit() || " %,.-".contains(char))
            }
            None => value.chars().all(plain),
        },
        // A negative margin would move the text over other messages.
        "margin-left" | "margin-right" => !value.contains('-') && value.chars().all(plain),
        _ => value.chars().all(plain),
    }
}
