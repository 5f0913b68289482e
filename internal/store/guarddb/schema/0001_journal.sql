-- The guard's journal. Each entry's hash covers the hash before it and every
-- other column of its own (internal/audit has the exact bytes). Times in Unix
-- ms, never decreasing. Where account is set it is 16 lower-case hex digits.
CREATE TABLE journal (
    seq        INTEGER PRIMARY KEY CHECK (seq > 0),
    at_ms      INTEGER NOT NULL,
    kind       TEXT    NOT NULL CHECK (kind <> ''),
    actor      TEXT    NOT NULL,
    via        TEXT    NOT NULL,
    peer       TEXT    NOT NULL,
    macaroon   TEXT    NOT NULL,
    account    TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    detail     TEXT    NOT NULL,
    hash       BLOB    NOT NULL CHECK (length(hash) = 32)
) STRICT;

CREATE INDEX journal_account ON journal (account, seq) WHERE account <> '';
CREATE INDEX journal_at ON journal (at_ms);

CREATE TRIGGER journal_no_update BEFORE UPDATE ON journal
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only');
END;

CREATE TRIGGER journal_no_delete BEFORE DELETE ON journal
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only');
END;

CREATE TRIGGER journal_at_the_end BEFORE INSERT ON journal
WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM journal)
BEGIN
    SELECT RAISE(ABORT, 'the journal grows at its end');
END;
