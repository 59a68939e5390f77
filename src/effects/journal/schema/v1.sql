CREATE TABLE components (
    id        INTEGER PRIMARY KEY,
    cluster   TEXT NOT NULL,
    component TEXT NOT NULL,
    UNIQUE (cluster, component)
) STRICT;

CREATE TABLE reasons (
    id    INTEGER PRIMARY KEY,
    kind  TEXT NOT NULL,
    words TEXT NOT NULL,
    UNIQUE (kind, words)
) STRICT;

CREATE TABLE reports (
    id           INTEGER PRIMARY KEY,
    at           INTEGER NOT NULL,
    component_id INTEGER NOT NULL,
    outcome      INTEGER NOT NULL,
    latency_us   INTEGER NOT NULL,
    reason_id    INTEGER
) STRICT;

CREATE INDEX reports_by_reason ON reports (reason_id) WHERE reason_id IS NOT NULL;

CREATE TABLE entries (
    id           INTEGER PRIMARY KEY,
    at           INTEGER NOT NULL,
    kind         TEXT NOT NULL,
    component_id INTEGER NOT NULL,
    incident     TEXT,
    what         TEXT,
    subject      TEXT,
    outcome      TEXT,
    words        TEXT,
    detail       TEXT
) STRICT;

CREATE INDEX entries_by_component ON entries (component_id, kind, at);

CREATE TABLE guards (
    entry_id INTEGER NOT NULL REFERENCES entries (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    guard    TEXT NOT NULL,
    verdict  TEXT NOT NULL,
    words    TEXT NOT NULL,
    PRIMARY KEY (entry_id, position)
) STRICT, WITHOUT ROWID;
