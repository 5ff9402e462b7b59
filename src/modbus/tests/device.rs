//! A device of four tables, made from the specification and from nothing of the product.

use std::collections::BTreeMap;

use super::Transport;

/// A device whose memory is what a seed makes of addresses, but for what was written.
#[derive(Debug, Default)]
pub struct Device {
    pub seed: u32,
    /// By table (0, 1, 3, 4) and address from 0.
    pub memory: BTreeMap<(u8, u32), u16>,
    /// The code of the exception that it answers everything with.
    pub exception: Option<u8>,
}

impl Device {
    pub fn of(seed: u32) -> Self {
        Device {
            seed,
            ..Device::default()
        }
    }

    /// What stands at an address.
    pub fn word(&self, table: u8, address: u32) -> u16 {
        if let Some(word) = self.memory.get(&(table, address)) {
            return *word;
        }
        let mixed = (address + 1)
            .wrapping_mul(0x9e37_79b1)
            .wrapping_add(self.seed.wrapping_mul(u32::from(table) + 0x85eb_ca6b));
        let word = ((mixed ^ (mixed >> 15)).wrapping_mul(0x2c1b_3c6d) >> 8) as u16;
        if table < 2 { word & 1 } else { word }
    }

    /// The answer to a request of unit 3.
    pub fn answer(&mut self, transport: Transport, request: &[u8]) -> Vec<u8> {
        let (head, pdu) = match transport {
            Transport::Tcp => {
                assert_eq!(request[2..4], [0, 0], "the protocol identifier");
                let length = usize::from(u16::from_be_bytes([request[4], request[5]]));
                assert_eq!(length, request.len() - 6, "the length");
                (&request[..7], &request[7..])
            }
            Transport::Rtu => {
                let (frame, check) = request.split_at(request.len() - 2);
                assert_eq!(check, crc(frame), "the CRC");
                (&frame[..1], &frame[1..])
            }
        };
        assert_eq!(head.last(), Some(&3), "the unit");
        let function = pdu[0];
        let pdu = match self.exception {
            Some(code) => vec![function | 0x80, code],
            None => self.done(pdu),
        };
        let mut answer = head.to_vec();
        answer.extend(&pdu);
        match transport {
            Transport::Tcp => {
                let length = u16::try_from(pdu.len() + 1).unwrap();
                answer[4..6].copy_from_slice(&length.to_be_bytes());
            }
            Transport::Rtu => answer.extend(crc(&answer)),
        }
        answer
    }

    fn done(&mut self, pdu: &[u8]) -> Vec<u8> {
        let word = |at: usize| u32::from(u16::from_be_bytes([pdu[at], pdu[at + 1]]));
        let (address, count) = (word(1), word(3));
        let inside = |count: u32| assert!(address + count <= 65_536, "{address} {count}");
        match pdu[0] {
            function @ (1 | 2) => {
                assert!((1..=2000).contains(&count) && pdu.len() == 5);
                inside(count);
                let mut bytes = vec![0u8; (count as usize).div_ceil(8)];
                for at in 0..count {
                    let bit = self.word(function - 1, address + at) as u8;
                    bytes[at as usize / 8] |= bit << (at % 8);
                }
                [vec![function, bytes.len() as u8], bytes].concat()
            }
            function @ (3 | 4) => {
                assert!((1..=125).contains(&count) && pdu.len() == 5);
                inside(count);
                let table = if function == 3 { 4 } else { 3 };
                let words = (0..count).map(|at| self.word(table, address + at));
                let bytes: Vec<u8> = words.flat_map(u16::to_be_bytes).collect();
                [vec![function, bytes.len() as u8], bytes].concat()
            }
            5 => {
                assert!(pdu.len() == 5 && (count == 0 || count == 0xff00));
                self.memory.insert((0, address), u16::from(count != 0));
                pdu.to_vec()
            }
            6 => {
                assert_eq!(pdu.len(), 5);
                self.memory.insert((4, address), count as u16);
                pdu.to_vec()
            }
            16 => {
                assert!((1..=123).contains(&count));
                inside(count);
                assert_eq!(usize::from(pdu[5]), count as usize * 2);
                assert_eq!(pdu.len(), 6 + count as usize * 2);
                for at in 0..count {
                    let value = word(6 + at as usize * 2) as u16;
                    self.memory.insert((4, address + at), value);
                }
                pdu[..5].to_vec()
            }
            other => panic!("function {other}"),
        }
    }
}

/// The CRC of Modbus RTU, lowest byte first (MODBUS over Serial Line V1.02, 6.2.2).
pub fn crc(bytes: &[u8]) -> [u8; 2] {
    let mut crc = 0xffffu16;
    for byte in bytes {
        crc ^= u16::from(*byte);
        for _ in 0..8 {
            let out = crc & 1;
            crc >>= 1;
            if out == 1 {
                crc ^= 0xa001;
            }
        }
    }
    crc.to_le_bytes()
}
