//! From what was asked for to how it ended: one file per command.

pub(crate) mod version;

use crate::arguments::{Asked, Command};
use crate::exit_code::Ended;
use crate::render::{Look, Screen};

/// Carries out what the command line asks for.
pub(crate) fn run(asked: Asked) -> Ended {
    match asked {
        Asked::Help(text, code) => {
            Screen::standard(plain(false)).raw(&text);
            if code == 0 { Ended::Well } else { Ended::NoCommand }
        }
        Asked::Mistake { help, message } => {
            let screen = Screen::standard(plain(false));
            screen.raw(&help);
            screen.error(&message);
            Ended::Failed
        }
        Asked::Run { command, machine_readable } => match *command {
            Command::Version => version::run(&Screen::standard(plain(machine_readable))),
            Command::Build(_) | Command::Inspect(_) | Command::Validate(_) => Ended::Failed,
        },
    }
}

fn plain(machine_readable: bool) -> Look {
    Look { color: false, timestamps: false, machine_readable }
}
