//! The end of a log as text that can be kept and shown. Pure.

/// The last `limit` bytes of a log, from the beginning of a line where there is one, without control
/// characters.
pub(super) fn end_of(log: &[u8], limit: usize) -> String {
    // What is dropped below costs no room; four bytes are the longest character.
    let tail = &log[log.len().saturating_sub(limit.saturating_mul(4).saturating_add(4))..];
    let text = String::from_utf8_lossy(tail);
    let clean: String = text
        .trim_end()
        .chars()
        .map(|c| if c == '\t' { ' ' } else { c })
        .filter(|c| *c == '\n' || !c.is_control())
        .collect();
    last(&clean, limit).to_owned()
}

/// The last `limit` bytes of `text`, from the beginning of a line where there is one.
pub(super) fn last(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    let cut = &text[text.ceil_char_boundary(text.len() - limit)..];
    // A single endless line is better than nothing.
    cut.split_once('\n').map_or(cut, |(_, whole)| whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log_is_whole_lines_of_harmless_text() {
        let log = b"first line\nsecond\tline \x1b[31mred\x1b[0m\r\n\xff broken\nlast\n\n";
        assert_eq!(end_of(log, 1000), "first line\nsecond line [31mred[0m\n\u{fffd} broken\nlast");
        assert_eq!(end_of(log, 8), "last");
        assert_eq!(end_of("é".repeat(100).as_bytes(), 9), "éééé");
        assert_eq!(end_of(b"", 8), "");
        assert_eq!(end_of(b"abc", 0), "");
    }
}
