//! Has the linker lay the functions that a proxy runs side by side (`layout.txt`, `decisions/0048`): a program of thirty megabytes of which a proxy runs
//! three otherwise holds fourteen in memory, for the kernel maps sixteen pages around each that is touched. Also packs the addresses that the
//! loader has to move. Knows nothing of what the functions do; a name that is there no more lays nothing, and another linker gets no word of it.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=layout.txt");
    if !is("PROFILE", "release") || !links_with_lld() {
        return;
    }
    let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    println!("cargo:rustc-link-arg-bin=organza=-Wl,--symbol-ordering-file={folder}/layout.txt");
    println!("cargo:rustc-link-arg-bin=organza=-Wl,--no-warn-symbol-ordering");
    if loads_packed() {
        println!("cargo:rustc-link-arg-bin=organza=-Wl,-z,pack-relative-relocs");
    }
}

fn is(name: &str, value: &str) -> bool {
    std::env::var(name).is_ok_and(|is| is == value)
}

/// Rust's own linker for this target since 1.90, if nobody chose another.
fn links_with_lld() -> bool {
    let chosen = std::env::var_os("RUSTC_LINKER").is_some();
    let flags = std::env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    is("TARGET", "x86_64-unknown-linux-gnu")
        && !chosen
        && !flags.contains("link")
        && says(Command::new(rustc).arg("--version"), "rustc ").is_some_and(|version| version >= (1, 90))
}

/// The C library of this machine (2.36) knows how to read them; who runs the program elsewhere has the static one.
fn loads_packed() -> bool {
    says(Command::new("getconf").arg("GNU_LIBC_VERSION"), "glibc ").is_some_and(|version| version >= (2, 36))
}

/// The version that stands behind `name` in what a program says.
fn says(command: &mut Command, name: &str) -> Option<(u32, u32)> {
    let output = command.output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut numbers = text.strip_prefix(name)?.split(['.', ' ', '\n']).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}
