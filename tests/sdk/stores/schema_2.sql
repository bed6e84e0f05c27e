ALTER TABLE epochs ADD COLUMN flag_version TEXT NOT NULL DEFAULT '';
ALTER TABLE epochs ADD COLUMN shares TEXT NOT NULL DEFAULT '{}';
ALTER TABLE epochs ADD COLUMN thresholds TEXT NOT NULL DEFAULT '{}';

ALTER TABLE samples ADD COLUMN events_halvings INTEGER NOT NULL DEFAULT 0;

CREATE TABLE histograms (
    key INTEGER, bin INTEGER, n INTEGER NOT NULL, PRIMARY KEY (key, bin)
) WITHOUT ROWID;

CREATE TABLE frozen (
    route TEXT, comparison TEXT, metric TEXT, tail REAL NOT NULL, cap REAL NOT NULL,
    PRIMARY KEY (route, comparison, metric)
) WITHOUT ROWID;

UPDATE meta SET value = 2 WHERE name = 'schema';
INSERT INTO processes VALUES ('p', 'h', 7, 1767225600.0, '{"support-reply": 2}');
INSERT INTO rollouts VALUES (
    'support-reply', 1,
    '{"route":"support-reply","revision":1,"attempt":1,"stage":0}'
);
