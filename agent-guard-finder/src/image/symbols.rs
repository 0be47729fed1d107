//! Function symbols: `.symtab` and `.dynsym`, or the dynamic segment's table where section headers were removed (the
//! loader does not need those).
//!
//! A program may have a million of them: names are compared while walking, and only the sorted index that address
//! lookups need is kept, up to [`MAX_INDEXED`]. Beyond that a function counts as having no symbol.

use object::LittleEndian as Le;
use object::elf::{DT_STRSZ, DT_STRTAB, DT_SYMTAB, SHN_UNDEF, SHT_DYNSYM, SHT_SYMTAB, STT_FUNC, Sym64};
use object::pod::slice_from_all_bytes;
use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _, SectionHeader as _, Sym as _};

use super::Image;

/// A symbol of type `STT_FUNC` that is defined in this file.
#[derive(Clone, Copy)]
pub(crate) struct Function<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) address: u64,
    /// 0 where the table does not say.
    pub(crate) size: u64,
}

impl Function<'_> {
    /// True for the pieces into which compilers move what they hold to be rarely run (`name.cold`, `name.cold.3`).
    pub(crate) fn is_cold_piece(&self) -> bool {
        memchr::memmem::find(self.name, b".cold").is_some()
    }

    pub(crate) fn covers(&self, address: u64) -> bool {
        address.checked_sub(self.address).is_some_and(|distance| distance < self.size)
    }

    pub(crate) fn printable(&self) -> String {
        String::from_utf8_lossy(self.name).into_owned()
    }
}

/// One symbol table with its strings.
#[derive(Clone, Copy)]
struct Table<'a> {
    symbols: &'a [Sym64<Le>],
    strings: &'a [u8],
}

impl<'a> Image<'a> {
    /// Every function symbol, in the order of the tables, duplicates included.
    pub(crate) fn functions(&self) -> impl Iterator<Item = Function<'a>> {
        self.symbol_tables()
            .into_iter()
            .flat_map(|table| table.symbols.iter().filter_map(move |symbol| function(table.strings, symbol)))
    }

    /// The function named `name` in an executable segment.
    pub(crate) fn function_named(&self, name: &str) -> Option<Function<'a>> {
        self.functions()
            .find(|function| function.name == name.as_bytes() && self.code_at(function.address).is_some())
    }

    /// The functions that begin at `address`.
    pub(crate) fn functions_at(&self, address: u64) -> &[Function<'a>] {
        let index = self.function_index();
        let from = index.partition_point(|function| function.address < address);
        let to = index.partition_point(|function| function.address <= address);
        index.get(from..to).unwrap_or_default()
    }

    /// The function whose range holds `address`, among those that begin nearest before it.
    pub(crate) fn function_covering(&self, address: u64) -> Option<&Function<'a>> {
        let index = self.function_index();
        let next = index.partition_point(|function| function.address <= address);
        let nearest = index.get(next.checked_sub(1)?)?.address;
        self.functions_at(nearest).iter().find(|function| function.covers(address))
    }

    fn function_index(&self) -> &[Function<'a>] {
        self.function_index.get_or_init(|| {
            let mut index: Vec<_> = self.functions().take(MAX_INDEXED).collect();
            index.sort_by_key(|function| function.address);
            index
        })
    }

    fn symbol_tables(&self) -> Vec<Table<'a>> {
        let mut tables = self.section_tables();
        if tables.is_empty() {
            tables.extend(self.dynamic_table());
        }
        tables
    }

    /// Section names are not asked for: a file without them loads as well.
    fn section_tables(&self) -> Vec<Table<'a>> {
        let sections = self.header.section_headers(Le, self.data).unwrap_or_default();
        let wanted = sections.iter().filter(|section| {
            let kind = section.sh_type(Le);
            kind == SHT_DYNSYM || kind == SHT_SYMTAB
        });
        let tables = wanted.filter_map(|section| {
            let symbols = section.data_as_array(Le, self.data).ok()?;
            let strings = sections.get(section.link(Le).0)?.data(Le, self.data).ok()?;
            Some(Table { symbols, strings })
        });
        tables.take(MAX_TABLES).collect()
    }

    /// The loader finds a symbol by hash and needs no count; linkers put the strings behind the symbols, so the
    /// distance between both is the bound taken here. Entries past the last symbol have names that match nothing.
    fn dynamic_table(&self) -> Option<Table<'a>> {
        let entries = self.program.iter().find_map(|header| header.dynamic(Le, self.data).ok()?)?;
        let value = |tag| entries.iter().find(|entry| entry.d_tag(Le) == tag).map(|entry| entry.d_val(Le));
        let symbols_at = value(DT_SYMTAB)?;
        let strings_at = value(DT_STRTAB)?;
        let length = usize::try_from(strings_at.checked_sub(symbols_at)?).ok()?;
        let bytes = self.bytes_at(symbols_at)?.get(..length)?;
        let whole = length.checked_sub(length.checked_rem(size_of::<Sym64<Le>>())?)?;
        let symbols = slice_from_all_bytes(bytes.get(..whole)?).ok()?;
        let strings = self.bytes_at(strings_at)?;
        let size = value(DT_STRSZ).and_then(|size| usize::try_from(size).ok()).unwrap_or(strings.len());
        Some(Table { symbols, strings: strings.get(..size).unwrap_or(strings) })
    }
}

fn function<'a>(strings: &'a [u8], symbol: &Sym64<Le>) -> Option<Function<'a>> {
    if symbol.st_type() != STT_FUNC || symbol.st_shndx(Le) == SHN_UNDEF {
        return None;
    }
    let start = usize::try_from(symbol.st_name(Le)).ok()?;
    let rest = strings.get(start..)?;
    let rest = rest.get(..MAX_NAME).unwrap_or(rest);
    let name = rest.get(..memchr::memchr(0, rest)?)?;
    Some(Function { name, address: symbol.st_value(Le), size: symbol.st_size(Le) })
}

/// A file has one `.symtab` and one `.dynsym`; more are a way to make us walk the same bytes again.
const MAX_TABLES: usize = 4;
/// 32 bytes each. The largest programs seen that keep their symbols have a tenth of it.
const MAX_INDEXED: usize = 1 << 19;
/// Longer names are skipped. Nothing we look for comes near; mangled C++ names do, and are not looked for.
const MAX_NAME: usize = 256;
