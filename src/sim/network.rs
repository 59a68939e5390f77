//! The addresses of the pods: each has one of its own in 127.0.0.0/8.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

/// The port that a real Milvus uses.
const USUAL_PORT: u16 = 9091;
/// How many addresses are handed out before the first is used again.
const ADDRESSES: u32 = 60_000;

/// A range of loopback addresses with one port.
#[derive(Debug)]
pub(super) struct Network {
    second: u8,
    third: u8,
    handed_out: u32,
    port: u16,
}

impl Network {
    /// A range at random, and the port: `None` the usual one or else a free one, zero a free one.
    ///
    /// # Errors
    /// When the operating system refuses to listen there.
    pub(super) fn new(port: Option<u16>) -> io::Result<Self> {
        let mut network = Self {
            second: fastrand::u8(16..240),
            third: fastrand::u8(..),
            handed_out: 0,
            port: port.unwrap_or(USUAL_PORT),
        };
        let first = network.next_address();
        let bound = TcpListener::bind(SocketAddr::new(first, network.port));
        let listener = match bound {
            Err(_) if port.is_none() => TcpListener::bind(SocketAddr::new(first, 0))?,
            other => other?,
        };
        network.port = listener.local_addr()?.port();
        Ok(network)
    }

    /// The port of every pod.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The address of the next pod.
    pub(super) fn next_address(&mut self) -> IpAddr {
        let index = self.handed_out;
        self.handed_out = (self.handed_out + 1) % ADDRESSES;
        let third = (u32::from(self.third) + index / 250) % 256;
        IpAddr::V4(Ipv4Addr::new(127, self.second, third as u8, 2 + (index % 250) as u8))
    }

    /// Where the pod with this address listens.
    pub(super) fn socket(&self, address: &str) -> SocketAddr {
        let address = address.parse().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        SocketAddr::new(address, self.port)
    }
}
