//! How the owner takes a proxy out of the mesh for good: the registration is taken back on the control connection, before the drain. Only who
//! holds the admin socket asks for it; a restart does not.

use super::connect;
use crate::limits;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::oneshot;
use tonic::transport::Channel;
use transport::rt;
use wire::grpc::CertificatesClient;
use wire::v1;

pub(super) struct Leave(oneshot::Sender<Result<(), String>>);

impl Leave {
    pub fn refuse(self, why: &str) {
        _ = self.0.send(Err(why.to_owned()));
    }

    pub fn carry_out(self, channel: Channel, proxy: String) {
        tokio::task::spawn_local(async move {
            let mut client = CertificatesClient::new(channel);
            let left = rt::timeout(limits::ANSWER, client.leave(v1::LeaveRequest { proxy })).await;
            let left = left.ok_or_else(|| "no answer in time".to_owned());
            let left = left.and_then(|answer| answer.map(drop).map_err(|status| connect::text(&status)));
            _ = self.0.send(left);
        });
    }
}

#[derive(Clone)]
pub struct Leaver(mpsc::Sender<Leave>);

impl Leaver {
    pub(super) fn new() -> (Self, mpsc::Receiver<Leave>) {
        let (sender, receiver) = mpsc::channel(1);
        (Self(sender), receiver)
    }

    /// One whose proxy has ended.
    #[cfg(test)]
    pub(crate) fn ended() -> Self {
        Self::new().0
    }

    /// Takes the registration back; nobody is sent here any more once this returns.
    ///
    /// # Errors
    /// In words, where the control plane is away or refuses.
    pub async fn leave(&self) -> Result<(), String> {
        let (reply, answer) = oneshot::channel();
        self.0.try_send(Leave(reply)).map_err(|refused| match refused {
            TrySendError::Full(_) => "it is leaving already".to_owned(),
            TrySendError::Closed(_) => "the proxy is ending".to_owned(),
        })?;
        answer.await.map_err(|_| "the connection to the control plane ended".to_owned())?
    }
}
