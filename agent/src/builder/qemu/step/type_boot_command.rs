//! Types the boot command, after the template's `boot_wait`.
//!
//! The wait counts from the moment when the guest first reads a disk or CD: its firmware is done then, however long
//! that took. Packer's own start of the guest takes two seconds before `boot_wait` begins, and short waits are tuned
//! to that: a command typed earlier meets a boot loader that isn't there yet. Hence a wait under 5 s counts from two
//! seconds after power-on, and any wait does at the latest. Without a command there is nothing to wait for.

use std::time::Duration;

use async_trait::async_trait;
use kiln_component::{Done, Step, TaskContext, render};
use kiln_lang::go_template::Dot;
use kiln_lang::{Value, duration};
use kiln_plan::{Failure, Fault};
use tokio::time::{Instant, sleep, sleep_until};

use super::unless_cancelled;
use crate::builder::qemu::boot_command::{self, Stroke};
use crate::builder::qemu::config::{BootCommand, Config, Firmware};
use crate::builder::qemu::guest::QemuGuest;
use crate::builder::qemu::typist::{Pace, type_strokes};

/// What Packer takes from power-on to the beginning of `boot_wait`.
const LEAD: Duration = Duration::from_secs(2);
/// From this wait on, templates wait for the boot loader, not for the start of the guest.
const LONG: Duration = Duration::from_secs(5);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// See the module.
#[derive(Debug)]
pub struct TypeBootCommand<'a> {
    /// The config.
    pub config: &'a Config,
    /// At whom to type.
    pub guest: &'a QemuGuest,
    /// What the command may ask for.
    pub data: Value,
}

#[async_trait]
impl Step for TypeBootCommand<'_> {
    type Output = ();

    fn name(&self) -> &'static str {
        "type the boot command"
    }

    async fn run(&self, cx: &TaskContext) -> Result<Done<()>, Failure> {
        let boot = &self.config.boot;
        let commands = self.commands(cx)?;
        if commands.is_empty() {
            return Ok(Done::plain(()));
        }
        if !boot.wait.is_zero() {
            cx.reporter
                .say(format!("Waiting {} before typing the boot command", duration::in_words(boot.wait)));
        }
        let pace = self.pace();
        let typing = async {
            sleep_until(self.firmware_done().await + boot.wait).await;
            for Typing { description, strokes } in &commands {
                cx.reporter.say(match description {
                    Some(description) => format!("Typing: {description}"),
                    None => "Typing the boot command".to_owned(),
                });
                let typed = type_strokes(self.guest.qmp(), strokes, pace).await;
                typed.map_err(|e| Failure::from_error(Fault::Machine, &e))?;
            }
            Ok(())
        };
        let typed = async {
            tokio::select! {
                biased;
                end = self.guest.stopped() => {
                    let text = format!("the guest went away before the boot command was typed: {end}");
                    Err(Failure::new(end.fault, text))
                }
                typed = typing => typed,
            }
        };
        unless_cancelled(cx, typed).await.map(Done::plain)
    }
}

/// One command, ready to be typed.
struct Typing {
    description: Option<String>,
    strokes: Vec<Stroke>,
}

impl TypeBootCommand<'_> {
    /// When the boot loader's time began, see the module.
    async fn firmware_done(&self) -> Instant {
        let latest = self.guest.powered_on() + LEAD;
        if self.config.boot.wait < LONG {
            return latest;
        }
        while Instant::now() < latest {
            // A monitor that doesn't answer is another's concern: whoever watches the guest tells of its end.
            if self.guest.qmp().has_read().await.unwrap_or(false) {
                return Instant::now();
            }
            sleep(LOOK_AGAIN_AFTER).await;
        }
        latest
    }

    fn pace(&self) -> Pace {
        let other_keyboard =
            |argument: &String| argument.contains("usb-kbd") || argument.contains("virtio-keyboard");
        let config = self.config;
        match config.boot.key_interval {
            Some(interval) => Pace::Steady(interval),
            None if config.hardware.qemuargs.iter().flatten().any(other_keyboard) => Pace::Blind,
            None => Pace::Watched { bios: config.firmware == Firmware::default() },
        }
    }

    fn commands(&self, cx: &TaskContext) -> Result<Vec<Typing>, Failure> {
        let renderer = render::renderer(&cx.plan).with_dot(Dot::Fields(self.data.clone()));
        let one = |command: &BootCommand| {
            let template = |error: &dyn std::fmt::Display| {
                Failure::new(Fault::Template, format!("cannot type the boot command: {error}"))
            };
            let rendered = renderer.render(&command.text).map_err(|e| template(&e))?;
            let strokes = boot_command::parse(&rendered.text).map_err(|e| template(&e))?;
            Ok(Typing { description: command.description.clone(), strokes })
        };
        self.config.boot.commands.iter().map(one).collect()
    }
}
