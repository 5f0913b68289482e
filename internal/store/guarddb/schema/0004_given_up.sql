-- Payments that an operator released though lnd had them in flight, and when.
CREATE TABLE given_up (
    payment INTEGER PRIMARY KEY REFERENCES payments (id),
    at_ms   INTEGER NOT NULL CHECK (at_ms > 0)
) STRICT;

CREATE INDEX given_up_at ON given_up (at_ms);
