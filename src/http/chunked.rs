//! The chunked transfer coding (RFC 9112, section 7.1), decoded as it arrives.

/// The bytes around the chunks may be so many for each byte of the body, and so many in addition. A chunk of one byte has five.
const FRAMING_PER_BYTE: u64 = 8;
const FRAMING_IN_ADDITION: u64 = 16 * 1024;

/// A body that arrives in chunks. Extensions and trailers are dropped.
#[derive(Debug)]
pub struct ChunkedBody {
    body: Vec<u8>,
    /// The maximum length of the body, in bytes.
    limit: usize,
    expected: Expected,
    /// The bytes that were read.
    position: u64,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// The size of a chunk: its value and the number of its digits so far.
    Size {
        size: u64,
        digits: u32,
    },
    /// White space after the size.
    Blank {
        size: u64,
    },
    /// The rest of the line with the size. It is dropped.
    Extension {
        size: u64,
    },
    /// The LF of this line.
    SizeEnd {
        size: u64,
    },
    /// So many bytes of a chunk.
    Data {
        left: usize,
    },
    /// The CR, then the LF behind a chunk.
    DataCr,
    DataLf,
    /// The trailers: a line of so many bytes, or the LF behind it.
    Trailer {
        len: u64,
    },
    TrailerEnd {
        len: u64,
    },
    /// Nothing: the body is complete.
    Nothing,
}

/// What the bytes so far have made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// More bytes are needed.
    More,
    /// The body is complete. It has used so many of the bytes.
    Complete(usize),
    /// The body is longer than the limit.
    TooLarge,
}

/// The bytes are no chunks: the offset of the first wrong byte in the body as it was sent, and what should be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the chunks of the body are malformed at byte {offset}: {expected}")]
pub struct Malformed {
    pub offset: u64,
    expected: &'static str,
}

impl ChunkedBody {
    /// An empty body, of at most `limit` bytes.
    pub fn new(limit: usize) -> ChunkedBody {
        ChunkedBody {
            body: Vec::new(),
            limit,
            expected: Expected::Size { size: 0, digits: 0 },
            position: 0,
        }
    }

    /// Reads the next bytes.
    ///
    /// # Errors
    /// For bytes that RFC 9112 does not allow, sizes of more than 16 digits, and extensions or trailers that are much longer than
    /// the body.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Progress, Malformed> {
        let mut rest = bytes;
        while let Some((&byte, behind)) = rest.split_first() {
            if let Expected::Data { left } = &mut self.expected {
                let (data, behind) = rest.split_at(rest.len().min(*left));
                *left -= data.len();
                if *left == 0 {
                    self.expected = Expected::DataCr;
                }
                self.body.extend_from_slice(data);
                self.position += data.len() as u64;
                rest = behind;
                continue;
            }
            self.expected = self.after(byte)?;
            self.position += 1;
            rest = behind;
            match self.expected {
                Expected::Nothing => return Ok(Progress::Complete(bytes.len() - rest.len())),
                Expected::Data { left } if left > self.limit - self.body.len() => {
                    return Ok(Progress::TooLarge);
                }
                _ => {}
            }
        }
        Ok(Progress::More)
    }

    /// What comes after a byte of the framing.
    fn after(&self, byte: u8) -> Result<Expected, Malformed> {
        let body = self.body.len() as u64;
        if self.position - body > FRAMING_PER_BYTE * body + FRAMING_IN_ADDITION {
            return Err(self.malformed("extensions and trailers are much longer than the body"));
        }
        let is_text = |byte: u8| byte == b'\t' || !byte.is_ascii_control();
        Ok(match (self.expected, byte) {
            (Expected::Size { size, digits: 1.. }, b'\r') => Expected::SizeEnd { size },
            (Expected::Size { size, digits: 1.. } | Expected::Blank { size }, b';') => {
                Expected::Extension { size }
            }
            (Expected::Size { size, digits: 1.. } | Expected::Blank { size }, b' ' | b'\t') => {
                Expected::Blank { size }
            }
            (Expected::Blank { size }, b'\r') => Expected::SizeEnd { size },
            (Expected::Size { size, digits }, byte) => {
                let digit = char::from(byte).to_digit(16);
                let digit = digit.filter(|_| digits < 16).ok_or_else(|| {
                    self.malformed("the size of a chunk must be a hexadecimal number")
                })?;
                Expected::Size {
                    size: (size << 4) | u64::from(digit),
                    digits: digits + 1,
                }
            }
            (Expected::Extension { size }, b'\r') => Expected::SizeEnd { size },
            (Expected::Extension { size }, byte) if is_text(byte) => Expected::Extension { size },
            (Expected::SizeEnd { size: 0 }, b'\n') => Expected::Trailer { len: 0 },
            (Expected::SizeEnd { size }, b'\n') => Expected::Data {
                left: usize::try_from(size).unwrap_or(usize::MAX),
            },
            (Expected::DataCr, b'\r') => Expected::DataLf,
            (Expected::DataLf, b'\n') => Expected::Size { size: 0, digits: 0 },
            (Expected::Trailer { len }, b'\r') => Expected::TrailerEnd { len },
            (Expected::Trailer { len }, byte) if is_text(byte) => {
                Expected::Trailer { len: len + 1 }
            }
            (Expected::TrailerEnd { len: 0 }, b'\n') => Expected::Nothing,
            (Expected::TrailerEnd { .. }, b'\n') => Expected::Trailer { len: 0 },
            (Expected::DataCr | Expected::DataLf, _) => {
                return Err(
                    self.malformed("CR LF must follow a chunk of the length that its size says")
                );
            }
            _ => return Err(self.malformed("CR LF must end a line")),
        })
    }

    fn malformed(&self, expected: &'static str) -> Malformed {
        Malformed {
            offset: self.position,
            expected,
        }
    }

    /// The body so far.
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads all pieces. Returns the progress of the last piece that was read, the body, and the bytes behind it.
    fn read(pieces: &[&[u8]], limit: usize) -> Result<(Progress, Vec<u8>, usize), Malformed> {
        let mut chunked = ChunkedBody::new(limit);
        let mut unread: usize = pieces.iter().map(|piece| piece.len()).sum();
        for piece in pieces {
            let progress = chunked.read(piece)?;
            if let Progress::Complete(len) = progress {
                return Ok((progress, chunked.body, unread - len));
            }
            unread -= piece.len();
            if progress == Progress::TooLarge {
                return Ok((progress, chunked.body, unread));
            }
        }
        Ok((Progress::More, chunked.body, unread))
    }

    #[track_caller]
    fn body(chunks: &str, expected: &str) {
        let (progress, body, unread) = read(&[chunks.as_bytes()], 100).unwrap();
        assert!(matches!(progress, Progress::Complete(_)), "{chunks:?}");
        assert_eq!(
            (body.as_slice(), unread),
            (expected.as_bytes(), 0),
            "{chunks:?}"
        );
    }

    #[test]
    fn chunks_become_a_body() {
        body("5\r\nhello\r\n0\r\n\r\n", "hello");
        body("3\r\nhel\r\n2;x=\"y;z\"\r\nlo\r\n0\r\n\r\n", "hello");
        body(
            "00A \t;x\r\n0123456789\r\n0000;last\r\nTrailer: x\r\nB:\r\n\r\n",
            "0123456789",
        );
        body("2\r\n\r\n\r\n0\r\n\r\n", "\r\n");
        body("0\r\n\r\n", "");
    }

    #[test]
    fn malformed_chunks_are_refused_at_their_offset() {
        for (chunks, offset) in [
            ("hello\r\n", 0),
            ("\r\n", 0),
            ("-1\r\n", 0),
            ("+1\r\n", 0),
            ("5 5\r\nhello", 2),
            ("5;x\nhello", 3),
            ("5\nhello\n0\n\n", 1),
            ("5\r5hello", 2),
            ("5\r\nhello0\r\n\r\n", 8),
            ("5\r\nhello\r0\r\n\r\n", 9),
            ("5\r\nhell\r\n0\r\n\r\n", 8),
            ("5;\u{1}\r\nhello", 2),
            ("00000000000000000\r\n", 16),
            ("0\r\nx\n\r\n", 4),
            ("0\r\nx\r\r\n", 5),
        ] {
            let malformed = read(&[chunks.as_bytes()], 100).unwrap_err();
            assert_eq!(malformed.offset, offset, "{chunks:?}: {malformed}");
        }
    }

    #[test]
    fn a_body_over_the_limit_is_noticed_before_it_is_read() {
        let progress = |chunks: &str, limit| read(&[chunks.as_bytes()], limit).unwrap().0;
        assert_eq!(progress("5\r\n", 4), Progress::TooLarge);
        assert_eq!(progress("5\r\nhello\r\n1\r\n", 5), Progress::TooLarge);
        assert_eq!(progress("5\r\nhello\r\n0\r\n", 5), Progress::More);
        assert_eq!(progress("ffffffffffffffff\r\n", 5), Progress::TooLarge);
    }

    #[test]
    fn extensions_and_trailers_are_bounded() {
        let long = "x".repeat(40_000);
        for chunks in [
            format!("1;{long}"),
            format!("0\r\n{long}"),
            "1;\r\n".repeat(9),
        ] {
            assert!(read(&[chunks.as_bytes()], 100).is_err());
        }
        let single = "1\r\nx\r\n".repeat(90_000) + "0\r\n\r\n";
        assert!(matches!(
            read(&[single.as_bytes()], 90_000),
            Ok((Progress::Complete(_), _, 0))
        ));
    }

    proptest! {
        #[test]
        fn chunks_may_be_cut_anywhere(
            chunks in prop::collection::vec(".{1,40}", 0..8),
            cuts: Vec<prop::sample::Index>,
            extension in "(;[a-z=\"]*)?",
            trailers in "(X: [a-z]*\r\n){0,2}",
            behind: Vec<u8>,
        ) {
            let mut sent = Vec::new();
            for chunk in &chunks {
                sent.extend(format!("{:X}{extension}\r\n{chunk}\r\n", chunk.len()).bytes());
            }
            sent.extend(format!("0{extension}\r\n{trailers}\r\n").bytes());
            sent.extend(&behind);
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(sent.len())).collect();
            cuts.extend([0, sent.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &sent[cut[0]..cut[1]]).collect();
            let (progress, body, unread) = read(&pieces, 10_000).unwrap();
            prop_assert!(matches!(progress, Progress::Complete(_)));
            prop_assert_eq!(body, chunks.concat().into_bytes());
            prop_assert_eq!(unread, behind.len());
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>, limit in 0..20usize) {
            let _ = read(&[&bytes], limit);
        }
    }
}
