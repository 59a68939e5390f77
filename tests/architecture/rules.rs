//! What each layer may use, as data. A layer is the first folder (or file) below `src`.

/// Most lines of a file, not counting its tests.
pub const MAX_LINES: usize = 400;

/// One layer and what it may use.
pub struct Layer {
    /// The first segment of its modules' paths; `main` and `lib` for the crate's two roots.
    pub name: &'static str,
    /// Modules of this crate.
    pub internals: &'static [Internal],
    /// Other crates.
    pub externals: Externals,
}

/// A part of this crate.
pub enum Internal {
    /// Everything there is.
    Everything,
    /// A module with all that is below it.
    Whole(&'static str),
    /// What a module itself shows, but none of the modules below it.
    Items(&'static str),
}

impl Internal {
    /// Whether this allows `path`, which is given without `crate`.
    pub fn covers(&self, path: &[String]) -> bool {
        let starts_with = |module: &str| {
            let module: Vec<&str> = module.split("::").collect();
            path.len() >= module.len()
                && path.iter().zip(&module).all(|(left, right)| left == right)
        };
        match self {
            Self::Everything => true,
            Self::Whole(module) => starts_with(module),
            Self::Items(module) => {
                let depth = module.split("::").count();
                let is_item =
                    |segment: &String| segment == "*" || segment.starts_with(char::is_uppercase);
                starts_with(module) && path.get(depth).is_none_or(is_item)
            }
        }
    }
}

/// Crates besides this one.
pub enum Externals {
    /// No rule.
    Any,
    /// These alone.
    Only(&'static [&'static str]),
    /// All but these.
    Except(&'static [&'static str]),
}

use Externals::{Any, Except, Only};
use Internal::{Everything, Items, Whole};

/// Clients of the outside world, servers, and what only a program's outermost layer needs.
const OUTSIDE: &[&str] = &[
    "anyhow",
    "axum",
    "clap",
    "comfy_table",
    "config",
    "hyper",
    "hyper_util",
    "k8s_openapi",
    "kube",
    "lettre",
    "nix",
    "opentelemetry",
    "opentelemetry_otlp",
    "opentelemetry_prometheus",
    "opentelemetry_sdk",
    "prometheus",
    "prost",
    "reqwest",
    "rustls",
    "toml",
    "tonic",
    "tonic_health",
    "tonic_prost",
    "tracing_subscriber",
];

/// The house plan.
pub const LAYERS: &[Layer] = &[
    Layer { name: "main", internals: &[Everything], externals: Any },
    Layer { name: "lib", internals: &[Everything], externals: Any },
    Layer { name: "cli", internals: &[Everything], externals: Any },
    Layer { name: "app", internals: &[Everything], externals: Any },
    Layer {
        name: "actors",
        internals: &[
            Whole("actors"),
            Whole("policy"),
            Whole("model"),
            Whole("clock"),
            Whole("metrics"),
            Items("effects"),
            Items("effects::cluster"),
            Items("effects::notify"),
        ],
        externals: Except(OUTSIDE),
    },
    Layer {
        name: "policy",
        internals: &[Whole("policy"), Whole("model")],
        externals: Only(&[
            "std",
            "core",
            "serde",
            "serde_json",
            "thiserror",
            "humantime",
            // Calendars: pure, as long as nobody asks them for the present.
            "croner",
            "jiff",
        ]),
    },
    Layer {
        name: "effects",
        internals: &[Whole("effects"), Whole("model"), Whole("clock"), Whole("metrics")],
        externals: Except(&["actix", "anyhow", "axum", "clap", "comfy_table", "config", "toml"]),
    },
    Layer {
        name: "model",
        internals: &[Whole("model")],
        externals: Only(&["std", "core", "serde", "thiserror", "jiff", "humantime"]),
    },
    Layer {
        name: "clock",
        internals: &[Whole("clock"), Whole("model")],
        externals: Only(&["std", "core", "tokio"]),
    },
    Layer {
        name: "metrics",
        internals: &[Whole("metrics"), Whole("model"), Whole("clock")],
        externals: Except(&[
            "actix", "anyhow", "axum", "clap", "config", "kube", "lettre", "reqwest", "tonic",
        ]),
    },
    Layer {
        name: "telemetry",
        internals: &[Whole("telemetry")],
        externals: Only(&["std", "core", "serde", "thiserror", "tracing", "tracing_subscriber"]),
    },
    Layer {
        name: "config",
        internals: &[
            Whole("config"),
            Whole("model"),
            Whole("policy"),
            Whole("effects"),
            Whole("actors"),
            Whole("metrics"),
            Whole("server"),
            Whole("telemetry"),
            Whole("clock"),
        ],
        // Parsers of addresses and URLs are welcome; clients are not, and nothing connects anyway
        // without a runtime.
        externals: Except(&["actix", "axum", "k8s_openapi", "kube", "tokio", "tonic"]),
    },
    Layer {
        name: "server",
        internals: &[
            Whole("server"),
            Whole("actors::status"),
            Whole("actors::heartbeat"),
            Whole("model"),
            Whole("metrics"),
            Whole("clock"),
        ],
        externals: Except(&["actix", "anyhow", "config", "kube", "lettre", "reqwest", "tonic"]),
    },
    Layer {
        name: "sim",
        internals: &[
            Whole("sim"),
            Whole("model"),
            Whole("clock"),
            // The messages of the Milvus protocol, which it serves.
            Whole("effects::milvus::proto"),
        ],
        externals: Except(&["actix", "clap", "config", "lettre"]),
    },
];

/// A function that reads the time, and the layers that may call it.
pub struct TimeRead {
    /// Its full path.
    pub path: &'static str,
    /// Who may.
    pub layers: &'static [&'static str],
}

/// Time comes from the clock. Tokio's instants follow paused time too, so adapters may make
/// deadlines of them; what decides or is decided upon may not.
pub const TIME_READS: &[TimeRead] = &[
    TimeRead { path: "std::time::SystemTime::now", layers: &["clock"] },
    TimeRead { path: "std::time::Instant::now", layers: &["clock"] },
    TimeRead { path: "jiff::Timestamp::now", layers: &["clock"] },
    TimeRead { path: "jiff::Zoned::now", layers: &["clock"] },
    TimeRead {
        path: "tokio::time::Instant::now",
        layers: &["clock", "effects", "sim", "cli", "app"],
    },
];

/// What keeps an actor from its messages and timers until a future is done.
pub const WAITS: [&str; 2] = [".wait(", "AtomicResponse"];
/// The one wait that an actor may make: it lets the others of its thread go first, once.
pub const GIVES_WAY: &str = ".wait(tokio::task::yield_now()";
