-- Marks of requests that may be repeated, each with the sealed answer that a repetition gets. A mark
-- is written by the change that it is about, and removed after its 24 hours.
CREATE TABLE idempotency_marks (
    tenant_id   BLOB NOT NULL,
    -- A digest of principal, route and key.
    mark_id     BLOB NOT NULL,
    -- A digest of method, path and body.
    request     BLOB NOT NULL,
    answer      BLOB NOT NULL,
    expires_at  INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, mark_id)
) STRICT;
CREATE INDEX idempotency_marks_by_time ON idempotency_marks (expires_at);
