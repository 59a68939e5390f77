//! Makes the trouble of a step happen, to whichever simulated cluster.

use super::configuration::CLUSTER;
use super::scenario::{Step, Trouble};
use crate::sim::{ApiFault, Breakage, Fault, SimError, Simulation, Undying};

/// Begins the trouble of `step` in `sim`.
///
/// # Errors
/// When there is nothing to which it could happen.
pub(super) fn inject(sim: &Simulation, step: &Step) -> Result<(), SimError> {
    tracing::info!(cluster = CLUSTER, step = step.name, "injecting fault");
    let component = step.component.to_owned();
    match step.trouble {
        Trouble::OnePodHangs => sim.inject(Fault::HangPod { pod: first_pod(sim, component)? }),
        Trouble::OnePodHangsAndStays => {
            let pod = first_pod(sim, component)?;
            let undying = Undying::Forever;
            sim.inject(Fault::StuckTermination { pod: pod.clone(), undying })?;
            sim.inject(Fault::HangPod { pod })
        }
        Trouble::AllPodsAnswer500 => sim.inject(Fault::Component500 { component }),
        Trouble::AllPodsAnswer500WithoutApi(lasts) => {
            sim.inject(Fault::ApiOutage { fault: ApiFault::Unavailable, lasts })?;
            sim.inject(Fault::Component500 { component })
        }
        Trouble::Stalls(lasts) => sim.inject(Fault::StallComponent { component, lasts }),
        Trouble::Load(cpu_milli) => sim.inject(Fault::SetLoad { component, cpu_milli }),
        Trouble::EtcdOutage => sim.inject(Fault::EtcdOutage),
        Trouble::BadRollout => {
            sim.inject(Fault::BadRollout { component, breakage: Breakage::CrashLoop })
        }
        Trouble::CrashLoop => sim.inject(Fault::CrashLoopForever { component }),
        Trouble::RestartStorm(components, after) => components.iter().try_for_each(|component| {
            sim.inject(Fault::RestartStorm { component: (*component).to_owned(), after })
        }),
        Trouble::Ends => {
            sim.heal();
            Ok(())
        }
    }
}

/// The one that is listed first, and so the one that the reference's rule looks at.
fn first_pod(sim: &Simulation, component: String) -> Result<String, SimError> {
    let first = sim.pods(&component).into_iter().next();
    first.map(|pod| pod.name).ok_or(SimError::NoTarget(component))
}
