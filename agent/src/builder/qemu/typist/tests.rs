//! Typed at a boot sector, which sends what it reads through the firmware to the serial port.

use super::*;
use crate::builder::qemu::boot_command::parse;
use crate::builder::qemu::qmp::QmpListener;
use crate::builder::qemu::serial::{SerialListener, Tail};
use tokio::process::Command;

/// `again: xor ax, ax; int 0x16; mov dx, 0x3f8; out dx, al; jmp again`
const ECHO: [u8; 10] = [0x31, 0xc0, 0xcd, 0x16, 0xba, 0xf8, 0x03, 0xee, 0xeb, 0xf6];

#[tokio::test]
async fn every_character_arrives_in_order() {
    let directory = tempfile::tempdir().expect("a directory");
    let (disk, qmp, serial) =
        (directory.path().join("disk"), directory.path().join("q"), directory.path().join("s"));
    let mut sector = vec![0; 512];
    sector[..ECHO.len()].copy_from_slice(&ECHO);
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    std::fs::write(&disk, sector).expect("a disk");
    let listener = QmpListener::bind(&qmp).expect("a socket");
    let output = Tail::default();
    let _listening = SerialListener::bind(&serial, output.clone()).expect("a socket");
    let _child = Command::new("qemu-system-x86_64")
        .args(["-display", "none", "-machine", "pc,accel=tcg", "-m", "16", "-nic", "none", "-drive"])
        .arg(format!("file={},format=raw,if=ide", disk.display()))
        .args([
            "-chardev",
            &format!("socket,id=kiln,path={}", qmp.display()),
            "-mon",
            "chardev=kiln,mode=control",
        ])
        .args([
            "-chardev",
            &format!("socket,id=serial,path={}", serial.display()),
            "-serial",
            "chardev:serial",
        ])
        .kill_on_drop(true)
        .spawn()
        .expect("qemu-system-x86_64 starts; install qemu-system-x86");
    let typed = async {
        let qmp = listener.accept().await.expect("a connection");
        // The boot sector is up when it answers a first key; the firmware swallows those before.
        while !output.last_lines(1).iter().any(|l| l.ends_with('?')) {
            type_strokes(&qmp, &parse("?").expect("a key"), Pace::Watched { bios: true })
                .await
                .expect("typed");
        }
        let printable: String = (' '..='~').collect();
        let command = format!("<wait500ms><enter>{printable}<bs><leftShiftOn>held<leftShiftOff>");
        // After the text itself: `<` begins no key here.
        type_strokes(&qmp, &parse(&command).expect("a command"), Pace::Watched { bios: true })
            .await
            .expect("typed");
        let expected = format!("{printable}HELD");
        while output.last_lines(1) != [expected.as_str()] {
            tokio::task::yield_now().await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(60), typed).await.is_err() {
        panic!("the guest read {:?}", output.last_lines(5));
    }
}
