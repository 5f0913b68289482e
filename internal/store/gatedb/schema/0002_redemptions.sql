-- Payments that the one request they were good for has used up. A row that is
-- not answered is of a request that is under way, or was when the gate broke
-- off. Times in Unix ms; after until_ms nobody can present the payment.
CREATE TABLE redemptions (
    payment_hash BLOB    PRIMARY KEY CHECK (length(payment_hash) = 32),
    service      TEXT    NOT NULL,
    redeemed_ms  INTEGER NOT NULL,
    until_ms     INTEGER NOT NULL,
    answered     INTEGER NOT NULL DEFAULT 0 CHECK (answered IN (0, 1))
) STRICT, WITHOUT ROWID;

CREATE INDEX redemptions_unanswered ON redemptions (answered) WHERE answered = 0;
CREATE INDEX redemptions_until ON redemptions (until_ms);
