CREATE VIEW reports_readable AS
SELECT strftime('%Y-%m-%dT%H:%M:%fZ', r.at / 1000.0, 'unixepoch') AS time,
       c.cluster, c.component,
       CASE r.outcome WHEN 0 THEN 'healthy' WHEN 1 THEN 'degraded' ELSE 'failed' END AS outcome,
       r.latency_us / 1000.0 AS latency_ms,
       w.kind AS reason_kind, w.words AS reason
FROM reports r JOIN components c ON c.id = r.component_id LEFT JOIN reasons w ON w.id = r.reason_id
ORDER BY r.id;

CREATE VIEW entries_readable AS
SELECT strftime('%Y-%m-%dT%H:%M:%fZ', e.at / 1000.0, 'unixepoch') AS time,
       e.kind, c.cluster, c.component, e.incident, e.what, e.subject, e.outcome, e.words, e.detail,
       e.key, e.id
FROM entries e JOIN components c ON c.id = e.component_id
ORDER BY e.at, e.id;

CREATE VIEW states_readable AS
SELECT time, cluster, component, what AS state_before, outcome AS state_since,
       detail AS reason_kind, words AS reason
FROM entries_readable WHERE kind = 'state';

CREATE VIEW decisions_readable AS
SELECT time, cluster, component, incident, outcome AS decision, what AS step, words AS summary,
       (SELECT group_concat(guard || ': ' || verdict || ' (' || words || ')', char(10))
        FROM (SELECT guard, verdict, words FROM guards WHERE entry_id = e.id ORDER BY position)
       ) AS guards
FROM entries_readable e WHERE kind = 'decision';

CREATE VIEW actions_readable AS
SELECT time, cluster, component, incident, what AS step, subject AS target, outcome AS phase,
       words, detail AS change, key
FROM entries_readable WHERE kind = 'action';

CREATE VIEW evidence_readable AS
SELECT time, cluster, component, incident, what AS source, subject AS object, detail AS text, key
FROM entries_readable WHERE kind = 'evidence';

CREATE VIEW alerts_readable AS
SELECT time, cluster, component, incident, outcome AS change, what AS severity, subject AS title,
       words
FROM entries_readable WHERE kind = 'alert';

CREATE VIEW deliveries_readable AS
SELECT time, cluster, component, incident, subject AS receiver, what AS status,
       detail AS attempt, outcome, words AS error
FROM entries_readable WHERE kind = 'delivery';

CREATE VIEW events_readable AS
SELECT time, kind, cluster, component, what, outcome, words
FROM entries_readable WHERE kind IN ('leadership', 'breaker', 'reload', 'scaling');

CREATE VIEW state_readable AS
SELECT key, value, strftime('%Y-%m-%dT%H:%M:%fZ', at / 1000.0, 'unixepoch') AS saved_at
FROM state;
