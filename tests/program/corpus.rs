//! `tests/corpus.sh` on a small folder of our own: what it compares, what it lets pass, what it tells.

use std::process::Command;

use kiln_tests::tree;

use super::place;

const HEAD: &str = "id\trepo\tpath\tkind\tcwd\tbuilders\tprovisioners\tpost_processors\tvar_files_needed\tauto_var_files\tvalidate_args\texpect_syntax_only\texpect_validate\twhy\tinspect\tinspect_args";

const GOOD: &str = "variable \"v\" {}\nlocals { at = timestamp() }\nsource \"null\" \"a\" { communicator = \"none\" }\nbuild {\n  sources = [\"null.a\"]\n  provisioner \"shell-local\" { script = \"lacking.sh\" }\n}\n";

fn shown(value: &str) -> String {
    format!(
        "Packer Inspect: HCL2 mode\n\n> input-variables:\n\nvar.v: \"{value}\"\n\n> local-variables:\n\nlocal.at: \"2020-01-02T03:04:05Z\"\n\n> builds:\n\n  > <unnamed build 0>:\n\n    sources:\n\n      null.a\n\n    provisioners:\n\n      shell-local\n\n    post-processors:\n\n      <no post-processor>\n\n"
    )
}

#[test]
fn the_corpus_script_tells_each_disagreement_and_counts_them() {
    let place = place();
    place.write("c/a+b/t.pkr.hcl", GOOD);
    place.write("c/a+b/v.pkrvars.hcl.example", "v = \"x\"\n");
    place.write("c/a+b/broken.json", "{");
    place.write("c/inspect/1.txt", shown("x"));
    place.write("c/inspect/2.txt", shown("y"));
    let unit = |id: &str, verdicts: &str| {
        format!(
            "{id}\ta/b\tt.pkr.hcl\thcl2-file\t.\tnull\tshell-local\t\t\t\t-var-file=v.pkrvars.hcl.example\t{verdicts}\t-var-file=v.pkrvars.hcl.example"
        )
    };
    let rows = [
        HEAD.to_owned(),
        // The script that the folder lacks is made, as its reader would.
        unit("1", "pass\tpass\tok\t1.txt"),
        unit("2", "fail\tpass\tok\t2.txt"),
        unit("3", "pass\tfail\treject: unknown-key nonsense\t"),
        "4\ta/b\tbroken.json\tjson\t.\tno-such-builder\t\t\t\t\t\tfail\tfail\tsyntax\t\t".to_owned(),
    ];
    place.write("c/units.tsv", rows.join("\n"));
    let ran = Command::new(tree::top().join("tests/corpus.sh"))
        .arg(place.work().join("c"))
        .env("KILN", env!("CARGO_BIN_EXE_kiln"))
        .output()
        .expect("bash is installed");
    let told = String::from_utf8_lossy(&ran.stdout).into_owned();
    let wrong: Vec<_> = told.lines().filter(|l| l.starts_with(|c: char| c.is_ascii_digit())).collect();
    assert_eq!(wrong.len(), 3, "{told}{}", String::from_utf8_lossy(&ran.stderr));
    assert!(wrong[0].starts_with("2 a/b t.pkr.hcl: syntax: pass instead of fail"), "{told}");
    assert_eq!(wrong[1], "2 a/b t.pkr.hcl: inspect: var.v: 'x' instead of 'y'");
    assert!(wrong[2].starts_with("3 a/b t.pkr.hcl: validate: passes instead of fail"), "{told}");
    assert_eq!(told.lines().last(), Some("disagreements: 3 of 13"));
    assert_eq!(ran.status.code(), Some(1));
}
