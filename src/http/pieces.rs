//! A long text in pieces, so that each step of building, reading and freeing it is short.

use std::collections::VecDeque;

/// The size of a piece in bytes. A piece is longer if a single appended text is.
pub const PIECE: usize = 32 << 10;

/// A text that grows at both ends and is read piece by piece.
#[derive(Debug, Default)]
pub struct Pieces {
    pieces: VecDeque<String>,
    len: usize,
}

impl Pieces {
    /// Appends a text.
    pub fn push(&mut self, text: &str) {
        self.len += text.len();
        match self.pieces.back_mut() {
            Some(last) if last.len() + text.len() <= PIECE => last.push_str(text),
            _ => {
                let mut piece = String::with_capacity(text.len());
                piece.push_str(text);
                self.pieces.push_back(piece);
            }
        }
    }

    /// Puts a text before the others.
    pub fn push_front(&mut self, text: String) {
        self.len += text.len();
        self.pieces.push_front(text);
    }

    /// Takes the first piece, which is never empty.
    pub fn pop(&mut self) -> Option<String> {
        loop {
            let piece = self.pieces.pop_front()?;
            self.len -= piece.len();
            if !piece.is_empty() {
                return Some(piece);
            }
        }
    }

    /// Bytes that are not read yet.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether one piece can hold all of it.
    pub fn is_short(&self) -> bool {
        self.len <= PIECE
    }

    /// The text that is not read yet.
    pub fn into_text(self) -> String {
        self.pieces.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pieces_make_up_the_whole_text() {
        let mut pieces = Pieces::default();
        let mut expected = String::new();
        for number in 0..20_000 {
            let text = format!("text {number};");
            pieces.push(&text);
            expected.push_str(&text);
        }
        pieces.push(&"x".repeat(3 * PIECE));
        expected.push_str(&"x".repeat(3 * PIECE));
        pieces.push("");
        pieces.push_front("[".to_owned());
        assert_eq!(pieces.len(), expected.len() + 1);
        assert!(!pieces.is_short());
        let mut read = String::new();
        while let Some(piece) = pieces.pop() {
            assert!(!piece.is_empty() && piece.len() <= 3 * PIECE);
            read.push_str(&piece);
            assert_eq!(pieces.len(), expected.len() + 1 - read.len());
        }
        assert_eq!(read[1..], expected);
        assert!(pieces.is_empty());
    }
}
