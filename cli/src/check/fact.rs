//! One line of `organza check`: one fact, whether it is good, and what to do where it is not.

use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    Good,
    /// Could not be found out: that is said, and fails nothing.
    Unknown,
    Warning,
    Bad,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// The head that it stands under.
    pub about: &'static str,
    pub mark: Mark,
    pub says: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Fact {
    pub fn good(about: &'static str, says: impl Into<String>) -> Self {
        Self { about, mark: Mark::Good, says: says.into(), hint: None }
    }

    pub fn bad(about: &'static str, says: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { mark: Mark::Bad, hint: Some(hint.into()), ..Self::good(about, says) }
    }

    pub fn warning(about: &'static str, says: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { mark: Mark::Warning, ..Self::bad(about, says, hint) }
    }

    pub fn unknown(about: &'static str, says: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { mark: Mark::Unknown, ..Self::bad(about, says, hint) }
    }
}

/// All of them as people read them.
pub fn text(facts: &[Fact]) -> String {
    let mut text = String::new();
    let mut about = "";
    for fact in facts {
        if fact.about != about {
            about = fact.about;
            text.push_str(&format!("{}{about}\n", if text.is_empty() { "" } else { "\n" }));
        }
        let sign = match fact.mark {
            Mark::Good => "√",
            Mark::Unknown => "?",
            Mark::Warning => "‼",
            Mark::Bad => "×",
        };
        text.push_str(&format!("{sign} {}\n", fact.says));
        if let Some(hint) = &fact.hint {
            text.push_str(&format!("    do: {hint}\n"));
        }
    }
    text
}

/// A few names, and how many more.
pub fn some(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let more = names.len().saturating_sub(SHOWN);
    let shown = names[..names.len() - more].join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}
