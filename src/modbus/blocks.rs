//! Registers that are read together.

use super::place::Table;
use super::register::Register;

/// What one request reads.
#[derive(Clone, Debug)]
pub(super) struct Block<'a> {
    pub table: Table,
    pub start: u16,
    /// Registers or bits.
    pub count: u16,
    pub registers: Vec<&'a Register>,
}

impl<'a> Block<'a> {
    /// One register alone.
    pub fn of(register: &'a Register) -> Self {
        Block {
            table: register.place.table,
            start: register.place.address,
            count: register.count,
            registers: vec![register],
        }
    }

    fn end(&self) -> u32 {
        u32::from(self.start).saturating_add(self.count.into())
    }

    /// Takes a register along that stands at its beginning or behind it, if that is worth it.
    fn take(&mut self, register: &'a Register) -> bool {
        let table = register.place.table;
        let gap = u32::from(register.place.address).saturating_sub(self.end());
        let end = self.end().max(register.end());
        let count = end.saturating_sub(self.start.into());
        let fits = table == self.table && gap <= table.gap() && count <= table.most();
        if fits {
            self.count = u16::try_from(count).unwrap_or(self.count);
            self.registers.push(register);
        }
        fits
    }
}

/// As few requests as may be, in the order of addresses. A register is in one of them as a whole.
pub(super) fn blocks(mut registers: Vec<&Register>) -> Vec<Block<'_>> {
    let order = |register: &&Register| {
        let place = register.place;
        (place.table, place.address, register.count)
    };
    registers.sort_by_key(order);
    let mut blocks: Vec<Block<'_>> = Vec::new();
    for register in registers {
        let last = blocks.last_mut();
        if !last.is_some_and(|block| block.take(register)) {
            blocks.push(Block::of(register));
        }
    }
    blocks
}
