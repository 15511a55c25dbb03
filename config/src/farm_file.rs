//! `*.kiln.hcl` files beside a template: what a farm should know about it and Packer need not.
//!
//! ```hcl
//! farm {
//!   project  = "web"
//!   priority = 10
//! }
//! task "qemu.*" {
//!   labels              = { zone = "b" }
//!   memory              = "8G"
//!   accelerator         = "required"
//!   timeout             = "2h"
//!   no_progress_timeout = "45m"
//! }
//! ```
//!
//! Packer reads only files that end with `.pkr.hcl` and `.pkr.json`, and so does our reading of templates. Values are
//! constants. Blocks count in the order of the files' names and of the text; where several fit a task, later ones win
//! argument by argument, and labels add up.

use std::collections::BTreeMap;

use kiln_lang::convert::primitive_text;
use kiln_lang::diagnostic::nearest;
use kiln_lang::syntax::{Attribute, Block};
use kiln_lang::{Diagnostic, Diagnostics, SourceFile, Span, Value, parse};
use kiln_plan::requirements::HIGHEST_PRIORITY;
use kiln_plan::{Acceleration, Accelerator, BuildPlan, Requirements};

use crate::glob::{Glob, Style};
use crate::template::hcl2::argument::constant;

/// How the name of such a file ends.
pub const SUFFIX: &str = ".kiln.hcl";

/// The longest name of a project, in letters.
const PROJECT_LETTERS: usize = 64;

const BLOCKS: [&str; 2] = ["farm", "task"];
const FARM_ARGUMENTS: [&str; 2] = ["project", "priority"];
const TASK_ARGUMENTS: [&str; 9] =
    ["labels", "cpus", "memory", "disk", "arch", "accelerator", "timeout", "no_progress_timeout", "priority"];

/// What the files say.
#[derive(Clone, Debug, Default)]
pub struct FarmFile {
    /// The project of builds that name none.
    pub project: Option<String>,
    /// From −100 to 100, added to each task's.
    pub priority: i32,
    tasks: Vec<TaskRule>,
}

/// What is said of the tasks whose names fit a pattern.
#[derive(Clone, Debug)]
struct TaskRule {
    pattern: Glob,
    /// As it was written, and where.
    text: String,
    span: Span,
    settings: Vec<Setting>,
}

/// One argument of a `task` block.
#[derive(Clone, Debug, PartialEq)]
enum Setting {
    Labels(BTreeMap<String, String>),
    Cpus(u32),
    Memory(u64),
    Disk(u64),
    Arch(String),
    Accelerator(Wish),
    Timeout(u64),
    NoProgress(u64),
    Priority(i32),
}

/// How much acceleration matters.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wish {
    Any,
    Preferred,
    Required,
    Named(String),
}

impl FarmFile {
    /// Reads the files, and says everything that is wrong with them.
    pub fn read(files: &[SourceFile], found: &mut Diagnostics) -> Self {
        let mut farm = Self::default();
        for file in files {
            let (body, complaints) = parse::body(file);
            found.extend(complaints);
            for attribute in &body.attributes {
                found.push(unexpected("argument", &attribute.name, &attribute.name_span, &[]));
            }
            for block in &body.blocks {
                let inner = farm.block(block);
                found.extend(inner.into_iter().map(|d| d.within(block.header_text())));
            }
        }
        farm
    }

    fn block(&mut self, block: &Block) -> Diagnostics {
        let mut found = Diagnostics::new();
        for inside in &block.body.blocks {
            found.push(unexpected("block", &inside.kind, &inside.kind_span, &[]));
        }
        match block.kind.as_str() {
            "farm" => self.farm_block(block, &mut found),
            "task" => self.task_block(block, &mut found),
            kind => found.push(unexpected("block", kind, &block.kind_span, &BLOCKS)),
        }
        found
    }

    fn farm_block(&mut self, block: &Block, found: &mut Diagnostics) {
        if let Some(label) = block.labels.first() {
            found
                .push(Diagnostic::error("Unexpected label", "A farm block has none.").at(label.span.clone()));
        }
        for attribute in &block.body.attributes {
            let Some(value) = known(attribute, &FARM_ARGUMENTS, found) else { continue };
            if attribute.name == "project" {
                self.project = take(project(&value), attribute, found).or_else(|| self.project.take());
            } else if let Some(priority) = take(priority(&value), attribute, found) {
                self.priority = priority;
            }
        }
    }

    fn task_block(&mut self, block: &Block, found: &mut Diagnostics) {
        let [label] = block.labels.as_slice() else {
            let told = "A task block has one label, the pattern of the names of tasks.";
            found.push(
                Diagnostic::error("Missing pattern", told)
                    .at(block.header.clone())
                    .hint("task \"qemu.*\" { … }"),
            );
            return;
        };
        let pattern = match Glob::new(&label.text, Style::Name) {
            Ok(pattern) => pattern,
            Err(error) => {
                let told = format!("The pattern {:?} can't be used: {error}.", label.text);
                found.push(Diagnostic::error("Invalid pattern", told).at(label.span.clone()));
                return;
            }
        };
        let mut settings = Vec::new();
        for attribute in &block.body.attributes {
            let Some(value) = known(attribute, &TASK_ARGUMENTS, found) else { continue };
            settings.extend(take(setting(&attribute.name, &value), attribute, found));
        }
        let (text, span) = (label.text.clone(), label.span.clone());
        self.tasks.push(TaskRule { pattern, text, span, settings });
    }

    /// Warns of each pattern that none of these names fits, which are all that the template has.
    pub fn unused(&self, names: &[&str]) -> Diagnostics {
        let fits = |rule: &&TaskRule| names.iter().any(|name| rule.pattern.matches(name));
        let mut found = Diagnostics::new();
        for rule in self.tasks.iter().filter(|rule| !fits(rule)) {
            let told = format!(
                "No build of the template has a name that fits {:?}, so the block does nothing.",
                rule.text
            );
            let warning = Diagnostic::warning("Unused task block", told).at(rule.span.clone());
            let kinds = names.iter().filter_map(|name| Some(format!("{}.*", name.split_once('.')?.0)));
            let alike: Vec<String> = names.iter().map(ToString::to_string).chain(kinds).collect();
            let hint = match nearest(&rule.text, alike.iter().map(String::as_str)) {
                Some(similar) => format!("did you mean {similar:?}?"),
                None => format!("there are {}", names.join(", ")),
            };
            found.push(warning.hint(hint));
        }
        found
    }

    /// Adds to plans what is said of their tasks.
    pub fn apply(&self, plans: &mut [BuildPlan]) {
        for plan in plans {
            let needs = &mut plan.requirements;
            needs.project.clone_from(&self.project);
            needs.terms.priority = self.priority;
            let fitting = self.tasks.iter().filter(|rule| rule.pattern.matches(&plan.name));
            for setting in fitting.flat_map(|rule| &rule.settings) {
                setting.apply(needs, self.priority);
            }
        }
    }
}

impl Setting {
    fn apply(&self, needs: &mut Requirements, base: i32) {
        match self {
            Self::Labels(labels) => needs.labels.extend(labels.clone()),
            Self::Cpus(cpus) => needs.cpus = *cpus,
            Self::Memory(mib) => needs.memory_mib = *mib,
            Self::Disk(mib) => needs.disk_mib = *mib,
            Self::Arch(arch) => needs.arch = Some(arch.clone()),
            Self::Timeout(ms) => needs.terms.deadline_ms = Some(*ms),
            Self::NoProgress(ms) => needs.terms.no_progress_ms = Some(*ms),
            Self::Priority(priority) => needs.terms.priority = base + priority,
            Self::Accelerator(wish) => {
                let kvm = || Accelerator { name: "kvm".into(), arch: None };
                let accelerator = needs.acceleration.accelerator().cloned().unwrap_or_else(kvm);
                needs.acceleration = match wish {
                    Wish::Any => Acceleration::Any,
                    Wish::Preferred => Acceleration::Preferred(accelerator),
                    Wish::Required => Acceleration::Required(accelerator),
                    Wish::Named(name) => {
                        Acceleration::Required(Accelerator { name: name.clone(), ..accelerator })
                    }
                };
            }
        }
    }
}

fn unexpected(what: &str, name: &str, span: &Span, known: &[&'static str]) -> Diagnostic {
    let told = match what {
        "block" => format!("Blocks of type {name:?} are not expected here."),
        _ => format!("An argument named {name:?} is not expected here."),
    };
    let diagnostic = Diagnostic::error(format!("Unsupported {what}"), told).at(span.clone());
    match nearest(name, known.iter().copied()) {
        Some(similar) => diagnostic.hint(format!("did you mean {similar:?}?")),
        None if known.is_empty() => diagnostic,
        None => diagnostic.hint(format!("there are {}", known.join(", "))),
    }
}

/// The value of an argument that may be there.
fn known(attribute: &Attribute, known: &[&'static str], found: &mut Diagnostics) -> Option<Value> {
    if !known.contains(&attribute.name.as_str()) {
        found.push(unexpected("argument", &attribute.name, &attribute.name_span, known));
        return None;
    }
    found.take(constant(&attribute.expression))
}

fn take<T>(read: Result<T, String>, attribute: &Attribute, found: &mut Diagnostics) -> Option<T> {
    let refuse = |told: String| {
        Diagnostic::error(format!("Invalid value of {}", attribute.name), told)
            .at(attribute.expression.span.clone())
    };
    found.take(read.map_err(refuse))
}

fn setting(name: &str, value: &Value) -> Result<Setting, String> {
    Ok(match name {
        "labels" => Setting::Labels(labels(value)?),
        "cpus" => Setting::Cpus(u32::try_from(whole(value)?).map_err(|_| "That is too many.".to_owned())?),
        "memory" => Setting::Memory(mebibytes(value)?),
        "disk" => Setting::Disk(mebibytes(value)?),
        "arch" => Setting::Arch(text(value)?),
        "accelerator" => Setting::Accelerator(match text(value)?.as_str() {
            "any" => Wish::Any,
            "preferred" => Wish::Preferred,
            "required" => Wish::Required,
            name => Wish::Named(name.to_owned()),
        }),
        "timeout" => Setting::Timeout(milliseconds(value)?),
        "no_progress_timeout" => Setting::NoProgress(milliseconds(value)?),
        _ => Setting::Priority(priority(value)?),
    })
}

fn text(value: &Value) -> Result<String, String> {
    let text = value.as_str().filter(|text| !text.is_empty());
    text.map(str::to_owned).ok_or_else(|| "A text is required.".into())
}

fn whole(value: &Value) -> Result<u64, String> {
    let number = primitive_text(value).and_then(|text| text.parse().ok());
    number.ok_or_else(|| "A whole number, not below 0, is required.".into())
}

fn project(value: &Value) -> Result<String, String> {
    let name = text(value)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let fits = name.len() <= PROJECT_LETTERS && name.chars().all(plain);
    fits.then_some(name).ok_or_else(|| {
        format!(
            "A project's name has at most {PROJECT_LETTERS} letters, digits, dots, dashes and underscores."
        )
    })
}

fn priority(value: &Value) -> Result<i32, String> {
    let number = primitive_text(value).and_then(|text| text.parse::<i32>().ok());
    let fits = number.filter(|n| (-HIGHEST_PRIORITY..=HIGHEST_PRIORITY).contains(n));
    fits.ok_or_else(|| format!("A whole number from -{HIGHEST_PRIORITY} to {HIGHEST_PRIORITY} is required."))
}

fn labels(value: &Value) -> Result<BTreeMap<String, String>, String> {
    let wrong = || "An object of texts is required, as { zone = \"b\" }.".to_owned();
    let entries = value.as_entries().ok_or_else(wrong)?;
    let pairs = entries.iter().map(|(name, value)| Some((name.clone(), primitive_text(value)?)));
    pairs.collect::<Option<_>>().ok_or_else(wrong)
}

/// A number of MiB, or a text with a unit: `8G`, `512M`.
fn mebibytes(value: &Value) -> Result<u64, String> {
    let size = primitive_text(value).unwrap_or_default();
    let size = crate::evaluate::requirement::mebibytes(&size, 1 << 20);
    size.ok_or_else(|| "A number of MiB, or a text with a unit as \"8G\", is required.".into())
}

fn milliseconds(value: &Value) -> Result<u64, String> {
    let duration = kiln_lang::duration::parse(&text(value)?).map_err(|error| format!("{error}."))?;
    let ms = u64::try_from(duration.max_zero().as_millis()).unwrap_or(u64::MAX);
    if ms == 0 { Err("A time above 0 is required, as \"90m\".".into()) } else { Ok(ms) }
}
