-- Whom the answer of a mark tells of, if it tells of a person: erasing the person empties the answer.
ALTER TABLE idempotency_marks ADD COLUMN user_id BLOB;
CREATE INDEX idempotency_marks_by_user ON idempotency_marks (tenant_id, user_id)
    WHERE user_id IS NOT NULL;
