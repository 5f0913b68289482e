-- Sessions of Lightning Node Connect. Ended ones stay, for the list, without
-- their secrets. id names the session and the root key of its macaroon.
CREATE TABLE sessions (
    n           INTEGER PRIMARY KEY,
    id          BLOB    NOT NULL UNIQUE CHECK (length(id) = 4),
    label       TEXT    NOT NULL,
    kind        TEXT    NOT NULL CHECK (kind IN ('readonly', 'admin', 'custom', 'account')),
    account     INTEGER REFERENCES accounts (id),
    permissions TEXT    NOT NULL,
    mailbox     TEXT    NOT NULL,
    dev_server  INTEGER NOT NULL CHECK (dev_server IN (0, 1)),
    state       TEXT    NOT NULL CHECK (state IN ('reserved', 'created', 'revoked', 'expired')),
    reason      TEXT    NOT NULL,
    local_key   BLOB    NOT NULL UNIQUE CHECK (length(local_key) = 33),
    remote_key  BLOB    NOT NULL CHECK (length(remote_key) IN (0, 33)),
    private_key BLOB    NOT NULL CHECK (length(private_key) IN (0, 32)),
    phrase      BLOB    NOT NULL CHECK (length(phrase) IN (0, 14)),
    macaroon    BLOB    NOT NULL,
    created_ms  INTEGER NOT NULL CHECK (created_ms > 0),
    expires_ms  INTEGER NOT NULL CHECK (expires_ms > 0),
    ended_ms    INTEGER NOT NULL,
    CHECK ((kind = 'account') = (account IS NOT NULL)),
    CHECK (state IN ('reserved', 'created') OR length(private_key) + length(phrase) + length(macaroon) = 0),
    CHECK (length(remote_key) = 0 OR length(phrase) = 0)
) STRICT;

CREATE INDEX sessions_open ON sessions (account) WHERE state IN ('reserved', 'created');

CREATE TRIGGER sessions_end_once BEFORE UPDATE ON sessions WHEN OLD.state IN ('revoked', 'expired')
BEGIN
    SELECT RAISE(ABORT, 'a session that has ended does not change');
END;
