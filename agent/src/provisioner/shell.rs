//! `shell`: runs scripts in the guest.
//!
//! Each script is carried over, made executable, run and removed. The first three are one unit: if the way to the
//! guest fails in between (a reboot by the script before), the unit begins again until `start_retry_timeout`.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use kiln_component::factory::Made;
use kiln_component::{Exit, Factory, FinishedConfig, ProvisionContext, Provisioner};
use kiln_lang::Diagnostics;
use kiln_lang::duration::SignedDuration;
use kiln_plan::schema::OptionType;
use kiln_plan::{Failure, Fault, OptionSchema};
use serde::Deserialize;

use super::remote::{self, Tried};
use super::script::{self, Environment, ScriptOptions, Scripts};
use crate::config;

/// The options, as a template gives them.
#[derive(Debug, Deserialize)]
#[serde(default)]
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
    inline_shebang: Option<String>,
    pause_after: SignedDuration,
    use_env_var_file: bool,
    start_retry_timeout: SignedDuration,
    skip_clean: bool,
    expect_disconnect: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            inline: Vec::new(),
            script: String::new(),
            scripts: Vec::new(),
            valid_exit_codes: Vec::new(),
            environment_vars: Vec::new(),
            env: BTreeMap::new(),
            env_var_format: String::new(),
            binary: false,
            remote_path: String::new(),
            remote_folder: "/tmp".to_owned(),
            remote_file: String::new(),
            execute_command: String::new(),
            inline_shebang: None,
            pause_after: SignedDuration::default(),
            use_env_var_file: false,
            start_retry_timeout: SignedDuration::from_secs(5 * 60),
            skip_clean: false,
            expect_disconnect: false,
        }
    }
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
    Factory::provisioner("shell", schema(), make)
}

fn make(config: FinishedConfig) -> Made<Box<dyn Provisioner>> {
    let options: Options = config.decode()?;
    let mut wrong = Diagnostics::new();
    let choice = ScriptOptions {
        inline: options.inline.clone(),
        script: options.script.clone(),
        scripts: options.scripts.clone(),
    };
    let working_dir = std::path::Path::new(&config.facts().working_dir);
    let scripts = choice.scripts(options.inline_shebang.as_deref(), working_dir).map_err(|d| wrong.extend(d));
    let environment =
        Environment::from_options(&options.environment_vars, &options.env).map_err(|d| wrong.extend(d));
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

/// Where a script and its environment lie in the guest.
struct Places {
    script: String,
    variables: String,
}

#[async_trait]
impl Provisioner for Shell {
    async fn provision(&self, cx: &ProvisionContext<'_>) -> Result<(), Failure> {
        let places = self.places();
        for (name, bytes) in self.scripts.read(cx.task)? {
            cx.task.reporter.say(format!("Provisioning with shell script: {name}"));
            let bytes = if self.options.binary { bytes } else { unix_line_endings(bytes) };
            let exit = self.run_script(cx, &bytes, &places).await?;
            self.check(cx, exit).await?;
            if !self.options.skip_clean {
                self.remove(cx, &places.script).await?;
            }
            let pause = self.options.pause_after.max_zero();
            if !pause.is_zero() {
                cx.task.reporter.say(format!("Pausing {pause:?} after this provisioner..."));
                remote::unless_cancelled(cx, tokio::time::sleep(pause)).await?;
            }
        }
        if self.options.use_env_var_file && !self.options.skip_clean {
            self.remove(cx, &places.variables).await?;
        }
        Ok(())
    }
}

impl Shell {
    fn places(&self) -> Places {
        let number = uuid::Uuid::new_v4().as_u128() % 9999;
        let folder = self.options.remote_folder.trim_end_matches('/');
        let file = match self.options.remote_file.as_str() {
            "" => format!("script_{number}.sh"),
            given => given.to_owned(),
        };
        let script = match self.options.remote_path.as_str() {
            "" => format!("{folder}/{file}"),
            given => given.to_owned(),
        };
        Places { script, variables: format!("{folder}/varfile_{number}.sh") }
    }

    async fn run_script(
        &self,
        cx: &ProvisionContext<'_>,
        bytes: &[u8],
        places: &Places,
    ) -> Result<Exit, Failure> {
        let environment = self.environment.with_build(cx.task, cx.generated);
        let command = self.command(&environment, places)?;
        let variables = environment.assignments(self.format("export %s='%s'\n"));
        let places = &places;
        let (command, variables) = (&command, &variables);
        let unit = || async move {
            if self.options.use_env_var_file {
                cx.communicator.upload_bytes(variables.as_bytes(), &places.variables, 0o600).await?;
                remote::run_quietly(cx, &format!("chmod 0600 {}", places.variables)).await?;
            }
            let carried = cx.communicator.upload_bytes(bytes, &places.script, 0o644);
            remote::unless_cancelled(cx, carried).await.map_err(Tried::Failed)??;
            remote::run_quietly(cx, &format!("chmod 0755 {}", places.script)).await?;
            remote::run(cx, command).await
        };
        remote::retrying(cx, self.options.start_retry_timeout.max_zero(), unit).await
    }

    fn format<'a>(&'a self, default: &'a str) -> &'a str {
        if self.options.env_var_format.is_empty() { default } else { &self.options.env_var_format }
    }

    fn command(&self, environment: &Environment, places: &Places) -> Result<String, Failure> {
        let default = match self.options.use_env_var_file {
            true => "chmod +x {{.Path}}; . {{.EnvVarFile}} && {{.Path}}",
            false => "chmod +x {{.Path}}; {{.Vars}} {{.Path}}",
        };
        let template =
            if self.options.execute_command.is_empty() { default } else { &self.options.execute_command };
        let vars = match self.options.use_env_var_file {
            true => String::new(),
            false => environment.assignments(self.format("%s='%s' ")),
        };
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
            Exit::Code(code) => script::check_exit(code, &self.options.valid_exit_codes),
        }
    }

    /// Removes a file of the guest. A guest that is rebooting gets the time that a start gets.
    async fn remove(&self, cx: &ProvisionContext<'_>, path: &str) -> Result<(), Failure> {
        let command = &format!("rm -f {path}");
        let limit = self.options.start_retry_timeout.max_zero().min(Duration::from_secs(5 * 60));
        let attempt = || async move {
            match remote::run_quietly(cx, command).await? {
                (Exit::Code(0), _) => Ok(()),
                (Exit::Disconnected, _) => Err(Tried::Unreachable(gone(command))),
                (Exit::Code(code), out) => Err(Tried::Failed(Failure::new(
                    Fault::Guest,
                    format!("cannot remove {path} from the guest: exit code {code} {out}"),
                ))),
            }
        };
        remote::retrying(cx, limit, attempt).await
    }
}

fn gone(command: &str) -> kiln_component::CommunicatorError {
    let source = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "the connection went away");
    kiln_component::CommunicatorError::Unreachable { operation: command.to_owned(), source: source.into() }
}

fn unix_line_endings(bytes: Vec<u8>) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes.into_iter().peekable();
    while let Some(byte) = rest.next() {
        if byte != b'\r' || rest.peek() != Some(&b'\n') {
            out.push(byte);
        }
    }
    out
}
