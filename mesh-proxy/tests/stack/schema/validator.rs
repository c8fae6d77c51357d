//! As much of JSON Schema as our schema uses. A keyword that is not known here fails
//! the test, so that nothing is passed over in silence.

use regex::Regex;
use serde_json::{Map, Value};

/// Keywords that explain and do not bind.
const SILENT: [&str; 8] = [
    "$schema",
    "$defs",
    "title",
    "description",
    "default",
    "examples",
    "format",
    "$comment",
];

pub(super) struct Validator(Value);

impl Validator {
    pub(super) fn of(schema: &str) -> Self {
        Self(serde_json::from_str(schema).unwrap())
    }

    /// What is wrong with the value; none: nothing.
    pub(super) fn complaint(&self, value: &Value) -> Option<String> {
        self.check(&self.0, value, "").err()
    }

    fn check(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        let Value::Object(schema) = schema else {
            return if *schema == Value::Bool(true) {
                Ok(())
            } else {
                Err(format!("{at}: not allowed"))
            };
        };
        for (keyword, wanted) in schema {
            self.keyword(schema, keyword, wanted, value, at)?;
        }
        Ok(())
    }

    fn keyword(
        &self,
        schema: &Map<String, Value>,
        keyword: &str,
        wanted: &Value,
        value: &Value,
        at: &str,
    ) -> Result<(), String> {
        let number = |holds: fn(f64, f64) -> bool| match (value.as_f64(), wanted.as_f64()) {
            (Some(value), Some(bound)) => holds(value, bound),
            _ => true,
        };
        let fine = match keyword {
            _ if SILENT.contains(&keyword) => true,
            "$ref" => return self.check(self.definition(wanted), value, at),
            "type" => has_type(wanted, value),
            "const" => value == wanted,
            "enum" => wanted.as_array().unwrap().contains(value),
            "minimum" => number(|value, bound| value >= bound),
            "maximum" => number(|value, bound| value <= bound),
            "pattern" => {
                let pattern = Regex::new(wanted.as_str().unwrap()).unwrap();
                value.as_str().is_none_or(|text| pattern.is_match(text))
            }
            "oneOf" => self.fitting(wanted, value, at) == 1,
            "anyOf" => self.fitting(wanted, value, at) > 0,
            "required" => value.as_object().is_none_or(|object| {
                let names = wanted.as_array().unwrap().iter();
                names
                    .map(|name| name.as_str().unwrap())
                    .all(|name| object.contains_key(name))
            }),
            "items" => {
                return value
                    .as_array()
                    .into_iter()
                    .flatten()
                    .try_for_each(|item| self.check(wanted, item, at));
            }
            "properties" => return self.properties(wanted, value, at),
            "additionalProperties" => return self.others(&known(schema), wanted, value, at),
            "unevaluatedProperties" => {
                let branches = schema.get("oneOf").and_then(Value::as_array);
                let branches = branches.into_iter().flatten().filter_map(Value::as_object);
                let all: Vec<&str> = branches.flat_map(known).chain(known(schema)).collect();
                return self.others(&all, wanted, value, at);
            }
            other => panic!("the validator does not know `{other}`"),
        };
        if fine {
            Ok(())
        } else {
            Err(format!("{at}: {value} against {keyword} {wanted}"))
        }
    }

    fn definition(&self, reference: &Value) -> &Value {
        let pointer = reference.as_str().unwrap().trim_start_matches('#');
        self.0.pointer(pointer).unwrap()
    }

    fn fitting(&self, branches: &Value, value: &Value, at: &str) -> usize {
        let branches = branches.as_array().unwrap().iter();
        branches
            .filter(|branch| self.check(branch, value, at).is_ok())
            .count()
    }

    fn properties(&self, wanted: &Value, value: &Value, at: &str) -> Result<(), String> {
        let Value::Object(object) = value else {
            return Ok(());
        };
        object
            .iter()
            .try_for_each(|(name, value)| match wanted.get(name) {
                Some(schema) => self.check(schema, value, &format!("{at}/{name}")),
                None => Ok(()),
            })
    }

    fn others(
        &self,
        known: &[&str],
        wanted: &Value,
        value: &Value,
        at: &str,
    ) -> Result<(), String> {
        let Value::Object(object) = value else {
            return Ok(());
        };
        let others = object
            .iter()
            .filter(|(name, _)| !known.contains(&name.as_str()));
        others
            .into_iter()
            .try_for_each(|(name, value)| self.check(wanted, value, &format!("{at}/{name}")))
    }
}

fn known(schema: &Map<String, Value>) -> Vec<&str> {
    let names = schema.get("properties").and_then(Value::as_object);
    names
        .into_iter()
        .flat_map(|names| names.keys().map(String::as_str))
        .collect()
}

fn has_type(wanted: &Value, value: &Value) -> bool {
    let is = |name: &str| match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        other => panic!("the validator does not know the type `{other}`"),
    };
    match wanted {
        Value::Array(names) => names.iter().any(|name| is(name.as_str().unwrap())),
        name => is(name.as_str().unwrap()),
    }
}
