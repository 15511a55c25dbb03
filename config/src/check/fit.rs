//! Whether a value fits an option: strictly as HCL2 converts, or weakly as legacy JSON decodes.

use std::collections::BTreeMap;

use kiln_lang::convert::convert;
use kiln_lang::decode::{Trilean, decode};
use kiln_lang::duration::SignedDuration;
use kiln_lang::go_template::Renderer;
use kiln_lang::{Type, Value};
use kiln_plan::schema::OptionType;

/// Renders texts of a legacy template as far as that can be done before the run.
#[derive(Debug)]
pub(crate) struct Texts {
    renderer: Renderer,
}

impl Texts {
    /// Texts of one build.
    pub(crate) fn new(renderer: Renderer) -> Self {
        Self { renderer }
    }

    /// A value whose texts are rendered; `None` when one of them has to wait.
    pub(super) fn render(&self, value: &Value) -> Option<Value> {
        self.renderer.render_tree(value, &|_| false).ok()
    }
}

/// Whether an HCL2 value converts to what an option takes. The converted value when it can be judged
/// further; nothing when its texts hold actions for the run.
///
/// # Errors
/// What is required instead.
pub(super) fn strictly(value: &Value, ty: &OptionType) -> Result<Option<Value>, String> {
    let converted = convert(value, &hcl_type(ty)).map_err(|error| error.to_string())?;
    if !converted.is_wholly_known() || converted.is_null() || has_actions(&converted) {
        return Ok(None);
    }
    decodes(&converted, ty)?;
    Ok(Some(converted))
}

/// Whether a JSON value decodes to what an option takes.
///
/// # Errors
/// What is required instead.
pub(super) fn weakly(value: &Value, ty: &OptionType, texts: &Texts) -> Result<Option<Value>, String> {
    if value.is_null() {
        return Ok(None);
    }
    match has_actions(value) {
        // What a component renders with data of its own can't be judged before the run.
        true => match texts.render(value) {
            Some(rendered) if !has_no_value(&rendered) => {
                decodes(&rendered, ty)?;
                Ok(Some(rendered))
            }
            _ => Ok(None),
        },
        false => {
            decodes(value, ty)?;
            Ok(Some(value.clone()))
        }
    }
}

fn hcl_type(ty: &OptionType) -> Type {
    match ty {
        OptionType::String | OptionType::Duration => Type::String,
        OptionType::Integer => Type::Number,
        OptionType::Bool | OptionType::Trilean => Type::Bool,
        OptionType::Strings => Type::list(Type::String),
        OptionType::Integers => Type::list(Type::Number),
        OptionType::StringLists => Type::list(Type::list(Type::String)),
        OptionType::StringMap => Type::map(Type::String),
        OptionType::Block(_) | OptionType::Blocks(_) | OptionType::Any => Type::Any,
    }
}

fn decodes(value: &Value, ty: &OptionType) -> Result<(), String> {
    let decoded = match ty {
        OptionType::String => decode::<String>(value).map(drop),
        OptionType::Integer => decode::<i64>(value).map(drop),
        OptionType::Bool => decode::<bool>(value).map(drop),
        OptionType::Trilean => decode::<Trilean>(value).map(drop),
        OptionType::Duration => decode::<SignedDuration>(value).map(drop),
        OptionType::Strings => decode::<Vec<String>>(value).map(drop),
        OptionType::Integers => decode::<Vec<i64>>(value).map(drop),
        OptionType::StringLists => decode::<Vec<Vec<String>>>(value).map(drop),
        OptionType::StringMap => decode::<BTreeMap<String, String>>(value).map(drop),
        OptionType::Block(_) | OptionType::Blocks(_) | OptionType::Any => Ok(()),
    };
    decoded.map_err(|error| error.to_string())
}

/// Whether a text somewhere inside holds Go-template actions.
fn has_actions(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.contains("{{")) || value.children().any(has_actions)
}

/// Whether a text shows that data was missing when it was rendered.
fn has_no_value(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.contains("<no value>")) || value.children().any(has_no_value)
}
