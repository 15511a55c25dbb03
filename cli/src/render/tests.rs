use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kiln_lang::{Diagnostic, Diagnostics, SourceFile, SourceMap, Span};
use kiln_plan::event::TaskOutcome;
use kiln_plan::fault::{Failure, Fault};
use kiln_plan::id::TaskId;
use kiln_plan::{ArtifactRecord, Event, EventKind};
use uuid::Uuid;

use super::run::RunView;
use super::{Look, Reader, Screen, diagnostic};
use crate::exit_code::Ended;

#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn events(task: TaskId, kinds: Vec<EventKind>) -> Vec<Event> {
    let event = |(i, kind)| Event { task, sequence: i as u64, at_ms: 1000 * i as u64, kind };
    kinds.into_iter().enumerate().map(event).collect()
}

fn show(look: Look) -> (String, Ended) {
    let paper = Paper::default();
    let screen = Screen::on(Box::new(paper.clone()), look);
    let (good, bad) = (TaskId::new(Uuid::from_u128(1)), TaskId::new(Uuid::from_u128(2)));
    let mut view = RunView::new(&screen, [(good, "null.a".to_owned()), (bad, "null.b".to_owned())]);
    view.header();
    let artifact = ArtifactRecord {
        builder_id: "x".into(),
        id: "I,d".into(),
        description: "Made it".into(),
        files: vec![],
    };
    let said = EventKind::Say { speaker: None, text: "one\ntwo  ".into() };
    let by = EventKind::Error { speaker: Some("checksum".into()), text: "oops".into() };
    let well = EventKind::Finished { outcome: TaskOutcome::Succeeded { artifacts: vec![artifact] } };
    let failure = Failure::new(Fault::Guest, "script exited 3").hint("look at the script");
    let ill = EventKind::Finished { outcome: TaskOutcome::Failed { failure } };
    for event in events(good, vec![said, by, well]).iter().chain(&events(bad, vec![ill])) {
        view.event(event);
    }
    let ended = view.finish(Duration::from_secs(3), false);
    let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
    (text, ended)
}

#[test]
fn lines_have_packers_shape() {
    let (text, ended) = show(Look { color: false, timestamps: false, reader: Reader::People });
    let expected = "\
==> null.a: one
==> null.a: two
==> null.a (checksum): oops
Build 'null.a' finished after 2 seconds.
Build 'null.b' errored after 0 microseconds: script exited 3
    look at the script

==> Wait completed after 3 seconds

==> Some builds didn't complete successfully and had errors:
--> null.b: script exited 3
    look at the script

==> Builds finished. The artifacts of successful builds are:
--> null.a: Made it
";
    assert_eq!(text, expected);
    assert_eq!(ended, Ended::Failed);
}

#[test]
fn colour_wraps_whole_messages_and_has_a_header() {
    let (text, _) = show(Look { color: true, timestamps: false, reader: Reader::People });
    assert!(
        text.starts_with("\u{1b}[1;32mnull.a: output will be in this color.\u{1b}[0m\n\u{1b}[1;36mnull.b: ")
    );
    assert!(text.contains("\u{1b}[1;32m==> null.a: one\n==> null.a: two\u{1b}[0m\n"));
    assert!(text.contains("\u{1b}[1;31m==> null.a (checksum): oops\u{1b}[0m\n"));
}

#[test]
fn machine_lines_escape_and_target() {
    let (text, _) = show(Look { color: true, timestamps: false, reader: Reader::Scripts });
    let without_time: Vec<&str> = text.lines().map(|l| l.split_once(',').unwrap().1).collect();
    assert_eq!(without_time[0], r",ui,say,==> null.a: one\n==> null.a: two");
    assert!(without_time.contains(&",error-count,1"));
    assert!(without_time.contains(&r"null.b,error,script exited 3\n    look at the script"));
    assert!(without_time.contains(&"null.a,artifact,0,id,I%!(PACKER_COMMA)d"));
    assert!(without_time.contains(&"null.a,artifact,0,end"));
}

#[test]
fn a_timestamp_stands_before_the_prefix() {
    let (text, _) = show(Look { color: false, timestamps: true, reader: Reader::People });
    let first = text.lines().next().unwrap();
    assert!(first.ends_with(": ==> null.a: one") && first.starts_with("20"), "{first}");
    assert!(text.contains("\nBuild 'null.a' finished"));
}

#[test]
fn a_diagnostic_shows_the_line_and_marks_the_range() {
    let mut sources = SourceMap::default();
    sources.add(SourceFile::new("a.pkr.hcl", "variable \"x\" {\n  typ = string\n}\n"));
    let found = Diagnostic::error("Unsupported argument", "An argument named \"typ\" is not expected here.")
        .at(Span::new("a.pkr.hcl", 17, 20))
        .within("variable \"x\"")
        .hint("Did you mean \"type\"?");
    let expected = "\
Error: Unsupported argument

  on a.pkr.hcl line 2, in variable \"x\":
   2:   typ = string
        ^^^

An argument named \"typ\" is not expected here.

Did you mean \"type\"?

";
    let found = Diagnostics::from(found);
    assert_eq!(diagnostic::text(&found, &sources, false), expected);
    let painted = diagnostic::text(&found, &sources, true);
    assert!(painted.starts_with("\u{1b}[1;31mError: \u{1b}[0mUnsupported"), "{painted}");
    assert!(painted.contains("\u{1b}[1;31m^^^\u{1b}[0m"), "{painted}");
}
