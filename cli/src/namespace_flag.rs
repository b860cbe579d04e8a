//! Which namespaces a command shows that shows all of the mesh when nobody says which.

use clap::Args;

#[derive(Debug, Default, Args)]
pub struct NamespaceFlag {
    /// Only this namespace
    #[arg(short, long, conflicts_with = "all_namespaces")]
    namespace: Option<String>,
    /// All namespaces, as when none is named
    #[arg(short = 'A', long)]
    all_namespaces: bool,
}

impl NamespaceFlag {
    /// Whether it shows what is of any of these namespaces.
    pub fn shows(&self, namespaces: &[&str]) -> bool {
        self.namespace.as_deref().is_none_or(|wanted| namespaces.contains(&wanted))
    }
}

#[cfg(test)]
mod tests;
