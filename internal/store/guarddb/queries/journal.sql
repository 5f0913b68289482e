-- name: JournalHead :one
SELECT seq, at_ms, hash FROM journal ORDER BY seq DESC LIMIT 1;

-- name: JournalAppend :exec
INSERT INTO journal (seq, at_ms, kind, actor, via, peer, macaroon, account, subject, detail, hash)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: JournalPage :many
SELECT * FROM journal WHERE seq > sqlc.arg(after) AND (kind = sqlc.arg(kind) OR sqlc.arg(kind) = '')
ORDER BY seq LIMIT sqlc.arg(max);

-- name: JournalPageOf :many
SELECT * FROM journal
WHERE account = sqlc.arg(account) AND account <> '' AND seq > sqlc.arg(after) AND (kind = sqlc.arg(kind) OR sqlc.arg(kind) = '')
ORDER BY seq LIMIT sqlc.arg(max);

-- name: JournalSince :one
SELECT seq FROM journal WHERE at_ms >= sqlc.arg(since_ms) ORDER BY at_ms, seq LIMIT 1;

-- name: JournalNewest :one
SELECT seq FROM journal WHERE seq > sqlc.arg(after) AND (kind = sqlc.arg(kind) OR sqlc.arg(kind) = '')
ORDER BY seq DESC LIMIT 1 OFFSET sqlc.arg(skip);

-- name: JournalNewestOf :one
SELECT seq FROM journal
WHERE account = sqlc.arg(account) AND account <> '' AND seq > sqlc.arg(after) AND (kind = sqlc.arg(kind) OR sqlc.arg(kind) = '')
ORDER BY seq DESC LIMIT 1 OFFSET sqlc.arg(skip);
