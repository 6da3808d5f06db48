-- Changes of the command line are announced outside of the database now.
ALTER TABLE installation DROP COLUMN outside_changes;
