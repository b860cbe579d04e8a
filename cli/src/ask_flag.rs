//! Which mesh a command is about: one of this machine, by its socket, or the one of a Kubernetes cluster, through the API server. The same flags for every
//! command that asks, and for those that do what only an owner may.

use crate::client::Client;
use crate::failure::{Failure, Outcome};
use crate::limits;
use crate::mesh_flag::MeshFlag;
use crate::patience;
use clap::Args;
use control::kubernetes::{self, Leader, ReachError};

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
                Ok(Client::leader(cluster.leader(client).await?).patient())
            }
        }
    }

    /// For what only an owner may: what changes something, and what lets others in.
    ///
    /// # Errors
    /// As [`AskFlag::client`].
    pub async fn owner(&self) -> Outcome<Client> {
        match self.cluster() {
            None => Ok(Client::control(&self.mesh.place()?)),
            Some(cluster) => cluster.owner().await,
        }
    }
}

impl Cluster {
    pub async fn connect(&self) -> Outcome<kubernetes::Client> {
        reached(kubernetes::connect(self.context.as_deref()).await)
    }

    /// For what may be quiet for long.
    pub async fn connect_to_follow(&self) -> Outcome<kubernetes::Client> {
        reached(kubernetes::connect_to_follow(self.context.as_deref()).await)
    }

    /// By what one may: start a process in the pod, which may do all; or what the token of the kubeconfig's user allows (`decisions/0039`).
    pub async fn owner(&self) -> Outcome<Client> {
        let client = self.connect().await?;
        let leader = self.leader(client.clone()).await?;
        // Who is not told what he may finds out by trying.
        let may_start = kubernetes::may(&client, "create", ("", "pods/exec"), &self.system).await.unwrap_or(true);
        Ok(match kubernetes::token(self.context.as_deref()).await.filter(|_| !may_start) {
            Some(token) => Client::by_token(leader, token),
            None => Client::inside(leader),
        }
        .patient())
    }

    /// Whoever leads; while replicas are replaced nobody does for a moment, which is waited for.
    pub async fn leader(&self, client: kubernetes::Client) -> Outcome<Leader> {
        let system = self.system.as_str();
        let say = || eprintln!("organza: no replica of the control plane leads; one is waited for, {:?} at most", limits::LEADER);
        patience::until_one_leads(|| found(Leader::find(client.clone(), system)), ReachError::passes, say).await.map_err(leaderless)
    }

    /// The same as things are now.
    pub async fn leader_now(&self, client: kubernetes::Client) -> Outcome<Leader> {
        found(Leader::find(client, &self.system)).await.map_err(leaderless)
    }
}

/// Who leads, as the API server says it in time.
pub async fn found(asked: impl Future<Output = Result<Leader, ReachError>>) -> Result<Leader, ReachError> {
    let late = || ReachError::Api(format!("it says nothing within {:?}", limits::ANSWER));
    tokio::time::timeout(limits::ANSWER, asked).await.unwrap_or_else(|_| Err(late()))
}

pub fn leaderless(why: ReachError) -> Failure {
    Failure::unreachable("the control plane of the cluster is not reached").why(why).remedy("organza check --kubernetes says what is wrong")
}

fn reached(connected: Result<kubernetes::Client, kubernetes::ConnectError>) -> Outcome<kubernetes::Client> {
    connected.map_err(|e| Failure::unreachable("no cluster is reached").why(e).remedy("name a context of your kubeconfig with --context"))
}
