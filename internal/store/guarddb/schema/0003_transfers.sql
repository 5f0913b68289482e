-- Payments between accounts of one node. Such a payment names the invoice that
-- it pays: it is pending while the payment is open. Neither channels nor the
-- node's book are touched: what leaves the payer's book is in book 0 until, in
-- the same transaction, it is in the payee's.
INSERT INTO books VALUES (0, 'transfers');

ALTER TABLE payments ADD COLUMN invoice INTEGER REFERENCES invoices (id);

CREATE UNIQUE INDEX payments_transferring ON payments (invoice) WHERE state = 'open' AND invoice IS NOT NULL;
CREATE UNIQUE INDEX payments_transferred ON payments (invoice) WHERE state = 'succeeded' AND invoice IS NOT NULL;

CREATE TRIGGER payments_keep_invoice BEFORE UPDATE ON payments WHEN NEW.invoice IS NOT OLD.invoice
BEGIN
    SELECT RAISE(ABORT, 'what a payment pays never changes');
END;
