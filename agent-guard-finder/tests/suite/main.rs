//! The finder against files made for it, files of this machine, files just compiled, and files that are wrong.

mod built;
mod compiled;
mod hostile;
mod real_files;

mod elf_builder;
mod require;
