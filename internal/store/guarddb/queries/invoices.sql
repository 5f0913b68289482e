-- name: InvoiceInsert :one
INSERT INTO invoices (
    account, n, settle_n, hash, preimage, state, amount_msat, received_msat, private, run, add_index,
    created_ms, expires_ms, resolved_ms, own_seq, resolve_seq, memo, reason, last)
VALUES (
    ?, 0, 0, ?, ?, 'pending', ?, 0, ?, ?, 0,
    ?, ?, 0, ?, NULL, ?, '', x'')
RETURNING id;

-- name: InvoiceSet :exec
UPDATE invoices SET n = ?, settle_n = ?, preimage = ?, state = ?, received_msat = ?, add_index = ?,
    created_ms = ?, resolved_ms = ?, resolve_seq = ?, reason = ?, last = ?
WHERE id = ?;

-- name: InvoiceByHash :one
SELECT sqlc.embed(invoices), accounts.name FROM invoices JOIN accounts ON accounts.id = invoices.account
WHERE invoices.hash = ? AND invoices.state <> 'void';

-- name: InvoiceVoidByHash :one
SELECT sqlc.embed(invoices), accounts.name FROM invoices JOIN accounts ON accounts.id = invoices.account
WHERE invoices.hash = ? AND invoices.state = 'void' ORDER BY invoices.id DESC LIMIT 1;

-- name: InvoicesUnfinished :many
SELECT sqlc.embed(invoices), accounts.name FROM invoices JOIN accounts ON accounts.id = invoices.account
WHERE invoices.state IN ('pending', 'open') ORDER BY +invoices.id;

-- name: InvoicesUnfinishedOf :many
SELECT * FROM invoices WHERE account = ? AND state IN ('pending', 'open') ORDER BY id;

-- name: InvoiceFirstSince :one
SELECT n FROM invoices WHERE account = sqlc.arg(account) AND n > 0 AND created_ms >= sqlc.arg(from_ms)
ORDER BY created_ms, n LIMIT 1;

-- name: InvoicesAll :many
SELECT * FROM invoices
WHERE account = sqlc.arg(account) AND n > 0 AND n > sqlc.arg(above) AND n < sqlc.arg(below)
ORDER BY n LIMIT sqlc.arg(max);

-- name: InvoicesAllReversed :many
SELECT * FROM invoices
WHERE account = sqlc.arg(account) AND n > 0 AND n > sqlc.arg(above) AND n < sqlc.arg(below)
ORDER BY n DESC LIMIT sqlc.arg(max);

-- name: InvoicesOpen :many
SELECT * FROM invoices
WHERE account = sqlc.arg(account) AND state = 'open' AND n > sqlc.arg(above) AND n < sqlc.arg(below)
ORDER BY n LIMIT sqlc.arg(max);

-- name: InvoicesOpenReversed :many
SELECT * FROM invoices
WHERE account = sqlc.arg(account) AND state = 'open' AND n > sqlc.arg(above) AND n < sqlc.arg(below)
ORDER BY n DESC LIMIT sqlc.arg(max);

-- name: InvoicesSettledAfter :many
SELECT * FROM invoices WHERE account = sqlc.arg(account) AND settle_n > 0 AND settle_n > sqlc.arg(after)
ORDER BY settle_n LIMIT sqlc.arg(max);

-- name: TransferAddressInsert :exec
INSERT INTO transfer_addresses (payment_addr, invoice) VALUES (?, ?);

-- name: InvoiceByTransferAddress :one
SELECT sqlc.embed(invoices), accounts.name FROM transfer_addresses AS t
JOIN invoices ON invoices.id = t.invoice JOIN accounts ON accounts.id = invoices.account
WHERE t.payment_addr = ?;
