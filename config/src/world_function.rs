//! The functions that ask the world something: files, the environment, the clock, chance, secret stores. All go through
//! [`Host`](crate::host::Host).
//!
//! `file`, `fileexists`, `fileset` and `templatefile` resolve relative paths from the template's directory;
//! `filebase64` and `abspath` from the directory in which the build was started, as in Packer.

mod file;
mod secret;

use kiln_lang::function::hash;
use kiln_lang::function::time::{self, Moment};
use kiln_lang::function::{Function, FunctionError, Functions, Parameter};
use kiln_lang::scope::Allowance;
use kiln_lang::{Type, Value};

use crate::host::SharedHost;
use crate::secret_desk::SecretDesk;

/// `env("NAME")`: an environment variable, empty when unset. Only in defaults of variables.
pub(crate) fn env(host: &SharedHost) -> Function {
    let host = host.clone();
    Function::new("env", [Parameter::new("key", Type::String)], Type::String, move |args| {
        Ok(Value::from(host.environment(text(args, 0)).unwrap_or_default()))
    })
}

/// Every function that expressions may call, `env` excepted. `base` is what relative paths of most file
/// functions are relative to; `started_ns` is when the run began; `desk` is where secrets are asked for.
pub(crate) fn all(host: &SharedHost, base: &str, started_ns: i64, desk: &SecretDesk) -> Functions {
    let functions = kiln_lang::function::pure()
        .with_all(file::functions(host, base))
        .with_all(clock_and_chance(host, started_ns))
        .with_all(secret::functions(desk));
    let functions = functions.with_allowance(Allowance::default());
    let inner = functions.clone();
    functions.with(file::template_file(host, base, inner))
}

/// A path made absolute and clean.
pub(crate) fn absolute(working_directory: &str, path: &str) -> String {
    match path.starts_with('/') {
        true => file::clean(path),
        false => file::clean(&format!("{working_directory}/{path}")),
    }
}

/// A moment of nanoseconds since the Unix epoch.
pub(crate) fn moment(nanoseconds: i64) -> Moment {
    Moment::default().plus(nanoseconds).unwrap_or_default()
}

fn clock_and_chance(host: &SharedHost, started_ns: i64) -> Vec<Function> {
    let started = moment(started_ns);
    let (clock, dice) = (host.clone(), host.clone());
    let timestamp = move |_: &[Value]| {
        let now = moment(clock.now_ns()).utc();
        let now = now.ok_or_else(|| FunctionError::new("the clock of this machine is out of range"))?;
        Ok(Value::from(time::layout::format(time::layout::RFC3339, &now)))
    };
    vec![
        Function::new("timestamp", [], Type::String, timestamp),
        Function::new("uuidv4", [], Type::String, move |_| Ok(Value::from(dice.random_uuid()))),
        time::legacy_isotime(started),
        time::legacy_strftime(started),
        hash::bcrypt(salts(host)),
    ]
}

/// Sixteen bytes of chance for each call.
fn salts(host: &SharedHost) -> impl Fn() -> [u8; 16] + Send + Sync + 'static {
    let host = host.clone();
    move || {
        let digits: Vec<u8> =
            host.random_uuid().chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
        let mut salt = [0; 16];
        for (byte, pair) in salt.iter_mut().zip(digits.chunks(2)) {
            *byte = pair.iter().fold(0, |b, d| (b << 4) | d);
        }
        salt
    }
}

/// The text of an argument. The evaluator converts arguments to their parameter's type before a call.
fn text(args: &[Value], index: usize) -> &str {
    args.get(index).and_then(Value::as_str).unwrap_or_default()
}
