//! A task for tests, with directories of its own.

use std::sync::Arc;

use kiln_component::TaskContext;
use tokio_util::sync::CancellationToken;

use crate::test_voice::{self, Heard};

/// A task and what it says. Its directories go with it.
pub(crate) struct TestTask {
    pub(crate) cx: TaskContext,
    pub(crate) heard: Arc<Heard>,
    _directory: tempfile::TempDir,
}

/// A task of a build called `test`.
pub(crate) fn task() -> TestTask {
    let directory = tempfile::Builder::new().prefix("kt").tempdir().expect("a directory");
    let (reporter, heard) = test_voice::listened_to();
    let sub = |name: &str| {
        let path = directory.path().join(name);
        std::fs::create_dir(&path).expect("a directory");
        path
    };
    let plan = crate::test_plan::plan("qemu");
    let cx = TaskContext {
        plan: Arc::new(plan),
        reporter,
        cancel: CancellationToken::new(),
        scratch: sub("scratch"),
        journal: kiln_component::Journal::in_memory(),
        working_dir: sub("work"),
        cache_dir: sub("cache"),
        origins: kiln_component::Origins::default(),
    };
    TestTask { cx, heard, _directory: directory }
}
