//! From what was asked for to how it ended: one file per command.

mod agent;
mod attempt;
mod build;
mod completion;
mod components;
mod console;
mod coordinator;
mod farm;
mod fix;
mod fmt;
mod hcl2_upgrade;
mod images;
mod init;
pub(crate) mod inspect;
mod man;
mod old_template;
mod plugins;
mod validate;
pub(crate) mod version;

use std::io::IsTerminal as _;

use crate::arguments::{Asked, Command, Format, FormatArguments, OutputArguments};
use crate::exit_code::Ended;
use crate::render::{Look, Reader, Screen};
use crate::{core_config, render};

/// Carries out what the command line asks for.
pub(crate) fn run(asked: Asked) -> Ended {
    if let Err(error) = core_config::check() {
        render::fatal(&format!(" Error loading configuration:\n\n{error}\n"));
        return Ended::Failed;
    }
    match asked {
        Asked::Help(text, code) => {
            Screen::still(plain(false)).raw(&text);
            match code {
                0 => Ended::Well,
                127 => Ended::NoCommand,
                _ => Ended::Failed,
            }
        }
        Asked::SetUpCompletion(what) => completion::set_up(what, &Screen::still(plain(false))),
        Asked::Mistake { help, message } => {
            let screen = Screen::still(plain(false));
            screen.raw(&help);
            screen.error(&message);
            Ended::Failed
        }
        Asked::Run { command, machine_readable } => match *command {
            Command::Agent(arguments) => agent::run(&arguments, &Screen::still(plain(machine_readable))),
            Command::Attempt(arguments) => attempt::run(&arguments, &Screen::still(plain(machine_readable))),
            Command::Version => version::run(&Screen::still(plain(machine_readable))),
            Command::Completion(arguments) => {
                completion::run(&arguments, &Screen::still(plain(machine_readable)))
            }
            Command::Components(arguments) => {
                components::run(&arguments, &Screen::still(plain(machine_readable)))
            }
            Command::Console(arguments) => console::run(&arguments, &Screen::still(plain(machine_readable))),
            Command::Fmt(arguments) => fmt::run(&arguments, &Screen::still(plain(machine_readable))),
            Command::Inspect(arguments) => inspect::run(&arguments, &Screen::still(plain(machine_readable))),
            Command::Man(arguments) => man::run(&arguments, &Screen::still(plain(machine_readable))),
            Command::Fix(arguments) => fix::run(&arguments, &Screen::still(plain(machine_readable))),
            Command::Hcl2Upgrade(arguments) => {
                hcl2_upgrade::run(&arguments, &Screen::still(plain(machine_readable)))
            }
            Command::Validate(arguments) => {
                let color = std::io::stdout().is_terminal();
                let reader = reader(arguments.format, machine_readable);
                let look = Look { reader, color, ..plain(machine_readable) };
                validate::run(&arguments, &Screen::still(look))
            }
            Command::Images(arguments) => {
                let reader = reader(arguments.format(), machine_readable);
                let look = Look { reader, ..coloured(machine_readable) };
                images::run(&arguments, &Screen::standard(look))
            }
            Command::Coordinator(arguments) => {
                coordinator::run(&arguments, &Screen::standard(plain(machine_readable)))
            }
            Command::Farm(arguments) => {
                let reader = reader(arguments.format, machine_readable);
                farm::run(&arguments, &Screen::standard(Look { reader, ..coloured(machine_readable) }))
            }
            Command::Init(arguments) => init::run(&arguments, &Screen::standard(coloured(machine_readable))),
            Command::Plugins(arguments) => {
                plugins::run(&arguments, &Screen::standard(coloured(machine_readable)))
            }
            Command::Build(arguments) => {
                let reader = reader(arguments.format, machine_readable);
                let look = look(&arguments.output, reader);
                build::run(&arguments, &Screen::standard(look))
            }
        },
    }
}

fn plain(machine_readable: bool) -> Look {
    let reader = if machine_readable { Reader::Scripts } else { Reader::People };
    Look { color: false, timestamps: false, reader }
}

/// For commands without `-color` whose results are in colour.
fn coloured(machine_readable: bool) -> Look {
    Look { color: true, ..plain(machine_readable) }
}

fn look(output: &OutputArguments, reader: Reader) -> Look {
    Look { color: output.color, timestamps: output.timestamp_ui, reader }
}

fn reader(arguments: FormatArguments, machine_readable: bool) -> Reader {
    match arguments.format {
        Format::Json => Reader::Json,
        Format::Text => plain(machine_readable).reader,
    }
}

/// Says that a command takes exactly one template.
fn complain_of_count(screen: &Screen, command: &str, count: usize) -> Ended {
    screen.error(&format!("kiln {command} takes exactly one template, after all flags, but got {count}"));
    screen.say(&format!("Usage: kiln {command} [flags] TEMPLATE\nSee kiln {command} -help."));
    Ended::Failed
}
