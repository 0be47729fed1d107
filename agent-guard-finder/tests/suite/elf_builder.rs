//! The smallest ELF files that show one thing each. One segment, readable and executable, holds everything.

pub(crate) const TEXT: u64 = 0x1000;
pub(crate) const STRINGS: u64 = 0x3000;
const SYMBOLS: usize = 0x4000;
const NAMES: usize = 0x5000;
const SECTIONS: usize = 0x6000;
const LENGTH: usize = 0x7000;

#[derive(Clone)]
pub(crate) struct Elf {
    /// `ET_DYN` at 0, or `ET_EXEC` at 0x400000.
    pub(crate) base: u64,
    pub(crate) machine: u16,
    /// Addresses relative to the base, and bytes.
    pub(crate) parts: Vec<(u64, Vec<u8>)>,
    /// Name, address relative to the base, size.
    pub(crate) symbols: Vec<(&'static str, u64, u64)>,
}

pub(crate) const X86_64: u16 = 62;
pub(crate) const AARCH64: u16 = 183;

impl Elf {
    pub(crate) fn shared() -> Self {
        Self { base: 0, machine: X86_64, parts: Vec::new(), symbols: Vec::new() }
    }

    pub(crate) fn part(mut self, at: u64, bytes: &[u8]) -> Self {
        self.parts.push((at, bytes.to_vec()));
        self
    }

    pub(crate) fn symbol(mut self, name: &'static str, at: u64, size: u64) -> Self {
        self.symbols.push((name, at, size));
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut file = vec![0xcc_u8; LENGTH];
        file[SYMBOLS..].fill(0);
        for (at, bytes) in &self.parts {
            put(&mut file, usize::try_from(*at).unwrap(), bytes);
        }
        self.header(&mut file);
        self.program_header(&mut file);
        self.symbol_table(&mut file);
        file
    }

    fn header(&self, file: &mut [u8]) {
        file[..0x78].fill(0);
        put(file, 0, b"\x7fELF\x02\x01\x01");
        let e_type: u16 = if self.base == 0 { 3 } else { 2 };
        put(file, 16, &e_type.to_le_bytes());
        put(file, 18, &self.machine.to_le_bytes());
        put(file, 20, &1_u32.to_le_bytes());
        put(file, 32, &64_u64.to_le_bytes());
        put(file, 40, &(SECTIONS as u64).to_le_bytes());
        let sizes: [u16; 6] = [64, 56, 1, 64, 3, 0];
        sizes.iter().enumerate().for_each(|(i, size)| put(file, 52 + 2 * i, &size.to_le_bytes()));
    }

    fn program_header(&self, file: &mut [u8]) {
        put(file, 64, &1_u32.to_le_bytes());
        put(file, 68, &5_u32.to_le_bytes());
        let length = LENGTH as u64;
        let fields: [u64; 6] = [0, self.base, self.base, length, length, 0x1000];
        fields.iter().enumerate().for_each(|(i, field)| put(file, 72 + 8 * i, &field.to_le_bytes()));
    }

    fn symbol_table(&self, file: &mut [u8]) {
        let (mut at, mut name_at) = (SYMBOLS + 24, NAMES + 1);
        for (name, address, size) in &self.symbols {
            put(file, at, &u32::try_from(name_at - NAMES).unwrap().to_le_bytes());
            put(file, at + 4, &[0x12, 0, 1, 0]);
            put(file, at + 8, &(self.base + address).to_le_bytes());
            put(file, at + 16, &size.to_le_bytes());
            put(file, name_at, name.as_bytes());
            at += 24;
            name_at += name.len() + 1;
        }
        section(file, 1, 2, SYMBOLS, at - SYMBOLS, 24);
        section(file, 2, 3, NAMES, name_at - NAMES, 0);
    }
}

fn section(file: &mut [u8], index: usize, kind: u32, offset: usize, size: usize, entry: u64) {
    let at = SECTIONS + 64 * index;
    put(file, at + 4, &kind.to_le_bytes());
    put(file, at + 24, &(offset as u64).to_le_bytes());
    put(file, at + 32, &(size as u64).to_le_bytes());
    put(file, at + 40, &2_u32.to_le_bytes());
    put(file, at + 56, &entry.to_le_bytes());
}

fn put(file: &mut [u8], at: usize, bytes: &[u8]) {
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

/// `lea rdx, [rip + …]` at `site` for `target`.
pub(crate) fn lea_rdx(site: u64, target: u64) -> Vec<u8> {
    [&[0x48, 0x8d, 0x15][..], &displacement(site + 7, target)].concat()
}

/// `call …` at `site`.
pub(crate) fn call(site: u64, target: u64) -> Vec<u8> {
    [&[0xe8][..], &displacement(site + 5, target)].concat()
}

fn displacement(next: u64, target: u64) -> [u8; 4] {
    i32::try_from(target.cast_signed() - next.cast_signed()).unwrap().to_le_bytes()
}
