//! The keys of the state as keys of a ConfigMap, and back. A ConfigMap takes letters, digits, `-`,
//! `_` and `.`; every other byte becomes `_` with two hex digits, and `/` becomes `.`, so that
//! `recovery/milvus-ha/proxy` reads `recovery.milvus-ha.proxy`.

use std::fmt::Write as _;

/// The longest key that a ConfigMap takes.
pub const LONGEST: usize = 253;

/// The key in the ConfigMap; `None` where there is none for it.
pub fn encode(key: &str) -> Option<String> {
    let mut encoded = String::with_capacity(key.len());
    for (index, byte) in key.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => encoded.push(char::from(byte)),
            // A key of dots alone is none.
            b'/' if index > 0 => encoded.push('.'),
            other => {
                let _infallible = write!(encoded, "_{other:02X}");
            }
        }
    }
    (1..=LONGEST).contains(&encoded.len()).then_some(encoded)
}

/// The key of the state; `None` where falconer would never have written such a key.
pub fn decode(encoded: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'.' => bytes.push(b'/'),
            b'_' => {
                let (digits, after) = rest.split_at_checked(2)?;
                rest = after;
                let digits = std::str::from_utf8(digits).ok()?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
            }
            other => bytes.push(*other),
        }
    }
    let key = String::from_utf8(bytes).ok()?;
    (encode(&key).as_deref() == Some(encoded)).then_some(key)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_read_well_and_those_of_others_are_left_alone() {
        assert_eq!(encode("recovery/milvus-ha/proxy").unwrap(), "recovery.milvus-ha.proxy");
        assert_eq!(encode("a.b_c").unwrap(), "a_2Eb_5Fc");
        assert_eq!(encode("alert/ha/proxy@2026:1").unwrap(), "alert.ha.proxy_402026_3A1");
        assert_eq!((encode(""), encode(&"/".repeat(260))), (None, None));
        for foreign in ["", ".", "..", ".a", "a_", "a_4", "a_zz", "a_2f", "a_41", "a_FF"] {
            assert_eq!(decode(foreign), None, "{foreign}");
        }
    }

    proptest! {
        #[test]
        fn every_key_comes_back_and_is_legal(key in "\\PC{1,60}") {
            if let Some(encoded) = encode(&key) {
                let is_legal = |one: char| one.is_ascii_alphanumeric() || "-_.".contains(one);
                prop_assert!(encoded.chars().all(is_legal) && !encoded.starts_with('.'), "{encoded}");
                prop_assert_eq!(decode(&encoded), Some(key));
            }
        }
    }
}
