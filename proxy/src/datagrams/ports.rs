//! The rim's view of a gateway's ports for datagrams: which are open, and what their workers are to do.

use super::{Given, Open, Order, Port};
use crate::config::GatewayPorts;
use crate::doors::Handed;
use crate::limits;
use crate::run::RunError;
use model::{Key, Listener, ListenerProtocol};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use telemetry::Metrics;
use tokio::sync::{mpsc, watch};
use transport::rt::{self, DatagramGroup};

pub struct Ports {
    workers: Vec<mpsc::UnboundedSender<Handed>>,
    metrics: Metrics,
    /// By the port that the listener names.
    open: BTreeMap<u16, Opened>,
    /// Of a predecessor.
    inherited: HashMap<u16, DatagramGroup>,
    /// Nobody reads for now.
    parked: bool,
}

struct Opened {
    /// Whole, for a successor; workers read from copies.
    group: DatagramGroup,
    port: Arc<Port>,
    orders: watch::Sender<Order>,
    given: mpsc::UnboundedReceiver<Vec<Given>>,
    /// Each worker gets one.
    giver: Option<mpsc::UnboundedSender<Vec<Given>>>,
}

impl Ports {
    pub fn new(workers: Vec<mpsc::UnboundedSender<Handed>>, metrics: Metrics) -> Self {
        Self { workers, metrics, open: BTreeMap::new(), inherited: HashMap::new(), parked: false }
    }

    /// Opens with what a predecessor handed over, and parked until [`Ports::unpark`].
    pub fn inherit(&mut self, groups: Vec<(u16, DatagramGroup)>) {
        self.inherited = groups.into_iter().collect();
        self.parked = true;
    }

    /// Opens and closes ports as listeners come and go.
    ///
    /// # Errors
    /// Where a port that the user named cannot be opened.
    pub fn sync(&mut self, gateway: &Key, listeners: &[Arc<Listener>], ports: GatewayPorts) -> Result<(), RunError> {
        let mine = listeners.iter().filter(|l| l.protocol == ListenerProtocol::Udp);
        let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let wanted: BTreeMap<u16, IpAddr> = mine.map(|l| (l.port, l.addresses.first().copied().unwrap_or(any))).collect();
        // Their sessions end with them.
        self.open.retain(|port, _| wanted.contains_key(port));
        for (port, ip) in wanted {
            if self.open.contains_key(&port) {
                continue;
            }
            let tried = match ports {
                GatewayPorts::Exact => port..port + 1,
                GatewayPorts::Preferred => port..port.saturating_add(limits::PORTS_TRIED),
            };
            let address = self.open_among(gateway, port, ip, tried).map_err(|(address, why)| RunError::Door {
                address,
                what: format!("datagrams of gateway {}", gateway.name),
                why,
            })?;
            tracing::info!("gateway {} listens on {address} for datagrams of port {port}", gateway.name);
        }
        Ok(())
    }

    /// The first of these that is free, else, where there are several, any.
    fn open_among(
        &mut self,
        gateway: &Key,
        port: u16,
        ip: IpAddr,
        tried: std::ops::Range<u16>,
    ) -> Result<SocketAddr, (SocketAddr, io::Error)> {
        let several = tried.len() > 1;
        let mut failed = (SocketAddr::new(ip, port), io::ErrorKind::AddrInUse.into());
        for candidate in tried.map(Some).chain(several.then_some(None)) {
            let address = SocketAddr::new(ip, candidate.unwrap_or(0));
            match self.open(gateway, port, address) {
                Ok(address) => return Ok(address),
                Err(e) if matches!(e.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied) => failed = (address, e),
                Err(e) => return Err((address, e)),
            }
        }
        Err(failed)
    }

    /// Opens one port, and says at which address it is.
    ///
    /// # Errors
    /// Those of `bind(2)`.
    pub fn open(&mut self, gateway: &Key, number: u16, address: SocketAddr) -> io::Result<SocketAddr> {
        let group = match self.inherited.remove(&number).filter(|group| group.address.ip() == address.ip()) {
            Some(group) => group,
            None => DatagramGroup::bind(address, self.workers.len())?,
        };
        let address = group.address;
        let help = "Clients of a port for datagrams that are led to an endpoint";
        let labels = [("gateway", &*gateway.name), ("port", &number.to_string())];
        let sessions = self.metrics.gauge("organza_datagram_sessions", help, &labels);
        let port = Arc::new(Port { gateway: gateway.clone(), number, taken: AtomicUsize::new(0), sessions });
        let (giver, given) = mpsc::unbounded_channel();
        let mut opened = Opened { group, port, orders: watch::Sender::new(Order::Serve), given, giver: Some(giver) };
        if !self.parked {
            opened.hand_out(&self.workers, Vec::new())?;
        }
        self.open.insert(number, opened);
        Ok(address)
    }

    /// Nobody reads any more, and what comes waits in the sockets for whoever goes on.
    pub fn park(&mut self) {
        self.parked = true;
        self.order(Order::Park);
    }

    /// The workers read again, and go on with a predecessor's sessions. What was inherited and not opened is closed.
    ///
    /// # Errors
    /// If descriptors have run out.
    pub fn unpark(&mut self, sessions: Vec<Given>) -> io::Result<()> {
        self.parked = false;
        self.inherited.clear();
        let mut by_port: HashMap<u16, Vec<Given>> = HashMap::new();
        for given in sessions {
            by_port.entry(given.told.port).or_default().push(given);
        }
        for (number, opened) in &mut self.open {
            opened.hand_out(&self.workers, by_port.remove(number).unwrap_or_default())?;
        }
        self.order(Order::Serve);
        Ok(())
    }

    /// All sessions, which end here; nothing is served any more.
    pub async fn give(&mut self) -> Vec<Given> {
        self.order(Order::Give);
        let mut all = Vec::new();
        let collected = async {
            for opened in self.open.values_mut() {
                // The workers have the others, and drop them once they have given.
                opened.giver = None;
                while let Some(some) = opened.given.recv().await {
                    all.extend(some);
                }
            }
        };
        if rt::timeout(limits::HANDOVER_WORD, collected).await.is_none() {
            tracing::warn!("a worker does not give its sessions; they begin anew");
        }
        self.open.clear();
        all
    }

    /// No session begins any more, and those that there are end when they are quiet.
    pub fn end(&mut self) {
        self.order(Order::End);
    }

    pub fn close_all(&mut self) {
        self.open.clear();
    }

    fn order(&self, order: Order) {
        self.open.values().for_each(|opened| _ = opened.orders.send_replace(order));
    }

    /// What a successor may be given.
    pub fn groups(&self) -> impl Iterator<Item = (u16, &DatagramGroup)> {
        self.open.iter().map(|(number, opened)| (*number, &opened.group))
    }
}

impl Opened {
    /// Has workers read from the sockets, unless they do.
    fn hand_out(&mut self, workers: &[mpsc::UnboundedSender<Handed>], mut sessions: Vec<Given>) -> io::Result<()> {
        let Some(giver) = self.giver.take() else { return Ok(()) };
        for (worker, sockets) in workers.iter().zip(self.group.shares(workers.len())?) {
            for (place, socket) in sockets {
                let place = u32::try_from(place).unwrap_or(u32::MAX);
                let own = sessions.extract_if(.., |given| given.told.socket == place).collect();
                let open =
                    Open { port: self.port.clone(), place, socket, orders: self.orders.subscribe(), given: giver.clone(), sessions: own };
                // A worker that is gone has been reported by its thread.
                let _ = worker.send(Handed::Datagrams(open));
            }
        }
        Ok(())
    }
}
