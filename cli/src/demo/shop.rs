//! The shop: which services it is made of, and where its configuration is. The files are those of `examples/shop`: from the clone, where
//! one edits them, or a copy that the binary carries.

use crate::failure::{Context, Outcome};
use crate::place::{Place, make_folder};
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, Copy)]
pub struct Service {
    pub name: &'static str,
    pub version: &'static str,
    /// What it calls before it answers.
    pub upstream: Option<&'static str>,
}

/// In the order in which they start: those that are called before those that call.
pub const SERVICES: [Service; 5] = [
    Service { name: "ratings", version: "v1", upstream: None },
    Service { name: "reviews", version: "v1", upstream: Some("http://ratings/ratings") },
    Service { name: "catalog", version: "v1", upstream: Some("http://reviews/reviews") },
    Service { name: "catalog", version: "v2", upstream: Some("http://reviews/reviews") },
    Service { name: "web", version: "v1", upstream: Some("http://catalog/items") },
];

pub const FILES: [(&str, &str); 3] = [
    ("gateway.yaml", include_str!("../../../examples/shop/gateway.yaml")),
    ("routes.yaml", include_str!("../../../examples/shop/routes.yaml")),
    ("services.yaml", include_str!("../../../examples/shop/services.yaml")),
];

/// `examples/shop` of the clone we stand in; or a copy, written anew, where we stand elsewhere or the gateway's port had to move.
pub fn configuration(place: &Place, preferred: u16, port: u16) -> Outcome<PathBuf> {
    let here = Path::new("examples/shop");
    if port == preferred && FILES.iter().all(|(name, _)| here.join(name).is_file()) {
        return Ok(here.to_owned());
    }
    let folder = place.config();
    make_folder(&folder)?;
    for (name, text) in FILES {
        let path = folder.join(name);
        let text = text.replace(&format!("port: {preferred}\n"), &format!("port: {port}\n"));
        std::fs::write(&path, text).doing(|| format!("write {}", path.display()))?;
    }
    Ok(folder)
}
