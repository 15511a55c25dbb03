//! Types the boot command, after the template's `boot_wait`.
//!
//! Packer's own start of the guest takes two seconds before `boot_wait` begins, and templates are tuned to that: a
//! command typed earlier meets a firmware that isn't there yet. Hence the wait counts from two seconds after
//! power-on, however fast the guest was started. Without a command there is nothing to wait for.

use std::time::Duration;

use async_trait::async_trait;
use kiln_component::{Done, Step, TaskContext, render};
use kiln_lang::go_template::Dot;
use kiln_lang::{Value, duration};
use kiln_plan::{Failure, Fault};
use tokio::time::sleep_until;

use super::unless_cancelled;
use crate::builder::qemu::boot_command::{self, Stroke};
use crate::builder::qemu::config::{BootCommand, Config, Firmware};
use crate::builder::qemu::guest::QemuGuest;
use crate::builder::qemu::typist::{Pace, type_strokes};

/// What Packer takes from power-on to the beginning of `boot_wait`.
const LEAD: Duration = Duration::from_secs(2);

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
        let begin = self.guest.powered_on() + LEAD + boot.wait;
        let pace = self.pace();
        let typing = async {
            sleep_until(begin).await;
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
