//! Farms of real processes on one machine: coordinators, agents and people, over TLS.

use std::net::TcpListener;
use std::time::Duration;

use kiln_tests::program::{Place, Running};
use kiln_tests::wait;

use super::place;

/// How long anything may take that the farm does by itself: an agent that fell silent is replaced within 25 s.
const LIMIT: Duration = Duration::from_secs(120);

/// A farm in a place of its own.
struct Farm {
    place: Place,
    token: String,
    ports: Vec<u16>,
    settings: &'static str,
    coordinators: Vec<Running>,
    agents: Vec<(String, Running)>,
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

impl Farm {
    /// So many coordinators that have found each other, and agents `a1`, `a2` and so on.
    fn of(coordinators: usize, agents: usize) -> Self {
        Self::with(coordinators, agents, "")
    }

    /// The same, with further settings of coordinators.
    fn with(coordinators: usize, agents: usize, settings: &'static str) -> Self {
        let ports = (0..coordinators).map(|_| free_port()).collect();
        let mut farm = Self {
            place: place(),
            token: String::new(),
            ports,
            settings,
            coordinators: Vec::new(),
            agents: Vec::new(),
        };
        (1..=coordinators).for_each(|number| farm.write_settings(number));
        let founded = farm.place.run(["coordinator", "init", "-settings", "c1.hcl"]);
        let printed = founded.expect_code(0).stdout.clone();
        let token = printed.split_whitespace().find_map(|word| word.strip_prefix("KILN_TOKEN="));
        let token = token.expect("the first operator's token is printed").to_owned();
        farm.token = token;
        farm.introduce();
        farm.start_coordinator(1);
        for number in 2..=coordinators {
            let (settings, token) = (format!("c{number}.hcl"), farm.token("coordinator"));
            let joined =
                farm.place.run(["coordinator", "join", "-settings", &settings, "-token-file", &token]);
            joined.expect_code(0);
            farm.start_coordinator(number);
        }
        farm.until("all coordinators vote", "members", |told| {
            told.matches("voter").count() + told.matches("leader").count() == coordinators
        });
        (1..=agents).for_each(|number| farm.start_agent(number));
        farm.until("all agents are ready", "agents", |told| told.matches(" ready ").count() == agents);
        farm
    }

    /// Lets commands in the farm's own place find it.
    fn introduce(&mut self) {
        self.place.set("KILN_TOKEN", &self.token);
        self.place.set("KILN_FARM", self.addresses().join(","));
    }

    /// A place of somebody else who may use the farm, so that nothing of it is sent with a template.
    fn person(&self) -> Place {
        let mut person = place();
        person.set("KILN_TOKEN", &self.token);
        person.set("KILN_FARM", self.addresses().join(","));
        person
    }

    fn addresses(&self) -> Vec<String> {
        self.ports.iter().map(|port| format!("https://127.0.0.1:{port}")).collect()
    }

    fn write_settings(&self, number: usize) {
        let (addresses, plain) = (self.addresses(), free_port());
        let (own, others, further) = (&addresses[number - 1], &addresses, self.settings);
        let settings = format!(
            r#"
            directory = "c{number}"
            objects   = "objects"
            listen    = "127.0.0.1:{}"
            address   = "{own}"
            others    = {others:?}
            {further}
            http {{
              listen = "127.0.0.1:{plain}"
            }}
            "#,
            self.ports[number - 1]
        );
        self.place.write(&format!("c{number}.hcl"), settings);
    }

    fn start_coordinator(&mut self, number: usize) {
        let settings = format!("c{number}.hcl");
        self.coordinators.push(self.place.start(["coordinator", "-settings", &settings]));
        self.until("the coordinator answers", "members", |told| told.contains("leader"));
    }

    /// A file with a new token.
    fn token(&self, usage: &str) -> String {
        let made = wait::until("a token", LIMIT, || {
            let ran = self.place.run(["farm", "token", "create", usage]);
            (ran.code() == 0).then_some(ran.stdout)
        });
        let path = self.place.write(&format!("{usage}.{}.token", self.agents.len()), made);
        path.display().to_string()
    }

    fn start_agent(&mut self, number: usize) {
        let (name, token) = (format!("a{number}"), self.token("agent"));
        let directory = self.place.work().join(&name);
        let mut words: Vec<String> = vec!["agent".into(), "-name".into(), name.clone()];
        words.extend(self.addresses().into_iter().flat_map(|address| ["-farm".to_owned(), address]));
        words.extend(["-token-file".to_owned(), token, "-slots".to_owned(), "2".to_owned()]);
        words.extend(["-run-directory".to_owned(), directory.display().to_string()]);
        self.agents.push((name, self.place.start(words)));
    }

    /// Asks `kiln farm COMMAND` until the answer is as wished.
    fn until(&self, what: &str, command: &str, wished: impl Fn(&str) -> bool) -> String {
        wait::until(what, LIMIT, || {
            let ran = self.place.run(["farm", command]);
            (ran.code() == 0 && wished(&ran.stdout)).then_some(ran.stdout)
        })
    }

    /// Ends all in order, and sees that nothing stays: neither processes nor directories of attempts.
    fn end(self) {
        for (_, agent) in &self.agents {
            agent.signal("TERM");
        }
        for (name, agent) in self.agents {
            agent.finish().expect_code(0);
            let attempts = self.place.work().join(name).join("attempts");
            let left = || std::fs::read_dir(&attempts).map_or(0, Iterator::count);
            wait::until("attempts to be removed", LIMIT, || (left() == 0).then_some(()));
        }
        for coordinator in self.coordinators {
            coordinator.signal("TERM");
            coordinator.finish().expect_code(0);
        }
        assert_eq!(self.place.leftovers().processes(), Vec::<String>::new());
    }
}

#[test]
fn a_farm_builds_what_it_is_sent_and_the_image_comes_back_as_it_was() {
    let farm = Farm::of(1, 1);
    let text = r#"
variable "who" {
  default = env("WHO")
}
source "file" "a" {
  target  = "out/a.txt"
  content = file("data.txt")
}
build {
  sources = ["source.file.a"]
  provisioner "shell-local" {
    inline = ["cat data.txt", "echo by ${var.who}"]
  }
}
"#;
    let mut person = farm.person();
    person.set("WHO", "me");
    person.write("t.pkr.hcl", text);
    person.write("data.txt", "what was sent\n".repeat(10_000));
    person.write(".kilnignore", "*.iso\n");
    person.write("huge.iso", "not sent");
    let built = person.run(["build", "."]);
    built
        .expect_code(0)
        .expect("==> file.a: by me")
        .expect("Published image file.a:1")
        .expect("Builds finished.");
    person.run(["images", "verify", "file.a"]).expect_code(0);
    person.run(["images", "pull", "-into", "pulled", "file.a"]).expect_code(0);
    assert_eq!(person.read("pulled/out/a.txt"), person.read("data.txt"));
    person
        .run(["images", "show", "file.a"])
        .expect("made by     a1")
        .expect("bundle      sha256:")
        .expect("input       data.txt  136.7 KiB  sha256:aaa2ccf0629c9130")
        .expect("input       t.pkr.hcl");
    farm.until("the build is told of", "builds", |told| told.contains("file.a succeeded"));
    farm.end();
}

#[test]
fn a_silent_build_lives_as_long_as_it_gets_somewhere() {
    let farm = Farm::of(1, 1);
    let person = farm.person();
    let text = r#"
source "null" "a" {
  communicator = "none"
}
build {
  name = "NAME"
  sources = ["source.null.a"]
  provisioner "shell-local" {
    inline = ["SCRIPT"]
  }
}
"#;
    // Both say nothing for more than twice as long as they may; one writes 64 KiB each second.
    let writes = "for i in $(seq 80); do head -c 65536 /dev/urandom > piece.$i; sleep 1; done; echo enough";
    for (name, script) in [("writes", writes), ("hangs", "sleep 600")] {
        person.write(&format!("{name}/t.pkr.hcl"), text.replace("NAME", name).replace("SCRIPT", script));
        person.write(&format!("{name}/t.kiln.hcl"), "task \"*\" {\n  no_progress_timeout = \"30s\"\n}\n");
    }
    let mut building = person.start(["build", "writes"]);
    building.wait_for("farm has taken");
    let hung = person.run(["build", "hangs"]);
    hung.expect_code(1).expect("the build made no progress for 3");
    building.finish().expect_code(0).expect("writes.null.a: enough");
    farm.end();
}

#[test]
fn a_build_that_no_machine_can_carry_out_says_where_to_ask_why() {
    let farm = Farm::of(1, 1);
    let person = farm.person();
    let source = "source \"null\" \"a\" {\n  communicator = \"none\"\n}\n";
    person.write("t.pkr.hcl", format!("{source}build {{\n  sources = [\"source.null.a\"]\n}}\n"));
    person.write("t.kiln.hcl", "task \"*\" {\n  labels = { rack = \"7\" }\n}\n");
    let mut build = person.start(["build", "t.pkr.hcl"]);
    build.wait_for("No task has begun yet; `kiln farm explain ");
    let printed = build.printed();
    let id = printed.split("kiln farm explain ").nth(1).and_then(|rest| rest.split('`').next()).unwrap();
    person.run(["farm", "explain", id]).expect_code(0).expect("1 has not the label rack=7");
    person.run(["farm", "cancel", id]).expect_code(0);
    build.finish().expect_code(1).expect("build was cancelled");
    farm.end();
}

#[test]
fn a_build_survives_its_leader_and_its_agent() {
    let mut farm = Farm::of(3, 2);
    let go = farm.place.work().join("go");
    let script =
        format!("echo begun; while [ ! -e {} ]; do echo tick; sleep 0.5; done; echo done", go.display());
    let text = format!(
        r#"
source "null" "a" {{
  communicator = "none"
}}
build {{
  sources = ["source.null.a"]
  provisioner "shell-local" {{
    inline = ["{script}"]
  }}
}}
"#
    );
    let person = farm.person();
    person.write("t.pkr.hcl", text);
    let mut build = person.start(["build", "t.pkr.hcl"]);
    build.wait_for("==> null.a: begun");
    farm.coordinators.remove(0).kill();
    build.wait_for("The farm answers again.");
    // What the agent has told the new leader outlives the agent.
    let ticks = |build: &Running| build.printed().matches("tick").count();
    let before = ticks(&build);
    wait::until("the agent to be heard again", LIMIT, || (ticks(&build) > before).then_some(()));
    let told = farm.until("somebody has the task", "builds", |told| told.contains("null.a running on"));
    let holder = if told.contains("on a1") { 0 } else { 1 };
    let (name, agent) = farm.agents.remove(holder);
    agent.kill();
    build.wait_for("trying again on");
    std::fs::write(&go, "").unwrap();
    build.finish().expect_code(0).expect("==> null.a: done");
    // What the dead agent's attempt is worth, the next agent there is told.
    farm.start_agent(name[1..].parse().unwrap());
    farm.until("both agents are ready", "agents", |told| told.matches(" ready ").count() == 2);
    farm.end();
}

#[test]
fn certificates_are_renewed_while_work_goes_on() {
    let farm = Farm::with(3, 1, "agent_certificates = \"30s\"\ncoordinator_certificates = \"30s\"");
    let go = farm.place.work().join("go");
    let text = format!(
        r#"
source "null" "a" {{
  communicator = "none"
}}
build {{
  sources = ["source.null.a"]
  provisioner "shell-local" {{
    inline = ["echo begun; while [ ! -e {} ]; do sleep 0.5; done; echo done"]
  }}
}}
"#,
        go.display()
    );
    let person = farm.person();
    person.write("t.pkr.hcl", text);
    let mut build = person.start(["build", "t.pkr.hcl"]);
    build.wait_for("==> null.a: begun");
    // Twice each, so that nobody lives on what was shown at the beginning.
    let kept = ["a1/identity/chain.pem", "c1/coordinator.pem", "c2/coordinator.pem", "c3/coordinator.pem"];
    let read = || kept.map(|path| std::fs::read(farm.place.work().join(path)).unwrap());
    for time in ["first", "second"] {
        let before = read();
        wait::until(&format!("the {time} renewal of all certificates"), LIMIT, || {
            before.iter().zip(read()).all(|(before, now)| *before != now).then_some(())
        });
    }
    std::fs::write(&go, "").unwrap();
    build.finish().expect_code(0).expect("==> null.a: done");
    farm.until("the agent is ready", "agents", |told| told.matches(" ready ").count() == 1);
    farm.until("the build is told of", "builds", |told| told.contains("null.a succeeded"));
    // No attempt before this one ended in vain.
    farm.place.run(["farm", "builds", "-format", "json"]).expect_code(0).expect("\"attempts\":[]");
    farm.end();
}

#[test]
fn a_build_waits_for_a_farm_that_is_out_of_reach_and_is_built_once() {
    let mut farm = Farm::of(1, 1);
    let text = r#"
source "null" "a" {
  communicator = "none"
}
build {
  sources = ["source.null.a"]
  provisioner "shell-local" {
    inline = ["echo done here"]
  }
}
"#;
    let person = farm.person();
    person.write("t.pkr.hcl", text);
    farm.coordinators.remove(0).kill();
    let again = "trying again for up to 5 minutes";
    let mut left = person.start(["build", "t.pkr.hcl"]);
    left.wait_for(again);
    left.signal("INT");
    left.finish().expect_code(1).expect("Cancelling build after receiving interrupt");
    let mut build = person.start(["build", "t.pkr.hcl"]);
    build.wait_for(again);
    farm.start_coordinator(1);
    let built = build.finish();
    built.expect_code(0).expect("The farm answers again.").expect("==> null.a: done here");
    assert_eq!(built.all().matches(again).count(), 1, "it is said once");
    let told = farm.until("the build is told of", "builds", |told| told.contains("null.a succeeded"));
    assert_eq!(told.matches("null.a").count(), 1, "{told}");
    // Who isn't believed is not asked again.
    let made = farm.place.run(["farm", "token", "create", "-name", "brief", "builder"]).stdout;
    let listed = farm.place.run(["farm", "token", "list"]).stdout;
    let brief = listed.lines().find(|line| line.contains("brief")).expect("it is listed");
    let id = brief.split_whitespace().find(|word| word.len() == 36).expect("its identifier is told");
    farm.place.run(["farm", "token", "revoke", id]).expect_code(0);
    let mut stranger = farm.person();
    stranger.set("KILN_TOKEN", made.trim());
    stranger.write("t.pkr.hcl", text);
    stranger.run(["build", "t.pkr.hcl"]).expect_code(1).expect_not("trying again");
    farm.end();
}

#[test]
fn coordinators_of_a_farm_have_one_object_store_and_farms_share_none() {
    let farm = Farm::of(1, 0);
    let token = farm.token("coordinator");
    let own = |name: &str, objects: &str| {
        let (port, leader) = (free_port(), &farm.addresses()[0]);
        farm.place.write(
            &format!("{name}.hcl"),
            format!(
                "directory = \"{name}\"\nobjects = \"{objects}\"\naddress = \"https://127.0.0.1:{port}\"\nothers = [\"{leader}\"]\n"
            ),
        );
        format!("{name}.hcl")
    };
    let (lonely, shared) = (own("lonely", "of-its-own"), own("shared", "objects"));
    let join = |settings: &str| {
        farm.place.run(["coordinator", "join", "-settings", settings, "-token-file", &token])
    };
    let refused = join(&lonely).expect_code(1).all();
    assert!(refused.contains("is not the farm's; all coordinators need the same one"), "{refused}");
    let refused = farm.place.run(["coordinator", "init", "-settings", &shared]).expect_code(1).all();
    assert!(refused.contains("belongs to another farm"), "{refused}");
    join(&shared).expect_code(0).expect("This is coordinator 2 of the farm");
}
