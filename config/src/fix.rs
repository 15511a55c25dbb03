//! `fix`: legacy JSON templates brought up to date, rewrite by rewrite.
//!
//! ```text
//!  text ──► JSON (of a key that stands twice the later counts) ──► 34 rewrites, in order ──► JSON, keys sorted
//!                                                                                               │
//!                                                            check: is it a template now? ◄─────┘
//! ```
//!
//! Each rewrite is a small function over the template; the order is Packer's, because later ones build on what
//! earlier ones leave (`iso_md5` becomes `iso_checksum_type`, which becomes a prefix of `iso_checksum`). What a
//! rewrite doesn't understand it leaves alone: the check afterwards says what is wrong with it.

mod amazon;
mod ansible;
mod azure;
mod builder_type;
mod checksum;
mod clean_name;
mod create_time;
mod docker;
mod hyperv;
mod manifest;
mod parallels;
mod powershell;
mod qemu;
mod scaleway;
mod ssh;
mod template;
mod vagrant;
mod virtualbox;
mod vmware;
mod vsphere;
mod write;

use kiln_lang::{Diagnostics, SourceFile, SourceMap};
use kiln_plan::ComponentKind;
use serde_json::json;

use crate::json::read_last;
use crate::template::legacy;
use template::Template;

/// One rewrite.
#[derive(Clone, Copy)]
pub struct Rewrite {
    /// What help calls it, as in Packer.
    pub name: &'static str,
    /// What it does, one sentence.
    pub help: &'static str,
    apply: fn(&mut Template),
}

impl std::fmt::Debug for Rewrite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// All rewrites in the order in which they run.
pub const REWRITES: [Rewrite; 34] = [
    checksum::MD5,
    create_time::REWRITE,
    virtualbox::GUEST_ADDITIONS,
    vagrant::REWRITE,
    builder_type::VIRTUALBOX,
    builder_type::VMWARE,
    parallels::HEADLESS,
    parallels::OUT_OF_DATE,
    ssh::KEY_PATH,
    ssh::DISABLE_AGENT,
    scaleway::REWRITE,
    manifest::REWRITE,
    amazon::SHUTDOWN_BEHAVIOR,
    amazon::ENHANCED_NETWORKING,
    amazon::PRIVATE_IP,
    amazon::SOURCE_RANGES,
    docker::EMAIL,
    docker::TAGS,
    powershell::REWRITE,
    vmware::COMPACTION,
    hyperv::OUT_OF_DATE,
    hyperv::MISSPELT,
    hyperv::PROCESSORS_AND_MEMORY,
    clean_name::REWRITE,
    amazon::SPOT_PRICE,
    qemu::DISK_SIZE,
    ansible::GALAXY_COMMAND,
    virtualbox::PORTS,
    ssh::WAIT_TIMEOUT,
    vsphere::REWRITE,
    checksum::TYPE_AND_URL,
    qemu::PORTS,
    azure::REWRITE,
    builder_type::PROXMOX,
];

/// A template as the rewrites leave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// JSON, indented by two blanks, keys sorted, without a line break at the end.
    pub text: String,
}

/// Brings a template up to date.
///
/// # Errors
/// When the text isn't a JSON object, or its lists of components aren't lists.
pub fn fix(file: &SourceFile) -> Result<Fixed, Diagnostics> {
    let root = read_last(file)?;
    let mut template = Template::new(&root)?;
    REWRITES.iter().for_each(|rewrite| (rewrite.apply)(&mut template));
    Ok(Fixed { text: write::text(&template.into_value()) })
}

/// What is wrong with a fixed template, as far as can be told without values and components; and its text, for
/// showing where.
pub fn check(fixed: &Fixed, name: &str) -> (Diagnostics, SourceMap) {
    let file = SourceFile::new(format!("{name}, fixed"), fixed.text.as_str());
    let (document, mut found) = legacy::read(&file);
    if let Some(document) = document {
        found.extend(document.validate());
    }
    let mut sources = SourceMap::default();
    sources.add(file);
    (found, sources)
}

/// The rewrite that takes an option away from a component of that kind and type, if there is one.
pub(crate) fn outdated(kind: ComponentKind, name: &str, option: &str) -> Option<&'static str> {
    let list = match kind {
        ComponentKind::Builder => "builders",
        ComponentKind::Provisioner => "provisioners",
        ComponentKind::PostProcessor => "post-processors",
        ComponentKind::DataSource => return None,
    };
    // Some rewrites go by the kind of value.
    [json!("x"), json!(true)]
        .into_iter()
        .find_map(|value| {
            let mut template = Template::of_one(list, json!({ "type": name, option: value }));
            REWRITES.iter().find(|rewrite| {
                (rewrite.apply)(&mut template);
                !template.mentions(list, option)
            })
        })
        .map(|rewrite| rewrite.name)
}

#[cfg(test)]
mod tests;
