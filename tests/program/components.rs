//! What `kiln components` prints.

use std::path::Path;

use super::place;

#[test]
fn the_page_of_components_is_what_the_program_prints() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/components.md");
    let page = std::fs::read_to_string(page).expect("the page is there");
    let ran = place().run(["components"]);
    ran.expect_code(0);
    assert!(ran.stdout == page, "write it anew: kiln components > docs/reference/components.md");
}

#[test]
fn one_component_is_shown_by_its_name() {
    let ran = place().run(["components", "sleep"]);
    ran.expect_code(0).expect("### sleep").expect("| `duration` | duration |").expect_not("### qemu");
    place().run(["components", "qmeu"]).expect_code(1).expect("did you mean \"qemu\"?");
}
