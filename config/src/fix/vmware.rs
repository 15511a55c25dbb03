//! Disks of the VMware builder on ESXi: those that aren't thin can't be compacted.

use serde_json::Value;

use super::Rewrite;

pub(super) const COMPACTION: Rewrite = Rewrite {
    name: "vmware-compaction",
    help: "Sets \"skip_compaction\" of \"vmware-iso\" builders whose disks can't be compacted",
    apply: |template| {
        for options in template.builders_of(|kind| kind == "vmware-iso") {
            if options.get("remote_type").and_then(Value::as_str) != Some("esx5") {
                continue;
            }
            let disk = options.entry("disk_type_id").or_insert_with(|| "zeroedthick".into());
            if disk.as_str().is_some_and(|kind| kind != "thin") {
                options.insert("skip_compaction".to_owned(), true.into());
            }
        }
    },
};
