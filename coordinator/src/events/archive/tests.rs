use kiln_plan::event::EventKind;
use uuid::Uuid;

use super::*;
use crate::store::StoreSettings;

fn records(first: u64, texts: &[&str]) -> Vec<Record> {
    let say = |text: &str| EventKind::Say { speaker: None, text: text.to_owned() };
    texts.iter().enumerate().map(|(n, text)| Record::new(first + n as u64, 7, &say(text))).collect()
}

#[tokio::test]
async fn segments_are_found_in_order_and_read_as_they_were_written() {
    let archive = Archive::new(Store::open(&StoreSettings::Memory).unwrap());
    let build = BuildId::new(Uuid::from_u128(1));
    let (a, b) = (TaskId::new(Uuid::from_u128(2)), TaskId::new(Uuid::from_u128(3)));
    archive.write(build, a, records(2, &["c"]), true).await.unwrap();
    archive.write(build, a, records(0, &["a", "b"]), false).await.unwrap();
    archive.write(build, b, records(9, &["x"]), false).await.unwrap();
    let segments = archive.segments(build).await.unwrap();
    let told: Vec<_> = segments.iter().map(|(task, s)| (*task, s.first, s.next, s.last)).collect();
    assert_eq!(told, [(a, 0, 2, false), (a, 2, 3, true), (b, 9, 10, false)]);
    assert_eq!(archive.read(&segments[0].1).await.unwrap(), records(0, &["a", "b"]));
    archive.remove(build).await.unwrap();
    assert_eq!(archive.segments(build).await.unwrap(), []);
    let error = archive.read(&segments[0].1).await.unwrap_err();
    assert!(error.to_string().ends_with("are gone from the object store"), "{error}");
}
