-- The ledger of accounts. Amounts in msat, at most 21 million BTC
-- (2100000000000000000); times in Unix ms, 0 where there is none. Columns that
-- end in _seq name the journal's entry of the change.

-- One row. last_ms is the ledger's time, which never goes back; balances_msat
-- is the sum over all accounts.
CREATE TABLE ledger (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    last_ms       INTEGER NOT NULL CHECK (last_ms >= 0),
    frozen        INTEGER NOT NULL CHECK (frozen IN (0, 1)),
    balances_msat INTEGER NOT NULL
) STRICT;

INSERT INTO ledger VALUES (1, 0, 0, 0);

CREATE TRIGGER ledger_no_way_back BEFORE UPDATE ON ledger WHEN NEW.last_ms < OLD.last_ms
BEGIN
    SELECT RAISE(ABORT, 'the ledger''s time never goes back');
END;

CREATE TRIGGER ledger_no_delete BEFORE DELETE ON ledger
BEGIN
    SELECT RAISE(ABORT, 'the ledger has one row');
END;

-- Every account has a book of its own. Book 1 is the node: what came in and
-- went out over Lightning. Book 2 is the operator.
CREATE TABLE books (
    id   INTEGER PRIMARY KEY,
    name TEXT    NOT NULL UNIQUE
) STRICT;

INSERT INTO books VALUES (1, 'node'), (2, 'operator');

-- balance_msat and reserved_msat are running totals of entries and of open
-- payments. A balance is below zero only when lnd paid what it had called
-- failed. spent_msat and spent_count grow with every succeeded payment and
-- never fall. The counters hold the last number given out.
CREATE TABLE accounts (
    id            INTEGER PRIMARY KEY REFERENCES books (id),
    name          BLOB    NOT NULL UNIQUE CHECK (length(name) = 8),
    label         TEXT    NOT NULL,
    generation    INTEGER NOT NULL CHECK (generation >= 0),
    limits        TEXT    NOT NULL CHECK (json_valid(limits)),
    initial_msat  INTEGER NOT NULL CHECK (initial_msat BETWEEN 0 AND 2100000000000000000),
    balance_msat  INTEGER NOT NULL,
    reserved_msat INTEGER NOT NULL CHECK (reserved_msat >= 0),
    spent_msat    INTEGER NOT NULL CHECK (spent_msat >= 0),
    spent_count   INTEGER NOT NULL CHECK (spent_count >= 0),
    payments      INTEGER NOT NULL CHECK (payments >= 0),
    payments_void INTEGER NOT NULL CHECK (payments_void BETWEEN 0 AND payments),
    payments_open INTEGER NOT NULL CHECK (payments_open >= 0),
    invoices      INTEGER NOT NULL CHECK (invoices >= 0),
    invoices_open INTEGER NOT NULL CHECK (invoices_open >= 0),
    settled       INTEGER NOT NULL CHECK (settled BETWEEN 0 AND invoices),
    created_ms    INTEGER NOT NULL CHECK (created_ms > 0),
    updated_ms    INTEGER NOT NULL CHECK (updated_ms >= created_ms),
    expires_ms    INTEGER NOT NULL CHECK (expires_ms >= 0),
    removed_ms    INTEGER NOT NULL CHECK (removed_ms >= 0),
    frozen        INTEGER NOT NULL CHECK (frozen IN (0, 1)),
    created_seq   INTEGER NOT NULL REFERENCES journal (seq)
) STRICT;

CREATE UNIQUE INDEX accounts_label ON accounts (label) WHERE label <> '' AND removed_ms = 0;
CREATE INDEX accounts_live ON accounts (id) WHERE removed_ms = 0;

CREATE TRIGGER accounts_no_delete BEFORE DELETE ON accounts
BEGIN
    SELECT RAISE(ABORT, 'accounts are never deleted');
END;

-- A payment takes amount_msat + fee_limit_msat aside while it is open. cum_msat
-- and cum_count are the account's spent_msat and spent_count just after it
-- succeeded: a rolling window is the difference of two of them.
CREATE TABLE payments (
    id             INTEGER PRIMARY KEY,
    account        INTEGER NOT NULL REFERENCES accounts (id),
    n              INTEGER NOT NULL CHECK (n > 0),
    hash           BLOB    NOT NULL CHECK (length(hash) = 32),
    state          TEXT    NOT NULL CHECK (state IN ('open', 'succeeded', 'failed', 'void')),
    amount_msat    INTEGER NOT NULL CHECK (amount_msat BETWEEN 0 AND 2100000000000000000),
    fee_limit_msat INTEGER NOT NULL CHECK (fee_limit_msat BETWEEN 0 AND 2100000000000000000),
    reserved_msat  INTEGER NOT NULL CHECK (reserved_msat BETWEEN 0 AND 2100000000000000000),
    paid_msat      INTEGER NOT NULL CHECK (paid_msat BETWEEN 0 AND 2100000000000000000),
    fee_msat       INTEGER NOT NULL CHECK (fee_msat BETWEEN 0 AND paid_msat),
    cum_msat       INTEGER NOT NULL CHECK (cum_msat >= paid_msat),
    cum_count      INTEGER NOT NULL CHECK (cum_count >= 0),
    run            TEXT    NOT NULL,
    after_index    INTEGER NOT NULL CHECK (after_index >= 0),
    lnd_index      INTEGER NOT NULL CHECK (lnd_index >= 0),
    created_ms     INTEGER NOT NULL CHECK (created_ms > 0),
    resolved_ms    INTEGER NOT NULL CHECK (resolved_ms >= 0),
    reserve_seq    INTEGER NOT NULL REFERENCES journal (seq),
    resolve_seq    INTEGER REFERENCES journal (seq),
    payee          BLOB    NOT NULL CHECK (length(payee) = 33),
    final_cltv     INTEGER NOT NULL CHECK (final_cltv >= 0),
    time_lock      INTEGER NOT NULL CHECK (time_lock >= 0),
    request        TEXT    NOT NULL,
    memo           TEXT    NOT NULL,
    reason         TEXT    NOT NULL,
    preimage       BLOB    NOT NULL CHECK (length(preimage) IN (0, 32)),
    final          BLOB    NOT NULL,
    CHECK (reserved_msat = iif(state = 'open', amount_msat + fee_limit_msat, 0)),
    CHECK ((state = 'open') = (resolved_ms = 0)),
    CHECK ((state = 'open') = (resolve_seq IS NULL)),
    CHECK ((state = 'succeeded') = (cum_count > 0)),
    CHECK (state = 'succeeded' OR (paid_msat = 0 AND cum_msat = 0))
) STRICT;

-- The whole node has at most one open payment of a hash.
CREATE UNIQUE INDEX payments_open_hash ON payments (hash) WHERE state = 'open';
CREATE INDEX payments_open ON payments (account, id) WHERE state = 'open';
CREATE INDEX payments_paid_hash ON payments (hash) WHERE state = 'succeeded';
CREATE INDEX payments_hash ON payments (hash, account, n) WHERE state <> 'void';
CREATE UNIQUE INDEX payments_n ON payments (account, n) WHERE state <> 'void';
CREATE INDEX payments_paid_n ON payments (account, n) WHERE state = 'succeeded';
CREATE UNIQUE INDEX payments_spent ON payments (account, resolved_ms, cum_count) WHERE state = 'succeeded';
CREATE INDEX payments_created ON payments (account, created_ms, n);

CREATE TRIGGER payments_no_delete BEFORE DELETE ON payments
BEGIN
    SELECT RAISE(ABORT, 'payments are never deleted');
END;

CREATE TRIGGER payments_stay_settled BEFORE UPDATE ON payments WHEN OLD.state = 'succeeded'
BEGIN
    SELECT RAISE(ABORT, 'a settled payment never changes');
END;

-- n is given when lnd has the invoice, settle_n when it is settled; 0 before.
CREATE TABLE invoices (
    id            INTEGER PRIMARY KEY,
    account       INTEGER NOT NULL REFERENCES accounts (id),
    n             INTEGER NOT NULL CHECK (n >= 0),
    settle_n      INTEGER NOT NULL CHECK (settle_n >= 0),
    hash          BLOB    NOT NULL CHECK (length(hash) = 32),
    preimage      BLOB    NOT NULL CHECK (length(preimage) IN (0, 32)),
    state         TEXT    NOT NULL CHECK (state IN ('pending', 'open', 'settled', 'canceled', 'void')),
    amount_msat   INTEGER NOT NULL CHECK (amount_msat BETWEEN 0 AND 2100000000000000000),
    received_msat INTEGER NOT NULL CHECK (received_msat BETWEEN 0 AND 2100000000000000000),
    private       INTEGER NOT NULL CHECK (private IN (0, 1)),
    run           TEXT    NOT NULL,
    add_index     INTEGER NOT NULL CHECK (add_index >= 0),
    created_ms    INTEGER NOT NULL CHECK (created_ms > 0),
    expires_ms    INTEGER NOT NULL CHECK (expires_ms >= 0),
    resolved_ms   INTEGER NOT NULL CHECK (resolved_ms >= 0),
    own_seq       INTEGER NOT NULL REFERENCES journal (seq),
    resolve_seq   INTEGER REFERENCES journal (seq),
    memo          TEXT    NOT NULL,
    reason        TEXT    NOT NULL,
    last          BLOB    NOT NULL,
    CHECK (n > 0 OR state IN ('pending', 'void')),
    CHECK ((state = 'settled') = (settle_n > 0)),
    CHECK (state = 'settled' OR received_msat = 0),
    CHECK ((state IN ('pending', 'open')) = (resolved_ms = 0)),
    CHECK ((state IN ('pending', 'open')) = (resolve_seq IS NULL))
) STRICT;

CREATE UNIQUE INDEX invoices_hash ON invoices (hash) WHERE state <> 'void';
CREATE INDEX invoices_void_hash ON invoices (hash) WHERE state = 'void';
CREATE UNIQUE INDEX invoices_n ON invoices (account, n) WHERE n > 0;
CREATE UNIQUE INDEX invoices_settle_n ON invoices (account, settle_n) WHERE settle_n > 0;
CREATE INDEX invoices_open ON invoices (account, id) WHERE state IN ('pending', 'open');
CREATE INDEX invoices_open_n ON invoices (account, n) WHERE state = 'open';
CREATE INDEX invoices_created ON invoices (account, created_ms, n) WHERE n > 0;

CREATE TRIGGER invoices_no_delete BEFORE DELETE ON invoices
BEGIN
    SELECT RAISE(ABORT, 'invoices are never deleted');
END;

CREATE TRIGGER invoices_stay_settled BEFORE UPDATE ON invoices WHEN OLD.state = 'settled'
BEGIN
    SELECT RAISE(ABORT, 'a settled invoice never changes');
END;

-- Every movement of money, once: the key is what makes a repetition none. Its
-- entries sum up to 0; an entry above 0 adds to its book.
CREATE TABLE transactions (
    id      INTEGER PRIMARY KEY,
    key     TEXT    NOT NULL UNIQUE CHECK (key <> ''),
    kind    TEXT    NOT NULL CHECK (kind IN ('create', 'credit', 'debit', 'remove', 'payment', 'invoice')),
    payment INTEGER UNIQUE REFERENCES payments (id),
    invoice INTEGER UNIQUE REFERENCES invoices (id),
    at_ms   INTEGER NOT NULL CHECK (at_ms > 0),
    seq     INTEGER NOT NULL REFERENCES journal (seq),
    CHECK ((kind = 'payment') = (payment IS NOT NULL)),
    CHECK ((kind = 'invoice') = (invoice IS NOT NULL))
) STRICT;

CREATE TABLE entries (
    tx          INTEGER NOT NULL REFERENCES transactions (id),
    book        INTEGER NOT NULL REFERENCES books (id),
    amount_msat INTEGER NOT NULL CHECK (amount_msat <> 0
        AND amount_msat BETWEEN -2100000000000000000 AND 2100000000000000000),
    PRIMARY KEY (tx, book)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER transactions_no_update BEFORE UPDATE ON transactions
BEGIN
    SELECT RAISE(ABORT, 'the ledger is append-only');
END;

CREATE TRIGGER transactions_no_delete BEFORE DELETE ON transactions
BEGIN
    SELECT RAISE(ABORT, 'the ledger is append-only');
END;

CREATE TRIGGER entries_no_update BEFORE UPDATE ON entries
BEGIN
    SELECT RAISE(ABORT, 'the ledger is append-only');
END;

CREATE TRIGGER entries_no_delete BEFORE DELETE ON entries
BEGIN
    SELECT RAISE(ABORT, 'the ledger is append-only');
END;
