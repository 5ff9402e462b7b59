#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| edge_tcp_gateway::decode::fuzz_any(data));
