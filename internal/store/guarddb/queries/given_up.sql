-- name: GivenUpInsert :exec
INSERT INTO given_up (payment, at_ms) VALUES (?, ?);

-- name: GivenUpSince :many
SELECT sqlc.embed(payments), accounts.name FROM given_up
CROSS JOIN payments ON payments.id = given_up.payment CROSS JOIN accounts ON accounts.id = payments.account
WHERE given_up.at_ms >= sqlc.arg(since_ms) AND payments.state = 'failed'
ORDER BY given_up.at_ms, given_up.payment;
