//! A simulated Milvus cluster on real loopback sockets, and the sinks for what falconer sends.
//!
//! Used by `demo`, by tests and by benches. A layer of its own: it knows the model and the clock,
//! nothing of actors, policies or effects (but for the generated Milvus messages). Whatever it
//! serves, it keeps evidence of, so that an observer can tell what really reached the far side.
//!
//! ```text
//! Simulation
//! ├── kubernetes   the API: a store of JSON objects, watches, patches, tables, rules of access,
//! │                and ports that can be cut off from their clients
//! ├── controllers  Deployments → ReplicaSets → pods, which the kubelet runs, probes and starts
//! │                again; disruption budgets, lost nodes, milvus-operator
//! ├── logs         what the pods' containers have written
//! ├── pods         every pod's /healthz and /metrics, on an address of its own
//! ├── milvus       the gRPC service of the proxy
//! ├── serving      what the query nodes hold, and who moves it
//! ├── dependency   /health of something like etcd
//! └── smtp, webhook   what takes the alerts
//! ```

mod controllers;
mod dependency;
pub mod evidence;
mod faults;
mod injection;
mod kubernetes;
mod labels;
mod load;
mod logs;
mod milvus;
mod network;
mod pods;
mod seed;
mod servers;
mod serving;
mod settings;
mod simulation;
pub mod smtp;
mod views;
pub mod webhook;
pub mod world;

pub use faults::{ApiFault, Breakage, Fault, MilvusFault, OperatorTrait, Undying};
pub use kubernetes::authorization::{AccessRule, UsedAccess};
pub use kubernetes::gate::Link;
pub use kubernetes::requests::ApiRequest;
pub use pods::PodRequest;
pub use serving::ServingView;
pub use settings::{
    CollectionSettings, ComponentSettings, DataSettings, Layout, ProbeTimes, Probing, RollingMode,
    SimSettings,
};
pub use simulation::{SimError, Simulation};
pub use views::{PodView, WorkloadView};
