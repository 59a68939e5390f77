//! The probes of one cluster, each made once: what is specified as before is the very same probe,
//! with its connections and readings, whatever else of the configuration has changed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::Clock;
use crate::effects::probe::platform::PlatformProbe;
use crate::effects::probe::{
    GrpcProbe, GrpcProbeSettings, HttpProbe, HttpProbeSettings, MilvusProbe, MilvusProbeSettings,
    PodsProbe, PodsProbeSettings, ProcessProbe, ProcessProbeSettings, TcpProbe, TcpProbeSettings,
};
use crate::effects::{Cluster, Probe};

/// Everything that decides what a probe does. Credentials are in it by the names of their files.
/// Not to be printed: a URL may hold a password.
#[derive(Clone, PartialEq)]
pub enum ProbeSpec {
    /// Asks a URL.
    Http(Arc<HttpProbeSettings>),
    /// Opens a port.
    Tcp(TcpProbeSettings),
    /// Asks a gRPC health service.
    Grpc(Box<GrpcProbeSettings>),
    /// Asks Milvus as a client would.
    Milvus(Box<MilvusProbeSettings>),
    /// Asks the pods of a component.
    Pods(Box<PodsProbeSettings>, OnPlatform),
    /// Asks a process.
    Process(Box<ProcessProbeSettings>, OnPlatform),
    /// Looks whether the platform can be asked.
    Platform(OnPlatform),
}

/// A platform, equal to itself alone.
#[derive(Clone)]
pub struct OnPlatform(pub Arc<dyn Cluster>);

impl PartialEq for OnPlatform {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl ProbeSpec {
    fn make(&self, clock: Clock) -> Arc<dyn Probe> {
        match self {
            Self::Http(settings) => Arc::new(HttpProbe::new(Arc::clone(settings))),
            Self::Tcp(settings) => Arc::new(TcpProbe::new(settings.clone())),
            Self::Grpc(settings) => Arc::new(GrpcProbe::new((**settings).clone())),
            Self::Milvus(settings) => Arc::new(MilvusProbe::new((**settings).clone())),
            Self::Pods(settings, on) => {
                Arc::new(PodsProbe::new((**settings).clone(), on.0.inventory(), clock))
            }
            Self::Process(settings, on) => {
                Arc::new(ProcessProbe::new((**settings).clone(), on.0.inventory(), clock))
            }
            Self::Platform(on) => Arc::new(PlatformProbe::new(on.0.inventory())),
        }
    }
}

/// Boxed, because a table has empty places as well.
type Known = HashMap<Arc<str>, Box<(ProbeSpec, Arc<dyn Probe>)>>;

/// The probes by the component's name. Clones are one and the same.
#[derive(Clone, Default)]
pub struct Probes {
    known: Arc<Mutex<Known>>,
}

impl Probes {
    /// The probe of `component`: the present one if it is specified so, otherwise a new one.
    pub fn get(&self, component: &Arc<str>, spec: ProbeSpec, clock: Clock) -> Arc<dyn Probe> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(present) = known.get(component).filter(|present| present.0 == spec) {
            return Arc::clone(&present.1);
        }
        let probe = spec.make(clock);
        known.insert(Arc::clone(component), Box::new((spec, Arc::clone(&probe))));
        probe
    }

    /// Forgets the probes that nobody uses.
    pub fn forget_unused(&self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, present| Arc::strong_count(&present.1) > 1);
    }
}
