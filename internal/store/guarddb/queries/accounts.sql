-- name: LedgerNow :one
SELECT last_ms, frozen, balances_msat FROM ledger WHERE id = 1;

-- name: LedgerTime :exec
UPDATE ledger SET last_ms = ? WHERE id = 1;

-- name: LedgerFreeze :exec
UPDATE ledger SET frozen = ? WHERE id = 1;

-- name: LedgerBalances :exec
UPDATE ledger SET balances_msat = balances_msat + ? WHERE id = 1;

-- name: AccountByName :one
SELECT * FROM accounts WHERE name = ?;

-- name: AccountByID :one
SELECT * FROM accounts WHERE id = ?;

-- name: AccountByLabel :one
SELECT * FROM accounts WHERE label = ? AND label <> '' AND removed_ms = 0;

-- name: AccountsLive :many
SELECT * FROM accounts WHERE removed_ms = 0 ORDER BY id;

-- name: AccountsRetired :many
SELECT * FROM accounts WHERE generation > 0 OR removed_ms > 0 ORDER BY id;

-- name: BookInsert :one
INSERT INTO books (name) VALUES (?) RETURNING id;

-- name: AccountInsert :exec
INSERT INTO accounts (
    id, name, label, generation, limits, initial_msat, balance_msat, reserved_msat,
    spent_msat, spent_count, payments, payments_void, payments_open, invoices, invoices_open, settled,
    created_ms, updated_ms, expires_ms, removed_ms, frozen, created_seq)
VALUES (
    sqlc.arg(id), sqlc.arg(name), sqlc.arg(label), 0, sqlc.arg(limits), sqlc.arg(initial_msat), 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0,
    sqlc.arg(now_ms), sqlc.arg(now_ms), sqlc.arg(expires_ms), 0, 0, sqlc.arg(created_seq));

-- name: AccountSet :exec
UPDATE accounts SET label = ?, generation = ?, limits = ?, expires_ms = ?, removed_ms = ?, frozen = ?, updated_ms = ?
WHERE id = ?;

-- name: AccountPost :exec
UPDATE accounts SET balance_msat = balance_msat + sqlc.arg(amount_msat), updated_ms = sqlc.arg(now_ms)
WHERE id = sqlc.arg(id);

-- name: AccountReserve :exec
UPDATE accounts SET payments = payments + sqlc.arg(added), payments_open = payments_open + sqlc.arg(added),
    reserved_msat = reserved_msat + sqlc.arg(reserved_msat), updated_ms = sqlc.arg(now_ms)
WHERE id = sqlc.arg(id);

-- name: AccountRelease :exec
UPDATE accounts SET reserved_msat = reserved_msat - sqlc.arg(reserved_msat),
    payments_open = payments_open - sqlc.arg(was_open), payments_void = payments_void + sqlc.arg(void),
    spent_msat = sqlc.arg(spent_msat), spent_count = sqlc.arg(spent_count), updated_ms = sqlc.arg(now_ms)
WHERE id = sqlc.arg(id);

-- name: AccountInvoices :exec
UPDATE accounts SET invoices = sqlc.arg(invoices), invoices_open = sqlc.arg(invoices_open),
    settled = sqlc.arg(settled), updated_ms = sqlc.arg(now_ms)
WHERE id = sqlc.arg(id);

-- name: TransactionByKey :one
SELECT * FROM transactions WHERE key = ?;

-- name: TransactionInsert :one
INSERT INTO transactions (key, kind, payment, invoice, at_ms, seq) VALUES (?, ?, ?, ?, ?, ?) RETURNING id;

-- name: EntryInsert :exec
INSERT INTO entries (tx, book, amount_msat) VALUES (?, ?, ?);

-- name: EntryOf :one
SELECT amount_msat FROM entries WHERE tx = ? AND book = ?;
