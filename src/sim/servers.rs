//! Puts the simulated services onto ports.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::transport::server::TcpIncoming;

use super::kubernetes::gate::{Gate, Link, Peer};
use super::kubernetes::server::{Api, router};
use super::milvus;
use super::world::{FREE_LOOPBACK, World, listen};
use crate::effects::milvus::proto::milvus::milvus_service_server::MilvusServiceServer;

/// One port of the API and the network behind it.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) address: SocketAddr,
    pub(super) link: watch::Sender<Link>,
}

/// Serves the API at a port of its own, with this number.
pub(super) fn serve_api(world: &World, api: &Arc<Api>, number: usize) -> io::Result<Door> {
    let (listener, address) = listen(&world.handle(), FREE_LOOPBACK)?;
    let (link, network) = watch::channel(Link::Up);
    let gate = Gate::new(listener, address, network);
    let routes = router(Arc::clone(api), number).into_make_service_with_connect_info::<Peer>();
    world.spawn(async move {
        if let Err(error) = axum::serve(gate, routes).await {
            tracing::warn!(%error, "simulated server ended");
        }
    });
    Ok(Door { address, link })
}

/// Serves routes at any free port.
pub(super) fn serve_http(world: &World, router: Router) -> io::Result<SocketAddr> {
    let (listener, address) = listen(&world.handle(), FREE_LOOPBACK)?;
    world.spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::warn!(%error, "simulated server ended");
        }
    });
    Ok(address)
}

/// Serves Milvus' gRPC service at any free port.
pub(super) fn serve_milvus(world: &World, proxy: milvus::Proxy) -> io::Result<SocketAddr> {
    let (listener, address): (TcpListener, SocketAddr) = listen(&world.handle(), FREE_LOOPBACK)?;
    world.spawn(async move {
        let server =
            tonic::transport::Server::builder().add_service(MilvusServiceServer::new(proxy));
        if let Err(error) = server.serve_with_incoming(TcpIncoming::from(listener)).await {
            tracing::warn!(%error, "simulated server ended");
        }
    });
    Ok(address)
}
