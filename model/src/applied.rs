//! Which filters met a request, in the order in which they ran: a list of places, small enough to be kept for each request without memory of
//! its own. Whoever reads it has the rule at hand. It never knows what a filter does.

use crate::limits;
use crate::{Rule, WeightedBackend};

/// A filter by its place in the list that its user wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilterPlace {
    Rule(u8),
    /// Of the backend that was picked.
    Backend(u8),
}

/// Filters in the order in which they ran.
#[derive(Clone, Copy)]
pub struct Applied {
    places: [FilterPlace; limits::APPLIED_FILTERS],
    len: usize,
    /// There were more than are held.
    cut: bool,
}

impl Default for Applied {
    fn default() -> Self {
        Self { places: [FilterPlace::Rule(0); limits::APPLIED_FILTERS], len: 0, cut: false }
    }
}

impl Applied {
    pub fn rule(&mut self, index: usize) {
        self.push(u8::try_from(index).ok().map(FilterPlace::Rule));
    }

    pub fn backend(&mut self, index: usize) {
        self.push(u8::try_from(index).ok().map(FilterPlace::Backend));
    }

    fn push(&mut self, place: Option<FilterPlace>) {
        match (place, self.places.get_mut(self.len)) {
            (Some(place), Some(free)) => {
                *free = place;
                self.len += 1;
            }
            _ => self.cut = true,
        }
    }

    pub fn places(&self) -> &[FilterPlace] {
        &self.places[..self.len]
    }

    /// As people read it: `CORS`, `RequestMirror shop/shadow:80`, `backend URLRewrite`; `…` where there were more than are held.
    pub fn names(&self, rule: &Rule, backend: Option<&WeightedBackend>) -> Vec<String> {
        let of_backend = backend.map_or(&[][..], |backend| &backend.filters);
        let name = |place: &FilterPlace| match place {
            FilterPlace::Rule(index) => rule.filters.get(usize::from(*index)).map(ToString::to_string),
            FilterPlace::Backend(index) => of_backend.get(usize::from(*index)).map(|filter| format!("backend {filter}")),
        };
        let mut names: Vec<String> = self.places().iter().filter_map(name).collect();
        names.extend(self.cut.then(|| "…".to_owned()));
        names
    }
}

impl std::fmt::Debug for Applied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.places()).finish()
    }
}

#[cfg(test)]
mod tests;
