//! Which mesh a question is put to: one of this machine, by its socket, or the one of a Kubernetes cluster, through the API server. The same flags for every
//! command that only asks.

use crate::client::Client;
use crate::failure::{Failure, Outcome};
use crate::mesh_flag::MeshFlag;
use clap::Args;
use control::kubernetes::{self, Leader};

#[derive(Debug, Clone, Args)]
pub struct AskFlag {
    #[command(flatten)]
    pub mesh: MeshFlag,
    /// The mesh of the cluster of the kubeconfig, not one of this machine
    #[arg(long)]
    kubernetes: bool,
    /// The same, of another context of the kubeconfig
    #[arg(long, value_name = "CONTEXT")]
    context: Option<String>,
    /// Where the control plane is in the cluster
    #[arg(long, value_name = "NAMESPACE", default_value = frontends::organza::settings::ROOT_NAMESPACE)]
    system: String,
}

/// A cluster of the kubeconfig.
#[derive(Debug, Clone)]
pub struct Cluster {
    context: Option<String>,
    pub system: String,
}

impl AskFlag {
    pub fn cluster(&self) -> Option<Cluster> {
        let is_asked = self.kubernetes || self.context.is_some();
        is_asked.then(|| Cluster { context: self.context.clone(), system: self.system.clone() })
    }

    /// # Errors
    /// If the name is none, or the cluster is not reached; a mesh of this machine is only found out to be away when it is asked.
    pub async fn client(&self) -> Outcome<Client> {
        match self.cluster() {
            None => Ok(Client::control(&self.mesh.place()?)),
            Some(cluster) => {
                let client = cluster.connect().await?;
                Ok(Client::leader(cluster.leader(client).await?))
            }
        }
    }
}

impl Cluster {
    pub async fn connect(&self) -> Outcome<kubernetes::Client> {
        let connected = kubernetes::connect(self.context.as_deref()).await;
        connected
            .map_err(|e| Failure::unreachable("no cluster is reached").why(e).remedy("name a context of your kubeconfig with --context"))
    }

    pub async fn leader(&self, client: kubernetes::Client) -> Outcome<Leader> {
        let found = Leader::find(client, &self.system).await;
        found.map_err(|why| {
            Failure::unreachable("the control plane of the cluster is not reached")
                .why(why)
                .remedy("organza check --kubernetes says what is wrong")
        })
    }
}
