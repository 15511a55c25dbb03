//! The public plug-ins as data: which components each offers. Used to say how to get a component that isn't here,
//! and to tell which plug-ins Kiln can do without because it has all of their components itself.
//!
//! Component names are what templates write when the plug-in is required under its own name.

use crate::component::ComponentKind;

/// A plug-in that anybody can install.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicPlugin {
    /// Where it comes from: `github.com/hashicorp/amazon`.
    pub source: &'static str,
    /// The constraint that a template which begins today should put on it.
    pub versions: &'static str,
    /// Its components: a kind and the names of that kind, separated by spaces.
    components: &'static [(ComponentKind, &'static str)],
}

impl PublicPlugin {
    /// Its name, under which templates usually require it.
    pub fn name(&self) -> &'static str {
        self.source.rsplit('/').next().unwrap_or(self.source)
    }

    /// Its components, as templates that require it under its own name write them.
    pub fn components(&self) -> impl Iterator<Item = (ComponentKind, &'static str)> + use<> {
        self.components.iter().flat_map(|(kind, names)| names.split(' ').map(|name| (*kind, name)))
    }
}

/// The public plug-in that offers a component.
pub fn offering(kind: ComponentKind, name: &str) -> Option<&'static PublicPlugin> {
    PUBLIC.iter().find(|plugin| plugin.components().any(|known| known == (kind, name)))
}

/// The public plug-in whose own name a component's type begins with, as `amazon` does that of `amazon-new`; the
/// longest such name.
pub fn named_like(component: &str) -> Option<&'static PublicPlugin> {
    let fits = |plugin: &&PublicPlugin| is_of(component, plugin.name());
    PUBLIC.iter().filter(fits).max_by_key(|plugin| plugin.name().len())
}

/// The public plug-in from that source.
pub fn from_source(source: &str) -> Option<&'static PublicPlugin> {
    PUBLIC.iter().find(|plugin| plugin.source == source)
}

/// Whether a component of that type belongs to a plug-in that is called `accessor`.
pub fn is_of(component: &str, accessor: &str) -> bool {
    component.strip_prefix(accessor).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

const BUILDER: ComponentKind = ComponentKind::Builder;
const PROVISIONER: ComponentKind = ComponentKind::Provisioner;
const POST_PROCESSOR: ComponentKind = ComponentKind::PostProcessor;
const DATA_SOURCE: ComponentKind = ComponentKind::DataSource;

/// Sorted by name.
const PUBLIC: [PublicPlugin; 58] = [
    PublicPlugin {
        source: "github.com/hashicorp/alicloud",
        versions: "~> 1.0",
        components: &[(BUILDER, "alicloud-ecs"), (POST_PROCESSOR, "alicloud-import")],
    },
    PublicPlugin {
        source: "github.com/hashicorp/amazon",
        versions: "~> 1.0",
        components: &[
            (BUILDER, "amazon-chroot amazon-ebs amazon-ebssurrogate amazon-ebsvolume amazon-instance"),
            (POST_PROCESSOR, "amazon-import"),
            (DATA_SOURCE, "amazon-ami amazon-parameterstore amazon-secretsmanager"),
        ],
    },
    PublicPlugin {
        source: "github.com/hashicorp/ansible",
        versions: "~> 1.0",
        components: &[(PROVISIONER, "ansible ansible-local")],
    },
    PublicPlugin {
        source: "github.com/solo-io/arm-image",
        versions: ">= 0.2",
        components: &[(BUILDER, "arm-image")],
    },
    PublicPlugin {
        source: "github.com/hashicorp/azure",
        versions: "~> 2.0",
        components: &[
            (BUILDER, "azure-arm azure-chroot azure-dtl"),
            (PROVISIONER, "azure-dtlartifact"),
            (DATA_SOURCE, "azure-keyvaultsecret"),
        ],
    },
    PublicPlugin {
        source: "github.com/hashicorp/chef",
        versions: "~> 1.0",
        components: &[(PROVISIONER, "chef-client chef-solo")],
    },
    PublicPlugin {
        source: "github.com/hashicorp/cloudstack",
        versions: "~> 1.0",
        components: &[(BUILDER, "cloudstack")],
    },
    PublicPlugin {
        source: "github.com/digitalocean/digitalocean",
        versions: "~> 1.0",
        components: &[
            (BUILDER, "digitalocean"),
            (POST_PROCESSOR, "digitalocean-import"),
            (DATA_SOURCE, "digitalocean-image"),
        ],
    },
    PublicPlugin {
        source: "github.com/hashicorp/docker",
        versions: "~> 1.0",
        components: &[
            (BUILDER, "docker"),
            (POST_PROCESSOR, "docker-import docker-push docker-save docker-tag"),
        ],
    },
    PublicPlugin {
        source: "github.com/exoscale/exoscale",
        versions: ">= 0.1",
        components: &[(BUILDER, "exoscale"), (POST_PROCESSOR, "exoscale-import")],
    },
    PublicPlugin {
        source: "github.com/ethanmdavidson/git",
        versions: ">= 0.6",
        components: &[(DATA_SOURCE, "git-commit git-repository git-tree")],
    },
    PublicPlugin {
        source: "github.com/hashicorp/googlecompute",
        versions: "~> 1.0",
        components: &[
            (BUILDER, "googlecompute"),
            (POST_PROCESSOR, "googlecompute-export googlecompute-import"),
            (DATA_SOURCE, "googlecompute-image googlecompute-parametermanager googlecompute-secretsmanager"),
        ],
    },
    PublicPlugin {
        source: "github.com/YaleUniversity/goss",
        versions: ">= 3",
        components: &[(PROVISIONER, "goss")],
    },
    PublicPlugin {
        source: "github.com/hashicorp/hashicups",
        versions: "~> 1.0",
        components: &[
            (BUILDER, "hashicups-order"),
            (PROVISIONER, "hashicups-toppings"),
            (POST_PROCESSOR, "hashicups-receipt"),
            (DATA_SOURCE, "hashicups-coffees hashicups-ingredients"),
        ],
    },
    PublicPlugin {
        source: "github.com/hetznercloud/hcloud",
        versions: "~> 1.0",
        components: &[(BUILDER, "hcloud"), (DATA_SOURCE, "hcloud-image")],
    },
    PublicPlugin {
        source: "github.com/stromweld/host-info",
        versions: ">= 0.1",
        components: &[(DATA_SOURCE, "host-info")],
    },
    PublicPlugin {
        source: "github.com/huaweicloud/huaweicloud",
        versions: ">= 0.1",
        components: &[(BUILDER, "huaweicloud-ecs")],
    },
    PublicPlugin {
        source: "github.com/hashicorp/hyperone",
        versions: "~> 1.0",
        components: &[(BUILDER, "hyperone")],
    },
    PublicPlugin {
        source: "github.com/hashicorp/hyperv",
        versions: "~> 1.0",
        components: &[(BUILDER, "hyperv-iso hyperv-vmcx")],
    },
    PublicPlugin {
        source: "github.com/hashicorp/inspec",
        versions: "~> 1.0",
        components: &[(PROVISIONER, "inspec")],
    },
    PublicPlugin {
        source: "github.com/hashicorp/jdcloud",
        versions: ">= 0.1",
        components: &[(BUILDER, "jdcloud")],
    },
    PublicPlugin {
        source: "github.com/chunqi/keepass",
        versions: ">= 0.1",
        components: &[(DATA_SOURCE, "keepass-credentials")],
    },
    PublicPlugin {
        source: "github.com/hashicorp/kubevirt",
        versions: ">= 0.1",
        components: &[(BUILDER, "kubevirt-iso")],
    },
    PublicPlugin {
        source: "github.com/thomasklein94/libvirt",
        versions: ">= 0.5",
        components: &[(BUILDER, "libvirt")],
    },
    PublicPlugin {
        source: "github.com/linode/linode",
        versions: "~> 1.0",
        components: &[(BUILDER, "linode"), (DATA_SOURCE, "linode-image")],
    },
    PublicPlugin { source: "github.com/hashicorp/lxc", versions: "~> 1.0", components: &[(BUILDER, "lxc")] },
    PublicPlugin { source: "github.com/hashicorp/lxd", versions: "~> 1.0", components: &[(BUILDER, "lxd")] },
    PublicPlugin {
        source: "github.com/macstadium/macstadium-orka",
        versions: ">= 2",
        components: &[(BUILDER, "macstadium-orka")],
    },
    PublicPlugin {
        source: "github.com/hashicorp/ncloud",
        versions: ">= 0.1",
        components: &[(BUILDER, "ncloud")],
    },
    PublicPlugin {
        source: "github.com/nutanix-cloud-native/nutanix",
        versions: ">= 0.1",
        components: &[(BUILDER, "nutanix")],
    },
    PublicPlugin {
        source: "github.com/hashicorp/openstack",
        versions: "~> 1.0",
        components: &[(BUILDER, "openstack")],
    },
    PublicPlugin {
        source: "github.com/hashicorp/oracle",
        versions: "~> 1.0",
        components: &[(BUILDER, "oracle-classic oracle-oci")],
    },
    PublicPlugin {
        source: "github.com/outscale/outscale",
        versions: "~> 1.0",
        components: &[
            (BUILDER, "outscale-bsu outscale-bsusurrogate outscale-bsuvolume outscale-chroot"),
            (DATA_SOURCE, "outscale-omi"),
        ],
    },
    PublicPlugin {
        source: "github.com/oxidecomputer/oxide",
        versions: ">= 0.1",
        components: &[(BUILDER, "oxide-instance"), (DATA_SOURCE, "oxide-image")],
    },
    PublicPlugin {
        source: "github.com/Parallels/parallels",
        versions: "~> 1.0",
        components: &[(BUILDER, "parallels-ipsw parallels-iso parallels-macvm parallels-pvm")],
    },
    PublicPlugin {
        source: "github.com/ppc64le-cloud/powervs",
        versions: ">= 0.1",
        components: &[(BUILDER, "powervs")],
    },
    PublicPlugin {
        source: "github.com/hashicorp/proxmox",
        versions: "~> 1.0",
        components: &[(BUILDER, "proxmox proxmox-clone proxmox-iso")],
    },
    PublicPlugin {
        source: "github.com/hashicorp/puppet",
        versions: "~> 1.0",
        components: &[(PROVISIONER, "puppet-masterless puppet-server")],
    },
    PublicPlugin {
        source: "github.com/hashicorp/qemu",
        versions: "~> 1.0",
        components: &[(BUILDER, "qemu")],
    },
    PublicPlugin {
        source: "github.com/hashicorp/salt",
        versions: ">= 0.1",
        components: &[(PROVISIONER, "salt-masterless")],
    },
    PublicPlugin {
        source: "github.com/hashicorp/scaffolding",
        versions: "~> 1.0",
        components: &[
            (BUILDER, "scaffolding-my-builder"),
            (PROVISIONER, "scaffolding-my-provisioner"),
            (POST_PROCESSOR, "scaffolding-my-post-processor"),
            (DATA_SOURCE, "scaffolding-my-datasource"),
        ],
    },
    PublicPlugin {
        source: "github.com/scaleway/scaleway",
        versions: "~> 1.0",
        components: &[(BUILDER, "scaleway")],
    },
    PublicPlugin {
        source: "github.com/ivoronin/sshkey",
        versions: "~> 1.0",
        components: &[(DATA_SOURCE, "sshkey")],
    },
    PublicPlugin {
        source: "github.com/cirruslabs/tart",
        versions: "~> 1.0",
        components: &[(BUILDER, "tart-cli")],
    },
    PublicPlugin {
        source: "github.com/hashicorp/tencentcloud",
        versions: "~> 1.0",
        components: &[(BUILDER, "tencentcloud-cvm")],
    },
    PublicPlugin {
        source: "github.com/hashicorp/triton",
        versions: "~> 1.0",
        components: &[(BUILDER, "triton")],
    },
    PublicPlugin {
        source: "github.com/hashicorp/ucloud",
        versions: "~> 1.0",
        components: &[(BUILDER, "ucloud-uhost")],
    },
    PublicPlugin {
        source: "github.com/UpCloudLtd/upcloud",
        versions: "~> 1.0",
        components: &[(BUILDER, "upcloud"), (POST_PROCESSOR, "upcloud-import")],
    },
    PublicPlugin {
        source: "github.com/naveenrajm7/utm",
        versions: ">= 0.1",
        components: &[(BUILDER, "utm-cloud utm-iso utm-utm"), (POST_PROCESSOR, "utm-vagrant utm-zip")],
    },
    PublicPlugin {
        source: "github.com/hashicorp/vagrant",
        versions: "~> 1.0",
        components: &[(BUILDER, "vagrant"), (POST_PROCESSOR, "vagrant vagrant-cloud vagrant-registry")],
    },
    PublicPlugin {
        source: "github.com/veertuinc/veertu-anka",
        versions: ">= 2",
        components: &[
            (BUILDER, "veertu-anka-vm-clone veertu-anka-vm-create"),
            (POST_PROCESSOR, "veertu-anka-registry-push"),
        ],
    },
    PublicPlugin {
        source: "github.com/hashicorp/virtualbox",
        versions: "~> 1.0",
        components: &[(BUILDER, "virtualbox-iso virtualbox-ovf virtualbox-vm")],
    },
    PublicPlugin {
        source: "github.com/vmware/vmware",
        versions: "~> 2.0",
        components: &[(BUILDER, "vmware-iso vmware-vmx")],
    },
    PublicPlugin {
        source: "github.com/vmware/vsphere",
        versions: "~> 2.0",
        components: &[
            (BUILDER, "vsphere-clone vsphere-iso vsphere-supervisor"),
            (POST_PROCESSOR, "vsphere vsphere-template"),
        ],
    },
    PublicPlugin { source: "github.com/vultr/vultr", versions: ">= 2", components: &[(BUILDER, "vultr")] },
    PublicPlugin {
        source: "github.com/rgl/windows-update",
        versions: ">= 0.14",
        components: &[(PROVISIONER, "windows-update")],
    },
    PublicPlugin {
        source: "github.com/ddelnano/xenserver",
        versions: ">= 0.4",
        components: &[(BUILDER, "xenserver-iso")],
    },
    PublicPlugin {
        source: "github.com/hashicorp/yandex",
        versions: "~> 1.0",
        components: &[(BUILDER, "yandex"), (POST_PROCESSOR, "yandex-export yandex-import")],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PluginSource;
    use crate::version::Constraints;

    #[test]
    fn components_lead_to_their_plugin() {
        let cases = [
            (BUILDER, "amazon-ebs", Some("github.com/hashicorp/amazon")),
            (BUILDER, "googlecompute", Some("github.com/hashicorp/googlecompute")),
            (BUILDER, "vsphere-iso", Some("github.com/vmware/vsphere")),
            (BUILDER, "vagrant", Some("github.com/hashicorp/vagrant")),
            (POST_PROCESSOR, "vagrant", Some("github.com/hashicorp/vagrant")),
            (POST_PROCESSOR, "vsphere", Some("github.com/vmware/vsphere")),
            (PROVISIONER, "windows-update", Some("github.com/rgl/windows-update")),
            (DATA_SOURCE, "git-repository", Some("github.com/ethanmdavidson/git")),
            (PROVISIONER, "amazon-ebs", None),
            (BUILDER, "nobody-knows", None),
        ];
        for (kind, name, expected) in cases {
            assert_eq!(offering(kind, name).map(|p| p.source), expected, "{kind:?} {name}");
        }
    }

    #[test]
    fn unknown_components_of_a_known_plugin_are_told_by_their_first_words() {
        let cases = [
            ("amazon-new", Some("amazon")),
            ("arm-image-new", Some("arm-image")),
            ("amazonia", None),
            ("new", None),
        ];
        for (name, expected) in cases {
            assert_eq!(named_like(name).map(PublicPlugin::name), expected, "{name}");
        }
    }

    #[test]
    fn every_row_is_well_formed() {
        assert!(PUBLIC.is_sorted_by_key(PublicPlugin::name));
        for plugin in &PUBLIC {
            assert!(plugin.source.parse::<PluginSource>().is_ok(), "{}", plugin.source);
            assert!(plugin.versions.parse::<Constraints>().is_ok(), "{}", plugin.versions);
            for (kind, name) in plugin.components() {
                assert!(is_of(name, plugin.name()), "{name} of {}", plugin.source);
                assert_eq!(offering(kind, name), Some(plugin), "{name} stands twice");
            }
        }
    }
}
