//! Kubernetes quantities ("12m", "1.5Gi", "1e3", "123456789n") as integers. Owns the arithmetic,
//! rounds up as Kubernetes does, and never fails louder than with `None`.

/// A quantity in thousandths (of a core), rounded up.
pub fn milli(text: &str) -> Option<u64> {
    rounded_up(text, 1_000_000)
}

/// A quantity in whole units (bytes), rounded up.
pub fn units(text: &str) -> Option<u64> {
    rounded_up(text, 1_000_000_000)
}

fn rounded_up(text: &str, nanos_per_unit: u128) -> Option<u64> {
    u64::try_from(nanos(text)?.div_ceil(nanos_per_unit)).ok()
}

/// The quantity in billionths; `None` where it is not a quantity, is negative or is beyond what
/// any machine has.
fn nanos(text: &str) -> Option<u128> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let mantissa: u128 = format!("{whole}{fraction}").parse().ok()?;
    let (binary, decimal) = multiplier(suffix)?;
    let scaled = mantissa.checked_mul(binary)?;
    let exponent = decimal.checked_add(9)?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    match u32::try_from(exponent) {
        Ok(up) => scaled.checked_mul(10_u128.checked_pow(up)?),
        Err(_) => Some(match 10_u128.checked_pow(exponent.unsigned_abs()) {
            Some(divisor) => scaled.div_ceil(divisor),
            None => u128::from(scaled > 0),
        }),
    }
}

/// What a suffix stands for, as a factor and a power of ten.
fn multiplier(suffix: &str) -> Option<(u128, i32)> {
    let decimal = |power| Some((1, power));
    let binary = |shift: u32| Some((1_u128 << shift, 0));
    match suffix {
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "" => decimal(0),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        _ => decimal(suffix.strip_prefix(['e', 'E'])?.parse().ok()?),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_notation_is_read() {
        for (text, expected) in [
            ("0", 0),
            ("1", 1000),
            ("12m", 12),
            ("123456789n", 124),
            ("250u", 1),
            ("1.5", 1500),
            (".5", 500),
            ("2.", 2000),
            ("+2", 2000),
            ("0.0001", 1),
            ("2k", 2_000_000),
            ("1e3", 1_000_000),
            ("1E-1", 100),
        ] {
            assert_eq!(milli(text), Some(expected), "{text}");
        }
        for (text, expected) in [
            ("128974848", 128_974_848),
            ("129e6", 129_000_000),
            ("129M", 129_000_000),
            ("123Mi", 123 << 20),
            ("1.5Gi", 3 << 29),
            ("1Ki", 1024),
            ("2Ti", 2 << 40),
            ("1Pi", 1 << 50),
            ("1E", 1_000_000_000_000_000_000),
            ("15Ei", 15 << 60),
            ("128974848000m", 128_974_848),
        ] {
            assert_eq!(units(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_quantity_is_nothing() {
        for text in [
            "",
            "-1",
            ".",
            "1.2.3",
            "Gi",
            "1 Gi",
            "1gi",
            "1KiB",
            "e3",
            "1e",
            "0x10",
            "1e99",
            "999Ei",
            "1e-99999999999",
            "NaN",
            "99999999999999999999999999999999999999999",
        ] {
            assert_eq!(units(text), None, "{text}");
        }
        assert_eq!(units("1e-40"), Some(1));
    }

    proptest! {
        #[test]
        fn no_text_can_make_it_panic(text in "\\PC*") {
            let _ = (milli(&text), units(&text));
        }

        #[test]
        fn a_plain_number_is_itself(value in 0_u64..=u64::MAX / 1000) {
            prop_assert_eq!(units(&value.to_string()), Some(value));
            prop_assert_eq!(milli(&format!("{value}m")), Some(value));
        }
    }
}
