//! Names that options had in old templates. They are refused like any unknown name, with a word about what to write.

/// Old names and what to write in their place.
const FORMER: [(&str, &str); 10] = [
    ("iso_checksum_type", "the type before the sum: iso_checksum = \"sha256:…\""),
    ("iso_checksum_url", "iso_checksum = \"file:…\" with that URL"),
    ("iso_md5", "iso_checksum = \"md5:…\""),
    ("ssh_key_path", "ssh_private_key_file"),
    ("ssh_disable_agent", "ssh_disable_agent_forwarding"),
    ("ssh_skip_nat_mapping", "skip_nat_mapping"),
    ("cpu", "cpus"),
    ("ram_size", "memory"),
    ("galaxycommand", "galaxy_command"),
    ("filename", "output"),
];

/// What to write in the place of an old name, if it is one.
pub(super) fn instead_of(name: &str) -> Option<&'static str> {
    FORMER.iter().find(|(old, _)| old.eq_ignore_ascii_case(name)).map(|(_, instead)| *instead)
}
