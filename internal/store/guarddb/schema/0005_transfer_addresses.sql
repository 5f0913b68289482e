-- The payment addresses of the invoices that were paid by transfer: lnd, which
-- finds other invoices by them, has canceled these and forgets them.
CREATE TABLE transfer_addresses (
    payment_addr BLOB    PRIMARY KEY CHECK (length(payment_addr) = 32),
    invoice      INTEGER NOT NULL UNIQUE REFERENCES invoices (id)
) STRICT, WITHOUT ROWID;
