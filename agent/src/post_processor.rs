//! The post-processors that are part of this program.

use kiln_component::FinishedConfig;
use kiln_lang::{Diagnostic, Diagnostics, Value};

pub mod artifice;
pub mod checksum;
pub mod compress;
pub mod manifest;
pub mod shell_local;
#[cfg(test)]
mod testing;
mod watched;

/// Renders the path of an output with the names that Packer's templates use in it, and `more`.
///
/// # Errors
/// When it is no Go template, or yields nothing.
fn output_path(
    config: &FinishedConfig,
    template: &str,
    more: Option<(&'static str, Value)>,
) -> Result<String, Diagnostics> {
    let names = [
        ("BuildName", Value::from(config.plan.source_name.as_str())),
        ("BuilderType", Value::from(config.plan.builder.name.as_str())),
    ];
    let rendered = config.renderer(names.into_iter().chain(more)).render(template);
    match rendered {
        Ok(rendered) if rendered.text.is_empty() => {
            Err(Diagnostic::error("an empty path", format!("The output {template:?} yields no path.")).into())
        }
        Ok(rendered) => Ok(rendered.text),
        Err(e) => {
            Err(Diagnostic::error("Error interpolating configuration", format!("option output: {e}")).into())
        }
    }
}
