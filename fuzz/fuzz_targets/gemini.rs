//! libFuzzer's way into `sim::hostile::gemini`, which says what the bytes are. Nothing else is here.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sim::hostile::gemini(bytes));
