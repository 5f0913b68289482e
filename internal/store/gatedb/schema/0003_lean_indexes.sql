-- A stranger's challenge is written in as few places as can be: what is looked
-- for among sold tokens and cancelled challenges has indexes of those alone.
DROP INDEX transactions_token;
DROP INDEX transactions_created;
CREATE INDEX transactions_sold ON transactions (token_id) WHERE state = 'settled';
CREATE INDEX transactions_canceled ON transactions (created_ms) WHERE state = 'canceled';
