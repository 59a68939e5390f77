//! The thread on which simulated servers live, so that they cannot disturb what measures them.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::thread::JoinHandle;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// One thread with a single-threaded runtime of its own. Dropping it ends everything on it.
#[derive(Debug)]
pub struct World {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl World {
    /// Starts the thread under `name`.
    ///
    /// # Errors
    /// When the operating system gives no thread or no event queue.
    pub fn start(name: &str) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            // Either an order to stop or the loss of the order's sender ends the world.
            let _ = runtime.block_on(stopped);
        })?;
        Ok(Self { handle, stop: Some(stop), thread: Some(thread) })
    }

    /// A handle that spawns tasks onto the thread.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs `task` on the thread until it ends or the world does.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.handle.spawn(task);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Listens on `address` (port 0: a free one) for the runtime behind `handle`.
///
/// # Errors
/// When the address is taken or does not belong to this machine.
pub fn listen(handle: &Handle, address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = StdListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let bound = listener.local_addr()?;
    let _inside = handle.enter();
    Ok((TcpListener::from_std(listener)?, bound))
}

/// Any free port of 127.0.0.1.
pub const FREE_LOOPBACK: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
