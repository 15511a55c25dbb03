//! What is written arrives in order, once, whoever dies in between.

use std::fs::OpenOptions;
use std::io::Write;
use std::time::Duration;

use kiln_plan::EventKind;
use kiln_plan::event::ProgressUnit;
use kiln_plan::id::TaskId;

use super::*;
use crate::link::Log;

fn say(text: &str) -> EventKind {
    EventKind::Say { speaker: None, text: text.into() }
}

fn bar(label: &str, done: u64) -> EventKind {
    EventKind::Progress { label: label.into(), done, total: Some(100), unit: ProgressUnit::Bytes }
}

fn writer(directory: &tempfile::TempDir, limits: Limits) -> Writer {
    Writer::open(directory.path(), 5, limits).unwrap()
}

fn push_all(writer: &mut Writer, kinds: impl IntoIterator<Item = EventKind>) {
    kinds.into_iter().for_each(|kind| writer.push(0, &kind).unwrap());
}

/// `5:a 6:iso=3`
fn send(reader: &mut Reader) -> String {
    let task = TaskId::new(uuid::Uuid::nil());
    let word = |record: &kiln_proto::event::Record| match record.open(task).unwrap().unwrap().kind {
        EventKind::Say { text, .. } | EventKind::Error { text, .. } => format!("{}:{text}", record.sequence),
        EventKind::Progress { label, done, .. } => format!("{}:{label}={done}", record.sequence),
        other => format!("{other:?}"),
    };
    reader.send(&mut usize::MAX.clone()).iter().map(word).collect::<Vec<_>>().join(" ")
}

fn files(directory: &tempfile::TempDir) -> Vec<u64> {
    segment::list(directory.path()).unwrap()
}

#[test]
fn events_are_read_as_they_are_written_and_forgotten_when_durable() {
    let directory = tempfile::tempdir().unwrap();
    let mut reader = Reader::starting(directory.path(), 5);
    assert_eq!(send(&mut reader), "", "nothing is there yet");
    // Each event begins a new file.
    let mut writer = writer(&directory, Limits { file: 1, ..Limits::default() });
    push_all(&mut writer, ["a", "b", "c"].map(say));
    assert_eq!(send(&mut reader), "5:a 6:b 7:c");
    assert_eq!(send(&mut reader), "");
    reader.taken(8);
    assert!(reader.is_flushed() && !reader.is_settled());
    assert_eq!(files(&directory), [5, 6, 7]);
    reader.durable(7);
    assert_eq!(files(&directory), [7]);
    reader.rewind();
    assert_eq!(send(&mut reader), "7:c");
    push_all(&mut writer, ["d"].map(say));
    assert!(!reader.is_flushed());
    assert_eq!(send(&mut reader), "8:d");
    reader.durable(9);
    assert!(reader.is_settled());
    assert_eq!(files(&directory), [8], "the last file stays");
}

#[test]
fn another_reader_begins_with_what_is_kept_and_skips_what_was_taken() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = writer(&directory, Limits::default());
    push_all(&mut writer, ["a", "b", "c"].map(say));
    let mut reader = Reader::open(directory.path()).unwrap().unwrap();
    reader.taken(7);
    assert_eq!(send(&mut reader), "7:c");
    let mut another = Reader::open(directory.path()).unwrap().unwrap();
    assert_eq!((send(&mut another), another.end()), ("5:a 6:b 7:c".to_owned(), 8));
    assert!(Reader::open(&directory.path().join("none")).unwrap().is_none());
}

#[test]
fn a_record_that_was_cut_off_is_none_and_writing_goes_on_after_the_last_whole_one() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = writer(&directory, Limits::default());
    push_all(&mut first, ["a", "b"].map(say));
    let whole = std::fs::read(segment::path(directory.path(), 5)).unwrap();
    let record = segment::encode(&kiln_proto::event::Record::new(7, 0, &say("torn")));
    for cut in 0..record.len() {
        let mut file =
            OpenOptions::new().write(true).truncate(true).open(segment::path(directory.path(), 5)).unwrap();
        file.write_all(&whole).unwrap();
        file.write_all(&record[..cut]).unwrap();
        let mut reader = Reader::open(directory.path()).unwrap().unwrap();
        assert_eq!(send(&mut reader), "5:a 6:b", "cut at {cut}");
        let mut again = writer(&directory, Limits::default());
        assert_eq!(again.next(), 7);
        push_all(&mut again, ["c"].map(say));
        assert_eq!(send(&mut reader), "7:c", "cut at {cut}");
        std::fs::remove_file(segment::path(directory.path(), 7)).unwrap();
    }
}

#[test]
fn a_file_of_another_format_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(segment::path(directory.path(), 5), b"kilnev\x00\x02").unwrap();
    let mut reader = Reader::open(directory.path()).unwrap().unwrap();
    assert_eq!((send(&mut reader), reader.end()), (String::new(), 5));
}

#[test]
fn progress_is_thinned_out_but_for_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = writer(&directory, Limits::default());
    push_all(&mut writer, (1..=100).map(|done| bar("iso", done)).chain([bar("disk", 1)]));
    let mut reader = Reader::open(directory.path()).unwrap().unwrap();
    assert_eq!(send(&mut reader), "5:iso=1 6:iso=100 7:disk=1");
}

#[test]
fn a_full_spool_leaves_out_progress_then_all_and_tells_of_it_when_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = writer(&directory, Limits { all: 400, file: 100, look_every: Duration::ZERO });
    let mut pushed = 0;
    while writer.dropped == 0 {
        push_all(&mut writer, [say("0123456789012345678901234567890123456789"), bar(&pushed.to_string(), 1)]);
        pushed += 1;
    }
    let mut reader = Reader::open(directory.path()).unwrap().unwrap();
    let sent = send(&mut reader);
    assert!(sent.contains("0=1") && !sent.contains(&format!("{}=1", pushed - 1)), "{sent}");
    let end = reader.end();
    reader.durable(end);
    push_all(&mut writer, [say("on")]);
    let told = format!("{end}:1 events were dropped while the coordinator was out of reach {}:on", end + 1);
    assert_eq!(send(&mut reader), told);
}
