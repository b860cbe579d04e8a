//! What is open when policies change, a root is dropped or certificates are revoked: what is allowed no more ends within a second of the change, and the rest
//! is not touched. From the edit of a file, or the authority's step, to the end of a connection all is the code that ships, on virtual time. Also that nobody
//! cuts what is merely slow, and that a proxy which stands still is not waited for.

use crate::mesh::{Mesh, OUTBOUND, REPLICAS, WEB, authorization, loopback};
use crate::scenario;
use crate::stream::VirtualWire;
use crate::tunnel::Peer;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};
use transport::limits::{PREFACE_TIME, PROXY_ANSWER, PROXY_QUESTIONS, UNACKNOWLEDGED};
use transport::rt::Stream;

/// What is allowed no more is over after so long.
const WITHIN: Duration = Duration::from_secs(1);
/// A handshake would have ended by then.
const LATE: Duration = PREFACE_TIME.saturating_add(Duration::from_secs(2));
/// Longer than anything takes that is let be.
const PATIENCE: Duration = Duration::from_secs(5);

/// A proxy that stands still is left after so long: it was heard of just before, and what waits is answered in a moment.
const LEFT: Duration = UNACKNOWLEDGED.saturating_add(PROXY_ANSWER.saturating_mul(PROXY_QUESTIONS + 1)).saturating_add(WITHIN);

/// Plays it, and says what was not as it should be.
pub fn run() -> Vec<String> {
    scenario::world(0, async |mut mesh, _| {
        let mut judged = Judged { peer: mesh.peer(), mesh, uploads: 0, wrong: Vec::new() };
        judged.whole().await;
        judged.wrong
    })
}

/// Somebody's end of a connection.
struct Open<S>(S);

impl<S: AsyncRead + AsyncWrite + Unpin> Open<S> {
    async fn write(&mut self, text: &str) {
        // Who is cut hears it when it reads.
        let _ = self.0.write_all(text.as_bytes()).await;
        let _ = self.0.flush().await;
    }

    /// Whether this comes before the end, in time.
    async fn reads(&mut self, wanted: &str) -> bool {
        let mut seen = Vec::new();
        let reading = async {
            while !seen.ends_with(wanted.as_bytes()) {
                match self.0.read_u8().await {
                    Ok(byte) => seen.push(byte),
                    Err(_) => return false,
                }
            }
            true
        };
        timeout(PATIENCE, reading).await.unwrap_or(false)
    }

    /// What came until the end of a head.
    async fn head(&mut self) -> String {
        let mut seen = Vec::new();
        while !seen.ends_with(b"\r\n\r\n") {
            match self.0.read_u8().await {
                Ok(byte) => seen.push(byte),
                Err(_) => break,
            }
        }
        String::from_utf8_lossy(&seen).into_owned()
    }

    /// What came until the end.
    async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        let _ = self.0.read_to_end(&mut rest).await;
        String::from_utf8_lossy(&rest).into_owned()
    }
}

impl Open<Stream> {
    /// Bytes of the peer to the application, which answers on them while they are let through.
    async fn bytes(peer: &Peer) -> Self {
        let mut open = Self(peer.open().await.expect("the replica").0);
        assert!(open.lives().await, "bytes are let through");
        open
    }

    async fn lives(&mut self) -> bool {
        self.write("GET / HTTP/1.1\r\nhost: catalog\r\nx-id: 0\r\n\r\n").await;
        self.reads("answer to 0").await
    }
}

impl Open<VirtualWire> {
    async fn finish(&mut self) -> bool {
        self.write("cd").await;
        self.reads("HTTP/1.1 200").await
    }
}

struct Judged {
    mesh: Mesh,
    peer: Peer,
    uploads: u64,
    wrong: Vec<String>,
}

impl Judged {
    async fn whole(&mut self) {
        self.mesh.start_control();
        self.mesh.edit(|wish| wish.weights = (100, 0));
        self.mesh.web();
        self.mesh.replica(REPLICAS, 1);
        sleep(Duration::from_secs(3)).await;
        self.late().await;
        self.standing().await;
        self.policies().await;
        self.roots().await;
        self.certificates().await;
    }

    /// A request of web's whose body is still coming, once the application has its head.
    async fn upload(&mut self) -> Open<VirtualWire> {
        self.uploads += 1;
        let (id, authorization) = (self.uploads, authorization());
        let mut open = Open(self.mesh.network.connect(WEB, loopback(OUTBOUND)).await.expect("web's proxy"));
        open.write(&format!(
            "POST http://catalog/ HTTP/1.1\r\nhost: catalog\r\nproxy-authorization: {authorization}\r\nx-id: {id}\r\ncontent-length: 4\r\n\r\nab"
        ))
        .await;
        let arrived = format!("request {id} is at node {REPLICAS}");
        while !self.mesh.ledger.borrow().lines.iter().any(|line| line.contains(&arrived)) {
            sleep(Duration::from_millis(5)).await;
        }
        open
    }

    fn check(&mut self, good: bool, what: &str) {
        if !good {
            self.wrong.push(what.to_owned());
        }
    }

    /// What has to be over by now ends within the second; returns what came last.
    async fn ends<S: AsyncRead + AsyncWrite + Unpin>(&mut self, open: &mut Open<S>, what: &str) -> String {
        let begun = Instant::now();
        match timeout(WITHIN, open.rest()).await {
            Ok(rest) => {
                println!("{what} end after {} ms", begun.elapsed().as_millis());
                rest
            }
            Err(_) => {
                self.wrong.push(format!("{what} do not end within {WITHIN:?}"));
                String::new()
            }
        }
    }

    /// The called proxy says its own word together with the application's, however late that comes.
    async fn late(&mut self) {
        let mut upload = self.upload().await;
        sleep(LATE).await;
        let finished = upload.finish().await;
        self.check(finished, "a request is cut whose answer begins late");
    }

    /// Its kernel answers for a proxy that stands still, so it is asked itself. Where its application alone is slow it says that it is there (`late`).
    async fn standing(&mut self) {
        let mut upload = self.upload().await;
        self.mesh.pause(REPLICAS, false, true);
        let begun = Instant::now();
        let told = timeout(LEFT, upload.head()).await.unwrap_or_default();
        println!("requests at a proxy that stands still end after {} ms", begun.elapsed().as_millis());
        self.check(told.starts_with("HTTP/1.1 503"), "a request waits for a proxy that stands still");
        self.mesh.pause(REPLICAS, false, false);
        // The control plane has to hear of it again, too.
        sleep(LATE).await;
        let mut upload = self.upload().await;
        let finished = upload.finish().await;
        self.check(finished, "a proxy that stood still is called no more");
    }

    async fn policies(&mut self) {
        let (mut bytes, mut upload) = (Open::bytes(&self.peer).await, self.upload().await);
        self.mesh.edit(|wish| wish.access = Some("Allow"));
        self.ends(&mut bytes, "bytes that no policy allows any more").await;
        let finished = upload.finish().await;
        self.check(finished, "a request is cut that a policy allows");

        self.mesh.edit(|wish| wish.access = None);
        sleep(Duration::from_secs(1)).await;
        let (mut bytes, mut upload) = (Open::bytes(&self.peer).await, self.upload().await);
        self.mesh.edit(|wish| wish.access = Some("Deny"));
        let said = self.ends(&mut upload, "requests that a policy denies from now on").await;
        self.check(!said.contains("HTTP/1.1 200"), "a request that is denied meanwhile is answered");
        let lives = bytes.lives().await;
        self.check(lives, "bytes are cut that no policy denies");
        self.mesh.edit(|wish| wish.access = None);
    }

    /// A rotation waits for all that the authority signed under the old root, and cuts none of it. Who shows what was signed with a stolen key goes with the root.
    async fn roots(&mut self) {
        let old = self.mesh.roots().remove(0);
        let thief = self.mesh.thief();
        let (mut bytes, mut stolen) = (Open::bytes(&self.peer).await, Open::bytes(&thief).await);
        assert!(self.mesh.rotate(), "a rotation begins");
        while self.mesh.roots().first() == Some(&old) {
            sleep(Duration::from_millis(100)).await;
        }
        let lives = stolen.lives().await;
        self.check(lives, "bytes are cut while their root is believed");
        let (begun, mut upload) = (Instant::now(), self.upload().await);
        while self.mesh.roots().contains(&old) {
            assert!(begun.elapsed() < scenario::ROTATION, "the old root is dropped");
            sleep(Duration::from_millis(10)).await;
        }
        self.ends(&mut stolen, "bytes of who is under a root that is gone").await;
        let finished = upload.finish().await;
        self.check(finished, "a request is cut by a rotation");
        let lives = bytes.lives().await;
        self.check(lives, "bytes are cut by a rotation, which waited until what was under the old root had ended");
    }

    async fn certificates(&mut self) {
        let peer = self.mesh.peer();
        let (mut bytes, mut upload) = (Open::bytes(&peer).await, self.upload().await);
        self.mesh.revoke(WEB);
        let said = self.ends(&mut upload, "requests of who is revoked").await;
        self.check(!said.contains("HTTP/1.1 200"), "a request of who is revoked is answered");
        let lives = bytes.lives().await;
        self.check(lives, "bytes of who is not revoked are cut");
    }
}
