-- What names are sorted and found by, without regard to case, compared byte by byte. The application
-- writes these keys; folded() is its function, there while a database is migrated.

ALTER TABLE tenants ADD COLUMN name_key TEXT NOT NULL DEFAULT '';
ALTER TABLE tenants ADD COLUMN display_name_key TEXT;
UPDATE tenants SET name_key = folded(name), display_name_key = folded(display_name);
ALTER TABLE tenants DROP COLUMN search_key;

-- The e-mail address has a key already, which folded fewer letters. Of two users whom the new one
-- does not tell apart, one keeps the old.
UPDATE OR IGNORE users SET email_key = folded(email);
ALTER TABLE users ADD COLUMN name_key TEXT;
UPDATE users SET name_key = folded(name) WHERE name IS NOT NULL;
ALTER TABLE users DROP COLUMN search_key;

ALTER TABLE api_keys ADD COLUMN name_key TEXT NOT NULL DEFAULT '';
UPDATE api_keys SET name_key = folded(name);

ALTER TABLE oauth_clients ADD COLUMN name_key TEXT NOT NULL DEFAULT '';
UPDATE oauth_clients SET name_key = folded(name);

ALTER TABLE credentials ADD COLUMN credential_name_key TEXT NOT NULL DEFAULT '';
UPDATE credentials SET credential_name_key = folded(credential_name);
