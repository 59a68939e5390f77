//! Text in which Slack sees no link, no mention and no channel, and which is no longer than Slack
//! takes it.

/// `text` with Slack's control characters escaped, at most `limit` characters: never cut within an
/// escape, and with an ellipsis where it was cut.
pub(super) fn escape(text: &str, limit: usize) -> String {
    let mut safe = String::with_capacity(text.len());
    let (mut length, mut fits) = (0, (0, 0));
    for c in text.chars() {
        let escaped = match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            _ => "",
        };
        length += escaped.len().max(1);
        if length > limit {
            safe.truncate(fits.0);
            safe.push('…');
            return safe;
        }
        if escaped.is_empty() {
            safe.push(c);
        } else {
            safe.push_str(escaped);
        }
        if length < limit {
            fits = (safe.len(), length);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_no_escape_is_cut() {
        assert_eq!(escape("<@U1> & co", 100), "&lt;@U1&gt; &amp; co");
        assert_eq!(escape("abc", 3), "abc");
        assert_eq!(escape("abcd", 3), "ab…");
        assert_eq!(escape("ab&", 6), "ab…");
        assert_eq!(escape("ab&", 7), "ab&amp;");
        assert_eq!(escape("éééé", 3), "éé…");
        for limit in 1..60 {
            let cut = escape(&"a<&>".repeat(9), limit);
            assert!(cut.chars().count() <= limit, "{limit}: {cut}");
            assert!(!cut.contains("&…") && !cut.contains("am…") && !cut.contains("l…"), "{cut}");
        }
    }
}
