//! A build's trace reaches a collector, from a farm of real processes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use kiln_tests::wait;

use super::place;

const LIMIT: Duration = Duration::from_secs(120);

const SECRET: &str = "correct-horse-battery";

/// A collector that is busy at first; what it takes comes out of the channel: the request's head and body.
fn collector() -> (u16, Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (taken, requests) = channel();
    std::thread::spawn(move || {
        let mut answers = ["503 Service Unavailable", "200 OK"].into_iter();
        for stream in listener.incoming().filter_map(Result::ok) {
            let Some(request) = request(&stream) else { continue };
            let answer = answers.next().unwrap_or("200 OK");
            let _gone =
                write!(&stream, "HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            if answer == "200 OK" && taken.send(request).is_err() {
                return;
            }
        }
    });
    (port, requests)
}

fn request(stream: &TcpStream) -> Option<(String, Vec<u8>)> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        (reader.read_line(&mut head).ok()? > 0).then_some(())?;
    }
    let lower = head.to_ascii_lowercase();
    let length = lower.split("content-length: ").nth(1)?.split("\r\n").next()?.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((lower, body))
}

fn has(body: &[u8], part: &[u8]) -> bool {
    body.windows(part.len()).any(|window| window == part)
}

#[test]
fn the_trace_of_a_build_reaches_the_collector() {
    let (collector, requests) = collector();
    // Somebody else's place, so that nothing of the farm's is sent with the template.
    let (mut place, mut person) = (place(), place());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("https://127.0.0.1:{port}");
    place.write("headers", "Authorization: Bearer collectors-key\n");
    let settings = format!(
        "directory = \"c\"\nlisten = \"127.0.0.1:{port}\"\naddress = \"{address}\"\n\
         telemetry {{\n  otlp = \"http://127.0.0.1:{collector}\"\n  headers_file = \"headers\"\n}}\n"
    );
    place.write("c.hcl", settings);
    let founded = place.run(["coordinator", "init", "-settings", "c.hcl"]);
    let token =
        founded.expect_code(0).stdout.split_whitespace().find_map(|word| word.strip_prefix("KILN_TOKEN="));
    let token = token.expect("the first operator's token is printed");
    for place in [&mut place, &mut person] {
        place.set("KILN_TOKEN", token);
        place.set("KILN_FARM", &address);
    }
    let _coordinator = place.start(["coordinator", "-settings", "c.hcl"]);
    let token = wait::until("a token", LIMIT, || {
        let ran = place.run(["farm", "token", "create", "agent"]);
        (ran.code() == 0).then_some(ran.stdout)
    });
    let token = place.write("agent.token", token).display().to_string();
    let run = place.temporary().join("a").display().to_string();
    let _agent = place.start(["agent", "-farm", &address, "-token-file", &token, "-run-directory", &run]);
    let template = format!(
        "source \"null\" \"x\" {{\n  communicator = \"none\"\n}}\nbuild {{\n  sources = [\"source.null.x\"]\n  \
         provisioner \"shell-local\" {{\n    inline = [\"echo {SECRET}\"]\n  }}\n}}\n"
    );
    person.write("t.pkr.hcl", template);
    person.set("TRACEPARENT", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    person.run(["build", "."]).expect_code(0).expect(SECRET);
    let (head, body) = requests.recv_timeout(LIMIT).expect("the collector is asked again after it was busy");
    assert!(head.starts_with("post /v1/traces http/1.1"), "{head}");
    assert!(
        head.contains("content-type: application/x-protobuf") && head.contains("bearer collectors-key"),
        "{head}"
    );
    for part in
        ["build", "null.x", "wait for an agent", "attempt 1", "provision by shell-local", "kiln.epoch"]
    {
        assert!(has(&body, part.as_bytes()), "no {part:?} in {:?}", String::from_utf8_lossy(&body));
    }
    let parent = [0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31];
    assert!(has(&body, &parent), "the span that TRACEPARENT names is the parent");
    assert!(!has(&body, SECRET.as_bytes()), "what was printed stays in the farm");
}
