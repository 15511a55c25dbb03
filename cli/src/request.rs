//! From the words of the command line to a request that can be carried out here or anywhere.

use kiln_config::{ConfigType, Request, VariableArgument};
use kiln_plan::{RunOptions, Sensitive};

use crate::arguments::{self, TemplateArguments};
use crate::command::version::PACKER_VERSION;
use crate::local_host;

/// The request that these words make, for a template whose path is known.
pub(crate) fn of(arguments: &TemplateArguments, path: &str) -> Request {
    let variable = |(name, text): &(String, String)| VariableArgument {
        name: name.clone(),
        text: Sensitive::new(text.clone()),
    };
    let named = |names: &[String]| names.iter().filter(|n| !n.is_empty()).cloned().collect();
    Request {
        path: path.to_owned(),
        config_type: match arguments.config_type {
            arguments::ConfigType::Json => ConfigType::Json,
            arguments::ConfigType::Hcl2 => ConfigType::Hcl2,
        },
        variables: arguments.var.iter().map(variable).collect(),
        var_files: arguments.var_file.clone(),
        only: named(&arguments.only),
        except: named(&arguments.except),
        options: RunOptions::default(),
        warn_undeclared: false,
        run_uuid: uuid::Uuid::new_v4().to_string(),
        started_ns: local_host::now_ns(),
        core_version: PACKER_VERSION.to_owned(),
    }
}
