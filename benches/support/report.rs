//! How benches speak: percentiles, rounded figures, one JSON object as the last line, progress on
//! standard error, and lengths from the environment.

use std::time::Duration;

use serde_json::{Value, json};

/// The smallest value of `sorted` that at least the share `quantile` of all does not exceed.
pub fn percentile(sorted: &[f64], quantile: f64) -> f64 {
    let rank = (quantile * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied().unwrap_or(f64::NAN)
}

/// The mean, NaN of nothing.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// With so many digits behind the point; null where there is no number.
pub fn rounded(value: f64, digits: i32) -> Value {
    let scale = 10_f64.powi(digits);
    let value = (value * scale).round() / scale;
    if value.is_finite() { json!(value) } else { Value::Null }
}

/// Prints the one line that a bench is judged by: the bench's name, then `figures`, an object.
pub fn print(bench: &str, figures: &Value) {
    let text = figures.to_string();
    let inside = text.strip_prefix('{').unwrap_or(&text);
    println!("{{\"bench\":\"{bench}\",{inside}");
}

/// One line for whoever waits.
pub fn progress(text: impl std::fmt::Display) {
    eprintln!("{text}");
}

/// A length in seconds from the environment, or the usual one.
pub fn seconds(variable: &str, usual: u64) -> Duration {
    let given = std::env::var(variable).ok().and_then(|text| text.parse().ok());
    Duration::from_secs(given.unwrap_or(usual))
}
