//! Component types that nobody offers: what was perhaps meant, and where the type comes from.

use kiln_lang::diagnostic::nearest;
use kiln_lang::{Diagnostic, Span};
use kiln_plan::{Catalog, ComponentKind};

use crate::template::RequiredPlugin;

/// Plug-ins by the first words of their components' types.
const PLUGINS: [(&str, &str); 26] = [
    ("alicloud", "github.com/hashicorp/alicloud"),
    ("amazon", "github.com/hashicorp/amazon"),
    ("ansible", "github.com/hashicorp/ansible"),
    ("azure", "github.com/hashicorp/azure"),
    ("chef", "github.com/hashicorp/chef"),
    ("digitalocean", "github.com/digitalocean/digitalocean"),
    ("docker", "github.com/hashicorp/docker"),
    ("googlecompute", "github.com/hashicorp/googlecompute"),
    ("hcloud", "github.com/hetznercloud/hcloud"),
    ("hyperv", "github.com/hashicorp/hyperv"),
    ("inspec", "github.com/hashicorp/inspec"),
    ("linode", "github.com/linode/linode"),
    ("lxc", "github.com/hashicorp/lxc"),
    ("lxd", "github.com/hashicorp/lxd"),
    ("openstack", "github.com/hashicorp/openstack"),
    ("oracle", "github.com/hashicorp/oracle"),
    ("parallels", "github.com/Parallels/parallels"),
    ("proxmox", "github.com/hashicorp/proxmox"),
    ("puppet", "github.com/hashicorp/puppet"),
    ("qemu", "github.com/hashicorp/qemu"),
    ("salt", "github.com/hashicorp/salt"),
    ("tencentcloud", "github.com/hashicorp/tencentcloud"),
    ("vagrant", "github.com/hashicorp/vagrant"),
    ("virtualbox", "github.com/hashicorp/virtualbox"),
    ("vmware", "github.com/vmware/vmware"),
    ("vsphere", "github.com/vmware/vsphere"),
];

/// A component that a template uses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) kind: ComponentKind,
    pub(super) name: &'a str,
    /// What the complaint begins with.
    pub(super) summary: &'a str,
    pub(super) span: &'a Span,
}

/// The complaint about a component that the catalog lacks; nothing without a catalog.
pub(super) fn complaint(
    wanted: Wanted<'_>,
    catalog: Option<&Catalog>,
    required: &[RequiredPlugin],
) -> Option<Diagnostic> {
    let catalog = catalog?;
    if catalog.get(wanted.kind, wanted.name).is_some() {
        return None;
    }
    let noun = wanted.kind.noun();
    let mut known: Vec<&str> = catalog.names(wanted.kind).collect();
    known.sort_unstable();
    let diagnostic = |detail: String| Diagnostic::error(wanted.summary, detail).at(wanted.span.clone());
    let nobody = format!("Nobody here offers the {noun} {:?}.", wanted.name);
    if let Some(similar) = nearest(wanted.name, known.iter().copied()) {
        return Some(diagnostic(format!("{nobody} Did you mean to use {similar:?}?")));
    }
    let prefix = wanted.name.split('-').next().unwrap_or(wanted.name);
    let declared = required.iter().find(|p| p.accessor == prefix).map(|p| p.source.as_str());
    let usual = PLUGINS.iter().find(|(name, _)| *name == prefix).map(|(_, source)| *source);
    Some(match declared.or(usual) {
        Some(source) => diagnostic(format!("{nobody} It comes with the plug-in {source}."))
            .hint(format!("add an agent that offers the plug-in {source}")),
        None => diagnostic(format!("{nobody} Known: [{}]", known.join(", "))),
    })
}
