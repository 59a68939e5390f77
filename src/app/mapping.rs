//! From the shape of `actors.toml` to the settings that actors and policies declare.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::receivers::HTTP_TIMEOUT;
use crate::actors::alerter::AlerterSettings;
use crate::actors::recoverer::RecovererSettings;
use crate::actors::scaler::ScalerSettings;
use crate::actors::tree::Respawns;
use crate::config::settings::{self, PolicySelect, PolicyType, ScalerMode, WindowSettings};
use crate::config::{HumanDuration, Settings};
use crate::effects::journal::JournalLimits;
use crate::policy::maintenance::MaintenanceWindow;
use crate::policy::notification::{EscalationLevel, OwnAlerts, RateLimit, ReceiverPolicy, Route};
use crate::policy::recovery::{Budget, GlobalSettings, LadderStep, RecoverySettings};
use crate::policy::scaling::caution::CautionSettings;
use crate::policy::scaling::figures::Figures;
use crate::policy::scaling::target::Tolerance;
use crate::policy::scaling::{
    ChangeLimit, ChangeLimitKind, LimitSelect, ScalingBehavior, ScalingMode, ScalingSettings,
};

/// A path, unless it is empty, which stands for none.
pub fn given(path: &Path) -> Option<PathBuf> {
    (!path.as_os_str().is_empty()).then(|| path.to_path_buf())
}

/// The windows of all; what makes no sense was refused before.
pub fn maintenance(settings: &[WindowSettings]) -> Vec<MaintenanceWindow> {
    settings.iter().filter_map(|window| window.to_policy().ok()).collect()
}

/// The alerter's settings; it adds the receivers itself.
pub fn alerter(
    settings: &settings::AlerterSettings,
    maintenance: Vec<MaintenanceWindow>,
) -> AlerterSettings {
    let route = |route: &settings::Route| Route {
        severity: route.severity,
        cluster: route.cluster.0.clone(),
        component: route.component.0.clone(),
        to: route.to.clone(),
        mute: route.mute.clone(),
        goes_on: route.goes_on,
        group_by: route.group_by.as_ref().map(|by| by.0.clone()),
        group_wait: route.group_wait.map(HumanDuration::get),
        group_interval: route.group_interval.map(HumanDuration::get),
        repeat_interval: route.repeat_interval.map(HumanDuration::get),
    };
    let level = |level: &settings::EscalationSettings| EscalationLevel {
        after: level.after.get(),
        to: level.to.clone(),
    };
    let mutes = settings.mute.iter();
    let mutes =
        mutes.filter_map(|(name, time)| Some((name.as_str().into(), time.to_policy().ok()?)));
    AlerterSettings {
        repeat_interval: settings.repeat_interval.get(),
        repeat_max: settings.repeat_max.get(),
        group_by: settings.group_by.0.clone(),
        rate_limit: RateLimit {
            messages: settings.rate_limit.messages,
            per: settings.rate_limit.per.get(),
        },
        group_wait: settings.group_wait.get(),
        group_interval: settings.group_interval.get(),
        send_resolved: settings.send_resolved,
        routes: settings.routes.iter().map(route).collect(),
        own: OwnAlerts {
            receiver_dead_after: settings.receiver_dead_after.get(),
            always_firing: settings.always_firing,
            always_firing_to: settings.always_firing_to.clone(),
        },
        escalation: settings.escalation.iter().map(level).collect(),
        maintenance,
        mutes: mutes.collect(),
        send_timeout: settings.email.timeout.get().max(HTTP_TIMEOUT) + Duration::from_secs(5),
        peculiar: peculiar(settings),
        ..AlerterSettings::default()
    }
}

/// What is peculiar to some receivers, by the names that they have as notifiers.
fn peculiar(settings: &settings::AlerterSettings) -> BTreeMap<Arc<str>, ReceiverPolicy> {
    let current = ReceiverPolicy { keeps_current: true, resend_every: None };
    let mut peculiar: BTreeMap<Arc<str>, ReceiverPolicy> = settings
        .pagerduty
        .keys()
        .map(|name| (format!("pagerduty.{name}").into(), current))
        .collect();
    if settings.slack.bot_token_file.is_set() {
        peculiar.insert("slack".into(), current);
    }
    if settings.alertmanager.is_set() {
        let resend_every = Some(settings.alertmanager.resend_every.get());
        let policy = ReceiverPolicy { resend_every, keeps_current: false };
        peculiar.insert("alertmanager".into(), policy);
    }
    peculiar
}

/// The recoverer's settings.
///
/// `settle` is how long the first action on an incident waits for fresh news of the rest of the
/// cluster: one interval of the probers.
pub fn recoverer(
    settings: &settings::RecovererSettings,
    mut maintenance: Vec<MaintenanceWindow>,
    settle: Duration,
    dry_run: bool,
) -> RecovererSettings {
    let defaults = &settings.defaults;
    let recovery =
        |settings: &settings::RecoverySettings| RecoverySettings { settle, ..recovery(settings) };
    let own: Vec<_> =
        defaults.maintenance.iter().map(settings::MaintenanceWindow::as_window).collect();
    maintenance.extend(self::maintenance(&own));
    let components = settings.components.iter();
    RecovererSettings {
        default: recovery(&settings::RecoverySettings::from(defaults)),
        components: components
            .map(|(name, component)| (Arc::from(name.as_str()), recovery(component)))
            .collect(),
        global: GlobalSettings {
            budget: budget(defaults.global_budget),
            cluster_budget: budget(defaults.cluster_budget),
            max_concurrent: defaults.max_concurrent as usize,
        },
        dry_run,
        evidence_timeout: defaults.evidence_timeout.get(),
        maintenance,
        ..RecovererSettings::default()
    }
}

fn recovery(settings: &settings::RecoverySettings) -> RecoverySettings {
    RecoverySettings {
        enabled: settings.enabled,
        ladder: settings.ladder.iter().map(|step| ladder_step(*step)).collect(),
        cooldown: settings.cooldown.get(),
        budget: budget(settings.budget),
        verify_timeout: settings.verify_timeout.get(),
        explicit_ladder: settings.explicit_ladder,
        force_delete_after: Some(settings.force_delete_after.get()).filter(|time| !time.is_zero()),
        rollback_window: settings.rollback_window.get(),
        recurrence_window: settings.recurrence_window.get(),
        ..RecoverySettings::default()
    }
}

const fn ladder_step(step: settings::LadderStep) -> LadderStep {
    match step {
        settings::LadderStep::DeletePod => LadderStep::DeletePod,
        settings::LadderStep::RolloutRestart => LadderStep::RolloutRestart,
        settings::LadderStep::Rollback => LadderStep::Rollback,
        settings::LadderStep::Escalate => LadderStep::Escalate,
    }
}

fn budget(budget: settings::Budget) -> Budget {
    Budget { actions: budget.actions as usize, per: budget.per.get() }
}

/// How much the journal may keep.
pub fn journal_limits(settings: &settings::RecorderSettings) -> JournalLimits {
    JournalLimits { retention: settings.retention.get(), max_bytes: settings.max_size.bytes() }
}

/// How each actor that is no prober is made anew.
pub fn respawns(settings: &Settings) -> Respawns {
    let backoff = &settings.supervisor.backoff;
    Respawns {
        supervisor: settings.supervisor.respawn.to_policy(backoff),
        alerter: settings.alerter.respawn.to_policy(backoff),
        recoverer: settings.recoverer.defaults.respawn.to_policy(backoff),
        scaler: settings.scaler.defaults.respawn.to_policy(backoff),
    }
}

/// The scaler's settings.
pub fn scaler(
    settings: &settings::ScalerSettings,
    maintenance: Vec<MaintenanceWindow>,
    dry_run: bool,
) -> ScalerSettings {
    let defaults = &settings.defaults;
    let components = settings.components.iter();
    ScalerSettings {
        default: scaling(&settings::ScalingSettings::from(defaults)),
        overrides: components
            .map(|(name, component)| (Arc::from(name.as_str()), scaling(component)))
            .collect(),
        components: defaults.components.iter().map(|name| Arc::from(name.as_str())).collect(),
        interval: defaults.interval.get(),
        dry_run,
        maintenance,
        ..ScalerSettings::default()
    }
}

fn scaling(settings: &settings::ScalingSettings) -> ScalingSettings {
    ScalingSettings {
        enabled: settings.enabled,
        mode: match settings.mode {
            ScalerMode::Step => ScalingMode::Step,
            ScalerMode::Target => ScalingMode::Target,
        },
        min_replicas: settings.min_replicas,
        max_replicas: settings.max_replicas,
        cpu_threshold: Some(settings.cpu_threshold),
        memory_threshold: Some(settings.memory_threshold),
        figure_thresholds: figures(settings),
        tolerance: Tolerance { up: settings.tolerance, down: settings.tolerance },
        cpu_initialization_period: settings.cpu_initialization_period.get(),
        initial_readiness_delay: settings.initial_readiness_delay.get(),
        scale_up: behavior(&settings.scale_up),
        scale_down: behavior(&settings.scale_down),
        caution: caution(&settings.caution),
    }
}

/// In thousandths; nothing = not looked at.
fn figures(settings: &settings::ScalingSettings) -> Figures {
    let thousandths = |value: u32| (value > 0).then_some(u64::from(value) * 1_000);
    let latency = settings.latency_p99_threshold.get().as_micros();
    Figures {
        qps: thousandths(settings.qps_threshold),
        latency_p99: u64::try_from(latency).ok().filter(|micros| *micros > 0),
        read_queue: thousandths(settings.read_queue_threshold),
    }
}

fn caution(settings: &settings::CautionSettings) -> CautionSettings {
    CautionSettings {
        enabled: settings.enabled,
        memory_percent: settings.memory_limit,
        evidence_age: settings.evidence_age.get(),
        drain: settings.drain,
        drain_timeout: settings.drain_timeout.get(),
        undrained_wait: settings.undrained_wait.get(),
        serving_timeout: settings.serving_timeout.get(),
        urgent_pressure: settings.urgent_pressure,
    }
}

fn behavior(rules: &settings::ScaleRules) -> ScalingBehavior {
    let limit = |policy: &settings::ScalePolicy| ChangeLimit {
        kind: match policy.policy_type {
            PolicyType::Percent => ChangeLimitKind::Percent,
            PolicyType::Pods => ChangeLimitKind::Pods,
        },
        value: policy.value,
        period: policy.period.get(),
    };
    ScalingBehavior {
        stabilization: rules.stabilization.get(),
        policies: rules.policies.iter().map(limit).collect(),
        select: match rules.select {
            PolicySelect::Max => LimitSelect::Max,
            PolicySelect::Min => LimitSelect::Min,
            PolicySelect::Disabled => LimitSelect::Disabled,
        },
    }
}
