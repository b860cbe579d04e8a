//! Has the linker lay the functions that a proxy runs side by side (`layout.txt`, `decisions/0048`): a program of thirty megabytes of which a proxy runs
//! three otherwise holds fourteen in memory, for the kernel maps sixteen pages around each that is touched. Also packs the addresses that the
//! loader has to move. Knows nothing of what the functions do; a name that is there no more lays nothing, and a linker that cannot do it gets no word of
//! it: all are tried on a small program first.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=layout.txt");
    if !is("PROFILE", "release") || !is("CARGO_CFG_TARGET_OS", "linux") {
        return;
    }
    let Some(out) = std::env::var_os("OUT_DIR").map(PathBuf::from) else { return };
    // A copy of its own: clones share the folder of builds, and the one that this ran in may be gone when another links.
    let layout = out.join("layout.txt");
    if std::fs::copy("layout.txt", &layout).is_err() {
        return;
    }
    let laid = [format!("--symbol-ordering-file={}", layout.display()), "--no-warn-symbol-ordering".into()];
    let packed = ["-z".to_owned(), "pack-relative-relocs".into()];
    if links(&out, &to_linker(&laid)) {
        tell(&laid);
    }
    // The C library has to know how to read them (glibc 2.36): the small program is also run.
    if runs(&out, &to_linker(&packed)) {
        tell(&packed);
    }
    // Of this library a proxy needs to unwind, for which the loader and the kernel bring 100 KB of it to memory.
    if runs(&out, &["-l".into(), "static:-bundle=gcc_eh".into()]) {
        println!("cargo:rustc-link-lib=static:-bundle=gcc_eh");
    }
}

fn is(name: &str, value: &str) -> bool {
    std::env::var(name).is_ok_and(|is| is == value)
}

/// One by one, for a comma may stand in a path.
fn tell(words: &[String]) {
    for word in words {
        println!("cargo:rustc-link-arg-bin=organza=-Xlinker");
        println!("cargo:rustc-link-arg-bin=organza={word}");
    }
}

/// The same for a call of the compiler by itself.
fn to_linker(words: &[String]) -> Vec<String> {
    words.iter().flat_map(|word| ["-C".into(), "link-arg=-Xlinker".into(), "-C".into(), format!("link-arg={word}")]).collect()
}

/// Unwinds.
const PROBE: &str = "fn main() { assert!(std::panic::catch_unwind(|| std::panic::resume_unwind(Box::new(()))).is_err()); }";

/// Whether a small program that was built with these words does what it should.
fn runs(out: &Path, words: &[String]) -> bool {
    links(out, words) && Command::new(out.join("probe")).status().is_ok_and(|status| status.success())
}

/// Whether the compiler and the linker that will be used take these words.
fn links(out: &Path, words: &[String]) -> bool {
    let source = out.join("probe.rs");
    if std::fs::write(&source, PROBE).is_err() {
        return false;
    }
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.arg(&source).arg("-o").arg(out.join("probe")).args(["--target", &variable("TARGET")]);
    rustc.args(variable("CARGO_ENCODED_RUSTFLAGS").split('\u{1f}').filter(|flag| !flag.is_empty()));
    if let Some(linker) = std::env::var_os("RUSTC_LINKER") {
        rustc.arg("-C").arg(format!("linker={}", linker.display()));
    }
    rustc.args(words).output().is_ok_and(|output| output.status.success())
}
