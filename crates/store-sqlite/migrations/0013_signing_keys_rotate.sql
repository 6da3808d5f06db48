-- When the last token ends that a key has signed for longer than is usual: until then it stays.
ALTER TABLE signing_keys ADD COLUMN needed_until INTEGER;
