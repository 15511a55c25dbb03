//! HCL2 templates, native syntax.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kiln_fuzz::hcl(bytes));
