//! A template at a glance, in Packer's layout: each section is one message, and in machine-readable output one line.

use kiln_config::Overview;
use kiln_config::overview::{BuildOverview, Hcl2Overview, LegacyOverview};
use kiln_lang::format_value::go_quoted;

use super::Screen;

const NOTE: &str = "\nNote: If your build names contain user variables or template\n\
                    functions such as 'timestamp', these are processed at build time,\n\
                    and therefore only show in their raw form here.";

/// Shows a template.
pub(crate) fn show(screen: &Screen, overview: &Overview) {
    match overview {
        Overview::Hcl2(overview) => {
            screen.say("Packer Inspect: HCL2 mode\n");
            screen.say(&values(overview));
            screen.say(&builds(&overview.builds));
        }
        Overview::Legacy(overview) => show_legacy(screen, overview),
    }
}

fn values(overview: &Hcl2Overview) -> String {
    let lines = |root: &str, values: &[(String, String)]| -> String {
        values.iter().map(|(name, value)| format!("{root}.{name}: {}\n", go_quoted(value))).collect()
    };
    format!(
        "> input-variables:\n\n{}\n> local-variables:\n\n{}",
        lines("var", &overview.variables),
        lines("local", &overview.locals)
    )
}

fn builds(builds: &[BuildOverview]) -> String {
    let mut text = "> builds:\n".to_owned();
    for (index, build) in builds.iter().enumerate() {
        match build.name.as_str() {
            "" => text.push_str(&format!("\n  > <unnamed build {index}>:\n")),
            name => text.push_str(&format!("\n  > {name}:\n")),
        }
        if !build.description.is_empty() {
            text.push_str(&format!("\n  > Description: {}\n", build.description));
        }
        text.push_str("\n    sources:\n");
        text.push_str(&entries(&build.sources, "source", |source| format!("\n      {source}\n")));
        text.push_str("\n    provisioners:\n\n");
        let provisioners = entries(&build.provisioners, "provisioner", |p| format!("      {p}\n"));
        text.push_str(provisioners.trim_start_matches('\n'));
        text.push_str("\n    post-processors:\n");
        let sequences: Vec<String> = build.post_processors.iter().enumerate().map(sequence).collect();
        text.push_str(&entries(&sequences, "post-processor", Clone::clone));
    }
    text
}

fn entries(all: &[String], noun: &str, one: impl Fn(&String) -> String) -> String {
    match all {
        [] => format!("\n      <no {noun}>\n"),
        all => all.iter().map(one).collect(),
    }
}

fn sequence((index, kinds): (usize, &Vec<String>)) -> String {
    let lines: String = kinds.iter().map(|kind| format!("        {kind}\n")).collect();
    format!("\n      {index}:\n{lines}")
}

fn show_legacy(screen: &Screen, overview: &LegacyOverview) {
    screen.say("Packer Inspect: JSON mode");
    if !overview.description.is_empty() {
        screen.say("Description:\n");
        screen.say(&format!("{}\n", overview.description));
    }
    show_variables(screen, overview);
    screen.say("Builders:\n");
    if overview.builders.is_empty() {
        screen.say("  <No builders>");
    }
    let width = overview.builders.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, kind) in &overview.builders {
        screen.machine("", "template-builder", &[name, kind]);
        screen.say(&match name == kind {
            true => format!("  {name:width$}"),
            false => format!("  {name:width$} ({kind})"),
        });
    }
    screen.say("");
    screen.say("Provisioners:\n");
    if overview.provisioners.is_empty() {
        screen.say("  <No provisioners>");
    }
    for kind in &overview.provisioners {
        screen.machine("", "template-provisioner", &[kind]);
        screen.say(&format!("  {kind}"));
    }
    screen.say(NOTE);
}

fn show_variables(screen: &Screen, overview: &LegacyOverview) {
    if overview.required.is_empty() && overview.optional.is_empty() {
        screen.say("Variables:\n");
        screen.say("  <No variables>");
        screen.say("");
        return;
    }
    if !overview.required.is_empty() {
        screen.say("Required variables:\n");
        for name in &overview.required {
            screen.machine("", "template-variable", &[name, "", "1"]);
            screen.say(&format!("  {name}"));
        }
        screen.say("");
    }
    screen.say("Optional variables and their defaults:\n");
    let names = overview.required.iter().chain(overview.optional.iter().map(|(name, _)| name));
    let width = names.map(|name| name.chars().count()).max().unwrap_or(0);
    for (name, default) in &overview.optional {
        screen.machine("", "template-variable", &[name, default, "0"]);
        screen.say(&format!("  {name:width$} = {default}"));
    }
    screen.say("");
}
