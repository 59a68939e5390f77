//! Just enough of MIME to read the mails that falconer writes.

/// Decodes base64, skipping whatever does not belong to its alphabet.
pub(in crate::sim) fn base64(encoded: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(encoded.len() * 3 / 4);
    let mut bits = 0_u32;
    let mut count = 0;
    for byte in encoded {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            decoded.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    decoded
}

/// Decodes quoted-printable; `underscore_is_space` as in encoded words.
fn quoted_printable(encoded: &str, underscore_is_space: bool) -> Vec<u8> {
    let bytes = encoded.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'=' => {
                let hex = encoded.get(at + 1..at + 3);
                if let Some(byte) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
                    decoded.push(byte);
                    at += 3;
                    continue;
                }
                // A soft line break.
                at += encoded[at..].find('\n').map_or(1, |end| end + 1);
                continue;
            }
            b'_' if underscore_is_space => decoded.push(b' '),
            byte => decoded.push(byte),
        }
        at += 1;
    }
    decoded
}

/// The first header called `name`, unfolded.
pub(super) fn header(raw: &str, name: &str) -> Option<String> {
    let mut found: Option<String> = None;
    for line in raw.lines().take_while(|line| !line.is_empty()) {
        if line.starts_with([' ', '\t']) {
            if let Some(value) = &mut found {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if found.is_some() {
            break;
        } else if let Some((key, value)) = line.split_once(':')
            && key.eq_ignore_ascii_case(name)
        {
            found = Some(value.trim().to_owned());
        }
    }
    found
}

/// Decodes the encoded words (RFC 2047) of a header, taken to be UTF-8.
pub(super) fn words(header: &str) -> String {
    let mut decoded = Vec::new();
    let mut previous_encoded = false;
    for (index, word) in header.split(' ').enumerate() {
        let bytes = encoded_word(word);
        // The space between two encoded words is not part of the text.
        if index > 0 && !(previous_encoded && bytes.is_some()) {
            decoded.push(b' ');
        }
        previous_encoded = bytes.is_some();
        decoded.extend(bytes.unwrap_or_else(|| word.as_bytes().to_vec()));
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn encoded_word(word: &str) -> Option<Vec<u8>> {
    let inner = word.strip_prefix("=?")?.strip_suffix("?=")?;
    let mut parts = inner.splitn(3, '?').skip(1);
    let encoding = parts.next()?;
    let text = parts.next()?;
    match encoding {
        "b" | "B" => Some(base64(text.as_bytes())),
        "q" | "Q" => Some(quoted_printable(text, true)),
        _ => None,
    }
}

/// The decoded text; of a multipart message its first part.
pub(super) fn text(raw: &str) -> String {
    let body = raw.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let kind = header(raw, "content-type").unwrap_or_default();
    if let Some((_, boundary)) = kind.split_once("boundary=") {
        let boundary = boundary.split(';').next().unwrap_or_default().trim().trim_matches('"');
        let marker = format!("--{boundary}");
        let part = body.split(&marker).nth(1).unwrap_or_default();
        return text(part.trim_start_matches("\r\n"));
    }
    let decoded = match header(raw, "content-transfer-encoding").unwrap_or_default().as_str() {
        "base64" => base64(body.as_bytes()),
        "quoted-printable" => quoted_printable(body, false),
        _ => body.as_bytes().to_vec(),
    };
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_of_encoded_words_is_read_as_one_text() {
        assert_eq!(words("plain subject"), "plain subject");
        assert_eq!(words("=?utf-8?b?w7xiZXI=?= x"), "über x");
        assert_eq!(words("a =?utf-8?q?=C3=BC_?= =?utf-8?q?b?="), "a ü b");
    }

    #[test]
    fn the_text_is_decoded_by_its_transfer_encoding() {
        let plain = "Subject: a\r\n b\r\n\r\nhello\r\n";
        assert_eq!(text(plain), "hello\r\n");
        assert_eq!(header(plain, "SUBJECT").as_deref(), Some("a b"));
        let quoted = "Content-Transfer-Encoding: quoted-printable\r\n\r\n=C3=BCber=\r\n all";
        assert_eq!(text(quoted), "über all");
        let multipart = "Content-Type: multipart/alternative; boundary=\"x\"\r\n\r\n--x\r\n\
            Content-Type: text/plain\r\n\r\none\r\n--x\r\nContent-Type: text/html\r\n\r\ntwo\r\n--x--";
        assert_eq!(text(multipart), "one\r\n");
    }
}
