//! `kiln init` and `kiln plugins …`, against mirrors in directories and on web servers.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use kiln_tests::plugins::{Mirror, Web, program, program_name, sha256};
use kiln_tests::program::Place;
use kiln_tests::wait;

use super::place;

const X: &str = "github.com/someone/x";

/// A place with a mirror, and where plug-ins are installed in it.
fn with_mirror() -> (Place, Mirror, PathBuf) {
    let mut place = place();
    let mirror = Mirror::new(place.work().join("mirror"));
    place.set("KILN_PLUGIN_MIRROR", mirror.path());
    let plugins = place.home().join(".config/packer/plugins");
    (place, mirror, plugins)
}

fn requires(versions: &str) -> String {
    format!(
        "packer {{\n  required_plugins {{\n    x = {{\n      source = {X:?}\n      version = {versions:?}\n    }}\n  }}\n}}\n"
    )
}

/// What is in the plug-in directory, at any depth, sorted.
fn files(plugins: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![plugins.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            match entry.path().is_dir() {
                true => open.push(entry.path()),
                false => found.push(entry.file_name().to_string_lossy().into_owned()),
            }
        }
    }
    found.sort();
    found
}

#[test]
fn words_of_plugin_commands_end_as_packers_do() {
    let place = place();
    place.write("none.pkr.hcl", "variable \"unset\" {}\n");
    place.write("bad.pkr.hcl", "packer {\n  required_plugins {\n    x = \"1\"\n  }\n}\n");
    place.write("t.json", r#"{"builders": [{"type": "null"}]}"#);
    let cases: [(&[&str], i32, &str); 23] = [
        (&["plugins"], 1, "Usage: kiln plugins <subcommand>"),
        (&["plugin"], 1, "Usage: kiln plugins <subcommand>"),
        (&["plugins", "bogus"], 1, "    required     List the plug-ins"),
        (&["plugins", "-h"], 0, "Usage: kiln plugins <subcommand>"),
        (&["plugins", "install", "-h"], 0, "-path <FILE>"),
        (&["plugins", "installed"], 0, ""),
        (&["plugin", "installed", "-whatever", "words"], 0, ""),
        (&["plugins", "required"], 1, "takes exactly one template"),
        (&["plugins", "required", "none.pkr.hcl"], 0, "requires no plug-ins"),
        (&["plugins", "remove"], 1, "but got 0 words"),
        (&["plugins", "remove", "-x", "y", "z"], 1, "but got 3 words"),
        (&["plugins", "remove", X], 1, "No plug-in from github.com/someone/x is installed"),
        (&["plugins", "remove", "/etc/passwd"], 1, ""),
        (&["plugins", "install"], 1, "but got 0 words"),
        (&["plugins", "install", "-bogus", X], 1, "flag provided but not defined: -bogus"),
        (&["plugins", "install", "x"], 1, "The source \"x\" must have the form host/namespace/name"),
        (&["plugins", "install", X, ">= 1.0-rc1"], 1, "only releases can be asked for"),
        (&["plugins", "install", X, "newest"], 1, "is not a version constraint"),
        (
            &["plugins", "install", "git.example.org/a/x"],
            1,
            "plug-ins of git.example.org can't be downloaded",
        ),
        (&["init"], 1, "takes exactly one template"),
        (&["init", "t.json"], 1, "kiln init reads HCL2 templates only"),
        (&["init", "bad.pkr.hcl"], 1, "on bad.pkr.hcl line 3"),
        (&["init", "-var", "a=b", "none.pkr.hcl"], 1, "a"),
    ];
    for (words, code, printed) in cases {
        place.run(words).expect_code(code).expect(printed);
    }
    place.run(["init", "none.pkr.hcl"]).expect_code(0).expect("requires no plug-ins");
    assert!(std::path::Path::new("/etc/passwd").exists());
}

#[test]
fn a_damaged_plugin_counts_as_none_and_is_told_when_it_is_missed() {
    let (place, mirror, plugins) = with_mirror();
    mirror.release(X, "1.0.0");
    place.write("t.pkr.hcl", requires("1.0.0"));
    place.run(["init", "t.pkr.hcl"]).expect_code(0);
    let path = plugins.join(X).join(program_name("x", "1.0.0"));
    std::fs::write(&path, program("1.0.0").replace("0.6.10", "0.6.11")).expect("it is ours");
    assert_eq!(place.run(["plugins", "installed"]).expect_code(0).stdout, "");
    let missed = format!("passed over: {}: its checksum is ", path.display());
    place.run(["plugins", "remove", X]).expect_code(1).expect(&missed);
    place.run(["init", "t.pkr.hcl"]).expect_code(0).expect("Installed plugin");
    assert_eq!(place.run(["plugins", "installed"]).stdout, format!("{}\n", path.display()));
}

#[test]
fn trap_24_plugins_that_are_not_what_they_say_are_passed_over_and_built_ins_win() {
    let (place, _, plugins) = with_mirror();
    let put = |name: &str, version: &str| {
        let path = plugins.join(X).join(name);
        std::fs::create_dir_all(plugins.join(X)).expect("the home is ours");
        std::fs::write(&path, program(version)).expect("the home is ours");
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .expect("it is ours");
        path
    };
    let summed = |path: &std::path::Path| {
        let sum = format!("{}_SHA256SUM", path.display());
        std::fs::write(sum, sha256(&std::fs::read(path).expect("it is there"))).expect("the home is ours");
        path.display().to_string()
    };
    let development = summed(&put(&program_name("x", "1.5.0-dev"), "1.5.0-dev"));
    put(&program_name("x", "1.6.0"), "1.6.0");
    summed(&put(&program_name("x", "1.7.0"), "1.7.1"));
    summed(&put(&program_name("x", "01.8.0"), "1.8.0"));
    summed(&put(&program_name("x", "1.9.0+meta"), "1.9.0+meta"));
    summed(&put(&program_name("x", "1.9.1-beta"), "1.9.1-beta"));
    place.write("t.pkr.hcl", requires("= 1.5.0"));
    let required = format!("x {X} \"= 1.5.0\" {development}\n");
    assert_eq!(place.run(["plugins", "required", "t.pkr.hcl"]).expect_code(0).stdout, required);
    assert_eq!(place.run(["plugins", "installed"]).expect_code(0).all(), format!("{development}\n"));
    // A plug-in that is called like a component of Kiln's changes nothing.
    let null = plugins.join("github.com/someone/null").join(program_name("null", "1.0.0"));
    std::fs::create_dir_all(null.parent().expect("it is below")).expect("the home is ours");
    std::fs::copy(put(&program_name("x", "1.0.0"), "1.0.0"), &null).expect("the home is ours");
    summed(&null);
    let own = "source \"null\" \"a\" {\n  communicator = \"none\"\n}\nbuild {\n  sources = [\"null.a\"]\n}\n";
    place.write("own.pkr.hcl", own);
    place.run(["build", "own.pkr.hcl"]).expect_code(0).expect("--> null.a: ");
    place.leftovers().expect_none();
}

#[test]
fn components_in_packers_own_configuration_end_every_command() {
    let place = place();
    let file = place.home().join(".packerconfig");
    std::fs::write(&file, r#"{"disable_checkpoint": true}"#).expect("the home is ours");
    place.run(["version"]).expect_code(0);
    for (text, expected) in [
        (r#"{"builders": {"x": "/bin/x"}}"#, "legacy components"),
        ("no JSON", "is not a configuration file of Packer"),
    ] {
        std::fs::write(&file, text).expect("the home is ours");
        for words in [&["version"][..], &["plugins", "installed"], &["-h"], &[]] {
            let ran = place.run(words);
            assert_eq!((ran.code(), &*ran.stdout), (1, ""), "{words:?}");
            assert!(ran.stderr.contains(" Error loading configuration:") && ran.stderr.contains(expected));
        }
    }
}

#[test]
fn several_plugin_directories_are_refused_in_words() {
    let mut place = place();
    place.set("PACKER_PLUGIN_PATH", "/a:/b");
    place.run(["plugins", "installed"]).expect_code(1).expect("set it to one of: /a, /b");
}

#[test]
fn init_installs_what_is_missing_upgrades_and_repeats_when_told() {
    let (place, mirror, plugins) = with_mirror();
    place.write("t.pkr.hcl", requires("~> 1.0"));
    place
        .run(["init", "t.pkr.hcl"])
        .expect_code(1)
        .expect("Failed getting the \"github.com/someone/x\" plugin:");
    mirror.release(X, "1.0.0").release(X, "2.0.0");
    let path = |version: &str| plugins.join(X).join(program_name("x", version)).display().to_string();
    let line = |version: &str| format!("Installed plugin {X} v{version} in {:?}\n", path(version));
    assert_eq!(place.run(["init", "t.pkr.hcl"]).expect_code(0).stdout, line("1.0.0"));
    let sum = std::fs::read_to_string(format!("{}_SHA256SUM", path("1.0.0"))).expect("the checksum is there");
    assert!(sum.len() == 64 && sum.bytes().all(|b| b.is_ascii_hexdigit()), "{sum:?}");
    mirror.release(X, "1.1.0");
    assert_eq!(place.run(["init", "t.pkr.hcl"]).expect_code(0).stdout, "", "what is there will do");
    assert_eq!(place.run(["init", "-force", "t.pkr.hcl"]).expect_code(0).stdout, line("1.0.0"));
    assert_eq!(place.run(["init", "-upgrade", "t.pkr.hcl"]).expect_code(0).stdout, line("1.1.0"));
    assert_eq!(place.run(["init", "-upgrade", "."]).expect_code(0).stdout, "");
    let required = format!("x {X} \"~> 1.0\" {} {}\n", path("1.0.0"), path("1.1.0"));
    assert_eq!(place.run(["plugins", "required", "t.pkr.hcl"]).expect_code(0).stdout, required);
    let installed = format!("{}\n{}\n", path("1.0.0"), path("1.1.0"));
    assert_eq!(place.run(["plugins", "installed"]).expect_code(0).stdout, installed);
    let ran = place.run(["-machine-readable", "plugins", "installed"]);
    assert!(
        ran.stdout.contains(&format!(",,ui,message,{}\n", path("1.1.0"))) || ran.code() == 0,
        "{}",
        ran.stdout
    );
    let removed = place.run(["plugins", "remove", X, "< 1.1"]);
    assert_eq!(removed.expect_code(0).stdout, format!("{}\n", path("1.0.0")));
    let removed = place.run(["plugins", "remove", &path("1.1.0")]);
    assert_eq!(removed.expect_code(0).stdout, format!("{}\n", path("1.1.0")));
    assert!(files(&plugins).is_empty(), "{:?}", files(&plugins));
    place.leftovers().expect_none();
}

#[test]
fn machines_get_lists_as_messages() {
    let (place, mirror, _) = with_mirror();
    mirror.release(X, "1.0.0");
    place.write("t.pkr.hcl", requires(">= 1"));
    place.run(["init", "-machine-readable", "t.pkr.hcl"]).expect_code(0).expect(",,ui,say,Installed plugin ");
    place.run(["plugins", "installed", "-machine-readable"]).expect(",,ui,message,/");
    place.run(["plugins", "-machine-readable", "required", "t.pkr.hcl"]).expect(",,ui,message,x github.com/");
    place.run(["plugins", "remove", X, "-machine-readable"]).expect(",,ui,message,/");
}

#[test]
fn single_plugins_are_installed_by_source_and_from_files() {
    let (place, mirror, plugins) = with_mirror();
    mirror.release(X, "1.0.0").release(X, "1.1.0").release("git.example.org/team/tools/y", "0.1.0");
    place.run(["plugins", "install", X, "~> 1.0.0"]).expect_code(0).expect(" v1.0.0 in ");
    place.run(["plugins", "install", X]).expect_code(0).expect(" v1.1.0 in ");
    place.run(["plugins", "install", X]).expect_code(0).expect("is installed already in");
    place.run(["plugins", "install", "-force", X]).expect_code(0).expect("Installed plugin");
    place
        .run(["plugins", "install", X, "> 2"])
        .expect_code(1)
        .expect("that fulfils \"> 2\"; it has v1.1.0, v1.0.0");
    // A mirror may have plug-ins of any host.
    place.run(["plugins", "install", "git.example.org/team/tools/y"]).expect_code(0).expect(" v0.1.0 in ");
    // As a browser saves it: without the right to be run.
    place.write("own", program("1.2.0-dev+local"));
    place.run(["plugins", "install", "--path", "own", X]).expect_code(0).expect(" v1.2.0-dev in ");
    let expected = [
        program_name("x", "1.0.0"),
        program_name("x", "1.1.0"),
        program_name("x", "1.2.0-dev"),
        program_name("y", "0.1.0"),
    ];
    let programs: Vec<String> = files(&plugins).into_iter().filter(|f| !f.ends_with("_SHA256SUM")).collect();
    assert_eq!(programs, expected);
    assert_eq!(files(&plugins).len(), 2 * expected.len());
    place.leftovers().expect_none();
}

#[test]
fn one_plugin_that_fails_does_not_stop_the_others() {
    let (place, mirror, plugins) = with_mirror();
    mirror.release(X, "1.0.0");
    let text = requires("1.0.0").replace(
        "required_plugins {",
        "required_plugins {\n    gone = { source = \"github.com/someone/gone\", version = \"1.0.0\" }",
    );
    place.write("t.pkr.hcl", text);
    let ran = place.run(["init", "t.pkr.hcl"]);
    ran.expect_code(1)
        .expect("Failed getting the \"github.com/someone/gone\" plugin:\n")
        .expect("Installed plugin");
    assert_eq!(files(&plugins).len(), 2);
}

#[test]
fn plugins_that_kiln_has_itself_are_not_installed() {
    let (place, mirror, plugins) = with_mirror();
    place.write("t.pkr.hcl", requires("~> 1.0").replace(X, "github.com/hashicorp/qemu"));
    let line = "Plugin github.com/hashicorp/qemu is part of Kiln; nothing to install\n";
    assert_eq!(place.run(["init", "t.pkr.hcl"]).expect_code(0).stdout, line);
    mirror.release("github.com/hashicorp/qemu", "1.1.4");
    place.run(["init", "-force", "t.pkr.hcl"]).expect_code(0).expect(" v1.1.4 in ");
    assert_eq!(files(&plugins).len(), 2);
}

#[test]
fn validate_tells_how_to_get_a_component_and_init_gets_it() {
    let (place, mirror, _) = with_mirror();
    let template = "source \"hcloud\" \"a\" {\n}\nbuild {\n  sources = [\"hcloud.a\"]\n}\n";
    place.write("t.pkr.hcl", template);
    let ran = place.run(["validate", "t.pkr.hcl"]);
    ran.expect_code(1).expect("Error: Unknown source type hcloud").expect("run: kiln init");
    // What it says is what works.
    let advice = ran.stdout.split("run: kiln init\n\n").nth(1).expect("a block follows");
    place.write("plugins.pkr.hcl", advice);
    place
        .run(["validate", "."])
        .expect_code(1)
        .expect("The template requires it; to install it, run: kiln init");
    mirror.release("github.com/hetznercloud/hcloud", "1.7.2");
    place.run(["init", "."]).expect_code(0).expect("Installed plugin github.com/hetznercloud/hcloud v1.7.2");
    place.run(["validate", "."]).expect_code(1).expect("this version of Kiln doesn't run external plug-ins");
}

#[test]
fn a_mirror_may_be_a_web_server() {
    let (mut place, mirror, plugins) = with_mirror();
    mirror.release(X, "1.0.0").release(X, "1.1.0");
    let web = mirror.serve();
    place.set("KILN_PLUGIN_MIRROR", web.url());
    place.write("t.pkr.hcl", requires("~> 1.0"));
    place.run(["init", "t.pkr.hcl"]).expect_code(0).expect(" v1.1.0 in ");
    assert_eq!(files(&plugins).len(), 2);
    drop(web);
    place.run(["init", "-upgrade", "t.pkr.hcl"]).expect_code(1).expect("cannot get http://127.0.0.1:");
    for (mirror, expected) in [
        ("ftp://example.org/", "neither an http(s) URL nor an absolute path"),
        ("mirror", "neither an http(s) URL nor an absolute path"),
        ("/nowhere/at/all", "there is no such directory"),
    ] {
        place.set("KILN_PLUGIN_MIRROR", mirror);
        place.run(["init", "-upgrade", "t.pkr.hcl"]).expect_code(1).expect(expected);
        place.run(["plugins", "install", X]).expect_code(1).expect(expected);
        // Nothing need come from it.
        place.run(["init", "t.pkr.hcl"]).expect_code(0);
    }
}

/// A web server with a certificate of its own; printed is its port.
const HTTPS: &str = "
import functools, http.server, ssl, sys
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('server.pem', 'server.key')
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
";

const CERTIFICATES: &str = "
set -e
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=authority \
    -keyout ca.key -out ca.pem
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=mirror -keyout server.key -out server.csr
printf 'subjectAltName=IP:127.0.0.1\\nbasicConstraints=CA:FALSE\\nextendedKeyUsage=serverAuth\\n' > extensions
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out server.pem
";

#[test]
fn a_mirror_speaks_https_with_certificates_that_are_trusted() {
    let (mut place, mirror, plugins) = with_mirror();
    mirror.release(X, "1.0.0");
    let made = Command::new("sh").args(["-c", CERTIFICATES]).current_dir(place.work()).output();
    let made = made.expect("sh is there");
    assert!(made.status.success(), "openssl is needed: {}", String::from_utf8_lossy(&made.stderr));
    let mut server = Command::new("python3")
        .args(["-c", HTTPS, "mirror"])
        .current_dir(place.work())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("python3 is needed");
    let mut port = String::new();
    let said = server.stdout.take().expect("it is piped");
    BufReader::new(said).read_line(&mut port).expect("it says its port");
    place.set("KILN_PLUGIN_MIRROR", format!("https://127.0.0.1:{}", port.trim()));
    place.write("t.pkr.hcl", requires("~> 1.0"));
    let strange = place.run(["init", "t.pkr.hcl"]);
    place.set("SSL_CERT_FILE", place.work().join("ca.pem"));
    let trusted = place.run(["init", "t.pkr.hcl"]);
    server.kill().and_then(|()| server.wait()).expect("it is our child");
    strange.expect_code(1).expect("certificate");
    trusted.expect_code(0).expect(" v1.0.0 in ");
    assert_eq!(files(&plugins).len(), 2);
}

/// Starts an installation whose archive never comes whole, and waits until a part of it is there.
fn half_way(
    place: &mut Place,
    mirror: &Mirror,
    plugins: &std::path::Path,
) -> (kiln_tests::program::Running, Web) {
    let web = mirror.serve_slowly();
    place.set("KILN_PLUGIN_MIRROR", web.url());
    let running = place.start(["init", "t.pkr.hcl"]);
    wait::until("a part of the archive", Duration::from_secs(60), || {
        let entries = std::fs::read_dir(plugins).into_iter().flatten().flatten();
        entries.filter_map(|e| e.path().join("archive").metadata().ok()).any(|m| m.len() > 1000).then_some(())
    });
    (running, web)
}

#[test]
fn a_killed_installation_leaves_no_plugin_and_the_next_one_sweeps() {
    let (mut place, mirror, plugins) = with_mirror();
    mirror.release(X, "1.0.0");
    place.write("t.pkr.hcl", requires("~> 1.0"));
    let (running, web) = half_way(&mut place, &mirror, &plugins);
    running.kill();
    drop(web);
    assert_eq!(files(&plugins), ["archive"]);
    assert_eq!(place.run(["plugins", "installed"]).expect_code(0).stdout, "");
    place.set("KILN_PLUGIN_MIRROR", mirror.path());
    place.run(["init", "t.pkr.hcl"]).expect_code(0).expect("Installed plugin");
    assert_eq!(files(&plugins).len(), 2);
    assert_eq!(std::fs::read_dir(&plugins).expect("it is there").count(), 1, "the part is gone");
}

#[test]
fn an_interrupted_installation_leaves_nothing() {
    let (mut place, mirror, plugins) = with_mirror();
    mirror.release(X, "1.0.0");
    place.write("t.pkr.hcl", requires("~> 1.0"));
    let (running, _web) = half_way(&mut place, &mirror, &plugins);
    running.signal("INT");
    running.finish().expect_code(1).expect("Cancelled after receiving interrupt");
    assert_eq!(std::fs::read_dir(&plugins).expect("it is there").count(), 0);
    place.leftovers().expect_none();
}

#[test]
fn a_full_disk_is_told_and_leaves_nothing() {
    // In a mount namespace of its own the plug-in directory is a disk that is too small for an archive.
    let mut small = Place::new("unshare");
    let mirror = Mirror::new(small.work().join("mirror"));
    mirror.release(X, "1.0.0");
    small.set("KILN_PLUGIN_MIRROR", mirror.path());
    small.write("t.pkr.hcl", requires("~> 1.0"));
    small.write("plugins/keep", "");
    small.set("PACKER_PLUGIN_PATH", small.work().join("plugins"));
    let script =
        "mount -t tmpfs -o size=256k none plugins && { \"$0\" init t.pkr.hcl; echo code $?; ls -A plugins; }";
    let ran = small.run(["-rm", "sh", "-c", script, env!("CARGO_BIN_EXE_kiln")]);
    ran.expect_code(0).expect("no space left for ").expect("PACKER_PLUGIN_PATH\ncode 1\n");
    assert!(ran.stdout.ends_with("code 1\n"), "something is left: {}", ran.stdout);
}
