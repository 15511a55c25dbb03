//! The kiln program: arguments to command to exit code.

mod arguments;
mod bundle;
mod command;
mod core_config;
mod data_desk;
mod evaluation;
mod exit_code;
mod farm_client;
mod farm_connection;
mod farm_evaluation;
mod farm_of_one;
mod interrupt;
mod local_host;
mod log;
mod patience;
mod plugin_store;
mod render;
mod replace_file;
mod request;
mod run_directory;
mod runtime;
mod settings;

use std::process::ExitCode;

fn main() -> ExitCode {
    log::begin();
    command::run(arguments::read(std::env::args_os().skip(1))).into()
}
