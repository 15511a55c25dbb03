//! A real distribution: `examples/debian-nginx`, from its base disk to a guest that serves the provisioned page.
//! The longest test there is: some minutes without KVM.

use std::path::Path;
use std::process::Command;

use kiln_tests::program::Place;
use kiln_tests::{guest, tree};

/// Runs a script of the project and yields what it printed.
fn script(name: &str, arguments: &[&Path]) -> String {
    let out = Command::new(tree::top().join(name)).args(arguments).output().expect("scripts can be run");
    let told = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{name}: {told}\n{}", String::from_utf8_lossy(&out.stdout));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

#[test]
fn a_debian_with_cloud_init_is_installed_provisioned_and_serves_its_page() {
    let base = guest::folder().join("debian-base.qcow2");
    script("examples/debian-nginx/make-base-disk.sh", &[&base]);
    let place = Place::new(env!("CARGO_BIN_EXE_kiln"));
    let image = place.work().join("image");
    let variables =
        [format!("base_disk={}", base.display()), format!("output_directory={}", image.display())];
    let template = tree::top().join("examples/debian-nginx");
    let ran = place.run([
        "build",
        "-timestamp-ui",
        "-var",
        &variables[0],
        "-var",
        &variables[1],
        &template.display().to_string(),
    ]);
    ran.expect_code(0).expect("Connected to SSH!").expect("PLAY RECAP").expect("VM files in directory");
    place.leftovers().expect_none();
    let manifest =
        std::fs::read_to_string(image.join("manifest.json")).expect("the template asks for a manifest");
    assert!(manifest.contains("\"name\": \"debian-nginx.qcow2\""), "{manifest}");
    assert!(image.join("debian-nginx.sha256").exists());
    let page = script("tests/boot-result.sh", &[&image.join("debian-nginx.qcow2")]);
    assert!(page.contains("<h1>Kiln</h1>"), "{page}");
}
