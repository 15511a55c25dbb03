//! `shell`: runs scripts in the guest.
//!
//! ```text
//!   for each script:  ┌─► carry over ─► chmod ─► run ──► judge the exit ─► rm -f
//!                     └── the communicator fails ◄┘       (tried again, too)
//!   in the end:       rm -f the file of the environment ─► pause_after
//! ```
//!
//! The first three are one unit: if the way to the guest fails before the script has started (a reboot by the script
//! before), the unit begins again until `start_retry_timeout`. An exit code, or a connection that goes away while the
//! script is running, is an answer and never tried again.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use kiln_component::factory::Made;
use kiln_component::{Exit, Factory, FinishedConfig, ProvisionContext, Provisioner};
use kiln_lang::Diagnostics;
use kiln_lang::duration::{SignedDuration, in_go_syntax};
use kiln_plan::schema::OptionType;
use kiln_plan::{Failure, Fault, OptionSchema};
use serde::Deserialize;

use super::remote;
use super::script::{self, Environment, ScriptOptions, Scripts};
use crate::config;

/// How long to try to start a script when the template doesn't say.
const START_RETRY_TIMEOUT: Duration = Duration::from_mins(5);

/// How a script is run when the template doesn't say.
const EXECUTE: &str = "chmod +x {{.Path}}; {{.Vars}} {{.Path}}";

/// The same when its environment lies in a file.
const EXECUTE_WITH_FILE: &str = "chmod +x {{.Path}}; . {{.EnvVarFile}} && {{.Path}}";

/// The options, as a template gives them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "one field for each option of a template")]
struct Options {
    inline: Vec<String>,
    script: String,
    scripts: Vec<String>,
    valid_exit_codes: Vec<i32>,
    environment_vars: Vec<String>,
    env: BTreeMap<String, String>,
    env_var_format: String,
    binary: bool,
    remote_path: String,
    remote_folder: String,
    remote_file: String,
    execute_command: String,
    inline_shebang: String,
    pause_after: SignedDuration,
    use_env_var_file: bool,
    start_retry_timeout: SignedDuration,
    skip_clean: bool,
    expect_disconnect: bool,
}

fn schema() -> Vec<OptionSchema> {
    let string = |name, help| OptionSchema::new(name, OptionType::String, help);
    let flag = |name, help| OptionSchema::new(name, OptionType::Bool, help).default("false");
    let mut options = script::options();
    options.extend([
        flag("binary", "leave line endings alone"),
        string("remote_path", "where the script lies in the guest").default("<remote_folder>/<remote_file>"),
        string("remote_folder", "the folder for the script in the guest").default("/tmp"),
        string("remote_file", "the script's name in the guest").default("script_<number>.sh"),
        string("execute_command", "how a script is run, with {{.Path}}, {{.Vars}}, {{.EnvVarFile}}")
            .default("chmod +x {{.Path}}; {{.Vars}} {{.Path}}")
            .late(),
        string("inline_shebang", "the interpreter of inline scripts").default("/bin/sh -e"),
        OptionSchema::new("pause_after", OptionType::Duration, "wait this long after each script")
            .default("0s"),
        flag("use_env_var_file", "carry the environment over in a file instead of on the command line"),
        OptionSchema::new("start_retry_timeout", OptionType::Duration, "how long to try to start a script")
            .default("5m"),
        flag("skip_clean", "leave the script in the guest"),
        flag("expect_disconnect", "the script may end the connection (a reboot)"),
    ]);
    options
}

/// How it is made.
pub fn factory() -> Factory {
    Factory::provisioner("shell", schema(), make).with_rules(script::rules())
}

fn make(config: FinishedConfig) -> Made<Box<dyn Provisioner>> {
    let mut options: Options = config.decode()?;
    let choice = ScriptOptions {
        inline: std::mem::take(&mut options.inline),
        script: std::mem::take(&mut options.script),
        scripts: std::mem::take(&mut options.scripts),
    };
    let shebang = Some(options.inline_shebang.as_str()).filter(|shebang| !shebang.is_empty());
    let mut wrong = Diagnostics::new();
    let scripts = choice.scripts(shebang, &config).map_err(|found| wrong.extend(found));
    let environment = Environment::from_options(&options.environment_vars, &options.env)
        .map_err(|found| wrong.extend(found));
    match (scripts, environment) {
        (Ok(scripts), Ok(environment)) => {
            Ok((Box::new(Shell { options, scripts, environment, config }), wrong))
        }
        _ => Err(wrong),
    }
}

/// The provisioner.
#[derive(Debug)]
pub struct Shell {
    options: Options,
    scripts: Scripts,
    environment: Environment,
    config: FinishedConfig,
}

/// Where things lie in the guest. One place for all scripts of a provisioner, one after the other.
struct Places {
    script: String,
    variables: String,
}

#[async_trait]
impl Provisioner for Shell {
    async fn provision(&self, cx: &ProvisionContext<'_>) -> Result<(), Failure> {
        remote::unless_cancelled(cx, self.run(cx)).await?
    }
}

impl Shell {
    async fn run(&self, cx: &ProvisionContext<'_>) -> Result<(), Failure> {
        let places = self.places();
        let environment = self.environment.with_build(cx.task, cx.generated);
        for (name, bytes) in self.scripts.read(cx.task)? {
            cx.task.reporter.say(format!("Provisioning with shell script: {name}"));
            let bytes = if self.options.binary { bytes } else { unix_line_endings(bytes) };
            let exit = self.run_script(cx, &bytes, &environment, &places).await?;
            self.check(cx, exit).await?;
            if !self.options.skip_clean {
                self.remove(cx, &places.script).await?;
            }
        }
        if self.options.use_env_var_file && !self.options.skip_clean {
            self.remove(cx, &places.variables).await?;
        }
        let pause = self.options.pause_after.max_zero();
        if !pause.is_zero() {
            cx.task.reporter.say(format!("Pausing {} after this provisioner...", in_go_syntax(pause)));
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }

    fn places(&self) -> Places {
        let number = uuid::Uuid::new_v4().as_u128() % 9999;
        let folder = config::given_or(&self.options.remote_folder, "/tmp").trim_end_matches('/');
        let script = format!("script_{number}.sh");
        let script = format!("{folder}/{}", config::given_or(&self.options.remote_file, &script));
        Places {
            script: config::given_or(&self.options.remote_path, &script).to_owned(),
            variables: format!("{folder}/varfile_{number}.sh"),
        }
    }

    /// Carries the script over and runs it, from the beginning if the way to the guest fails on the way.
    async fn run_script(
        &self,
        cx: &ProvisionContext<'_>,
        bytes: &[u8],
        environment: &Environment,
        places: &Places,
    ) -> Result<Exit, Failure> {
        let command = &self.command(environment, places)?;
        let variables = &environment.assignments(self.assignment("export %s='%s'\n"));
        let unit = || async move {
            if self.options.use_env_var_file {
                cx.communicator.upload_bytes(variables.as_bytes(), &places.variables, 0o600).await?;
            }
            cx.communicator.upload_bytes(bytes, &places.script, 0o644).await?;
            remote::attempt(cx, &format!("chmod 0755 {}", places.script)).await?;
            remote::run(cx, command).await
        };
        remote::retrying(cx, self.start_retry_timeout(), unit).await
    }

    fn assignment<'a>(&'a self, default: &'a str) -> &'a str {
        config::given_or(&self.options.env_var_format, default)
    }

    fn start_retry_timeout(&self) -> Duration {
        let given = self.options.start_retry_timeout;
        if given.is_zero() { START_RETRY_TIMEOUT } else { given.max_zero() }
    }

    fn command(&self, environment: &Environment, places: &Places) -> Result<String, Failure> {
        let (default, vars) = match self.options.use_env_var_file {
            true => (EXECUTE_WITH_FILE, String::new()),
            false => (EXECUTE, environment.assignments(self.assignment("%s='%s' "))),
        };
        let template = config::given_or(&self.options.execute_command, default);
        let own = [("Path", places.script.as_str()), ("Vars", &vars), ("EnvVarFile", &places.variables)];
        config::render_late(&self.config, "execute_command", template, &own)
    }

    async fn check(&self, cx: &ProvisionContext<'_>, exit: Exit) -> Result<(), Failure> {
        match exit {
            Exit::Disconnected if self.options.expect_disconnect => Ok(()),
            Exit::Disconnected => {
                let text = "the connection to the guest went away while the script was running";
                let failure = Failure::new(Fault::Guest, text)
                    .hint("if the script reboots the guest on purpose, set expect_disconnect = true");
                Err(remote::disconnected(cx, failure).await)
            }
            Exit::Code(code) => script::check_exit(code, &self.options.valid_exit_codes, Fault::Guest),
        }
    }

    /// Removes a file of the guest. A guest that is rebooting gets the time that a start gets.
    async fn remove(&self, cx: &ProvisionContext<'_>, path: &str) -> Result<(), Failure> {
        let (command, purpose) = (&format!("rm -f {path}"), &format!("remove {path} from the guest"));
        let attempt = || remote::require(cx, command, purpose);
        remote::retrying(cx, self.start_retry_timeout(), attempt).await
    }
}

/// `\r\n` becomes `\n`; a `\r` at the very end goes as well.
fn unix_line_endings(mut bytes: Vec<u8>) -> Vec<u8> {
    let mut at = 0;
    let length = bytes.len();
    for from in 0..length {
        let ending = bytes[from] == b'\r' && matches!(bytes.get(from + 1), Some(b'\n') | None);
        if !ending {
            bytes[at] = bytes[from];
            at += 1;
        }
    }
    bytes.truncate(at);
    bytes
}

#[cfg(test)]
mod tests;
