-- One challenge and what became of it. Amounts in msat, times in Unix ms.
CREATE TABLE transactions (
    payment_hash  BLOB    PRIMARY KEY CHECK (length(payment_hash) = 32),
    token_id      BLOB    NOT NULL CHECK (length(token_id) = 32),
    token         TEXT    NOT NULL,
    service       TEXT    NOT NULL,
    price_msat    INTEGER NOT NULL CHECK (price_msat > 0),
    client        BLOB    NOT NULL CHECK (length(client) IN (0, 32)),
    client_prefix TEXT    NOT NULL,
    state         TEXT    NOT NULL CHECK (state IN ('open', 'settled', 'canceled')),
    created_ms    INTEGER NOT NULL,
    expires_ms    INTEGER NOT NULL,
    settled_ms    INTEGER,
    paid_msat     INTEGER,
    CHECK ((state = 'settled') = (settled_ms IS NOT NULL AND paid_msat IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX transactions_open ON transactions (created_ms) WHERE state = 'open';
CREATE INDEX transactions_token ON transactions (token_id);
CREATE INDEX transactions_created ON transactions (state, created_ms);

-- Tokens that open nothing any more.
CREATE TABLE revocations (
    token_id   BLOB    PRIMARY KEY CHECK (length(token_id) = 32),
    revoked_ms INTEGER NOT NULL,
    reason     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- The master keys that ever minted here, by their public id; never a secret.
CREATE TABLE keys (
    key_id     BLOB    PRIMARY KEY CHECK (length(key_id) = 8),
    first_ms   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
