//! What a seed stands for: the clusters, the settings of every actor, how the run ends. Everything
//! is drawn, so that each limit of the settings is met in some run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use falconer::actors::alerter::AlerterSettings;
use falconer::actors::prober::ProberSettings;
use falconer::actors::recoverer::RecovererSettings;
use falconer::actors::scaler::ScalerSettings;
use falconer::actors::tree::{Respawns, TreeSettings};
use falconer::model::{Autoscaler, Owner, ProberKind, Role, Severity};
use falconer::policy::backoff::BackoffSettings;
use falconer::policy::flapping::FlapSettings;
use falconer::policy::health::HealthSettings;
use falconer::policy::notification::{GroupLabel, Route};
use falconer::policy::recovery::{Budget, GlobalSettings, LadderStep, RecoverySettings};
use falconer::policy::scaling::{ScalingBehavior, ScalingSettings};

use crate::dice::Dice;

/// How a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The faults stop, and after a while everything must be well.
    Quiet,
    /// falconer is told to end while everything burns.
    UnderFire,
}

/// Everything that is fixed for a run.
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// How long the faults go on.
    pub duration: Duration,
    /// Nothing may be changed, only shown.
    pub dry_run: bool,
    /// How it ends.
    pub ending: Ending,
    /// How often faults come, as a multiple of what is usual.
    pub fury: f64,
    /// The clusters.
    pub clusters: Vec<ClusterPlan>,
    /// The names of the receivers.
    pub receivers: Vec<Arc<str>>,
    /// The actors' settings.
    pub settings: TreeSettings,
}

/// One cluster.
pub struct ClusterPlan {
    /// Its name.
    pub name: Arc<str>,
    /// What it depends on.
    pub depends_on: BTreeSet<Arc<str>>,
    /// Everything that is probed.
    pub targets: Vec<TargetPlan>,
}

/// Something that is probed.
#[derive(Clone)]
pub struct TargetPlan {
    /// Its name.
    pub name: Arc<str>,
    /// How it is probed.
    pub kind: ProberKind,
    /// When it is probed.
    pub prober: ProberSettings,
    /// How it is judged.
    pub health: HealthSettings,
    /// What runs it, for what runs on the platform.
    pub runs: Option<Runs>,
}

/// What runs a component at the start.
#[derive(Clone)]
pub struct Runs {
    /// The component's role.
    pub role: Role,
    /// Replicas at the start.
    pub replicas: u32,
    /// Who wrote the workload.
    pub owner: Owner,
    /// What else scales it.
    pub autoscaler: Option<Autoscaler>,
    /// Whether there are two workloads, as milvus-operator makes them.
    pub pair: bool,
    /// Whether it comes and goes.
    pub comes_and_goes: bool,
}

/// The most important first: a small cluster has the first four.
const ROLES: [Role; 12] = [
    Role::Proxy,
    Role::QueryNode,
    Role::MixCoord,
    Role::DataNode,
    Role::IndexNode,
    Role::RootCoord,
    Role::QueryCoord,
    Role::DataCoord,
    Role::StreamingNode,
    Role::IndexCoord,
    Role::Cdc,
    Role::Standalone,
];

impl Plan {
    /// What `seed` stands for.
    pub fn of(seed: u64, duration: Duration) -> Self {
        let dice = &mut Dice::new(seed);
        let receivers: Vec<Arc<str>> =
            ["email", "webhook.oncall", "slack"].iter().map(|name| Arc::from(*name)).collect();
        let receivers = receivers[..=dice.index(3)].to_vec();
        let dry_run = dice.chance(0.06);
        let ending = if dice.chance(0.3) { Ending::UnderFire } else { Ending::Quiet };
        let clusters = (0..dice.number(1, 3)).map(|n| cluster(dice, n)).collect();
        Self {
            seed,
            duration,
            dry_run,
            ending,
            fury: dice.one(&[0.4, 1.0, 1.0, 2.5]),
            clusters,
            settings: TreeSettings {
                alerter: alerter(dice, &receivers),
                recoverer: recoverer(dice, dry_run),
                scaler: scaler(dice, dry_run),
                respawns: Respawns::default(),
                ..TreeSettings::default()
            },
            receivers,
        }
    }
}

fn cluster(dice: &mut Dice, number: u64) -> ClusterPlan {
    let mut targets = Vec::new();
    let dependencies = [("etcd", ProberKind::Tcp), ("minio", ProberKind::Http)];
    let dependencies = &dependencies[..dice.index(3)];
    for (name, kind) in dependencies {
        targets.push(target(dice, name, *kind, None));
    }
    targets.push(target(dice, "milvus", ProberKind::Milvus, None));
    targets.push(target(dice, "kubernetes", ProberKind::Platform, None));
    targets.push(target(dice, "resources", ProberKind::Resources, None));
    for role in &ROLES[..dice.index(9) + 4] {
        let runs = runs(dice, *role);
        targets.push(target(dice, role.as_str(), ProberKind::Pods, Some(runs)));
    }
    ClusterPlan {
        name: format!("milvus-{number}").into(),
        depends_on: dependencies.iter().map(|(name, _)| Arc::from(*name)).collect(),
        targets,
    }
}

fn target(dice: &mut Dice, name: &str, kind: ProberKind, runs: Option<Runs>) -> TargetPlan {
    TargetPlan {
        name: name.into(),
        kind,
        prober: ProberSettings {
            interval: dice.one_of_seconds(&[10, 15, 30]),
            timeout: dice.one_of_seconds(&[2, 5]),
            ..ProberSettings::default()
        },
        health: HealthSettings {
            failure_threshold: dice.count(2, 4),
            success_threshold: dice.count(1, 3),
            startup_grace: dice.one_of_seconds(&[20, 60]),
            flapping: FlapSettings::default(),
        },
        runs,
    }
}

fn runs(dice: &mut Dice, role: Role) -> Runs {
    let by_operator = dice.chance(0.15);
    let owner = if by_operator {
        Owner::MilvusOperator { name: "milvus".to_owned() }
    } else if dice.chance(0.05) {
        Owner::Unknown { kind: "Rollout".to_owned(), name: "argo".to_owned() }
    } else {
        Owner::None
    };
    let hpa = || Autoscaler { kind: "HorizontalPodAutoscaler".to_owned(), name: "hpa".to_owned() };
    Runs {
        role,
        replicas: dice.count(1, 4),
        owner,
        autoscaler: dice.chance(0.08).then(hpa),
        pair: by_operator,
        comes_and_goes: dice.chance(0.2),
    }
}

fn alerter(dice: &mut Dice, receivers: &[Arc<str>]) -> AlerterSettings {
    let backoff = BackoffSettings { max: dice.one_of_seconds(&[30, 300]), ..Default::default() };
    let refused = BackoffSettings {
        initial: Duration::from_secs(30),
        max: dice.one_of_seconds(&[120, 300]),
        ..Default::default()
    };
    let last = receivers[receivers.len() - 1].to_string();
    let routes = if dice.chance(0.4) {
        let all = receivers.iter().map(ToString::to_string).collect();
        vec![
            Route { severity: Some(Severity::Critical), to: all, ..Route::default() },
            Route { to: vec![last], ..Route::default() },
        ]
    } else {
        Vec::new()
    };
    AlerterSettings {
        repeat_interval: dice.one_of_seconds(&[300, 900, 3_600]),
        group_wait: dice.one_of_seconds(&[0, 5, 30]),
        group_interval: dice.one_of_seconds(&[0, 10, 60]),
        group_by: dice.one(&[vec![GroupLabel::Cluster], vec![GroupLabel::Component]]),
        send_resolved: dice.chance(0.9),
        routes,
        receivers: receivers.to_vec(),
        send_timeout: dice.one_of_seconds(&[5, 30]),
        backoff,
        refused_backoff: refused,
        ..AlerterSettings::default()
    }
}

fn recoverer(dice: &mut Dice, dry_run: bool) -> RecovererSettings {
    let default = recovery(dice);
    let querynode = recovery(dice);
    RecovererSettings {
        default,
        components: BTreeMap::from([("querynode".into(), querynode)]),
        global: GlobalSettings {
            budget: Budget {
                actions: dice.one(&[2, 4, 6, 10]),
                per: dice.one_of_seconds(&[1_800, 3_600]),
            },
            // The global budget stops a cluster as well, and is easier to watch.
            cluster_budget: Budget { actions: usize::MAX, per: Duration::from_hours(1) },
            max_concurrent: dice.one(&[1, 1, 2]),
        },
        dry_run,
        ..RecovererSettings::default()
    }
}

fn recovery(dice: &mut Dice) -> RecoverySettings {
    use LadderStep::{Escalate, RolloutRestart};
    RecoverySettings {
        enabled: true,
        ladder: dice.one(&[
            vec![RolloutRestart, Escalate],
            vec![RolloutRestart, RolloutRestart, Escalate],
            vec![RolloutRestart, RolloutRestart, RolloutRestart],
        ]),
        cooldown: dice.one_of_seconds(&[60, 120, 300]),
        budget: Budget {
            actions: dice.one(&[1, 2, 3]),
            per: dice.one_of_seconds(&[900, 1_800, 3_600]),
        },
        verify_timeout: dice.one_of_seconds(&[180, 600]),
        ladder_memory: dice.one_of_seconds(&[300, 1_800]),
        recurrence_window: dice.one_of_seconds(&[0, 60, 600]),
        ..RecoverySettings::default()
    }
}

fn scaler(dice: &mut Dice, dry_run: bool) -> ScalerSettings {
    let default = ScalingSettings::default();
    let scale_down = ScalingBehavior {
        stabilization: dice.one_of_seconds(&[60, 300]),
        ..default.scale_down.clone()
    };
    let named = ["proxy", "querynode", "datanode", "indexnode", "mixcoord"];
    ScalerSettings {
        default: ScalingSettings {
            min_replicas: dice.count(1, 2),
            max_replicas: dice.count(4, 8),
            scale_down,
            ..default
        },
        components: named.iter().map(|name| Arc::from(*name)).collect(),
        ready_timeout: dice.one_of_seconds(&[120, 600]),
        dry_run,
        ..ScalerSettings::default()
    }
}
