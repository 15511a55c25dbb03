//! Which accelerator QEMU can really use here, found by running a payload, because `/dev/kvm` may lie.
//!
//! There are machines (nested or paravirtual ones) whose KVM opens, runs a boot sector, and then hangs or breaks at
//! the first instructions of a 64-bit kernel. `accel=kvm:tcg` doesn't fall back there. So the probe boots
//! [`PAYLOAD`], which does in a few microseconds what such kernels choke on, under a deadline.
//!
//! ```text
//!  named in the template ──► that one, unasked
//!  guest of another architecture, no /dev/kvm, KVM may not be opened ──► tcg, with the reason
//!  remembered from less than a day ago (machine, kernel, QEMU) ──► as it was
//!  payload ── writes 0x2a to the exit port ──► kvm
//!          └─ anything else, or the deadline ──► tcg
//! ```

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};
use tokio::process::Command;

/// How long the payload may take. It needs milliseconds; the rest is for QEMU to start on a busy machine.
const PROBE_DEADLINE: Duration = Duration::from_secs(3);
/// How long an answer is believed.
const BELIEVED_FOR: Duration = Duration::from_secs(24 * 3600);
/// How long a missed deadline is believed: the machine may only have been busy.
const MISSED_DEADLINE_BELIEVED_FOR: Duration = Duration::from_secs(3600);

/// What carries out the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accelerator {
    /// QEMU's choice: the option is left out of its command line.
    None,
    /// Linux's KVM.
    Kvm,
    /// QEMU's own translator: runs everywhere, slowly.
    Tcg,
    /// Xen.
    Xen,
    /// Intel's HAXM; gone from today's QEMU.
    Hax,
    /// macOS's Hypervisor framework.
    Hvf,
    /// Windows' Hypervisor Platform.
    Whpx,
}

impl Accelerator {
    /// All of them, in the order in which messages list them.
    pub const ALL: [Accelerator; 7] =
        [Self::None, Self::Kvm, Self::Tcg, Self::Xen, Self::Hax, Self::Hvf, Self::Whpx];

    /// Its name in templates and on QEMU's command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
            Self::Xen => "xen",
            Self::Hax => "hax",
            Self::Hvf => "hvf",
            Self::Whpx => "whpx",
        }
    }

    /// The one of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.name() == name)
    }
}

impl fmt::Display for Accelerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The accelerator to use, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// The accelerator.
    pub accelerator: Accelerator,
    /// Why, in a few words: `a 64-bit payload ran`.
    pub reason: String,
}

impl Choice {
    fn new(accelerator: Accelerator, reason: impl Into<String>) -> Self {
        Self { accelerator, reason: reason.into() }
    }
}

/// Chooses an accelerator for the program `qemu` (an absolute path). Answers are remembered in `cache_dir`.
/// Takes at most a few seconds, and harmlessly starts QEMU unless the answer is remembered or plain.
pub async fn choose(qemu: &Path, cache_dir: &Path) -> Choice {
    let tcg = |reason: String| Choice::new(Accelerator::Tcg, reason);
    let host = std::env::consts::ARCH;
    let guest = guest_architecture(qemu);
    if !runs_natively(&guest, host) {
        return tcg(format!("{guest} guests are translated on {host}"));
    }
    if cfg!(target_os = "macos") {
        return Choice::new(Accelerator::Hvf, "the machine runs macOS");
    }
    if !cfg!(target_os = "linux") {
        return tcg("no accelerator is known for this operating system".to_owned());
    }
    if let Err(error) = std::fs::File::options().read(true).write(true).open("/dev/kvm") {
        return tcg(format!("/dev/kvm can't be opened: {error}"));
    }
    if host != "x86_64" {
        return Choice::new(Accelerator::Kvm, "/dev/kvm can be opened");
    }
    let memory = Memory::of(qemu, cache_dir);
    if let Some(choice) = memory.recall() {
        return choice;
    }
    let (choice, believed_for) = probe(qemu, PROBE_DEADLINE).await;
    memory.store(&choice, believed_for);
    choice
}

/// The architecture of the guests that a QEMU program runs, by its name; the host's when the name doesn't tell.
fn guest_architecture(qemu: &Path) -> String {
    let name = qemu.file_stem().unwrap_or_default().to_string_lossy();
    name.strip_prefix("qemu-system-").unwrap_or(std::env::consts::ARCH).to_owned()
}

fn runs_natively(guest: &str, host: &str) -> bool {
    guest == host || (guest == "i386" && host == "x86_64")
}

/// Runs the payload under KVM.
async fn probe(qemu: &Path, deadline: Duration) -> (Choice, Duration) {
    let no = |reason: String| Choice::new(Accelerator::Tcg, format!("KVM is not usable here: {reason}"));
    let directory = match tempfile::Builder::new().prefix("kiln-probe-").tempdir() {
        Ok(directory) => directory,
        Err(error) => return (no(format!("no place for the probe: {error}")), Duration::ZERO),
    };
    let firmware = directory.path().join("payload.bin");
    if let Err(error) = std::fs::write(&firmware, firmware_image()) {
        return (no(format!("no place for the probe: {error}")), Duration::ZERO);
    }
    let mut command = Command::new(qemu);
    command
        .args(["-machine", "q35,accel=kvm", "-nodefaults", "-no-user-config", "-display", "none"])
        .args(["-no-reboot", "-m", "16", "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-bios"])
        .arg(&firmware)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let output = match command.spawn() {
        Ok(child) => tokio::time::timeout(deadline, child.wait_with_output()).await,
        Err(error) => return (no(format!("{} can't be started: {error}", qemu.display())), Duration::ZERO),
    };
    match output {
        Ok(Ok(output)) if output.status.code() == Some(i32::from(SUCCESS) << 1 | 1) => {
            (Choice::new(Accelerator::Kvm, "a 64-bit payload ran under it"), BELIEVED_FOR)
        }
        Ok(Ok(output)) => {
            let words = String::from_utf8_lossy(&output.stderr);
            let last = words.lines().last().unwrap_or("QEMU gave no reason").trim().to_owned();
            (no(format!("a 64-bit payload failed ({last})")), BELIEVED_FOR)
        }
        Ok(Err(error)) => (no(error.to_string()), Duration::ZERO),
        Err(_) => {
            let reason = format!("a 64-bit payload hung for {} seconds", deadline.as_secs());
            (no(reason), MISSED_DEADLINE_BELIEVED_FOR)
        }
    }
}

/// An answer on disk, named by everything that it depends on.
struct Memory {
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Remembered {
    format: u32,
    until_secs: u64,
    choice: Choice,
}

impl Memory {
    const FORMAT: u32 = 1;

    fn of(qemu: &Path, cache_dir: &Path) -> Self {
        let mut digest = Sha1::new();
        for file in ["/proc/sys/kernel/osrelease", "/proc/sys/kernel/hostname", "/proc/sys/kernel/version"] {
            digest.update(std::fs::read(file).unwrap_or_default());
        }
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        digest.update(cpuinfo.lines().find(|l| l.starts_with("model name")).unwrap_or_default());
        digest.update(qemu.as_os_str().as_encoded_bytes());
        if let Ok(metadata) = std::fs::metadata(qemu) {
            digest.update(metadata.len().to_le_bytes());
            digest.update(seconds(metadata.modified().unwrap_or(UNIX_EPOCH)).to_le_bytes());
        }
        digest.update(PAYLOAD);
        let name = format!("accelerator-{}.json", hex::encode(digest.finalize()));
        Self { path: cache_dir.join("capability").join(name) }
    }

    fn recall(&self) -> Option<Choice> {
        let remembered: Remembered = serde_json::from_slice(&std::fs::read(&self.path).ok()?).ok()?;
        let fresh = remembered.until_secs > seconds(SystemTime::now());
        (remembered.format == Self::FORMAT && fresh).then_some(remembered.choice)
    }

    /// Remembers, if it can: forgetting only costs another probe.
    fn store(&self, choice: &Choice, believed_for: Duration) {
        let until_secs = seconds(SystemTime::now() + believed_for);
        let remembered = Remembered { format: Self::FORMAT, until_secs, choice: choice.clone() };
        let stored = serde_json::to_vec(&remembered).map_err(std::io::Error::from).and_then(|bytes| {
            std::fs::create_dir_all(self.path.parent().unwrap_or(Path::new("/")))?;
            std::fs::write(&self.path, bytes)
        });
        if let Err(error) = stored {
            tracing::debug!(path = %self.path.display(), %error, "the accelerator probe can't be remembered");
        }
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// What the payload writes to the exit port when all went well.
const SUCCESS: u8 = 0x2a;

/// A firmware image with the payload at its beginning and a jump there at the reset vector.
fn firmware_image() -> Vec<u8> {
    const SIZE: usize = 64 << 10;
    const RESET: usize = SIZE - 16;
    let mut image = vec![0; SIZE];
    image[..PAYLOAD.len()].copy_from_slice(&PAYLOAD);
    // jmp near, to the image's beginning: 0xfff3 + 0x000d wraps to 0.
    image[RESET..RESET + 3].copy_from_slice(&[0xe9, 0x0d, 0x00]);
    image
}

/// From reset to long mode with paging, then what every 64-bit kernel does early. Position: 0xf0000.
///
/// ```text
/// 16 bit  cli; ljmp f000:real; lgdt gdt; cr0 |= PE; ljmp 08:prot
/// 32 bit  ds, es, ss = 10; esp = 8000
///         [1000] = 2007, [2000] = 3007, [3000] = 87       page tables: the first 2 MiB onto themselves
///         cr4 = PAE|OSFXSR|OSXMMEXCPT; cr3 = 1000; EFER |= LME; cr0 = cr0 & ~EM | PG|MP|PE; ljmp 18:long
/// 64 bit  ss = 10; rsp = 8000; lidt idt; idt[3] = gate 18:breakpoint
///         ebx = 0; int3; ebx == 1 or fail                 breakpoint: ebx += 1; iretq
///         rdx:rax = 0; rcx = 0; lock cmpxchg16b [5000]; equal or fail
///         fxsave [5000]; fxrstor [5000]
///         copy the top page table to 6000 (rep movsq); cr3 = 6000; invlpg [0]
///         out f4, 2a; hlt                                 fail: out f4, 2b; hlt
/// data    gdt: null, 08 code32, 10 data, 18 code64 (accessed bits set: it lies in ROM); gdt_ptr; idt_ptr (4000)
/// ```
const PAYLOAD: [u8; 328] = [
    0xfa, 0xea, 0x06, 0x00, 0x00, 0xf0, 0x2e, 0x66, 0x0f, 0x01, 0x16, 0x38, 0x01, 0x0f, 0x20, 0xc0, 0x66,
    0x83, 0xc8, 0x01, 0x0f, 0x22, 0xc0, 0x66, 0xea, 0x1f, 0x00, 0x0f, 0x00, 0x08, 0x00, 0x66, 0xb8, 0x10,
    0x00, 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0, 0xbc, 0x00, 0x80, 0x00, 0x00, 0xc7, 0x05, 0x00, 0x10, 0x00,
    0x00, 0x07, 0x20, 0x00, 0x00, 0xc7, 0x05, 0x00, 0x20, 0x00, 0x00, 0x07, 0x30, 0x00, 0x00, 0xc7, 0x05,
    0x00, 0x30, 0x00, 0x00, 0x87, 0x00, 0x00, 0x00, 0xb8, 0x20, 0x06, 0x00, 0x00, 0x0f, 0x22, 0xe0, 0xb8,
    0x00, 0x10, 0x00, 0x00, 0x0f, 0x22, 0xd8, 0xb9, 0x80, 0x00, 0x00, 0xc0, 0x0f, 0x32, 0x0d, 0x00, 0x01,
    0x00, 0x00, 0x0f, 0x30, 0x0f, 0x20, 0xc0, 0x83, 0xe0, 0xfb, 0x0d, 0x03, 0x00, 0x00, 0x80, 0x0f, 0x22,
    0xc0, 0xea, 0x7f, 0x00, 0x0f, 0x00, 0x18, 0x00, 0x66, 0xb8, 0x10, 0x00, 0x8e, 0xd0, 0x48, 0xc7, 0xc4,
    0x00, 0x80, 0x00, 0x00, 0x0f, 0x01, 0x1c, 0x25, 0x3e, 0x01, 0x0f, 0x00, 0xb8, 0x10, 0x01, 0x0f, 0x00,
    0x66, 0x89, 0x04, 0x25, 0x30, 0x40, 0x00, 0x00, 0x66, 0xc7, 0x04, 0x25, 0x32, 0x40, 0x00, 0x00, 0x18,
    0x00, 0x66, 0xc7, 0x04, 0x25, 0x34, 0x40, 0x00, 0x00, 0x00, 0x8e, 0xc1, 0xe8, 0x10, 0x66, 0x89, 0x04,
    0x25, 0x36, 0x40, 0x00, 0x00, 0x31, 0xdb, 0xcc, 0x83, 0xfb, 0x01, 0x75, 0x42, 0x31, 0xc0, 0x31, 0xd2,
    0x31, 0xc9, 0xbf, 0x00, 0x50, 0x00, 0x00, 0xf0, 0x48, 0x0f, 0xc7, 0x0f, 0x75, 0x30, 0x0f, 0xae, 0x07,
    0x0f, 0xae, 0x0f, 0xbe, 0x00, 0x10, 0x00, 0x00, 0xbf, 0x00, 0x60, 0x00, 0x00, 0xb9, 0x00, 0x02, 0x00,
    0x00, 0xfc, 0xf3, 0x48, 0xa5, 0xb8, 0x00, 0x60, 0x00, 0x00, 0x0f, 0x22, 0xd8, 0x0f, 0x01, 0x3c, 0x25,
    0x00, 0x00, 0x00, 0x00, 0xb0, 0x2a, 0xe6, 0xf4, 0xf4, 0xeb, 0xfd, 0xb0, 0x2b, 0xe6, 0xf4, 0xeb, 0xf7,
    0xff, 0xc3, 0x48, 0xcf, 0x0f, 0x1f, 0x40, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff,
    0xff, 0x00, 0x00, 0x00, 0x9b, 0xcf, 0x00, 0xff, 0xff, 0x00, 0x00, 0x00, 0x93, 0xcf, 0x00, 0xff, 0xff,
    0x00, 0x00, 0x00, 0x9b, 0xaf, 0x00, 0x1f, 0x00, 0x18, 0x01, 0x0f, 0x00, 0xff, 0x0f, 0x00, 0x40, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn qemu() -> PathBuf {
        let path = PathBuf::from("/usr/bin/qemu-system-x86_64");
        assert!(path.exists(), "qemu-system-x86_64 is missing; install qemu-system-x86");
        path
    }

    #[test]
    fn names_are_those_of_templates() {
        for accelerator in Accelerator::ALL {
            assert_eq!(Accelerator::from_name(accelerator.name()), Some(accelerator));
        }
        assert_eq!(Accelerator::from_name("KVM"), None);
    }

    #[test]
    fn the_architecture_of_guests_is_read_from_the_name_of_the_program() {
        let cases = [
            ("/usr/bin/qemu-system-aarch64", "aarch64"),
            ("/opt/qemu-system-x86_64", "x86_64"),
            ("/usr/libexec/qemu-kvm", std::env::consts::ARCH),
        ];
        for (path, expected) in cases {
            assert_eq!(guest_architecture(Path::new(path)), expected);
        }
    }

    /// The payload itself is sound: QEMU's own translator runs it to its end.
    #[tokio::test]
    async fn the_payload_runs_in_a_processor_that_works() {
        let directory = tempfile::tempdir().expect("a directory");
        let firmware = directory.path().join("payload.bin");
        std::fs::write(&firmware, firmware_image()).expect("the payload");
        let run = Command::new(qemu())
            .args(["-machine", "q35,accel=tcg", "-nodefaults", "-display", "none", "-no-reboot", "-m", "16"])
            .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-bios"])
            .arg(&firmware)
            .kill_on_drop(true)
            .status();
        let status =
            tokio::time::timeout(Duration::from_secs(60), run).await.expect("in time").expect("QEMU");
        assert_eq!(status.code(), Some(i32::from(SUCCESS) << 1 | 1));
    }

    /// Whatever this machine's KVM is worth, the answer comes in time, is remembered, and isn't KVM when the
    /// payload doesn't run under it.
    #[tokio::test]
    async fn the_probe_answers_in_time_and_is_remembered() {
        let cache = tempfile::tempdir().expect("a directory");
        let started = std::time::Instant::now();
        let first = choose(&qemu(), cache.path()).await;
        assert!(started.elapsed() < PROBE_DEADLINE + Duration::from_secs(10), "{:?}", started.elapsed());
        assert!(!first.reason.is_empty());
        let memory = Memory::of(&qemu(), cache.path());
        match memory.recall() {
            Some(remembered) => assert_eq!(remembered, first),
            None => assert!(first.reason.contains("/dev/kvm"), "{first:?}"),
        }
    }

    #[tokio::test]
    async fn guests_of_another_architecture_are_translated() {
        let cache = tempfile::tempdir().expect("a directory");
        let choice = choose(Path::new("/usr/bin/qemu-system-riscv64"), cache.path()).await;
        assert_eq!(choice.accelerator, Accelerator::Tcg);
        assert!(choice.reason.contains("riscv64"), "{choice:?}");
    }
}
