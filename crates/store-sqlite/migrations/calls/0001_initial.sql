-- The calls that the server meters, in a file of their own: counting them waits for no change, and
-- no change waits for them. The tables are as in the main database, where the calls that are changes
-- are counted with the change, and what other services report.
CREATE TABLE usage_months (
    tenant_id  BLOB NOT NULL,
    month      INTEGER NOT NULL,
    slot       INTEGER NOT NULL,
    calls      INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, month, slot)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage_hours (
    tenant_id  BLOB NOT NULL,
    hour       INTEGER NOT NULL,
    slot       INTEGER NOT NULL,
    calls      INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, hour, slot)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage_heartbeats (
    tenant_id         BLOB NOT NULL,
    slot              INTEGER NOT NULL,
    last_call_at      INTEGER NOT NULL,
    last_activity_at  INTEGER,
    PRIMARY KEY (tenant_id, slot)
) STRICT, WITHOUT ROWID;
