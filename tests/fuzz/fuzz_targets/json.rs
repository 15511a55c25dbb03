//! HCL2's JSON profile and legacy JSON templates.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kiln_fuzz::json(bytes));
