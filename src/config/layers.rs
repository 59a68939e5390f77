//! Lays one source of values over another: the defaults, the file, the environment, and for a
//! component its own table over the common one. The crate `config` does the laying.

use config::{Config, ConfigError, Map, Source, ValueKind};
use serde::Deserialize;
use serde_json::{Number, Value};

/// The one key under which a layer hangs, so that no key of a user is taken for a path expression.
const ROOT: &str = "settings";

/// One source of values.
#[derive(Debug, Clone)]
struct Layer(Value);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, config::Value>, ConfigError> {
        Ok(Map::from_iter([(ROOT.to_owned(), convert(&self.0))]))
    }
}

fn convert(value: &Value) -> config::Value {
    let kind = match value {
        Value::Null => ValueKind::Nil,
        Value::Bool(flag) => ValueKind::Boolean(*flag),
        Value::Number(number) => convert_number(number),
        Value::String(text) => ValueKind::String(text.clone()),
        Value::Array(elements) => ValueKind::Array(elements.iter().map(convert).collect()),
        Value::Object(table) => ValueKind::Table(
            table.iter().map(|(key, value)| (key.clone(), convert(value))).collect(),
        ),
    };
    config::Value::new(None, kind)
}

fn convert_number(number: &Number) -> ValueKind {
    match (number.as_i64(), number.as_u64(), number.as_f64()) {
        (Some(signed), _, _) => ValueKind::I64(signed),
        (None, Some(unsigned), _) => ValueKind::U64(unsigned),
        (None, None, Some(float)) => ValueKind::Float(float),
        (None, None, None) => ValueKind::Nil,
    }
}

/// The values of all `layers`; a later layer wins, tables are merged key by key, lists are
/// replaced as a whole.
///
/// # Errors
/// Only on a defect of the layering itself.
pub fn merge(layers: &[&Value]) -> Result<Value, ConfigError> {
    #[derive(Deserialize)]
    struct Root {
        settings: Value,
    }
    let builder = layers
        .iter()
        .fold(Config::builder(), |builder, layer| builder.add_source(Layer((*layer).clone())));
    Ok(builder.build()?.try_deserialize::<Root>()?.settings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_later_layer_wins_key_by_key_and_lists_are_replaced() {
        let base = json!({"a": {"x": 1, "y": [1, 2, 3]}, "keep": true, "f": 0.5});
        let over = json!({"a": {"y": [9], "z": "s"}, "u": u64::MAX, "we.ird[-1]": {"K": 1}});
        let merged = merge(&[&base, &over]).unwrap();
        let expected = json!({
            "a": {"x": 1, "y": [9], "z": "s"}, "keep": true, "f": 0.5,
            "u": u64::MAX, "we.ird[-1]": {"K": 1}
        });
        assert_eq!(merged, expected);
    }
}
