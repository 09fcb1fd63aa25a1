//! Writes plain text with the styling of chat clients (XEP-0393) while marked-up text is read.

/// The deepest quotations and lists. Deeper ones are shown with this depth.
const DEEPEST: usize = 8;

/// Takes words, blocks, styles and links in order. Breaks, spaces and marks are written only when text follows them.
pub struct Writer {
    text: String,
    /// The text is cut at so many bytes, and ends with `…`.
    limit: usize,
    is_full: bool,
    /// The number of line ends before the next text.
    breaks: usize,
    space: bool,
    /// The next text begins another cell of a row.
    cell: bool,
    /// The marker of a list item, before its text.
    marker: Option<String>,
    quotes: usize,
    /// The number of quotations around the last text.
    written_quotes: usize,
    /// The next number of each open list, or `None` for a list without numbers.
    lists: Vec<Option<u64>>,
    /// The open styles, each mark once.
    styles: Vec<Style>,
    links: Vec<Link>,
}

struct Style {
    mark: char,
    /// The number of open elements with this mark.
    depth: usize,
    /// The start of the styled text, once its mark is written.
    start: Option<usize>,
    /// A mark inside a word is not a styling.
    is_plain: bool,
}

struct Link {
    url: String,
    start: usize,
    is_image: bool,
}

impl Writer {
    pub fn new(limit: usize) -> Writer {
        Writer {
            text: String::new(),
            limit,
            is_full: false,
            breaks: 0,
            space: false,
            cell: false,
            marker: None,
            quotes: 0,
            written_quotes: 0,
            lists: Vec::new(),
            styles: Vec::new(),
            links: Vec::new(),
        }
    }

    pub fn is_full(&self) -> bool {
        self.is_full
    }

    pub fn finish(mut self) -> String {
        self.end_inline();
        let end = self.text.trim_end().len();
        self.text.truncate(end);
        let start = self.text.len() - self.text.trim_start_matches(['\n', ' ']).len();
        self.text.drain(..start);
        if self.is_full {
            self.text.push('…');
        }
        self.text
    }

    /// Appends text without line ends.
    pub fn write(&mut self, text: &str) {
        let inner = text.trim_matches(' ');
        self.space |= text.starts_with(' ');
        if inner.is_empty() {
            return;
        }
        self.flush();
        self.push(inner);
        self.space = text.ends_with(' ');
    }

    /// Appends text in which each run of white space counts as one space, as in HTML.
    pub fn write_words(&mut self, text: &str) {
        let is_space = |c: char| c.is_ascii_whitespace();
        self.space |= text.starts_with(is_space);
        for word in text.split_ascii_whitespace() {
            self.write(word);
            self.space = true;
        }
        self.space = text.ends_with(is_space) || self.space && text.trim().is_empty();
    }

    /// Appends text with its spaces and line ends.
    pub fn write_lines(&mut self, text: &str) {
        for (at, line) in text.split('\n').enumerate() {
            if at > 0 {
                // At most two empty lines, because each line end may cost a line of prefixes.
                self.breaks = (self.breaks + 1).min(3);
            }
            if !line.is_empty() {
                self.flush();
                self.push(line);
            }
        }
    }

    pub fn code(&mut self, text: &str) {
        match text.contains('`') {
            true => self.write(text),
            false if text.trim().is_empty() => (),
            false => self.write(&format!("`{text}`")),
        }
    }

    /// The first or last line of preformatted text.
    pub fn fence(&mut self) {
        self.line();
        self.write("```");
        self.line();
    }

    pub fn rule(&mut self) {
        self.paragraph();
        self.write("———");
        self.paragraph();
    }

    /// The next text begins a line.
    pub fn line(&mut self) {
        self.breaks = self.breaks.max(1);
    }

    /// The next text begins a line. If the line is empty already, an empty line comes before it.
    pub fn line_break(&mut self) {
        self.breaks = (self.breaks + 1).min(2);
    }

    /// The next text comes after an empty line; in a list, it begins a line.
    pub fn paragraph(&mut self) {
        self.breaks = match self.lists.is_empty() {
            true => self.breaks.max(2),
            false => self.breaks.max(1),
        };
    }

    pub fn row(&mut self) {
        self.line();
        self.cell = false;
    }

    pub fn cell(&mut self) {
        self.end_inline();
        self.cell = self.breaks == 0;
    }

    pub fn start_quote(&mut self) {
        self.paragraph();
        self.quotes += 1;
    }

    pub fn end_quote(&mut self) {
        self.paragraph();
        self.quotes = self.quotes.saturating_sub(1);
    }

    /// `first` is the number of the first item, if the items have numbers.
    pub fn start_list(&mut self, first: Option<u64>) {
        self.line();
        self.lists.push(first);
    }

    pub fn end_list(&mut self) {
        self.marker = None;
        self.lists.pop();
        self.line();
    }

    pub fn item(&mut self) {
        self.line();
        let depth = self.lists.len().clamp(1, DEEPEST);
        let mut marker = "  ".repeat(depth - 1);
        match self.lists.last_mut() {
            Some(Some(number)) => {
                marker += &format!("{number}. ");
                *number = number.saturating_add(1);
            }
            _ => marker += "• ",
        }
        self.marker = Some(marker);
    }

    /// Whether the current list item has no text yet.
    pub fn is_at_marker(&self) -> bool {
        self.marker.is_some()
    }

    pub fn start_style(&mut self, mark: char) {
        if let Some(style) = self.styles.iter_mut().find(|style| style.mark == mark) {
            style.depth += 1;
            return;
        }
        self.styles.push(Style {
            mark,
            depth: 1,
            start: None,
            is_plain: false,
        });
    }

    pub fn end_style(&mut self, mark: char) {
        let Some(at) = self.styles.iter().position(|style| style.mark == mark) else {
            return;
        };
        self.styles[at].depth -= 1;
        if self.styles[at].depth == 0 {
            self.close_style(at);
            self.styles.remove(at);
        }
    }

    /// Ends the styled text of a style. The style may continue in the next line.
    fn close_style(&mut self, at: usize) {
        let Style { mark, start, .. } = self.styles[at];
        self.styles[at].start = None;
        let Some(start) = start else { return };
        let styled = self.text.get(start..).unwrap_or_default();
        // A mark inside the text would end the styling too early. Struck text stays recognisable.
        if styled.is_empty() || mark != '~' && styled.contains(mark) {
            self.text.remove(start - mark.len_utf8());
            let positions = self
                .styles
                .iter_mut()
                .filter_map(|style| style.start.as_mut());
            let positions = positions.chain(self.links.iter_mut().map(|link| &mut link.start));
            for other in positions.filter(|other| **other >= start) {
                *other -= mark.len_utf8();
            }
        } else {
            self.text.push(mark);
        }
    }

    pub fn start_link(&mut self, url: &str, is_image: bool) {
        self.flush();
        self.links.push(Link {
            url: url.to_owned(),
            start: self.text.len(),
            is_image,
        });
    }

    pub fn end_link(&mut self) {
        let Some(link) = self.links.pop() else {
            return;
        };
        let label = self.text.get(link.start..).unwrap_or_default().trim();
        let (_, target) = link.url.split_once(':').unwrap_or_default();
        // For a picture inside a link, the address of the link is more useful than that of the picture.
        let is_inner = link.is_image && !self.links.is_empty();
        if label.is_empty() {
            self.push(&link.url);
        } else if label != link.url && label != target && !target.is_empty() && !is_inner {
            self.push(" (");
            self.push(&link.url);
            self.push(")");
        }
    }

    /// Ends the open styles and links.
    pub fn end_inline(&mut self) {
        while !self.links.is_empty() {
            self.end_link();
        }
        for at in (0..self.styles.len()).rev() {
            self.close_style(at);
        }
        self.styles.clear();
    }

    /// Writes line ends, prefixes and marks before the next text.
    fn flush(&mut self) {
        let (breaks, cell, space) = (self.breaks, self.cell, self.space);
        (self.breaks, self.cell, self.space) = (0, false, false);
        if self.text.is_empty() {
            self.push_prefix(self.quotes);
        } else if breaks > 0 {
            for at in (0..self.styles.len()).rev() {
                self.close_style(at);
            }
            let end = self.text.trim_end_matches(' ').len();
            self.text.truncate(end);
            for link in &mut self.links {
                link.start = link.start.min(end);
            }
            let shared_quotes = self.quotes.min(self.written_quotes);
            for _ in 1..breaks {
                self.push("\n");
                self.push_prefix(shared_quotes);
                let end = self.text.trim_end_matches(' ').len();
                self.text.truncate(end);
            }
            self.push("\n");
            self.push_prefix(self.quotes);
        } else if cell {
            self.push(" | ");
        } else if space && !self.text.ends_with([' ', '\n']) {
            self.push(" ");
        }
        self.written_quotes = self.quotes;
        if let Some(marker) = self.marker.take() {
            self.push(&marker);
        }
        let is_in_word = self.text.ends_with(char::is_alphanumeric);
        for style in self.styles.iter_mut().filter(|style| style.start.is_none()) {
            style.is_plain |= is_in_word && style.mark != '~';
            if !style.is_plain {
                self.text.push(style.mark);
                style.start = Some(self.text.len());
            }
        }
    }

    fn push_prefix(&mut self, quotes: usize) {
        for _ in 0..quotes.min(DEEPEST) {
            self.push("> ");
        }
    }

    fn push(&mut self, text: &str) {
        let mut end = text.len().min(self.limit.saturating_sub(self.text.len()));
        if end < text.len() {
            self.is_full = true;
        }
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.text.push_str(&text[..end]);
    }
}
