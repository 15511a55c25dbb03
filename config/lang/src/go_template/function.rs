//! The functions of Packer's engine. Each is a closure over what it needs of the renderer; only those that a
//! text names are made.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use gotmpl::{TemplateError as Raised, Value as Tv};

use super::{Dot, Place, Question, Reason, Renderer, bounded};
use crate::convert::primitive_text;
use crate::function::time::{layout, strftime};
use crate::value::Value;

/// The functions that every Go template has.
pub(super) const BUILT_IN: [&str; 19] = [
    "and", "or", "not", "len", "index", "slice", "print", "printf", "println", "html", "js", "urlquery",
    "call", "eq", "ne", "lt", "le", "gt", "ge",
];

/// The functions of Packer's engine.
pub(super) const PACKER: [&str; 22] = [
    "user",
    "build_name",
    "build_type",
    "timestamp",
    "isotime",
    "strftime",
    "uuid",
    "pwd",
    "template_dir",
    "packer_version",
    "split",
    "upper",
    "lower",
    "replace",
    "replace_all",
    "sed",
    "build",
    "env",
    "vault",
    "consul_key",
    "aws_secretsmanager",
    "aws_secretsmanager_raw",
];

/// What a run leaves behind besides its text.
#[derive(Debug, Default)]
pub(super) struct Traces {
    sensitive: AtomicBool,
    failure: Mutex<Option<Reason>>,
}

impl Traces {
    /// Whether a secret went into the text.
    pub(super) fn is_sensitive(&self) -> bool {
        self.sensitive.load(Ordering::Relaxed)
    }

    /// The reason that a function gave, if one failed.
    pub(super) fn take_failure(&self) -> Option<Reason> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn fail(&self, reason: Reason) -> Raised {
        let raised = Raised::Exec(reason.to_string());
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
        raised
    }
}

type Call = Box<dyn Fn(&[Tv]) -> Result<Tv, Reason> + Send + Sync>;

/// The function that templates call `name`, reporting to `traces`.
pub(super) fn named(renderer: &Renderer, name: &str, traces: &Arc<Traces>) -> Option<gotmpl::ValueFunc> {
    let Some(call) = own(renderer, name).or_else(|| packer(renderer, name, traces)) else {
        return bounded::built_in(name);
    };
    let (name, traces) = (name.to_owned(), Arc::clone(traces));
    Some(Arc::new(move |args: &[Tv]| {
        bounded::check_arguments(&name, args)?;
        call(args).map_err(|reason| {
            traces.fail(match reason {
                Reason::Failed(message) => Reason::Failed(format!("{name}: {message}")),
                other => other,
            })
        })
    }))
}

fn own(renderer: &Renderer, name: &str) -> Option<Call> {
    let function = Arc::clone(renderer.functions.get(name)?);
    Some(Box::new(move |args| Ok(Tv::from_text(&function(text(args, 0)?)))))
}

fn packer(renderer: &Renderer, name: &str, traces: &Arc<Traces>) -> Option<Call> {
    let facts = Arc::clone(&renderer.facts);
    Some(match name {
        "user" => return Some(user(renderer, traces)),
        "build" => return Some(build(renderer)),
        "env" | "vault" | "consul_key" | "aws_secretsmanager" | "aws_secretsmanager_raw" => {
            return Some(question(renderer, name, traces));
        }
        "build_name" => fact(facts.build_name.clone(), "build_name not available"),
        "build_type" => fact(facts.build_type.clone(), "build_type not available"),
        "template_dir" => fact(facts.template_dir.clone(), "template path not available"),
        "packer_version" => fact(Some(facts.packer_version.clone()), ""),
        "pwd" => fact(Some(facts.pwd.clone()), ""),
        "timestamp" => fact(Some(facts.start.seconds.to_string()), ""),
        "isotime" => Box::new(move |args| {
            let calendar = facts.start.utc().ok_or_else(|| failed("the start time is out of range"))?;
            let layout = match args {
                [] => layout::RFC3339,
                [_] => text(args, 0)?,
                _ => return Err(failed("takes at most one layout")),
            };
            Ok(Tv::from_text(&layout::format(layout, &calendar)))
        }),
        "strftime" => Box::new(move |args| {
            let calendar = facts.start.utc().ok_or_else(|| failed("the start time is out of range"))?;
            Ok(Tv::from_text(&strftime::format(text(args, 0)?, &calendar)))
        }),
        "uuid" => {
            let world = Arc::clone(&renderer.world);
            Box::new(move |_| Ok(Tv::from_text(&world.uuid())))
        }
        "upper" => Box::new(|args| Ok(Tv::from_text(&crate::function::text::upper(text(args, 0)?)))),
        "lower" => Box::new(|args| Ok(Tv::from_text(&crate::function::text::lower(text(args, 0)?)))),
        "split" => Box::new(split),
        "replace" => Box::new(replace),
        "replace_all" => Box::new(|args| {
            let (old, new, source) = (text(args, 0)?, text(args, 1)?, text(args, 2)?);
            check_growth(source, old, new)?;
            Ok(Tv::from_text(&source.replace(old, new)))
        }),
        "sed" => Box::new(|_| Err(failed("sed is deprecated; use replace or replace_all instead"))),
        _ => return None,
    })
}

/// A function without arguments whose answer is known, or known not to be there.
fn fact(answer: Option<String>, otherwise: &'static str) -> Call {
    Box::new(move |_| answer.as_deref().map(Tv::from_text).ok_or_else(|| failed(otherwise)))
}

fn user(renderer: &Renderer, traces: &Arc<Traces>) -> Call {
    let (facts, traces) = (Arc::clone(&renderer.facts), Arc::clone(traces));
    let must_be_set = renderer.place == Place::Variables;
    Box::new(move |args| {
        let name = text(args, 0)?;
        let Some(variables) = &facts.user_variables else {
            return Err(failed(
                "variables of JSON templates are not available in HCL2; write ${var.…} instead",
            ));
        };
        match variables.get(name) {
            Some(value) => {
                traces.sensitive.fetch_or(facts.sensitive_variables.contains(name), Ordering::Relaxed);
                Ok(Tv::from_text(value))
            }
            None if must_be_set => Err(Reason::VariableNotSet(name.to_owned())),
            None => Ok(Tv::from_text("")),
        }
    })
}

/// `build "K"`: the value if it is there, `{{.K}}` for a later rendering if it will be.
fn build(renderer: &Renderer) -> Call {
    let data = match &renderer.dot {
        Dot::Map(data) | Dot::Fields(data) => Some(data.clone()),
        Dot::Nothing | Dot::Later => None,
    };
    Box::new(move |args| {
        let name = text(args, 0)?;
        let Some(entries) = data.as_ref().and_then(Value::as_entries) else {
            return Err(failed("values of the build are available to provisioners and post-processors only"));
        };
        let value = entries.get(name).ok_or_else(|| failed(&format!("the build offers no {name:?}")))?;
        let shown = primitive_text(value).unwrap_or_else(|| format!("{{{{.{name}}}}}"));
        Ok(Tv::from_text(&shown))
    })
}

fn question(renderer: &Renderer, name: &str, traces: &Arc<Traces>) -> Call {
    let (world, name, traces) = (Arc::clone(&renderer.world), name.to_owned(), Arc::clone(traces));
    if renderer.place != Place::Variables {
        let refusal = match name.as_str() {
            "env" => "env vars are not allowed here; read them in a default of \"variables\"",
            "vault" => "Vault vars are only allowed in the variables section",
            "consul_key" => "consul_key is not allowed here, only in the variables section",
            _ => "AWS Secrets Manager is only allowed in the variables section",
        };
        return Box::new(move |_| Err(failed(refusal)));
    }
    Box::new(move |args| {
        let question = match name.as_str() {
            "env" => Question::Env(text(args, 0)?),
            "vault" => Question::Vault { path: text(args, 0)?, key: text(args, 1)? },
            "consul_key" => Question::ConsulKey(text(args, 0)?),
            "aws_secretsmanager_raw" => Question::AwsRawSecret(text(args, 0)?),
            _ if args.len() > 2 => return Err(failed("takes the secret's name and at most one key")),
            _ => Question::AwsSecret {
                name: text(args, 0)?,
                key: if args.len() > 1 { Some(text(args, 1)?) } else { None },
            },
        };
        let answer = world.ask(question).map_err(Reason::Failed)?;
        traces.sensitive.fetch_or(!matches!(question, Question::Env(_)), Ordering::Relaxed);
        Ok(Tv::from_text(&answer))
    })
}

fn split(args: &[Tv]) -> Result<Tv, Reason> {
    let (source, separator, index) = (text(args, 0)?, text(args, 1)?, whole(args, 2)?);
    let parts = crate::function::text::split_like_go(source, separator);
    usize::try_from(index).ok().and_then(|i| parts.get(i)).map(|part| Tv::from_text(part)).ok_or_else(|| {
        failed(&format!(
            "the substring {index} was unavailable using the separator value, {separator}, only {} values were found",
            parts.len()
        ))
    })
}

/// `replace old new n source`; a negative `n` replaces all.
fn replace(args: &[Tv]) -> Result<Tv, Reason> {
    let (old, new, count, source) = (text(args, 0)?, text(args, 1)?, whole(args, 2)?, text(args, 3)?);
    check_growth(source, old, new)?;
    Ok(Tv::from_text(&match usize::try_from(count) {
        Ok(count) => source.replacen(old, new, count),
        Err(_) => source.replace(old, new),
    }))
}

/// Refuses a replacement that would make too long a text.
fn check_growth(source: &str, old: &str, new: &str) -> Result<(), Reason> {
    let grown = source.matches(old).count().saturating_mul(new.len()).saturating_add(source.len());
    bounded::check_result("replace", grown).map_err(|raised| Reason::Failed(raised.to_string()))
}

fn failed(message: &str) -> Reason {
    Reason::Failed(message.to_owned())
}

fn text(args: &[Tv], index: usize) -> Result<&str, Reason> {
    match args.get(index) {
        Some(Tv::String(text)) => Ok(text),
        Some(other) => {
            Err(failed(&format!("argument {} must be a string, not {}", index + 1, other.type_name())))
        }
        None => Err(failed(&format!("argument {} is missing", index + 1))),
    }
}

fn whole(args: &[Tv], index: usize) -> Result<i64, Reason> {
    args.get(index)
        .and_then(Tv::as_int)
        .ok_or_else(|| failed(&format!("argument {} must be a whole number", index + 1)))
}

trait FromText {
    fn from_text(text: &str) -> Self;
}

impl FromText for Tv {
    fn from_text(text: &str) -> Self {
        Tv::String(text.into())
    }
}
