//! Both ends of a discovery stream against peers that send anything. The input is a script: a byte says what happens, two how long the message
//! is, and then it comes. However the control plane behaves, what the client holds is what its table has, and can be read.

use model::{Change, Key, Resource};
use prost::Message;
use std::collections::BTreeMap;
use wire::delta::{Applied, ClientSession, ServerSession, Unreadable, Version};
use wire::discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};

pub fn check(bytes: &[u8]) {
    let mut client = Client::default();
    let mut server = ServerSession::new();
    let mut rest = bytes;
    while let Some((kind, message)) = event(&mut rest) {
        match kind % 8 {
            0..=2 => client.hear(message),
            3 => client.confirm(message),
            4 => drop(client.session.poll()),
            5 => client.ask(message),
            6 => client.reconnect(),
            _ => {
                let Ok(request) = DeltaDiscoveryRequest::decode(message) else { continue };
                if server.on_request(request).is_err() {
                    server = ServerSession::new();
                }
                let _ = server.poll();
                assert!(server.subscriptions().len() <= wire::limits::SUBSCRIPTIONS);
            }
        }
        client.agrees();
    }
}

fn event<'b>(rest: &mut &'b [u8]) -> Option<(u8, &'b [u8])> {
    let (head, after) = rest.split_at_checked(3)?;
    let size = usize::from(u16::from_be_bytes([head[1], head[2]])).min(after.len());
    let (message, after) = after.split_at(size);
    *rest = after;
    Some((head[0], message))
}

#[derive(Default)]
struct Client {
    session: ClientSession,
    /// What is in force, kept apart as the proxy's table is.
    table: BTreeMap<String, Resource>,
    /// The bytes of what is held, kept apart as the proxy's disk keeps them.
    bytes: BTreeMap<Key, Applied>,
    /// A step that was given out.
    step: Option<Vec<Change>>,
}

impl Client {
    fn hear(&mut self, message: &[u8]) {
        let Ok(response) = DeltaDiscoveryResponse::decode(message) else { return };
        match self.session.on_response(response) {
            Ok(Some(step)) => self.step = Some(step.changes),
            Ok(None) => {}
            Err(_) => self.reconnect(),
        }
    }

    /// Puts the step in force, but for the resource that the message names.
    fn confirm(&mut self, refused: &[u8]) {
        let name = String::from_utf8_lossy(refused).into_owned();
        for change in self.step.take().unwrap_or_default() {
            let put = match change {
                Change::Put(resource) => resource,
                Change::Told(asleep) => asleep.read().expect("was read before"),
                Change::Remove(key) => {
                    self.table.remove(&key.to_string());
                    continue;
                }
            };
            if put.key().to_string() != name {
                self.table.insert(put.key().to_string(), put);
            }
        }
        self.bytes.extend(self.session.applied(vec![Unreadable { name, reason: "so it is".into() }]));
    }

    fn ask(&mut self, name: &[u8]) {
        let name = String::from_utf8_lossy(name);
        if self.session.subscriptions().contains(&*name) {
            self.session.unsubscribe(&name);
        } else {
            self.session.subscribe(&name);
        }
    }

    fn reconnect(&mut self) {
        // A step that was given out is put in force or lost with its stream; here it is lost.
        self.step = None;
        self.session.connected();
    }

    fn kept(&self, key: &Key, version: &Version) -> Resource {
        let kept = &self.bytes[key];
        assert_eq!(kept.version, *version, "the bytes that are kept are of another version");
        wire::decode(&kept.bytes).expect("was read")
    }

    fn agrees(&self) {
        let held: BTreeMap<String, Resource> =
            self.session.held().iter().map(|(key, version)| (key.to_string(), self.kept(key, version))).collect();
        assert_eq!(held, self.table, "what is held is not what is in force");
        assert!(self.session.answers().keys().all(|name| self.session.subscriptions().contains(name)));
    }
}
