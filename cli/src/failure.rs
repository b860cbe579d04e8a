//! What a command says when it cannot do what was asked: what happened, why, and what to do about it; and the exit code that scripts
//! read. Nothing below `main` prints an error itself or ends the process.

use std::fmt;

pub type Outcome<T = ()> = Result<T, Failure>;

/// Exit codes, the same for every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The question was answered with "no": problems were found, a condition did not come true, a request failed.
    Problems = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// The mesh (its control socket, or a proxy) is not there.
    Unreachable = 3,
}

#[derive(Debug, Clone)]
pub struct Failure {
    pub code: Code,
    pub what: String,
    pub why: Option<String>,
    pub remedy: Option<String>,
}

impl Failure {
    fn new(code: Code, what: impl Into<String>) -> Self {
        Self { code, what: what.into(), why: None, remedy: None }
    }

    pub fn problem(what: impl Into<String>) -> Self {
        Self::new(Code::Problems, what)
    }

    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(Code::Usage, what)
    }

    pub fn unreachable(what: impl Into<String>) -> Self {
        Self::new(Code::Unreachable, what)
    }

    /// Ends the process with problems, having said all there is to say already.
    pub fn silent() -> Self {
        Self::new(Code::Problems, "")
    }

    pub fn why(self, why: impl fmt::Display) -> Self {
        Self { why: Some(why.to_string()), ..self }
    }

    pub fn remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if let Some(why) = &self.why {
            write!(f, "\n  why: {why}")?;
        }
        if let Some(remedy) = &self.remedy {
            write!(f, "\n  do:  {remedy}")?;
        }
        Ok(())
    }
}

/// Turns an error of a library into a [`Failure`] that names what was being done.
pub trait Context<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Outcome<T>;
}

impl<T, E: fmt::Display> Context<T> for Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Outcome<T> {
        self.map_err(|error| {
            let failure = Failure::problem(format!("cannot {}", what())).why(error);
            // What the system says in these cases is the same whatever was being done, and so is what helps.
            match failure.why.as_deref() {
                Some(why) if why.contains("os error 28)") => failure.remedy("make room on that disk, then try again"),
                Some(why) if why.contains("os error 122)") => {
                    failure.remedy("your quota of that disk is used up; make room, then try again")
                }
                Some(why) if why.contains("os error 30)") => {
                    failure.remedy("that disk is read-only; name a writable one with XDG_STATE_HOME")
                }
                _ => failure,
            }
        })
    }
}
