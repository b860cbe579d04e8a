//! What a test needs of the machine. Where it is missing the test is skipped and says so; under `CI=true` that is a failure, because a test
//! that does not run shows nothing.

use std::process::Command;

#[derive(Debug, Clone, Copy)]
pub enum Need {
    /// A program on the PATH.
    Program(&'static str),
    /// A module that `python3` finds.
    Python(&'static str),
    /// To be root, with the right to make network namespaces.
    Namespaces,
}

/// Whether everything is here. Use: `if !require(&[Need::Program("openssl")]) { return; }`.
///
/// # Panics
/// Under `CI=true`, if something is missing.
pub fn require(needs: &[Need]) -> bool {
    let missing: Vec<String> = needs.iter().filter_map(|need| need.missing()).collect();
    if missing.is_empty() {
        return true;
    }
    let missing = missing.join(", ");
    assert!(std::env::var_os("CI").is_none_or(|v| v != "true"), "a skipped test is a failed test under CI; missing: {missing}");
    eprintln!("skipped: missing {missing}");
    false
}

impl Need {
    fn missing(self) -> Option<String> {
        match self {
            Self::Program(name) => {
                let found = std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(name).is_file()));
                (!found).then(|| name.to_owned())
            }
            Self::Python(module) => {
                let found = Command::new("python3").args(["-c", &format!("import {module}")]).output().is_ok_and(|o| o.status.success());
                (!found).then(|| format!("Python's {module}"))
            }
            Self::Namespaces => {
                let works = Command::new("unshare").args(["--net", "true"]).output().is_ok_and(|o| o.status.success());
                (!works).then(|| "the right to make network namespaces".to_owned())
            }
        }
    }
}
