//! A cursor over little-endian bytes that know their address. Whatever is not there is `None`.

pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    address: u64,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], address: u64) -> Self {
        Self { bytes, address }
    }

    /// Of the next byte.
    pub(super) fn address(&self) -> u64 {
        self.address
    }

    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        self.address = self.address.wrapping_add(length as u64);
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.first_chunk::<N>().copied()
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// Up to the next NUL, which is taken too.
    pub(super) fn string(&mut self) -> Option<&'a [u8]> {
        let length = memchr::memchr(0, self.bytes)?;
        let text = self.take(length)?;
        self.take(1)?;
        Some(text)
    }

    /// An unsigned LEB128 number of at most 64 bits (DWARF 5, section 7.6).
    pub(super) fn uleb(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// A pointer in one of the encodings of `.eh_frame` that compilers use (`DW_EH_PE_*`): absolute or relative to
    /// its own place.
    pub(super) fn pointer(&mut self, encoding: u8) -> Option<u64> {
        let base = match encoding & 0xf0 {
            0x00 => 0,
            0x10 => self.address,
            _ => return None,
        };
        let value = match encoding & 0x0f {
            0x00 | 0x04 | 0x0c => self.array().map(i64::from_le_bytes)?,
            0x03 => i64::from(self.u32()?),
            0x0b => i64::from(self.array().map(i32::from_le_bytes)?),
            _ => return None,
        };
        Some(base.wrapping_add_signed(value))
    }
}

#[cfg(test)]
mod tests {
    use super::Reader;

    #[test]
    fn numbers_of_any_length_are_read_and_too_long_ones_refused() {
        let uleb = |bytes: &[u8]| Reader::new(bytes, 0).uleb();
        assert_eq!(uleb(&[0x7f]), Some(127));
        assert_eq!(uleb(&[0xe5, 0x8e, 0x26]), Some(624_485));
        assert_eq!(uleb(&[0x80]), None);
        assert_eq!(uleb(&[0xff; 11]), None);
    }

    #[test]
    fn a_relative_pointer_counts_from_its_own_place() {
        let bytes = [0xfc, 0xff, 0xff, 0xff];
        assert_eq!(Reader::new(&bytes, 0x1000).pointer(0x1b), Some(0xffc));
        assert_eq!(Reader::new(&bytes, 0x1000).pointer(0x03), Some(0xffff_fffc));
        assert_eq!(Reader::new(&bytes, 0x1000).pointer(0x9b), None, "an indirect pointer");
        assert_eq!(Reader::new(&bytes[..3], 0x1000).pointer(0x1b), None);
    }
}
