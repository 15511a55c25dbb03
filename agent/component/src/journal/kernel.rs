//! Taking back what lies in the kernel: network interfaces and control groups. Both are known by names that others may
//! have taken meanwhile, so each is looked at before it goes.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::Instant;

/// How long the kernel may take to end the processes of a control group.
const KILLED: Duration = Duration::from_secs(5);

/// How long removing an interface may take.
const REMOVED: Duration = Duration::from_secs(5);

/// Removes an interface if it bears this alias; `false` when there is no such one.
pub(super) async fn remove_interface(name: &str, alias: &str) -> io::Result<bool> {
    match fs::read_to_string(format!("/sys/class/net/{name}/ifalias")) {
        Ok(found) if found.trim() == alias => {}
        // Another one of that name is another's.
        Ok(_) | Err(_) => return Ok(false),
    }
    let remove = Command::new("ip").args(["link", "delete", "dev", name]).kill_on_drop(true).output();
    let output = tokio::time::timeout(REMOVED, remove)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    if output.status.success() {
        return Ok(true);
    }
    Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

/// Ends every process of a control group and removes it; `false` when there is none.
pub(super) async fn remove_control_group(path: &Path) -> io::Result<bool> {
    if !path.join("cgroup.procs").exists() {
        return Ok(false);
    }
    // Kernels before 5.14 have no such file; the processes were ended by their marks then.
    let _older = fs::write(path.join("cgroup.kill"), "1");
    let deadline = Instant::now() + KILLED;
    loop {
        match fs::remove_dir(path) {
            Ok(()) => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}
