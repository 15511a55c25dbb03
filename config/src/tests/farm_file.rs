//! `*.kiln.hcl` files: what they do to plans, and what is said of mistakes in them.

use kiln_plan::Acceleration;

use super::{World, outcome, plans, request};
use crate::Request;

const TEMPLATE: &str = "source \"qemu\" \"a\" {\n memory = 2048\n}\nsource \"null\" \"b\" {}\n\
                        build {\n sources = [\"qemu.a\", \"null.b\"]\n}";

fn with(text: &str) -> World {
    World::default().file("d/t.pkr.hcl", TEMPLATE).file("d/z.kiln.hcl", text)
}

/// What the tasks need, in a line each.
fn needs(text: &str, path: &str) -> Vec<String> {
    let plans = plans(with(text), &request(path));
    let line = |plan: &kiln_plan::BuildPlan| {
        let needs = &plan.requirements;
        let accelerator = match &needs.acceleration {
            Acceleration::Any => "any".to_owned(),
            Acceleration::Preferred(accelerator) => format!("prefers {accelerator}"),
            Acceleration::Required(accelerator) => format!("requires {accelerator}"),
        };
        let labels: Vec<_> = needs.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let (terms, project) = (needs.terms, needs.project.as_deref().unwrap_or("-"));
        format!(
            "{} of {project}: {} cpus, {} MiB, disk {}, {accelerator}, [{}], {:?}, {:?}, {:?}, priority {}",
            plan.name,
            needs.cpus,
            needs.memory_mib,
            needs.disk_mib,
            labels.join(","),
            needs.arch,
            terms.deadline_ms,
            terms.no_progress_ms,
            terms.priority
        )
    };
    plans.iter().map(line).collect()
}

#[test]
fn what_a_farm_should_know_is_added_to_the_plans_whose_names_fit() {
    let text = "farm {\n project = \"web\"\n priority = 10\n}\n\
                task \"*\" {\n labels = { zone = \"b\" }\n timeout = \"2h\"\n}\n\
                task \"qemu.*\" {\n labels = { disk = \"ssd\" }\n cpus = 4\n memory = \"8G\"\n disk = 512\n arch = \"x86_64\"\n \
                accelerator = \"required\"\n no_progress_timeout = \"45m\"\n priority = -3\n timeout = \"3h\"\n}";
    let expected = [
        "qemu.a of web: 4 cpus, 8192 MiB, disk 512, requires kvm for x86_64, [disk=ssd,zone=b], Some(\"x86_64\"), \
         Some(10800000), Some(2700000), priority 7",
        "null.b of web: 0 cpus, 0 MiB, disk 0, any, [zone=b], None, Some(7200000), None, priority 10",
    ];
    assert_eq!(needs(text, "d"), expected);
    assert_eq!(needs(text, "d/t.pkr.hcl"), expected, "beside a single file too");
}

#[test]
fn without_such_a_file_a_plan_says_what_its_builder_needs() {
    let expected =
        "qemu.a of -: 1 cpus, 2048 MiB, disk 0, prefers kvm for x86_64, [], None, None, None, priority 0";
    assert_eq!(needs("", "d")[0], expected);
    assert!(needs("task \"qemu.a\" { accelerator = \"any\" }", "d")[0].contains(" any,"));
    assert!(needs("task \"qemu.a\" { accelerator = \"hvf\" }", "d")[0].contains("requires hvf for x86_64"));
}

#[test]
fn mistakes_are_told_with_their_place_and_what_may_be_meant() {
    let cases = [
        ("frm {}", "d/z.kiln.hcl:1", "did you mean \"farm\"?"),
        ("farm {\n projekt = \"a\"\n}", "d/z.kiln.hcl:2", "did you mean \"project\"?"),
        ("farm {\n priority = 101\n}", "d/z.kiln.hcl:2", "from -100 to 100"),
        ("farm {\n project = \"a b\"\n}", "d/z.kiln.hcl:2", "letters, digits"),
        ("task \"qemu.*\" {\n memry = 3\n}", "d/z.kiln.hcl:2", "did you mean \"memory\"?"),
        ("task \"qemu.*\" {\n memory = \"lots\"\n}", "d/z.kiln.hcl:2", "number of MiB"),
        ("task \"qemu.*\" {\n timeout = \"2 fortnights\"\n}", "d/z.kiln.hcl:2", "timeout"),
        ("task \"qemu.*\" {\n labels = \"b\"\n}", "d/z.kiln.hcl:2", "object of texts"),
        ("task {}", "d/z.kiln.hcl:1", "one label"),
        ("task \"[a\" {}", "d/z.kiln.hcl:1", "not closed with ]"),
        ("x = 1", "d/z.kiln.hcl:1", "Unsupported argument"),
        ("farm {", "d/z.kiln.hcl", ""),
    ];
    for (text, place, told) in cases {
        let outcome = outcome(with(text), &request("d"));
        assert!(outcome.contains(place) && outcome.contains(told), "{text}: {outcome}");
    }
}

#[test]
fn a_pattern_that_fits_no_task_is_warned_of_with_what_may_be_meant() {
    let cases = [
        ("task \"qemu.*\" {}\ntask \"qemu.b\" {}", "d/z.kiln.hcl:2", "did you mean \"qemu.a\"?"),
        ("task \"qmeu.*\" {}", "d/z.kiln.hcl:1", "did you mean \"qemu.*\"?"),
        ("task \"amazon-ebs.web\" {}", "d/z.kiln.hcl:1", "there are qemu.a, null.b"),
    ];
    for (text, place, told) in cases {
        let outcome = outcome(with(text), &request("d"));
        assert!(outcome.contains("Unused task block"), "{outcome}");
        assert!(outcome.contains(place) && outcome.contains(told), "{text}: {outcome}");
        assert_eq!(outcome.matches("Unused").count(), 1, "{outcome}");
    }
    let only = Request { only: vec!["null.b".into()], ..request("d") };
    assert!(!outcome(with("task \"qemu.*\" {}"), &only).contains("Unused"), "what isn't built now is there");
}
