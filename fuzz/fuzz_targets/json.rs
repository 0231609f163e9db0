#![no_main]

#[allow(dead_code, reason = "each target has a promise of its own")]
mod promises;

libfuzzer_sys::fuzz_target!(|input: &[u8]| promises::json(input));
