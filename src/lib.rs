//! falconer watches Milvus clusters, tells people what is wrong, heals what it safely can, and
//! sizes the rest.
//!
//! ```text
//! Root (guardian, one per process)
//! ├── Supervisor "milvus-ha"        one per Milvus cluster: health state, incidents, decisions
//! │   ├── Prober proxy              one per component, each with its own interval and timeout
//! │   ├── Prober querynode …
//! │   ├── Prober milvus             the whole service, over gRPC
//! │   ├── Prober kubernetes         whether the platform itself can be asked
//! │   ├── Prober etcd …             what Milvus depends on
//! │   ├── Prober resources          CPU and memory of every pod
//! │   └── Discovery                 watches the cluster, adds and removes probers
//! ├── Alerter                       delivers; owns its retries
//! ├── Recorder                      looks after the journal
//! ├── Beacon                        tells a watchdog outside that falconer lives
//! ├── Recoverer                     carries out restarts; owns budgets and verification
//! └── Scaler                        carries out replica changes
//! ```
//!
//! Layers, and who may import whom: `ARCHITECTURE.md`; `tests/architecture` enforces it.

pub mod actors;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod effects;
pub mod metrics;
pub mod model;
pub mod policy;
pub mod server;
pub mod sim;
pub mod telemetry;
