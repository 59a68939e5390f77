//! Everything that is tested over real loopback sockets, in real time, without a real Milvus.
//! Pure decisions are tested beside their code, with virtual time.

mod alerts;
mod causes;
mod changes;
mod config;
mod demo;
mod descriptors;
mod ending;
mod explain;
mod heartbeat;
mod journal;
mod kube;
mod leadership;
mod milvus;
mod outbox;
mod probes;
mod process;
mod quiet;
mod reload;
mod respawning;
mod running;
mod scaling;
mod server;
mod sim;
mod watchdog;
mod whatif;
