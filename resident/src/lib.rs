//! Pages of the running program that only its start needed, given back. The kernel maps sixteen pages around each that is touched, and keeps them mapped: what
//! reads a configuration, opens doors and builds tables stays resident for as long as a process lives, though it runs once.
//!
//! One of the two crates with unsafe code. What it promises the kernel: it names only memory that is the program's own file, unchanged, and cannot be written. Such a page that is
//! given back is read again where it is touched, from the page cache, by the page fault that brought it in the first time.

use std::io;

/// Of the program's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mapping {
    from: usize,
    to: usize,
}

/// What the kernel says of a process's memory (`proc_pid_smaps(5)`), and which file the program is.
const MAPPINGS: &str = "/proc/self/smaps";
const PROGRAM: &str = "/proc/self/exe";

/// Gives the program's own pages back, code and constants; those that are in use come again by and by. Says how many bytes of address space they were of. Libraries
/// stay, for what is loaded may be unloaded.
///
/// # Errors
/// If the kernel does not say what there is, or refuses.
pub fn give_back() -> io::Result<usize> {
    let program = std::fs::read_link(PROGRAM)?;
    let mappings = std::fs::read_to_string(MAPPINGS)?;
    let mut bytes = 0;
    for Mapping { from, to } in of(&mappings, &program.to_string_lossy()) {
        // SAFETY: the range is the program's own file, which stays mapped for as long as the process lives, so that nothing else can have taken its place since the
        // kernel was asked; no page of it differs from the file and none can be written, so that each holds the same when it is touched next.
        let done = unsafe { libc::madvise(std::ptr::with_exposed_provenance_mut(from), to - from, libc::MADV_DONTNEED) };
        if done != 0 {
            return Err(io::Error::last_os_error());
        }
        bytes += to - from;
    }
    Ok(bytes)
}

/// Mappings of this file that nobody can write and of which no page was changed: the linker's table of addresses is written at the start and protected then, and a
/// debugger changes code.
fn of(mappings: &str, program: &str) -> Vec<Mapping> {
    let mut found = Vec::new();
    let mut current = None;
    for line in mappings.lines() {
        if let Some(mapping) = headed(line) {
            current = mapping.filter(|_| file(line) == program);
        } else if let Some(kept) = line.strip_prefix("Anonymous:")
            && let Some(mapping) = current.take()
            && kept.trim() == "0 kB"
        {
            found.push(mapping);
        }
    }
    found
}

/// A line that begins what is said of a mapping; within, the mapping, where it is private and cannot be written.
fn headed(line: &str) -> Option<Option<Mapping>> {
    let (range, rest) = line.split_once(' ')?;
    let (from, to) = range.split_once('-')?;
    let address = |text: &str| usize::from_str_radix(text, 16).ok();
    let (from, to) = (address(from)?, address(to)?);
    let is_fixed = rest.as_bytes().get(1) == Some(&b'-') && rest.as_bytes().get(3) == Some(&b'p');
    Some((is_fixed && from < to).then_some(Mapping { from, to }))
}

/// The sixth word of the line and all behind it, for a file's name may hold spaces.
fn file(line: &str) -> &str {
    let mut rest = line;
    for _ in 0..5 {
        rest = rest.trim_start().split_once(' ').map_or("", |(_, rest)| rest);
    }
    rest.trim_start()
}

#[cfg(test)]
mod tests;
