//! libFuzzer's way into `sandbox::shell::trial::hostile`, which says what the bytes are. Nothing else.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sandbox::shell::trial::hostile(bytes));
