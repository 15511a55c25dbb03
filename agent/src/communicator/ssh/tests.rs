//! Against a real OpenSSH server on this machine, one for each test.

mod command;
mod login;
mod route;
mod transfer;
mod tunnel;
