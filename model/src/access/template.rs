//! Paths with holes: `/users/{id}` is one segment of any name there, `/files/{**}` any number of them (none too). A hole is a whole segment.

use crate::limits;
use std::fmt;
use std::sync::Arc;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("is longer than {} bytes", limits::PATH_TEMPLATE_BYTES)]
    TooLong,
    #[error("does not begin with a slash")]
    Relative,
    #[error("segment {0:?} is neither text nor a hole (`{{name}}`, `{{**}}`)")]
    Segment(String),
    #[error("has `{{**}}` more than once")]
    Rests,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Segment {
    Text(Arc<str>),
    One,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PathTemplate {
    text: Arc<str>,
    before: Vec<Segment>,
    /// What follows `{**}`, where there is one.
    after: Option<Vec<Segment>>,
}

impl PathTemplate {
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.len() > limits::PATH_TEMPLATE_BYTES {
            return Err(TemplateError::TooLong);
        }
        let rest = text.strip_prefix('/').ok_or(TemplateError::Relative)?;
        let (mut before, mut after) = (Vec::new(), None::<Vec<Segment>>);
        for segment in rest.split('/') {
            if segment == "{**}" {
                if after.replace(Vec::new()).is_some() {
                    return Err(TemplateError::Rests);
                }
                continue;
            }
            after.as_mut().unwrap_or(&mut before).push(self::segment(segment)?);
        }
        Ok(Self { text: text.into(), before, after })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn is_match(&self, path: &str) -> bool {
        let Some(rest) = path.strip_prefix('/') else { return false };
        let mut segments = rest.split('/');
        if !self.before.iter().all(|want| segments.next().is_some_and(|is| want.is_match(is))) {
            // `/files/{**}` is `/files` too.
            return false;
        }
        let Some(after) = &self.after else { return segments.next().is_none() };
        // From the end; what is between belongs to the hole.
        let mut left = segments.clone().count();
        for want in after.iter().rev() {
            if left == 0 || !segments.next_back().is_some_and(|is| want.is_match(is)) {
                return false;
            }
            left -= 1;
        }
        true
    }
}

fn segment(text: &str) -> Result<Segment, TemplateError> {
    let wrong = || TemplateError::Segment(text.to_owned());
    if let Some(name) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        let good = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        return if good || name == "*" { Ok(Segment::One) } else { Err(wrong()) };
    }
    match text.contains(['{', '}', '*', '?', '#']) || matches!(text, "." | "..") {
        true => Err(wrong()),
        false => Ok(Segment::Text(text.into())),
    }
}

impl Segment {
    fn is_match(&self, segment: &str) -> bool {
        match self {
            Self::Text(want) => **want == *segment,
            Self::One => !segment.is_empty(),
        }
    }
}

impl fmt::Display for PathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
