//! Strings with Go-template actions.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kiln_fuzz::go_template(bytes));
