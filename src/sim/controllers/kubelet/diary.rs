//! What a simulated Milvus writes into its log.

use serde_json::Value;

use crate::sim::faults::state::{Failing, PodBehaviour};
use crate::sim::kubernetes::json::uid;
use crate::sim::labels::component_of;
use crate::sim::logs::{Level, PodLogs};

/// The process has begun.
pub(super) fn started(logs: &PodLogs, pod: &str, address: &str) {
    logs.write(pod, Level::Info, "roles/roles.go:291", "[\"starting running Milvus components\"]");
    let listening = format!("[\"management listen\"] [addr={address}]");
    logs.write(pod, Level::Info, "http/server.go:157", &listening);
}

/// The process is initialised.
pub(super) fn up(logs: &PodLogs, pod: &str, component: &str) {
    let message = format!("[\"{component} is ready\"] [stateCode=Healthy]");
    logs.write(pod, Level::Info, "components/component.go:78", &message);
}

/// The process behaves in another way than before.
pub(super) fn changed(logs: &PodLogs, pod: &Value, behaviour: PodBehaviour) {
    let component = component_of(pod).unwrap_or_default();
    let (level, place, message) = match behaviour {
        PodBehaviour::Normal => (
            Level::Info,
            "components/component.go:78",
            "[\"component is healthy again\"]".to_owned(),
        ),
        PodBehaviour::Sick => {
            let message = format!(
                "[\"component is not healthy\"] [role={component}] [state=Abnormal] \
                 [error=\"channel distribution is not serviceable\"]"
            );
            (Level::Warn, "healthz/healthz_handler.go:112", message)
        }
        PodBehaviour::WithoutEtcd => {
            let message = "[\"failed to refresh session\"] [error=\"etcdserver: request timed out: \
                           context deadline exceeded\"]";
            (Level::Error, "sessionutil/session_util.go:486", message.to_owned())
        }
        PodBehaviour::Closed => {
            let message = "[\"management server stopped\"] [error=\"accept: too many open files\"]";
            (Level::Error, "http/server.go:171", message.to_owned())
        }
        PodBehaviour::Silent => {
            let message = "[\"slow lock\"] [held=10.002s] [stack=querynodev2/delegator.go:214]";
            (Level::Warn, "lock/metric_mutex.go:61", message.to_owned())
        }
    };
    logs.write(uid(pod), level, place, &message);
}

/// The process ends by itself.
pub(super) fn crashed(logs: &PodLogs, pod: &str, component: &str, failing: Failing) {
    match failing {
        Failing::Crash => {
            logs.raw(
                pod,
                "panic: runtime error: invalid memory address or nil pointer dereference"
                    .to_owned(),
            );
            logs.raw(pod, "[signal SIGSEGV: segmentation violation]".to_owned());
            logs.raw(pod, "goroutine 1 [running]:".to_owned());
        }
        Failing::BadConfiguration => {
            let message = format!(
                "[\"{component} init failed\"] [error=\"invalid configuration: unknown option \
                 mq.type=none\"]"
            );
            logs.write(pod, Level::Error, "roles/roles.go:330", &message);
            logs.raw(pod, "panic: invalid configuration: unknown option mq.type=none".to_owned());
        }
    }
}

/// The process was told to end.
pub(super) fn stopping(logs: &PodLogs, pod: &str) {
    let message = "[\"get signal to exit\"] [signal=terminated]";
    logs.write(pod, Level::Info, "roles/roles.go:402", message);
}
