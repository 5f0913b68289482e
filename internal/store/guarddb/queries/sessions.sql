-- name: SessionInsert :exec
INSERT INTO sessions (
    id, label, kind, account, permissions, mailbox, dev_server, state, reason,
    local_key, remote_key, private_key, phrase, macaroon, created_ms, expires_ms, ended_ms)
VALUES (
    sqlc.arg(id), sqlc.arg(label), sqlc.arg(kind), sqlc.arg(account), sqlc.arg(permissions), sqlc.arg(mailbox),
    sqlc.arg(dev_server), 'reserved', '', sqlc.arg(local_key), x'', sqlc.arg(private_key), sqlc.arg(phrase), x'',
    sqlc.arg(created_ms), sqlc.arg(expires_ms), 0);

-- name: SessionByID :one
SELECT sqlc.embed(sessions), accounts.name FROM sessions LEFT JOIN accounts ON accounts.id = sessions.account
WHERE sessions.id = ?;

-- name: SessionByKey :one
SELECT sqlc.embed(sessions), accounts.name FROM sessions LEFT JOIN accounts ON accounts.id = sessions.account
WHERE sessions.local_key = ?;

-- name: SessionsAll :many
SELECT sqlc.embed(sessions), accounts.name FROM sessions LEFT JOIN accounts ON accounts.id = sessions.account
ORDER BY sessions.n;

-- name: SessionsOpenOf :many
SELECT sqlc.embed(sessions), accounts.name FROM sessions LEFT JOIN accounts ON accounts.id = sessions.account
WHERE sessions.account = ? AND state IN ('reserved', 'created') ORDER BY sessions.n;

-- name: SessionBegin :exec
UPDATE sessions SET state = 'created', macaroon = sqlc.arg(macaroon)
WHERE id = sqlc.arg(id) AND state = 'reserved';

-- name: SessionPair :exec
UPDATE sessions SET remote_key = sqlc.arg(remote_key), phrase = x'' WHERE id = sqlc.arg(id);

-- name: SessionEnd :exec
UPDATE sessions SET state = sqlc.arg(state), reason = sqlc.arg(reason), ended_ms = sqlc.arg(ended_ms),
    private_key = x'', phrase = x'', macaroon = x''
WHERE id = sqlc.arg(id) AND state IN ('reserved', 'created');

-- name: SessionsForget :exec
UPDATE sessions SET state = 'revoked', reason = sqlc.arg(reason), ended_ms = sqlc.arg(ended_ms),
    private_key = x'', phrase = x'', macaroon = x''
WHERE state IN ('reserved', 'created');
