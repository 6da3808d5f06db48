-- Counts the transactions of the command line, which changes a database beside its server: so that
-- the server knows when what it remembers may be no longer so.
ALTER TABLE installation ADD COLUMN outside_changes INTEGER NOT NULL DEFAULT 0;
INSERT INTO installation (only_row) VALUES (1) ON CONFLICT DO NOTHING;
