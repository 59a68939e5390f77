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

/// Prints the one line that a bench is judged by: `figures`, an object, under the bench's name.
pub fn print(bench: &str, figures: Value) {
    let mut line = serde_json::Map::new();
    line.insert("bench".to_owned(), json!(bench));
    if let Value::Object(figures) = figures {
        line.extend(figures);
    }
    println!("{}", Value::Object(line));
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
