-- What a tenant's ledger tells of a thing is found by the thing.
CREATE INDEX ledger_by_resource ON ledger (tenant_id, resource_id, seq);

-- Deleted tenants of which rows may be left.
CREATE TABLE purges (
    tenant_id  BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;
INSERT INTO purges SELECT tenant_id FROM tenants WHERE status = 'deleted';
