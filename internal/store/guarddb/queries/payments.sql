-- name: PaymentInsert :one
INSERT INTO payments (
    account, n, hash, state, amount_msat, fee_limit_msat, reserved_msat, paid_msat, fee_msat, cum_msat, cum_count,
    run, after_index, lnd_index, created_ms, resolved_ms, reserve_seq, resolve_seq,
    payee, final_cltv, time_lock, request, memo, reason, preimage, final, invoice)
VALUES (
    ?, ?, ?, 'open', ?, ?, ?, 0, 0, 0, 0,
    ?, ?, 0, ?, 0, ?, NULL,
    ?, ?, ?, ?, ?, '', x'', x'', ?)
RETURNING id;

-- name: PaymentRaise :exec
UPDATE payments SET amount_msat = ?, fee_limit_msat = ?, reserved_msat = ? WHERE id = ?;

-- name: PaymentSeen :exec
UPDATE payments SET lnd_index = ? WHERE id = ? AND lnd_index = 0 AND state = 'open';

-- name: PaymentResolve :exec
UPDATE payments SET state = ?, reserved_msat = 0, paid_msat = ?, fee_msat = ?, cum_msat = ?, cum_count = ?,
    lnd_index = ?, resolved_ms = ?, resolve_seq = ?, reason = ?, preimage = ?, final = ?
WHERE id = ?;

-- name: PaymentByID :one
SELECT sqlc.embed(payments), accounts.name FROM payments JOIN accounts ON accounts.id = payments.account
WHERE payments.id = ?;

-- name: PaymentOpenByHash :one
SELECT sqlc.embed(payments), accounts.name FROM payments JOIN accounts ON accounts.id = payments.account
WHERE payments.hash = ? AND payments.state = 'open';

-- name: PaymentLatestOfHash :one
SELECT * FROM payments WHERE hash = ? AND account = ? AND state <> 'void' ORDER BY n DESC LIMIT 1;

-- name: PaymentHashUse :one
SELECT EXISTS (SELECT 1 FROM payments AS p WHERE p.hash = sqlc.arg(hash) AND p.state = 'open') AS open,
    EXISTS (SELECT 1 FROM payments AS q WHERE q.hash = sqlc.arg(hash) AND q.state = 'succeeded') AS paid;

-- name: PaymentsOpen :many
SELECT sqlc.embed(payments), accounts.name FROM payments JOIN accounts ON accounts.id = payments.account
WHERE payments.state = 'open' ORDER BY +payments.id;

-- name: PaymentsOpenOf :many
SELECT * FROM payments WHERE account = ? AND state = 'open' ORDER BY id;

-- name: PaymentSpentBefore :one
SELECT cum_msat, cum_count FROM payments
WHERE account = sqlc.arg(account) AND state = 'succeeded' AND resolved_ms <= sqlc.arg(until_ms)
ORDER BY resolved_ms DESC, cum_count DESC LIMIT 1;

-- name: PaymentFirstSince :one
SELECT n FROM payments WHERE account = sqlc.arg(account) AND created_ms >= sqlc.arg(from_ms)
ORDER BY created_ms, n LIMIT 1;

-- name: PaymentsAll :many
SELECT * FROM payments
WHERE account = sqlc.arg(account) AND state <> 'void' AND n > sqlc.arg(above) AND n < sqlc.arg(below)
ORDER BY n LIMIT sqlc.arg(max);

-- name: PaymentsAllReversed :many
SELECT * FROM payments
WHERE account = sqlc.arg(account) AND state <> 'void' AND n > sqlc.arg(above) AND n < sqlc.arg(below)
ORDER BY n DESC LIMIT sqlc.arg(max);

-- name: PaymentsPaid :many
SELECT * FROM payments
WHERE account = sqlc.arg(account) AND state = 'succeeded' AND n > sqlc.arg(above) AND n < sqlc.arg(below)
ORDER BY n LIMIT sqlc.arg(max);

-- name: PaymentsPaidReversed :many
SELECT * FROM payments
WHERE account = sqlc.arg(account) AND state = 'succeeded' AND n > sqlc.arg(above) AND n < sqlc.arg(below)
ORDER BY n DESC LIMIT sqlc.arg(max);


-- name: TransferPending :one
SELECT EXISTS (SELECT 1 FROM payments AS p WHERE p.invoice = sqlc.arg(invoice) AND p.state = 'open') AS pending;

-- name: TransfersPendingTo :one
SELECT count(*) FROM invoices AS i JOIN payments AS p ON p.invoice = i.id AND p.state = 'open'
WHERE i.account = sqlc.arg(account) AND i.state IN ('pending', 'open');
