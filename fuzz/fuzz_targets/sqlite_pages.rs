#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| engine::source::sqlite::fuzz_pages(bytes));
