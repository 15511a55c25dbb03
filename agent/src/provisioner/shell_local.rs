//! `shell-local`: runs scripts on this machine, as a provisioner and as a post-processor.
//!
//! Values of the environment that are secrets never stand on a command line, where every process of the machine
//! could read them: they go through the environment, and the command line refers to them by name.

use std::collections::BTreeMap;
use std::path::Path;

use async_trait::async_trait;
use kiln_component::factory::Made;
use kiln_component::process::{self, ProcessExit, Program, Stream};
use kiln_component::{Factory, FinishedConfig, GeneratedData, ProvisionContext, Provisioner, TaskContext};
use kiln_lang::{Diagnostic, Diagnostics};
use kiln_plan::schema::{OptionType, Rule};
use kiln_plan::{Failure, Fault, OptionSchema};
use serde::Deserialize;
use tempfile::TempPath;

use super::script::{self, Environment, ScriptOptions, Scripts};
use crate::config;

/// The options, as a template gives them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Options {
    command: String,
    inline: Vec<String>,
    script: String,
    scripts: Vec<String>,
    valid_exit_codes: Vec<i32>,
    environment_vars: Vec<String>,
    env: BTreeMap<String, String>,
    env_var_format: String,
    execute_command: Vec<String>,
    inline_shebang: String,
    only_on: Vec<String>,
    tempfile_extension: String,
    /// For Windows; taken so that templates keep working.
    use_linux_pathing: bool,
}

const SYSTEMS: [&str; 6] = ["darwin", "freebsd", "linux", "openbsd", "solaris", "windows"];

/// The schema, for either kind.
pub fn schema() -> Vec<OptionSchema> {
    let string = |name, help| OptionSchema::new(name, OptionType::String, help);
    let mut options = script::options();
    options.extend([
        string("command", "one line of a script").deprecated("inline"),
        OptionSchema::new(
            "execute_command",
            OptionType::Strings,
            "program and arguments, with {{.Vars}}, {{.Script}}",
        )
        .default("[\"/bin/sh\", \"-c\", \"{{.Vars}} {{.Script}}\"]")
        .late(),
        string("inline_shebang", "the interpreter of inline scripts").default("/bin/sh -e"),
        OptionSchema::new("only_on", OptionType::Strings, "run on machines of these systems alone")
            .values(&SYSTEMS),
        string("tempfile_extension", "the ending of an inline script's file"),
        OptionSchema::new("use_linux_pathing", OptionType::Bool, "for Bash on Windows; no effect elsewhere")
            .default("false"),
    ]);
    options
}

/// The rules between the options, for either kind.
pub fn rules() -> [Rule; 2] {
    const SOURCES: [&str; 4] = ["command", "inline", "script", "scripts"];
    [Rule::at_least_one(&SOURCES), Rule::at_most_one(&SOURCES)]
}

/// How it is made as a provisioner.
pub fn factory() -> Factory {
    Factory::provisioner("shell-local", schema(), make).with_rules(rules())
}

fn make(config: FinishedConfig) -> Made<Box<dyn Provisioner>> {
    let (local, warnings) = ShellLocal::new(config)?;
    Ok((Box::new(local), warnings))
}

/// Scripts with all that is needed to run them here.
#[derive(Debug)]
pub struct ShellLocal {
    options: Options,
    scripts: Scripts,
    environment: Environment,
    config: FinishedConfig,
}

#[async_trait]
impl Provisioner for ShellLocal {
    async fn provision(&self, cx: &ProvisionContext<'_>) -> Result<(), Failure> {
        self.run(cx.task, cx.generated).await
    }
}

impl ShellLocal {
    /// Reads the config.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn new(config: FinishedConfig) -> Result<(Self, Diagnostics), Diagnostics> {
        let mut options: Options = config.decode()?;
        let mut wrong = Diagnostics::new();
        let mut inline = std::mem::take(&mut options.inline);
        if !options.command.is_empty() {
            if !inline.is_empty() {
                let detail = "Only one of command and inline may be given.";
                wrong.push(Diagnostic::error("Unsuitable script", detail));
            }
            inline.push(std::mem::take(&mut options.command));
        }
        for system in options.only_on.iter().filter(|s| !SYSTEMS.contains(&s.as_str())) {
            let detail = format!("only_on has {system:?}; it takes {}.", SYSTEMS.join(", "));
            wrong.push(Diagnostic::error("Unknown system", detail));
        }
        let script = std::mem::take(&mut options.script);
        let choice = ScriptOptions { inline, script, scripts: std::mem::take(&mut options.scripts) };
        let shebang = config::given_or(&options.inline_shebang, script::DEFAULT_SHEBANG);
        let scripts = choice.scripts(Some(shebang), &config).map_err(|found| wrong.extend(found));
        let environment = Environment::from_options(&options.environment_vars, &options.env)
            .map_err(|found| wrong.extend(found));
        match (scripts, environment) {
            (Ok(scripts), Ok(environment)) if !wrong.has_errors() => {
                Ok((Self { options, scripts, environment, config }, wrong))
            }
            _ => Err(wrong),
        }
    }

    /// Runs all scripts.
    ///
    /// # Errors
    /// When one can't be started, or ends with a code that isn't allowed.
    pub async fn run(&self, cx: &TaskContext, generated: &GeneratedData) -> Result<(), Failure> {
        let only_on = &self.options.only_on;
        if !only_on.is_empty() && !only_on.iter().any(|system| system == this_system()) {
            let words = format!("Skipping shell-local due to runtime OS: it runs only on {only_on:?}");
            cx.reporter.say(words);
            return Ok(());
        }
        let environment = self.environment.with_build(cx, generated);
        match &self.scripts {
            Scripts::Inline(text) => {
                let file = self.temporary(cx, text)?;
                self.run_one(cx, &file, &environment).await
            }
            Scripts::Files(files) => {
                for file in files {
                    self.run_one(cx, &cx.resolve(file), &environment).await?;
                }
                Ok(())
            }
        }
    }

    /// The inline script as a file of its own, removed when it is dropped.
    fn temporary(&self, cx: &TaskContext, text: &str) -> Result<TempPath, Failure> {
        let extension = self.options.tempfile_extension.trim_start_matches('.');
        let suffix = if extension.is_empty() { String::new() } else { format!(".{extension}") };
        let path = cx.scratch.join(format!("packer-shell{}{suffix}", uuid::Uuid::new_v4().simple()));
        let written =
            process::write_script(&path, text.as_bytes()).and_then(|()| TempPath::try_from_path(&path));
        written.map_err(|error| {
            let text = format!("cannot write the script {}: {error}", path.display());
            Failure::new(Fault::Machine, text)
        })
    }

    async fn run_one(
        &self,
        cx: &TaskContext,
        script: &Path,
        environment: &Environment,
    ) -> Result<(), Failure> {
        cx.reporter.say(format!("Running local shell script: {}", script.display()));
        let (program, arguments) = self.command(cx, script, environment)?;
        let program = Program::new(program).args(arguments).directory(&cx.working_dir);
        let program =
            environment.values.iter().fold(program, |program, (name, value)| program.env(name, value));
        let reporter = &cx.reporter;
        let finished = program.run(&cx.journal, &cx.cancel, |stream, line| match stream {
            Stream::Stdout => reporter.say(line),
            Stream::Stderr => reporter.error(line),
        });
        let code = match finished.await?.exit {
            ProcessExit::Code(code) => code,
            // What Packer calls the exit code of a killed script.
            ProcessExit::Signal(_) => -1,
        };
        script::check_exit(code, &self.options.valid_exit_codes, Fault::Template)
    }

    /// The program to run and its arguments.
    fn command(
        &self,
        cx: &TaskContext,
        script: &Path,
        environment: &Environment,
    ) -> Result<(String, Vec<String>), Failure> {
        let script = script.display().to_string();
        let owned = |arguments: &[&str]| arguments.iter().map(|a| (*a).to_owned()).collect();
        if self.options.execute_command.is_empty() {
            // The environment is set already; and a path may have spaces.
            return Ok(("/bin/sh".to_owned(), owned(&["-c", "exec \"$0\"", &script])));
        }
        let format = config::given_or(&self.options.env_var_format, "%s='%s' ");
        let vars = environment.assignments_hiding(format, |value| cx.reporter.redact(value) != value);
        let own = [("Vars", vars.as_str()), ("Script", &script), ("Command", &script)];
        let render = |part: &String| config::render_late(&self.config, "execute_command", part, &own);
        let parts: Vec<String> = self.options.execute_command.iter().map(render).collect::<Result<_, _>>()?;
        match parts.as_slice() {
            // From the days when it was a single text.
            [line] => Ok(("/bin/sh".to_owned(), owned(&["-c", line]))),
            [program, arguments @ ..] => Ok((program.clone(), arguments.to_vec())),
            [] => Err(Failure::new(Fault::Template, "execute_command has no program")),
        }
    }
}

fn this_system() -> &'static str {
    match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    }
}

#[cfg(test)]
mod tests;
