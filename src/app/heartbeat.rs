//! From `[heartbeat]` to where signs of life go: one adapter as long as its settings stay.

use std::sync::Arc;

use anyhow::Context as _;

use super::mapping::given;
use crate::actors::beacon::BeaconSettings;
use crate::config::settings::{self, HeartbeatMethod};
use crate::effects::LifeSign;
use crate::effects::notify::WebhookUrl;
use crate::effects::notify::heartbeat::{self, HeartbeatTarget, HttpHeartbeat};
use crate::policy::heartbeat::HeartbeatSettings;

/// Where signs of life go, with what that was made from.
#[derive(Clone, Default)]
pub struct Heartbeat {
    made: Option<(HeartbeatTarget, Arc<dyn LifeSign>)>,
    settings: HeartbeatSettings,
}

impl Heartbeat {
    /// What follows from the settings, with the present adapter where it would be the same.
    ///
    /// # Errors
    /// When the URL is none.
    pub fn following(&self, settings: &settings::HeartbeatSettings) -> anyhow::Result<Self> {
        let when = HeartbeatSettings {
            interval: settings.interval.get(),
            timeout: settings.timeout.get(),
            tells_failure: !settings.fail_suffix.is_empty(),
            ..HeartbeatSettings::default()
        };
        if !settings.is_set() {
            return Ok(Self { made: None, settings: when });
        }
        let target = target(settings);
        let present = self.made.as_ref().filter(|(made_from, _)| *made_from == target);
        let adapter: Arc<dyn LifeSign> = match present {
            Some((_, adapter)) => Arc::clone(adapter),
            None => Arc::new(HttpHeartbeat::new(target.clone()).context("[heartbeat]")?),
        };
        Ok(Self { made: Some((target, adapter)), settings: when })
    }

    /// As the tree takes it.
    pub fn for_tree(&self) -> BeaconSettings {
        let target = self.made.as_ref().map(|(_, adapter)| Arc::clone(adapter));
        BeaconSettings { heartbeat: self.settings, target }
    }
}

fn target(settings: &settings::HeartbeatSettings) -> HeartbeatTarget {
    let url = if settings.url_file.is_set() {
        WebhookUrl::Secret(settings.url_file.clone())
    } else {
        WebhookUrl::Plain(settings.url.clone())
    };
    HeartbeatTarget {
        url,
        method: match settings.method {
            HeartbeatMethod::Get => heartbeat::HeartbeatMethod::Get,
            HeartbeatMethod::Post => heartbeat::HeartbeatMethod::Post,
        },
        fail_suffix: settings.fail_suffix.clone(),
        ca_file: given(&settings.ca_file),
        timeout: settings.timeout.get(),
    }
}
