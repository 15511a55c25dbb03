//! Provisioners over a genuine guest: options of `shell`, files both ways, reboots, retries, and what comes after.

use kiln_tests::guest;
use kiln_tests::program::Place;
use kiln_tests::source::{Source, shell};
use kiln_tests::sshd::Sshd;

use super::place;

/// Every option of `shell` that changes what happens in the guest, one provisioner each.
const SHELL: &str = r#"
  provisioner "shell" {
    script           = "one.sh"
    env              = { NAME = "it's" }
    environment_vars = ["OTHER=a b"]
    remote_path      = "/root/kept.sh"
    skip_clean       = true
  }
  provisioner "shell" {
    scripts          = ["one.sh", "two.sh"]
    env              = { NAME = "x" }
    use_env_var_file = true
    remote_folder    = "/home/kiln"
    valid_exit_codes = [0, 7]
    pause_after      = "1s"
  }
  provisioner "shell" {
    inline          = ["echo traced"]
    inline_shebang  = "/bin/sh -ex"
    execute_command = "chmod +x {{ .Path }}; env WRAPPED=yes {{ .Vars }} sh -c 'echo wrapped $WRAPPED as $PACKER_BUILDER_TYPE; {{ .Path }}'"
  }
  provisioner "shell" {
    inline = ["ls /root/kept.sh", "ls /home/kiln /tmp"]
  }
"#;

const REBOOT: &str = r#"
  provisioner "shell" {
    inline            = ["echo before > /root/before", "sync", "reboot", "sleep 100"]
    expect_disconnect = true
  }
  provisioner "shell" {
    inline = ["cat /root/before", "test $(cut -d. -f1 /proc/uptime) -lt 60 && echo rebooted"]
  }
"#;

const TRIES: &str = r#"
  provisioner "shell" {
    max_retries = 2
    inline      = ["echo try >> /root/tries", "test $(wc -l < /root/tries) -ge 2"]
  }
  provisioner "shell" {
    timeout = "60s"
    inline  = ["echo in time"]
  }
  provisioner "shell-local" {
    inline = ["echo here ${build.Host} $PACKER_BUILD_NAME", "mkdir -p made", "echo one > made/one.txt"]
  }
"#;

const CHAIN: &str = r#"
  post-processors {
    post-processor "shell-local" {
      inline = ["cp output-all/packer-all made/image.qcow2"]
    }
    post-processor "artifice" {
      files = ["made/*"]
    }
    post-processor "checksum" {
      checksum_types = ["sha256"]
      output         = "made.{{ .ChecksumType }}"
    }
    post-processor "manifest" {
      output = "manifest.json"
    }
  }
"#;

#[test]
fn everything_that_provisioners_do_is_in_the_image_that_boots_again() {
    let place = place();
    place.write("one.sh", "#!/bin/sh\r\necho \"one: $NAME, $OTHER, $PACKER_BUILD_NAME\"\r\n");
    place.write("two.sh", "#!/bin/sh\necho two: $0\nexit 7\n");
    let carried = "tree/empty-not/a.txt";
    place.write(carried, "in a tree");
    let files = r#"
  provisioner "file" {
    source      = "tree"
    destination = "/root"
  }
  provisioner "file" {
    source      = "tree/"
    destination = "/root/flat"
  }
  provisioner "file" {
    content     = "of the template"
    destination = "/root/content"
  }
  provisioner "file" {
    direction   = "download"
    source      = "/root/tree/empty-not/a.txt"
    destination = "back/"
  }
"#;
    let look = shell(&["cat /root/tree/empty-not/a.txt /root/flat/empty-not/a.txt /root/content"]);
    let make = shell(&["mkdir -p /root/flat"]);
    let rest = [SHELL, &make, files, &look, REBOOT, TRIES, CHAIN].concat();
    place.write("t.pkr.hcl", Source::small("all").template(&rest));
    let _turn = guest::turn(1);
    let ran = place.run(["build", "t.pkr.hcl"]);
    ran.expect_code(0);
    ran.expect("one: it's, a b, all").expect("one: x, , all").expect("two: /home/kiln/script_");
    ran.expect("wrapped yes as qemu").expect("+ echo traced").expect("==> qemu.all: /root/kept.sh");
    ran.expect("in a treein a treeof the template");
    ran.expect("==> qemu.all: before\n").expect("==> qemu.all: rebooted");
    ran.expect("retrying with 2 trie(s) left").expect("in time").expect("here 127.0.0.1 all");
    assert_eq!(place.read("back/a.txt"), "in a tree");
    let manifest = place.read("manifest.json");
    assert!(manifest.contains("made/image.qcow2") && manifest.contains("made/one.txt"), "{manifest}");
    assert_eq!(place.read("made.sha256").lines().count(), 2);
    place.leftovers().expect_none();
    boots_with(&place, "made/image.qcow2", "/root/content");
}

/// Boots an image that was built here, and looks for a file in it.
#[track_caller]
fn boots_with(place: &Place, image: &str, file: &str) {
    let image = place.work().join(image).display().to_string();
    let again = Source::small("again").text("iso_url", &image).set("use_backing_file", "true");
    place.write("again.pkr.hcl", again.template(&shell(&[&format!("test -s {file} && echo carried")])));
    place.run(["build", "again.pkr.hcl"]).expect_code(0).expect("==> qemu.again: carried");
}

#[test]
fn ansible_that_the_guest_lacks_is_told_with_what_to_do() {
    let place = place();
    place.write("playbook.yml", "- hosts: all\n  tasks: []\n");
    let rest = r#"
  provisioner "ansible-local" {
    playbook_file = "playbook.yml"
  }
"#;
    place.write("t.pkr.hcl", Source::small("a").template(rest));
    let _turn = guest::turn(1);
    let ran = place.run(["build", "t.pkr.hcl"]);
    ran.expect_code(1)
        .expect("the guest has no command \"ansible-playbook\"")
        .expect("install Ansible in the guest");
    assert!(!place.work().join("output-a").exists());
    place.leftovers().expect_none();
}

#[test]
fn a_provisioner_that_hangs_in_the_guest_ends_with_its_timeout() {
    let place = place();
    let rest = r#"
  provisioner "shell" {
    continue_on_error = true
    timeout           = "2s"
    inline            = ["echo hanging", "sleep 1000"]
  }
  provisioner "shell" {
    timeout = "2s"
    inline  = ["sleep 1000"]
  }
"#;
    place.write("t.pkr.hcl", Source::small("a").template(rest));
    let _turn = guest::turn(1);
    let ran = place.run(["build", "t.pkr.hcl"]);
    ran.expect_code(1).expect("hanging").expect("did not end within its timeout of 2s");
    place.leftovers().expect_none();
}

#[test]
fn a_guest_is_reached_through_a_bastion() {
    let place = place();
    let directory = place.work().join("sshd");
    std::fs::create_dir(&directory).expect("the place is ours");
    let bastion = Sshd::start(&directory);
    let user = std::process::Command::new("id").arg("-un").output().expect("id is installed").stdout;
    let source = Source::small("a")
        .text("ssh_bastion_host", "127.0.0.1")
        .set("ssh_bastion_port", &bastion.port.to_string())
        .text("ssh_bastion_username", String::from_utf8_lossy(&user).trim())
        .text("ssh_bastion_private_key_file", &bastion.key_file().display().to_string());
    place.write("t.pkr.hcl", source.template(&shell(&["echo through"])));
    let _turn = guest::turn(1);
    place.run(["build", "t.pkr.hcl"]).expect_code(0).expect("==> qemu.a: through");
    assert!(bastion.log().contains("Accepted publickey"), "{}", bastion.log());
    place.leftovers().expect_none();
}
