//! Takes the chunks of a body out of their framing (RFC 9112, section 7.1), however the bytes are
//! cut up on their way. Keeps nothing but its place.

/// Most bytes of chunk extensions and trailers in one answer; real servers send none.
const EXTRAS_LIMIT: u32 = 16 * 1024;

/// Why the bytes are no chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotChunked(pub(super) &'static str);

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The digits of a chunk's size.
    Size {
        size: u64,
        digits: u8,
    },
    /// Whatever may follow the size on its line.
    Extension {
        size: u64,
    },
    /// The end of the size's line.
    SizeLineFeed {
        size: u64,
    },
    /// The chunk itself; so many bytes are to come.
    Data {
        left: u64,
    },
    /// The end of the line after the chunk.
    DataReturn,
    DataLineFeed,
    /// A line of the trailer; an empty one ends the body.
    Trailer {
        empty: bool,
    },
    /// Past the end.
    Over,
}

/// A chunked body on its way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunked {
    place: Place,
    extras: u32,
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self { place: Place::Size { size: 0, digits: 0 }, extras: 0 }
    }

    /// Takes in `bytes` and hands the data in them to `on_data`, which says whether to go on.
    /// `true` where the body is over, or `on_data` wants no more.
    pub(super) fn feed(
        &mut self,
        mut bytes: &[u8],
        mut on_data: impl FnMut(&[u8]) -> bool,
    ) -> Result<bool, NotChunked> {
        while let Some((&first, rest)) = bytes.split_first() {
            if let Place::Data { left } = self.place {
                let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                if !on_data(&bytes[..here]) {
                    return Ok(true);
                }
                let left = left - here as u64;
                self.place = if left == 0 { Place::DataReturn } else { Place::Data { left } };
                bytes = &bytes[here..];
                continue;
            }
            self.place = self.after(first)?;
            if self.place == Place::Over {
                return Ok(true);
            }
            bytes = rest;
        }
        Ok(false)
    }

    fn after(&mut self, byte: u8) -> Result<Place, NotChunked> {
        match self.place {
            Place::Size { size, digits } => match byte {
                b'\r' if digits > 0 => Ok(Place::SizeLineFeed { size }),
                b';' | b' ' | b'\t' if digits > 0 => Ok(Place::Extension { size }),
                _ => more_size(size, digits, byte),
            },
            Place::Extension { size } => match byte {
                b'\r' => Ok(Place::SizeLineFeed { size }),
                b'\n' => Err(NotChunked("a chunk's line breaks off")),
                _ => self.count_extra(self.place),
            },
            Place::SizeLineFeed { size: 0 } => expect(b'\n', byte, Place::Trailer { empty: true }),
            Place::SizeLineFeed { size } => expect(b'\n', byte, Place::Data { left: size }),
            Place::DataReturn => expect(b'\r', byte, Place::DataLineFeed),
            Place::DataLineFeed => expect(b'\n', byte, Place::Size { size: 0, digits: 0 }),
            Place::Trailer { empty } => match byte {
                b'\n' if empty => Ok(Place::Over),
                b'\n' => Ok(Place::Trailer { empty: true }),
                b'\r' => self.count_extra(self.place),
                _ => self.count_extra(Place::Trailer { empty: false }),
            },
            Place::Data { .. } | Place::Over => Ok(self.place),
        }
    }

    fn count_extra(&mut self, next: Place) -> Result<Place, NotChunked> {
        self.extras += 1;
        if self.extras > EXTRAS_LIMIT {
            return Err(NotChunked("the chunks have too much beside them"));
        }
        Ok(next)
    }
}

fn expect(wanted: u8, byte: u8, next: Place) -> Result<Place, NotChunked> {
    let matches = byte == wanted;
    if matches { Ok(next) } else { Err(NotChunked("a chunk does not end where it should")) }
}

fn more_size(size: u64, digits: u8, byte: u8) -> Result<Place, NotChunked> {
    let Some(digit) = char::from(byte).to_digit(16) else {
        return Err(NotChunked("a chunk's size is not a number"));
    };
    if size >> 60 != 0 || digits == u8::MAX {
        return Err(NotChunked("a chunk's size is too large"));
    }
    Ok(Place::Size { size: size << 4 | u64::from(digit), digits: digits + 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8], cut: usize) -> Result<(Vec<u8>, bool), NotChunked> {
        let mut body = Vec::new();
        let mut chunked = Chunked::new();
        for part in bytes.chunks(cut) {
            let over = chunked.feed(part, |data| {
                body.extend_from_slice(data);
                true
            })?;
            if over {
                return Ok((body, true));
            }
        }
        Ok((body, false))
    }

    #[test]
    fn chunks_are_put_together_wherever_they_are_cut() {
        let whole = b"4\r\nWiki\r\n5;name=value\r\npedia\r\nA \r\n in chunks\r\n0\r\nx: y\r\n\r\n";
        let whole = [&whole[..], b"rest"].concat();
        for cut in 1..whole.len() {
            let decoded = decode(&whole, cut);
            assert_eq!(decoded, Ok((b"Wikipedia in chunks".to_vec(), true)), "cut at {cut}");
        }
    }

    #[test]
    fn a_body_that_breaks_off_is_not_over() {
        for part in ["", "4", "4\r\n", "4\r\nWi", "4\r\nWiki\r\n", "0\r\n", "0\r\nx: y\r\n"] {
            assert!(!decode(part.as_bytes(), 3).expect("so far so good").1, "{part:?}");
        }
    }

    #[test]
    fn what_is_not_chunked_is_refused() {
        for part in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            ";\r\n",
            "4\nWiki",
            "4;a\nWiki",
            "4\r\nWikipedia\r\n",
            "1ffffffffffffffff\r\n",
            "4\r\nWiki\n",
            "4\rx",
        ] {
            for cut in [1, 100] {
                assert!(decode(part.as_bytes(), cut).is_err(), "{part:?}");
            }
        }
    }

    #[test]
    fn endless_extensions_and_trailers_are_refused() {
        let extension = [b"4;".to_vec(), vec![b'x'; 20_000]].concat();
        assert!(decode(&extension, 1_000).is_err());
        let trailer = [b"0\r\n".to_vec(), b"x: y\r\n".repeat(4_000)].concat();
        assert!(decode(&trailer, 1_000).is_err());
        let zeros = vec![b'0'; 1_000];
        assert!(decode(&zeros, 100).is_err());
    }
}
