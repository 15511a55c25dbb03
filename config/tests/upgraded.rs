//! A template and what `hcl2_upgrade` makes of it must come out as the same plans: on the fixtures beside this
//! file, and on any folder of templates that `KILN_TEMPLATES` names (each with the var files `<name>.args` asks
//! for, or those of a `units.tsv`).

#[path = "upgraded/plans.rs"]
mod plans;
#[path = "upgraded/world.rs"]
mod world;

use std::path::{Path, PathBuf};

use kiln_config::upgrade::{Options, upgrade};
use kiln_config::{Request, VariableArgument};
use kiln_lang::SourceFile;
use kiln_plan::Sensitive;

/// One template and how it is validated.
struct Unit {
    path: PathBuf,
    /// `-var` and `-var-file`, as on a command line.
    words: Vec<String>,
}

/// What became of one template.
enum Outcome {
    /// The same plans.
    Same,
    /// Neither has plans: it can't be evaluated here.
    NoPlans(String),
    /// They differ, and how.
    Different(String),
}

/// What the fixtures need.
const GIVEN: [&str; 3] = ["-var=required=given", "-var=plain_name=p", "-var=retries=3"];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/upgraded")
}

fn compare(unit: &Unit) -> Outcome {
    let directory = unit.path.parent().unwrap_or(Path::new("."));
    let name = unit.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let text = match std::fs::read_to_string(&unit.path) {
        Ok(text) => text,
        Err(error) => return Outcome::Different(error.to_string()),
    };
    let upgraded = match upgrade(&SourceFile::new(name.as_str(), text), Options::default()) {
        Ok(upgraded) => upgraded,
        Err(found) => return Outcome::NoPlans(plans::shown(&found)),
    };
    let world = world::World::of(directory, &upgraded.text);
    let mut words = unit.words.clone();
    let mut after = plans::of(&world, &request(world::UPGRADED, &words));
    if let Err(complaint) = &after {
        // Variables that nobody declares are empty in JSON and have to be set in HCL2.
        let unset = complaint.split("Unset variable \"").skip(1).filter_map(|rest| rest.split('"').next());
        words.extend(unset.map(|variable| format!("-var={variable}=given")));
        after = plans::of(&world, &request(world::UPGRADED, &words));
    }
    let before = plans::of(&world, &request(&name, &words));
    match (before, after) {
        (Err(before), Err(after)) => Outcome::NoPlans(format!("{before} / {after}")),
        (Ok(before), Ok(after)) => match plans::difference(&before, &after) {
            None => Outcome::Same,
            Some(difference) => Outcome::Different(difference),
        },
        (Ok(_), Err(complaint)) => {
            Outcome::Different(format!("only the JSON template has plans: {complaint}"))
        }
        (Err(complaint), Ok(_)) => {
            Outcome::Different(format!("only the HCL2 template has plans: {complaint}"))
        }
    }
}

fn request(path: &str, words: &[String]) -> Request {
    let mut request = Request {
        path: path.to_owned(),
        run_uuid: "run".to_owned(),
        started_ns: 1_600_000_000_000_000_000,
        core_version: "1.16.0".to_owned(),
        ..Request::default()
    };
    for word in words {
        if let Some(file) = word.strip_prefix("-var-file=") {
            request.var_files.push(file.to_owned());
        } else if let Some((name, text)) = word.strip_prefix("-var=").and_then(|w| w.split_once('=')) {
            let text = Sensitive::new(text.to_owned());
            request.variables.push(VariableArgument { name: name.to_owned(), text });
        }
    }
    request
}

#[test]
fn fixtures_come_out_as_written_down() {
    let mut seen = 0;
    for path in templates(&fixtures()) {
        let expected = std::fs::read_to_string(path.with_extension("pkr.hcl")).unwrap_or_default();
        let text = std::fs::read_to_string(&path).unwrap();
        let upgraded = upgrade(&SourceFile::new("t.json", text), Options::default()).unwrap();
        let warnings: Vec<_> = upgraded.found.iter().map(|w| w.detail.clone()).collect();
        assert_eq!(upgraded.text, expected, "{}: {warnings:?}", path.display());
        seen += 1;
    }
    assert!(seen > 0, "there are fixtures");
}

#[test]
fn fixtures_mean_the_same_afterwards() {
    for path in templates(&fixtures()) {
        let unit = Unit { path, words: GIVEN.map(str::to_owned).to_vec() };
        match compare(&unit) {
            Outcome::Same => {}
            Outcome::NoPlans(why) => panic!("{} has no plans: {why}", unit.path.display()),
            Outcome::Different(how) => panic!("{}: {how}", unit.path.display()),
        }
    }
}

#[test]
fn templates_of_others_mean_the_same_afterwards() {
    // Only whoever has such templates can ask for this.
    let Some(folder) = std::env::var_os("KILN_TEMPLATES") else { return };
    let units = units(Path::new(&folder));
    let mut differences = Vec::new();
    let (mut same, mut without) = (0, 0);
    for unit in &units {
        match compare(unit) {
            Outcome::Same => same += 1,
            Outcome::NoPlans(why) => {
                without += 1;
                println!("{}: {why}", unit.path.display());
            }
            Outcome::Different(how) => differences.push(format!("{}: {how}", unit.path.display())),
        }
    }
    println!("{} templates: {same} the same, {without} without plans", units.len());
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}

/// The JSON templates of a folder: those of its `units.tsv`, or all.
fn units(folder: &Path) -> Vec<Unit> {
    let Ok(table) = std::fs::read_to_string(folder.join("units.tsv")) else {
        return templates(folder).into_iter().map(|path| Unit { path, words: Vec::new() }).collect();
    };
    let unit = |line: &str| {
        let columns: Vec<&str> = line.split('\t').collect();
        let [_, repository, path, "json", ..] = columns.as_slice() else { return None };
        let top = folder.join(repository.replace('/', "+"));
        let path = top.join(path);
        let directory = top.join(columns[4]);
        let absolute = |word: &str| match word.strip_prefix("-var-file=") {
            // Some are told from the top of the repository.
            Some(file) => {
                let found = [&directory, &top].into_iter().map(|d| d.join(file)).find(|path| path.is_file());
                format!("-var-file={}", found.unwrap_or_else(|| directory.join(file)).display())
            }
            None => word.to_owned(),
        };
        let words = columns.get(10).unwrap_or(&"").split_whitespace().map(absolute).collect();
        Some(Unit { path, words })
    };
    table.lines().filter_map(unit).collect()
}

fn templates(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(templates(&path));
        } else if path.extension().is_some_and(|e| e == "json") {
            found.push(path);
        }
    }
    found.sort();
    found
}
