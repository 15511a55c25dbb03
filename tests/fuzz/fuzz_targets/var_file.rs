//! Variable files of both notations, and `-var` texts.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kiln_fuzz::var_file(bytes));
