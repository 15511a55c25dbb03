//! `yamldecode` and `yamlencode`, by the rules of go-cty-yaml: quoted keys and texts on the way out, the core types
//! of YAML on the way in.

use super::argument::{any, bounded, needs_all, string, text};
use super::{Function, FunctionError};
use crate::types::Type;

mod read;
mod scalar;
mod write;

pub(super) fn functions() -> Vec<Function> {
    vec![
        needs_all(Function::new("yamlencode", [any("value").nullable()], Type::String, |args| {
            bounded(write::document(&args[0])?)
        })),
        Function::new("yamldecode", [string("src")], Type::Any, |args| {
            read::document(text(args, 0)?).map_err(|e| FunctionError::argument(0, e))
        }),
    ]
}
