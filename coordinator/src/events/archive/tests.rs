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
    archive.write(build, a, records(2, &["c"])).await.unwrap();
    archive.write(build, a, records(0, &["a", "b"])).await.unwrap();
    archive.write(build, b, records(9, &["x"])).await.unwrap();
    let segments = archive.segments(build).await.unwrap();
    let told: Vec<_> = segments.iter().map(|(task, s)| (*task, s.first, s.next)).collect();
    assert_eq!(told, [(a, 0, 2), (a, 2, 3), (b, 9, 10)]);
    assert_eq!(archive.read(&segments[0].1).await.unwrap(), records(0, &["a", "b"]));
    archive.remove(build).await.unwrap();
    assert_eq!(archive.segments(build).await.unwrap(), []);
    let error = archive.read(&segments[0].1).await.unwrap_err();
    assert!(error.to_string().ends_with("are gone from the object store"), "{error}");
}

#[test]
fn the_extent_of_segments_ends_before_the_first_gap() {
    type Ranges = &'static [(u64, u64)];
    // (segments, where they should begin, up to where they go)
    let cases: [(Ranges, u64, u64); 6] = [
        (&[], 5, 5),
        (&[(5, 7), (7, 9)], 5, 9),
        (&[(5, 9), (6, 8), (8, 12)], 5, 12),
        (&[(5, 7), (8, 9)], 5, 7),
        (&[(6, 7)], 5, 5),
        (&[(1, 3), (5, 6), (100, 101)], 5, 6),
    ];
    let (build, task) = (BuildId::new(Uuid::from_u128(1)), TaskId::new(Uuid::from_u128(2)));
    for (segments, first, expected) in cases {
        let segments: Vec<Segment> = segments.iter().map(|range| Segment::new(build, task, *range)).collect();
        assert_eq!(extent(segments.iter(), first), expected, "{segments:?}");
    }
}
