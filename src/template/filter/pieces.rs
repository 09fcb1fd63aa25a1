//! Long Markdown → pieces that are parsed one by one.

/// The maximum number of bytes of a piece, and of the beginning that continues the previous piece. The parser takes up to 160 bytes
/// of memory for a byte of Markdown.
const LONGEST: usize = 8 * 1024;
/// The deepest quotations and lists; deeper ones are read with this depth. The parser checks each open one in each
/// line.
const DEEPEST: usize = 8;

/// The pieces of Markdown. A long text is cut at an empty line if possible. Code and comments continue in the next
/// piece.
pub fn pieces(markdown: &str) -> impl Iterator<Item = String> + '_ {
    let mut rest = markdown;
    let mut fence: Option<&str> = None;
    let mut is_comment = false;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut piece = String::new();
        if is_comment {
            piece.push_str("<!-- ");
        } else if let Some(fence) = fence {
            piece.push_str(fence);
            piece.push('\n');
        }
        let is_last = rest.len() <= LONGEST;
        while !rest.is_empty() {
            let line = &rest[..rest.find('\n').map_or(rest.len(), |at| at + 1)];
            let line = super::beginning(line, LONGEST);
            let is_boundary = line.trim().is_empty() && fence.is_none();
            if piece.len() + line.len() > LONGEST + 100
                || is_boundary && !is_last && piece.len() > LONGEST / 2
            {
                break;
            }
            rest = &rest[line.len()..];
            match (fence, fence_of(line)) {
                (None, Some(opened)) => fence = Some(opened),
                (Some(opened), Some(closing))
                    if closing.starts_with(opened) && line.trim() == closing =>
                {
                    fence = None
                }
                _ => (),
            }
            match fence {
                None => push_flat(line, &mut piece),
                Some(_) => piece.push_str(line),
            }
        }
        is_comment = match (piece.rfind("<!--"), piece.rfind("-->")) {
            (None, _) => false,
            (start, end) => start > end && rest.contains("-->"),
        };
        if is_comment {
            piece.push_str("-->");
        }
        Some(piece)
    })
}

/// The fence (backticks or tildes) at the beginning of a line.
fn fence_of(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let mark = line.chars().next().filter(|c| ['`', '~'].contains(c))?;
    let tail = line.trim_start_matches(mark);
    let fence = &line[..line.len() - tail.len()];
    let is_fence = (3..=50).contains(&fence.len()) && !(mark == '`' && tail.contains('`'));
    is_fence.then_some(fence)
}

/// Appends a line without the quotations and list items that are nested too deeply.
fn push_flat(line: &str, piece: &mut String) {
    let mut inner = line;
    let mut markers = "";
    for depth in 0.. {
        if depth == DEEPEST {
            markers = &line[..line.len() - inner.len()];
        }
        match after_marker(inner) {
            Some(tail) => inner = tail,
            None if depth > DEEPEST => {
                piece.push_str(markers);
                piece.push(' ');
                piece.push_str(inner);
                return;
            }
            None => break,
        }
    }
    piece.push_str(line);
}

/// The text after the marker of a quotation or of a list item.
fn after_marker(line: &str) -> Option<&str> {
    let line = line.trim_start_matches([' ', '\t']);
    if let Some(tail) = line.strip_prefix('>') {
        return Some(tail);
    }
    let number = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let tail = match line.len() - number.len() {
        0 => line.strip_prefix(['-', '+', '*'])?,
        1..=9 => number.strip_prefix(['.', ')'])?,
        _ => return None,
    };
    tail.starts_with([' ', '\t']).then_some(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_text_is_one_piece() {
        for text in ["a", "- a\n\n> b\n\n```\n> c\n```\n", "1. a\n   - b\n"] {
            assert_eq!(pieces(text).collect::<Vec<_>>(), [text]);
        }
        assert_eq!(pieces("").count(), 0);
    }

    #[test]
    fn deep_nesting_is_flattened() {
        let text = format!(
            "{}a\n{}b\n{}\n",
            "> ".repeat(20),
            "1. - ".repeat(9),
            "> ".repeat(8)
        );
        let flat = format!(
            "{} a\n{} b\n{}\n",
            "> ".repeat(8).trim(),
            "1. - ".repeat(4).trim(),
            "> ".repeat(8)
        );
        let read: String = pieces(&text).collect();
        let squeezed = |text: &str| text.replace("  ", " ");
        assert_eq!(squeezed(&read), squeezed(&flat));
        let code = format!("```\n{}\n```\n", "> ".repeat(20));
        assert_eq!(pieces(&code).collect::<String>(), code);
    }

    #[test]
    fn a_long_text_is_cut_at_empty_lines_and_code_and_comments_continue() {
        let paragraph = "word ".repeat(100);
        let long = format!("{paragraph}\n\n").repeat(100);
        let cut: Vec<_> = pieces(&long).collect();
        assert!(cut.len() > 5 && cut.iter().all(|piece| piece.len() <= LONGEST + 200));
        assert!(
            cut.iter().all(|piece| piece.trim().starts_with("word word")
                && piece.trim().ends_with("word word"))
        );
        assert_eq!(cut.concat().trim(), long.trim());
        for (open, line, close) in [("```", "code\n", "```\n"), ("<!--", "hidden\n\n", "-->\n")] {
            let long = format!("{open}\n{}{close}end\n", line.repeat(5000));
            let cut: Vec<_> = pieces(&long).collect();
            assert!(cut.len() > 2 && cut.iter().all(|piece| piece.starts_with(open)));
            assert!(cut.last().is_some_and(|piece| piece.ends_with("end\n")));
        }
        let line = "é".repeat(20_000);
        assert_eq!(pieces(&line).collect::<String>(), line);
    }
}
