//! `kiln components`: the catalog as a document, in Markdown. The page `docs/reference/components.md` is what it prints.

use std::fmt::Write as _;

use kiln_agent::catalog::Factories;
use kiln_lang::diagnostic::nearest;
use kiln_plan::component::ComponentKind;
use kiln_plan::schema::{OptionType, Rule};
use kiln_plan::{Catalog, ComponentSchema, OptionSchema};

use crate::arguments::components::ComponentsArguments;
use crate::exit_code::Ended;
use crate::render::Screen;

const KINDS: [(ComponentKind, &str); 4] = [
    (ComponentKind::Builder, "Builders"),
    (ComponentKind::Provisioner, "Provisioners"),
    (ComponentKind::PostProcessor, "Post-processors"),
    (ComponentKind::DataSource, "Data sources"),
];

/// Prints what the components of this machine take.
pub(crate) fn run(arguments: &ComponentsArguments, screen: &Screen) -> Ended {
    let catalog = Factories::builtin().catalog();
    let unknown = |name: &&String| !catalog.components.iter().any(|c| c.name == **name);
    if let Some(name) = arguments.names.iter().find(unknown) {
        let similar = nearest(name, catalog.components.iter().map(|c| &*c.name));
        let hint = similar.map(|similar| format!("; did you mean {similar:?}?")).unwrap_or_default();
        screen.error(&format!("there is no component named {name:?}{hint}"));
        return Ended::Failed;
    }
    screen.raw(&page(&catalog, &arguments.names));
    Ended::Well
}

/// All components, or those of `names`.
fn page(catalog: &Catalog, names: &[String]) -> String {
    let mut out = String::from(
        "# Components\n\nWhat `kiln components` prints: every option that `kiln validate` knows.\n",
    );
    for (kind, title) in KINDS {
        let wanted = |c: &&ComponentSchema| {
            c.kind == kind && (names.is_empty() || names.iter().any(|name| *name == c.name))
        };
        let components: Vec<&ComponentSchema> = catalog.components.iter().filter(wanted).collect();
        if !components.is_empty() {
            let _ = write!(out, "\n## {title}\n");
        }
        components.into_iter().for_each(|component| section(component, &mut out));
    }
    out
}

fn section(component: &ComponentSchema, out: &mut String) {
    let _ = write!(out, "\n### {}\n", component.name);
    if component.options.is_empty() {
        out.push_str("\nTakes no options.\n");
    } else {
        out.push_str("\n| option | takes | default | |\n|---|---|---|---|\n");
        rows("", &component.options, out);
    }
    for rule in &component.rules {
        let how = match rule {
            Rule::AtMostOne(_) => "At most one of these may be given",
            Rule::AtLeastOne(_) => "At least one of these must be given",
        };
        let _ = write!(out, "\n{how}: {}.\n", list(rule.options().iter().map(|name| &**name)));
    }
    if !component.generated.is_empty() {
        let told = list(component.generated.iter().map(|name| &**name));
        let _ = write!(out, "\nTells later components, besides the usual values: {told}.\n");
    }
    if let Some(answer) = &component.answer {
        let _ = write!(out, "\nAnswers with `{answer}`.\n");
    }
}

fn rows(within: &str, options: &[OptionSchema], out: &mut String) {
    for option in options {
        let name = format!("{within}{}", option.name);
        let needed = if option.required { "required" } else { &*option.default };
        let instead = option.deprecated.as_ref().map(|instead| format!("Out of date: {instead}. "));
        let values = match option.values.is_empty() {
            true => String::new(),
            false => format!(" One of {}.", list(option.values.iter().map(|value| &**value))),
        };
        let text = cell(&format!("{}{}{values}", instead.unwrap_or_default(), sentence(&option.help)));
        let _ = writeln!(out, "| `{name}` | {} | {} | {text} |", takes(&option.ty), cell(needed));
        if let OptionType::Block(inner) | OptionType::Blocks(inner) = &option.ty {
            rows(&format!("{name}."), inner, out);
        }
    }
}

fn takes(ty: &OptionType) -> &'static str {
    match ty {
        OptionType::String => "text",
        OptionType::Integer => "whole number",
        OptionType::Bool => "boolean",
        OptionType::Trilean => "boolean, or unset",
        OptionType::Duration => "duration",
        OptionType::Strings => "list of texts",
        OptionType::Integers => "list of whole numbers",
        OptionType::StringLists => "list of lists of texts",
        OptionType::StringMap => "map of texts",
        OptionType::Block(_) => "block",
        OptionType::Blocks(_) => "blocks",
        OptionType::Any => "anything",
    }
}

/// Helps are written as sentences or as parts of one.
fn sentence(help: &str) -> String {
    let mut letters = help.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    let end = if help.is_empty() || help.ends_with(['.', '?', '!']) { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

fn list<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Text that doesn't end its cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
