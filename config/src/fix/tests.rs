use kiln_lang::SourceFile;
use serde_json::Value;

use super::*;

fn fixed(text: &str) -> Fixed {
    fix(&SourceFile::new("t.json", text)).unwrap()
}

/// A component of a list after all rewrites, on one line.
fn component(list: &str, text: &str) -> String {
    let root: Value = serde_json::from_str(&fixed(&format!("{{\"{list}\": [{text}]}}")).text).unwrap();
    let mut component = root[list][0].clone();
    component.sort_all_objects();
    component.to_string()
}

fn check_table(list: &str, table: &[(&str, &str)]) {
    for (before, after) in table {
        let shown = component(list, before);
        let after: Value = serde_json::from_str(after).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), after, "{before}: {shown}");
    }
}

#[test]
fn options_of_all_builders() {
    check_table(
        "builders",
        &[
            (r#"{"type":"x","iso_md5":"a"}"#, r#"{"type":"x","iso_checksum":"md5:a"}"#),
            (r#"{"type":"x","iso_md5":5}"#, r#"{"type":"x","iso_md5":5}"#),
            (
                r#"{"type":"x","iso_md5":"a","iso_checksum":"b","iso_checksum_type":"sha1"}"#,
                r#"{"type":"x","iso_checksum":"md5:a"}"#,
            ),
            (
                r#"{"type":"x","ami_name":"a{{ .CreateTime }}"}"#,
                r#"{"type":"x","ami_name":"a{{timestamp}}"}"#,
            ),
            (
                r#"{"type":"x","a":["{{.CreateTime}} {{isotime .CreateTime}} {{x"]}"#,
                r#"{"type":"x","a":["{{timestamp}} {{isotime .CreateTime}} {{x"]}"#,
            ),
            (r#"{"type":"x","ssh_key_path":"a"}"#, r#"{"type":"x","ssh_private_key_file":"a"}"#),
            (
                r#"{"type":"x","ssh_key_path":"a","ssh_private_key_file":"b"}"#,
                r#"{"type":"x","ssh_private_key_file":"b"}"#,
            ),
            (
                r#"{"type":"x","ssh_disable_agent":true}"#,
                r#"{"type":"x","ssh_disable_agent_forwarding":true}"#,
            ),
            (r#"{"type":"x","ssh_wait_timeout":"5m"}"#, r#"{"type":"x","ssh_timeout":"5m"}"#),
            (
                r#"{"type":"x","ssh_wait_timeout":"5m","ssh_timeout":"4m"}"#,
                r#"{"type":"x","ssh_timeout":"4m"}"#,
            ),
            (
                r#"{"type":"x","a":"{{clean_ami_name `x`}}","b":{"c":"{{isotime | clean_image_name}}"}}"#,
                r#"{"type":"x","a":"{{clean_resource_name `x`}}","b":{"c":"{{isotime | clean_resource_name}}"}}"#,
            ),
        ],
    );
}

#[test]
fn three_options_about_the_checksum_become_one() {
    check_table(
        "builders",
        &[
            (r#"{"iso_checksum":"a","iso_checksum_type":"sha256"}"#, r#"{"iso_checksum":"sha256:a"}"#),
            (r#"{"iso_checksum":"sha1:a","iso_checksum_type":"sha1"}"#, r#"{"iso_checksum":"sha1:a"}"#),
            (r#"{"iso_checksum":"a","iso_checksum_type":""}"#, r#"{"iso_checksum":"a"}"#),
            (r#"{"iso_checksum":"a"}"#, r#"{"iso_checksum":"a"}"#),
            (r#"{"iso_checksum_type":"sha1"}"#, "{}"),
            (r#"{"iso_checksum_type":"none"}"#, r#"{"iso_checksum":"none"}"#),
            (r#"{"iso_checksum":"a","iso_checksum_type":"none"}"#, r#"{"iso_checksum":"none"}"#),
            (
                r#"{"iso_checksum":"a","iso_checksum_type":"sha256","iso_checksum_url":"http://x"}"#,
                r#"{"iso_checksum":"file:http://x"}"#,
            ),
            (r#"{"iso_checksum_url":"file:///x"}"#, r#"{"iso_checksum":"file:file:///x"}"#),
            (
                r#"{"iso_checksum":"{{user `c`}}","iso_checksum_type":"{{user `t`}}"}"#,
                r#"{"iso_checksum":"{{user `t`}}:{{user `c`}}"}"#,
            ),
            (r#"{"iso_checksum":5,"iso_checksum_type":"sha1"}"#, r#"{"iso_checksum":5}"#),
        ],
    );
}

#[test]
fn options_of_hypervisors() {
    check_table(
        "builders",
        &[
            (
                r#"{"type":"virtualbox","guest_additions_attach":true}"#,
                r#"{"type":"virtualbox-iso","guest_additions_mode":"attach"}"#,
            ),
            (
                r#"{"type":"virtualbox","guest_additions_attach":"false"}"#,
                r#"{"type":"virtualbox-iso","guest_additions_mode":"upload"}"#,
            ),
            (
                r#"{"type":"virtualbox-iso","guest_additions_attach":true}"#,
                r#"{"type":"virtualbox-iso","guest_additions_attach":true}"#,
            ),
            (
                r#"{"type":"virtualbox-ovf","ssh_host_port_min":1,"ssh_host_port_max":2,"host_port_max":3,"ssh_skip_nat_mapping":true}"#,
                r#"{"type":"virtualbox-ovf","host_port_min":1,"host_port_max":3,"skip_nat_mapping":true}"#,
            ),
            (
                r#"{"type":"qemu","ssh_host_port_min":1,"host_port_min":3,"ssh_skip_nat_mapping":true}"#,
                r#"{"type":"qemu","host_port_min":1,"ssh_skip_nat_mapping":true}"#,
            ),
            (r#"{"type":"qemu","disk_size":40960}"#, r#"{"type":"qemu","disk_size":"40960M"}"#),
            (r#"{"type":"qemu","disk_size":40.5}"#, r#"{"type":"qemu","disk_size":"40M"}"#),
            (r#"{"type":"qemu","disk_size":"40960"}"#, r#"{"type":"qemu","disk_size":"40960"}"#),
            (
                r#"{"type":"parallels-iso","headless":true,"parallels_tools_host_path":"x","guest_os_distribution":"d"}"#,
                r#"{"type":"parallels-iso","guest_os_type":"d"}"#,
            ),
            (r#"{"type":"vmware"}"#, r#"{"type":"vmware-iso"}"#),
            (
                r#"{"type":"vmware-iso","remote_type":"esx5"}"#,
                r#"{"type":"vmware-iso","remote_type":"esx5","disk_type_id":"zeroedthick","skip_compaction":true}"#,
            ),
            (
                r#"{"type":"vmware-iso","remote_type":"esx5","disk_type_id":"thin","skip_compaction":false}"#,
                r#"{"type":"vmware-iso","remote_type":"esx5","disk_type_id":"thin","skip_compaction":false}"#,
            ),
            (
                r#"{"type":"hyperv-iso","vhd_temp_path":"x","cpu":2,"ram_size":1,"clone_from_vmxc_path":"p"}"#,
                r#"{"type":"hyperv-iso","cpus":2,"memory":1,"clone_from_vmxc_path":"p"}"#,
            ),
            (
                r#"{"type":"hyperv-vmcx","vhd_temp_path":"x","clone_from_vmxc_path":"p"}"#,
                r#"{"type":"hyperv-vmcx","vhd_temp_path":"x","clone_from_vmcx_path":"p"}"#,
            ),
            (
                r#"{"type":"vsphere-iso","network":"n","networkCard":"c","disk_size":5,"disk_thin_provisioned":true}"#,
                r#"{"type":"vsphere-iso","network_adapters":[{"network":"n","network_card":"c"}],"storage":[{"disk_size":5,"disk_thin_provisioned":true}]}"#,
            ),
            (
                r#"{"type":"vsphere-iso","network":"n","network_adapters":[{"network":"q"}],"disk_size":5,"storage":"?"}"#,
                r#"{"type":"vsphere-iso","network_adapters":[{"network":"n"},{"network":"q"}],"disk_size":5,"storage":"?"}"#,
            ),
            (r#"{"type":"proxmox"}"#, r#"{"type":"proxmox-iso"}"#),
        ],
    );
}

#[test]
fn options_of_clouds() {
    check_table(
        "builders",
        &[
            (
                r#"{"type":"amazon-ebs","shutdown_behaviour":"a","shutdown_behavior":"b","enhanced_networking":true}"#,
                r#"{"type":"amazon-ebs","shutdown_behavior":"a","ena_support":true}"#,
            ),
            (
                r#"{"type":"amazon-ebs","ssh_private_ip":true}"#,
                r#"{"type":"amazon-ebs","ssh_interface":"private_ip"}"#,
            ),
            (
                r#"{"type":"amazon-ebs","ssh_private_ip":"f"}"#,
                r#"{"type":"amazon-ebs","ssh_interface":"public_ip"}"#,
            ),
            (
                r#"{"type":"amazon-ebs","ssh_private_ip":"{{user `x`}}"}"#,
                r#"{"type":"amazon-ebs","ssh_private_ip":"{{user `x`}}"}"#,
            ),
            (
                r#"{"type":"amazon-ebs","ssh_private_ip":true,"ssh_interface":"public_dns"}"#,
                r#"{"type":"amazon-ebs","ssh_private_ip":true,"ssh_interface":"public_dns"}"#,
            ),
            (
                r#"{"type":"amazon-chroot","temporary_security_group_source_cidr":"a","spot_price_auto_product":"x"}"#,
                r#"{"type":"amazon-chroot","temporary_security_group_source_cidrs":["a"],"spot_price_auto_product":"x"}"#,
            ),
            (r#"{"type":"amazon-instance","spot_price_auto_product":"x"}"#, r#"{"type":"amazon-instance"}"#),
            (r#"{"type":"scaleway","access_key":"a"}"#, r#"{"type":"scaleway","organization_id":"a"}"#),
            (r#"{"type":"amazon-ebs","access_key":"a"}"#, r#"{"type":"amazon-ebs","access_key":"a"}"#),
            (
                r#"{"type":"azure-chroot","shared_image_destination":{"exlude_from_latest":true}}"#,
                r#"{"type":"azure-chroot","shared_image_destination":{"exclude_from_latest":true}}"#,
            ),
        ],
    );
}

#[test]
fn options_of_provisioners() {
    check_table(
        "provisioners",
        &[
            (
                r#"{"type":"powershell","environment_vars":["A=`$x","B=``y","C=`'`q`n`"],"elevated_user":"a`$b","elevated_password":"`````$````"}"#,
                r#"{"type":"powershell","environment_vars":["A=$x","B=`y","C='`q`n`"],"elevated_user":"a$b","elevated_password":"``$``"}"#,
            ),
            (
                r#"{"type":"shell","environment_vars":["A=`$"]}"#,
                r#"{"type":"shell","environment_vars":["A=`$"]}"#,
            ),
            (r#"{"type":"powershell","elevated_user":5}"#, r#"{"type":"powershell","elevated_user":5}"#),
            (
                r#"{"type":"ansible-local","galaxycommand":"x"}"#,
                r#"{"type":"ansible-local","galaxy_command":"x"}"#,
            ),
            (r#"{"type":"ansible","galaxycommand":"x"}"#, r#"{"type":"ansible","galaxycommand":"x"}"#),
        ],
    );
}

#[test]
fn options_of_post_processors() {
    check_table(
        "post-processors",
        &[
            (r#""vagrant""#, r#""vagrant""#),
            (
                r#"[{"type":"vagrant","aws":{"a":1},"keep":1},"vagrant",{"type":"compress","aws":1}]"#,
                r#"[{"type":"vagrant","override":{"aws":{"a":1}},"keep":1},"vagrant",{"type":"compress","aws":1}]"#,
            ),
            (
                r#"{"type":"vagrant","aws":{"a":1},"override":{"vmware":{}}}"#,
                r#"{"type":"vagrant","override":{"aws":{"a":1},"vmware":{}}}"#,
            ),
            (r#"{"type":"manifest","filename":"x","output":"y"}"#, r#"{"type":"manifest","output":"x"}"#),
            (r#"{"type":"docker-push","login_email":"x"}"#, r#"{"type":"docker-push"}"#),
            (r#"{"type":"docker-tag","tag":"a,b, a"}"#, r#"{"type":"docker-tag","tags":["a","b"]}"#),
            (
                r#"{"type":"docker-tag","tag":["z"],"tags":"x,z"}"#,
                r#"{"type":"docker-tag","tags":["z","x"]}"#,
            ),
        ],
    );
}

#[test]
fn whoever_refers_to_a_builder_learns_its_new_type() {
    let text = r#"{"builders": [{"type": "BUILDER"}],
        "provisioners": [{"type": "shell", "only": ["vmware", "x"], "override": {"vmware": {}}}],
        "post-processors": [[{"type": "x", "except": ["vmware"]}]]}"#;
    let parts = |builder: &str| {
        let text = text.replace(r#""BUILDER""#, builder);
        serde_json::from_str::<Value>(&fixed(&text).text).unwrap()
    };
    let unnamed = parts(r#""vmware""#);
    assert_eq!(
        unnamed["provisioners"][0].to_string(),
        r#"{"only":["vmware-iso","x"],"override":{"vmware-iso":{}},"type":"shell"}"#
    );
    assert_eq!(unnamed["post-processors"][0][0].to_string(), r#"{"except":["vmware-iso"],"type":"x"}"#);
    let named = parts(r#""vmware", "name": "vmware""#);
    assert_eq!(named["builders"][0].to_string(), r#"{"name":"vmware","type":"vmware-iso"}"#);
    assert_eq!(
        named["provisioners"][0].to_string(),
        r#"{"only":["vmware","x"],"override":{"vmware":{}},"type":"shell"}"#
    );
}

#[test]
fn json_is_written_as_go_writes_it() {
    let text = r#"{"b": "<x> & \u2028 \b\u0001 \"\\u003c\" é", "a": [], "c": {}, "d": [1, 1.0, 1e21, 1e-7, 123456789012345678, 0.5, null, true], "a": [2]}"#;
    assert_eq!(
        fixed(text).text,
        "{\n  \"a\": [\n    2\n  ],\n  \"b\": \"<x> \\u0026 \\u2028 \\b\\u0001 \\\"\\\\u003c\\\" é\",\n  \"c\": {},\n  \"d\": [\n    1,\n    1,\n    \
         1e+21,\n    1e-7,\n    123456789012345678,\n    0.5,\n    null,\n    true\n  ]\n}"
    );
}

#[test]
fn what_is_no_template_is_refused_with_its_place() {
    let cases = [
        ("[]", "the template: expected type 'object', got array"),
        (
            r#"{"builders": 5, "provisioners": {}}"#,
            "'builders': expected type 'array', got number; 'provisioners': expected type 'array', got object",
        ),
        (r#"{"builders": [5]}"#, "a builder: expected type 'object', got number"),
        (r#"{"a": 1,}"#, "At line 1, column 9"),
    ];
    for (text, expected) in cases {
        let found = fix(&SourceFile::new("t.json", text)).unwrap_err();
        let details: Vec<_> = found.iter().map(|d| d.detail.as_str()).collect();
        assert!(details.join("; ").contains(expected), "{text}: {details:?}");
        assert!(found.iter().all(|d| d.span.is_some()));
    }
}

#[test]
fn a_fixed_template_is_checked() {
    let complaints = |text: &str| {
        let (found, _) = check(&fixed(text), "t.json");
        found.iter().map(|d| d.detail.clone()).collect::<Vec<_>>()
    };
    assert_eq!(complaints(r#"{"builders": [{"type": "null"}]}"#), Vec::<String>::new());
    assert_eq!(complaints("{}"), ["at least one builder must be defined"]);
    assert_eq!(
        complaints(r#"{"x": 1, "builders": [{"type": "null"}]}"#),
        ["Unknown root level key in template: 'x'"]
    );
}

#[test]
fn later_rewrites_go_on_from_earlier_ones_and_a_second_run_changes_nothing() {
    let text = r#"{"builders": [{"type": "qemu", "iso_md5": "a", "disk_size": 5, "ssh_host_port_min": 1}]}"#;
    let first = fixed(text);
    assert!(first.text.contains("\"iso_checksum\": \"md5:a\""), "{}", first.text);
    assert_eq!(fixed(&first.text), first);
}

#[test]
fn rewrites_have_packers_names_and_order() {
    let names: Vec<_> = REWRITES.iter().map(|rewrite| rewrite.name).collect();
    let expected = "iso-md5 createtime virtualbox-gaattach pp-vagrant-override virtualbox-rename vmware-rename \
        parallels-headless parallels-deprecations sshkeypath sshdisableagent scaleway-access-key manifest-filename \
        amazon-shutdown_behavior amazon-enhanced-networking amazon-private-ip amazon-temp-sec-cidrs docker-email \
        docker-tag-tags powershell-escapes vmware-compaction hyperv-deprecations hyperv-vmxc-typo \
        hyperv-cpu-and-ram clean-image-name spot-price-auto-product qemu-disk-size galaxy-command comm-config \
        ssh-wait-timeout vsphere-iso-net-disk iso-checksum-type-and-url qemu-host-port \
        azure-exclude_from_latest proxmox-type";
    assert_eq!(names, expected.split_whitespace().collect::<Vec<_>>());
}

#[test]
fn options_out_of_date_are_known_by_component() {
    let known = |name, option| outdated(ComponentKind::Builder, name, option);
    assert_eq!(known("qemu", "iso_checksum_type"), Some("iso-checksum-type-and-url"));
    assert_eq!(known("qemu", "ssh_wait_timeout"), Some("ssh-wait-timeout"));
    assert_eq!(known("qemu", "network"), None);
    assert_eq!(known("vsphere-iso", "network"), Some("vsphere-iso-net-disk"));
    assert_eq!(outdated(ComponentKind::PostProcessor, "manifest", "filename"), Some("manifest-filename"));
}
