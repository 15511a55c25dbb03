//! What a person asked for on the command line, as data: the same request can be carried out here or sent
//! to a farm.

use kiln_plan::{RunOptions, Sensitive};
use serde::{Deserialize, Serialize};

/// One request to evaluate a template.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The template as named on the command line: a directory, a file, or `-` (or nothing) for legacy JSON
    /// on standard input.
    pub path: String,
    /// `-config-type`: the language of a file whose name does not tell.
    #[serde(default)]
    pub config_type: ConfigType,
    /// `-var`, in order; a later one of the same name wins.
    #[serde(default)]
    pub variables: Vec<VariableArgument>,
    /// `-var-file`, in order; a later one wins.
    #[serde(default)]
    pub var_files: Vec<String>,
    /// `-only`, split at commas.
    #[serde(default)]
    pub only: Vec<String>,
    /// `-except`, split at commas.
    #[serde(default)]
    pub except: Vec<String>,
    /// `-force`, `-debug`, `-on-error`.
    #[serde(default)]
    pub options: RunOptions,
    /// Whether a value in a var file for a variable that isn't declared is worth a warning: `validate` does
    /// by default, `build` with `-warn-on-undeclared-var`.
    #[serde(default)]
    pub warn_undeclared: bool,
    /// `PACKER_RUN_UUID`: the same for all tasks of a run.
    pub run_uuid: String,
    /// When the run began, in nanoseconds since the Unix epoch.
    pub started_ns: i64,
    /// The Packer version this program stands for, such as `1.16.0`; compared with `required_version` and
    /// told by `packer.version`.
    pub core_version: String,
}

/// `-var name=text`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VariableArgument {
    /// What stands before the first `=`.
    pub name: String,
    /// What stands after it. May be a secret.
    pub text: Sensitive<String>,
}

/// `-config-type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConfigType {
    /// Legacy JSON.
    #[default]
    Json,
    /// HCL2.
    Hcl2,
}
