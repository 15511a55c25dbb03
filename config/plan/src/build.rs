//! The plan of one task: one source of one build, with everything an agent needs to carry it out.

use std::collections::BTreeMap;

use kiln_lang::duration::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::component::ComponentConfig;
use crate::data::DataOrigin;
use crate::fingerprint::Fingerprint;
use crate::requirements::Requirements;
use crate::secret::Sensitive;

/// The version of the plan's serialised form. A reader refuses a higher one.
pub const PLAN_FORMAT: u32 = 1;

/// What will be built, by one builder, with no choices left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BuildPlan {
    /// [`PLAN_FORMAT`] of the writer.
    pub format: u32,
    /// The name shown to people and matched by `-only`: `[build.]type.source` in HCL2, the builder's name or
    /// `type.name` in legacy JSON.
    pub name: String,
    /// `packer_build_name`: the declared source name in HCL2, the builder's name in legacy JSON.
    pub source_name: String,
    /// Which language the template is in; some rules differ.
    pub dialect: Dialect,
    /// The builder and its config.
    pub builder: ComponentConfig,
    /// In order.
    pub provisioners: Vec<ProvisionerPlan>,
    /// What runs when something failed after provisioning had begun.
    pub error_cleanup: Option<ProvisionerPlan>,
    /// Sequences, each starting from the builder's artifact.
    pub post_processors: Vec<Vec<PostProcessorPlan>>,
    /// What Go-template actions and components may ask for.
    pub facts: TemplateContext,
    /// How the run was asked for.
    pub options: RunOptions,
    /// What must never be shown.
    pub secrets: Vec<Sensitive<String>>,
    /// What the machine must offer.
    pub requirements: Requirements,
    /// The answers of data sources that went into it.
    #[serde(default)]
    pub data: Vec<DataOrigin>,
    /// The files that it works in; none in a farm of one, whose agent has them. Paths in the plan then begin with
    /// [`BUNDLE_ROOT`](crate::bundle_root::BUNDLE_ROOT).
    #[serde(default)]
    pub bundle: Option<Fingerprint>,
}

/// What every builder tells later components: `build.ID` and its kin.
pub const USUAL_VALUES: [&str; 13] = [
    "ID",
    "Host",
    "Port",
    "User",
    "Password",
    "ConnType",
    "PackerRunUUID",
    "PackerHTTPPort",
    "PackerHTTPIP",
    "PackerHTTPAddr",
    "SSHPublicKey",
    "SSHPrivateKey",
    "WinRMPassword",
];

impl BuildPlan {
    /// A plan of a builder and nothing else, named `TYPE.SOURCE` as in HCL2.
    pub fn of_builder(builder: ComponentConfig, source_name: impl Into<String>) -> Self {
        let source_name = source_name.into();
        Self {
            format: PLAN_FORMAT,
            name: format!("{}.{source_name}", builder.name),
            source_name,
            dialect: Dialect::Hcl2,
            builder,
            provisioners: Vec::new(),
            error_cleanup: None,
            post_processors: Vec::new(),
            facts: TemplateContext::default(),
            options: RunOptions::default(),
            secrets: Vec::new(),
            requirements: Requirements::default(),
            data: Vec::new(),
            bundle: None,
        }
    }

    /// The digest of everything that influences the result.
    ///
    /// # Panics
    /// Never: a plan always serialises.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_bytes(&serde_json::to_vec(self).expect("a plan has only string keys"))
    }
}

/// The language of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Dialect {
    /// `*.pkr.hcl` and `*.pkr.json`.
    Hcl2,
    /// The legacy JSON of `builders` and `provisioners`.
    LegacyJson,
}

/// What a template's run-time text may ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateContext {
    /// The values of `{{user}}`; empty for HCL2. May hold secrets, hence never printed.
    pub user_variables: BTreeMap<String, Sensitive<String>>,
    /// The directory of the template, as `{{template_dir}}` shows it.
    pub template_dir: String,
    /// Where relative paths resolve: the directory from which the build was started.
    pub working_dir: String,
    /// When the run began, in nanoseconds since the Unix epoch: `{{timestamp}}`, `{{isotime}}`.
    pub started_ns: i64,
    /// The version that `{{packer_version}}` tells.
    pub core_version: String,
    /// `PACKER_RUN_UUID`: the same for all tasks of a run.
    pub run_uuid: String,
    /// The name of the build block, which `build.name` tells at run time; empty when it has none, and in
    /// legacy JSON.
    #[serde(default)]
    pub block_name: String,
}

/// How a run was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunOptions {
    /// `-force`: replace what is in the way.
    pub force: bool,
    /// `-debug`: pause between steps.
    pub debug: bool,
    /// `-on-error`
    pub on_error: OnError,
    /// Whether a person is there who can answer questions.
    #[serde(default)]
    pub interactive: bool,
}

/// What happens after a failed step (`-on-error`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnError {
    /// Undo everything.
    #[default]
    Cleanup,
    /// Undo nothing.
    Abort,
    /// Ask a person; clean up when there is none.
    Ask,
    /// Run the error-cleanup-provisioner, undo nothing else.
    RunCleanupProvisioner,
}

/// A provisioner with what the core does around it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProvisionerPlan {
    /// The provisioner and its config, overrides merged.
    pub component: ComponentConfig,
    /// Wait this long first; also hides `timeout`, as in Packer.
    pub pause_before: SignedDuration,
    /// The most one attempt may take; zero for no bound.
    pub timeout: SignedDuration,
    /// Extra attempts.
    pub max_retries: u32,
    /// Go on after a failure.
    pub continue_on_error: bool,
}

/// A post-processor with what the core does around it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PostProcessorPlan {
    /// The post-processor and its config.
    pub component: ComponentConfig,
    /// The name given in the template; the type when it gives none in legacy JSON; empty in HCL2.
    pub name: String,
    /// `keep_input_artifact`, if the template sets it.
    pub keep_input_artifact: Option<bool>,
}
