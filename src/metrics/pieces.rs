//! A page that is written into many small buffers instead of one large one. A page of ten thousand
//! components has 20 MB: in one piece it would have to be found at once, and the allocator would
//! keep such a place for the next one.

use std::io;

use bytes::Bytes;

/// Bytes of one piece; nothing is written across its end.
const PIECE: usize = 64 * 1_024;

/// See the module's description.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    full: Vec<Bytes>,
    present: Vec<u8>,
}

impl Pieces {
    /// Everything that was written.
    pub(super) fn finish(mut self) -> Vec<Bytes> {
        self.turn_over();
        self.full
    }

    fn turn_over(&mut self) {
        if !self.present.is_empty() {
            self.full.push(std::mem::take(&mut self.present).into());
        }
    }
}

impl io::Write for Pieces {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        if self.present.len() + text.len() > PIECE {
            self.turn_over();
        }
        if self.present.capacity() == 0 {
            self.present.reserve_exact(PIECE.max(text.len()));
        }
        self.present.extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn the_pieces_together_are_what_was_written() {
        let mut pieces = Pieces::default();
        let lines: Vec<String> = (0..20_000).map(|number| format!("line {number}\n")).collect();
        for line in &lines {
            pieces.write_all(line.as_bytes()).unwrap();
        }
        let pieces = pieces.finish();
        assert!(pieces.len() > 3 && pieces.iter().all(|piece| piece.len() <= PIECE));
        assert_eq!(pieces.concat(), lines.concat().as_bytes());
    }
}
