//! The JSON Schema of a configuration file, for editors and other checks.

use schemars::{schema_for, transform::RecursiveTransform};

use super::SidecarConfig;

/// The JSON Schema (draft 2020-12) of [`SidecarConfig`], indented, without the last
/// line's end. It accepts what can be read; what `check` adds (that names are known,
/// that times fit together) is beyond a schema.
#[must_use]
pub fn schema() -> String {
    let mut schema = schema_for!(SidecarConfig);
    schemars::transform::transform_subschemas(&mut RecursiveTransform(flow), &mut schema);
    format!("{:#}", schema.to_value())
}

/// Comments in the code are broken into lines; editors break lines themselves.
fn flow(schema: &mut schemars::Schema) {
    if let Some(serde_json::Value::String(text)) = schema.get_mut("description") {
        *text = text.replace('\n', " ");
    }
}
