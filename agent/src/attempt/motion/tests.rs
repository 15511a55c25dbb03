//! What is judged from numbers, and which numbers true processes yield.

use kiln_component::{Intent, Program, process};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Every 5 s, with so much per second, for so many seconds: up to when it went on.
fn lasts(motion: &mut Motion, (from, seconds): (u32, u32), total: &mut Total, per_second: (u64, u64)) -> u32 {
    let mut last = from;
    for second in (from..from + seconds).step_by(5) {
        total.bytes += 5 * per_second.0;
        total.cpu_ms += 5 * per_second.1;
        if motion.goes_on(SECOND * second, *total) {
            last = second;
        }
    }
    last
}

#[test]
fn a_guest_that_works_goes_on_and_one_that_hangs_does_not() {
    let hour = 3_600;
    for (what, per_second, expected) in [
        ("an installer", (100_000, 500), 5 * hour - 5),
        ("a slow download", (5_000, 20), 5 * hour - 5),
        ("an idle guest that logs", (3_000, 50), 0),
        ("a stopped guest", (0, 0), 0),
        ("a guest that computes, or spins", (0, 1_000), hour),
    ] {
        let (mut motion, mut total) = (Motion::default(), Total::default());
        assert_eq!(lasts(&mut motion, (0, 5 * hour), &mut total, per_second), expected, "{what}");
    }
}

#[test]
fn an_hour_of_computing_counts_from_the_last_bytes() {
    let (mut motion, mut total) = (Motion::default(), Total::default());
    assert_eq!(lasts(&mut motion, (0, 7_200), &mut total, (100_000, 500)), 7_195);
    let until = lasts(&mut motion, (7_200, 7_200), &mut total, (0, 1_000));
    assert!((7_200 + 3_600..7_200 + 3_700).contains(&until), "{until}");
    assert_eq!(lasts(&mut motion, (14_400, 60), &mut total, (100_000, 0)), 14_455);
}

#[test]
fn who_was_stopped_for_minutes_is_judged_by_the_whole_time() {
    let mut motion = Motion::default();
    assert!(!motion.goes_on(SECOND, Total::default()));
    let idle = Total { bytes: BYTES, cpu_ms: CPU_MS };
    assert!(!motion.goes_on(SECOND * 301, idle), "as much in five minutes as counts in one");
    let busy = Total { bytes: 6 * BYTES, cpu_ms: 0 };
    assert!(motion.goes_on(SECOND * 601, busy));
}

#[test]
fn processes_may_end_and_files_go() {
    let usage = |pid, cpu_ms, bytes| Usage { process: ProcessId { pid, started: 1 }, cpu_ms, bytes };
    let mut meter = Meter::default();
    for (processes, allocated, cpu_ms, bytes) in [
        (vec![usage(1, 10, 5)], 3, 10, 5),
        (vec![usage(1, 15, 5), usage(2, 1, 0)], 13, 16, 15),
        (vec![usage(2, 1, 0)], 0, 16, 15),
        (vec![usage(2, 4, 2)], 1, 19, 17),
    ] {
        meter.read(&Look { processes, allocated });
        assert_eq!(meter.total, Total { cpu_ms, bytes });
    }
}

/// Reads until it is as wished.
async fn until(what: &str, journal: &Journal, wished: impl Fn(Total) -> bool) -> Total {
    let mut meter = Meter::default();
    let deadline = Instant::now() + SECOND * 60;
    loop {
        meter.read(&look(journal, false));
        if wished(meter.total) {
            return meter.total;
        }
        assert!(Instant::now() < deadline, "{what}: {:?}", meter.total);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn true_processes_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("output");
    fs::create_dir(&output).unwrap();
    let start = |script: &str| {
        let journal = Journal::in_memory();
        let program = Program::new("sh").args(["-c", script]).directory(&output);
        let child: process::Child = program.spawn(&journal).unwrap();
        (journal, child)
    };
    let (hangs, mut first) = start("sleep 600");
    let (spins, mut second) = start("while :; do :; done");
    let (writes, mut third) = start("while :; do head -c 65536 /dev/urandom >> disk; sleep 0.05; done");
    let entry = writes.intend(Intent::directory(&output)).unwrap();
    until("one computes", &spins, |total| total.cpu_ms >= 500).await;
    until("one writes", &writes, |total| total.bytes >= 4 * BYTES).await;
    // The others had as long.
    let idle = until("one hangs", &hangs, |_| true).await;
    assert!(idle.cpu_ms < 200 && idle.bytes < BYTES, "{idle:?}");
    // Programs that are loaded count as bytes too, so that the file may have fewer yet.
    let deadline = Instant::now() + SECOND * 60;
    while look(&writes, false).allocated < 4 * BYTES {
        assert!(Instant::now() < deadline, "the file does not grow");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for child in [&mut first, &mut second, &mut third] {
        child.stop().await.unwrap();
    }
    entry.clear();
    assert_eq!(look(&spins, false).processes, []);
    assert!(look(&hangs, true).processes.iter().any(|usage| Some(usage.process) == ProcessId::own()));
}
