-- What must hold between the ledger's rows. Every statement returns sentences
-- about what does not; Check runs them in this order, and reads at most 20 of
-- each.

SELECT printf('transaction %d: %d entries sum up to %d msat', t.id, count(e.tx), coalesce(sum(e.amount_msat), 0))
FROM transactions AS t LEFT JOIN entries AS e ON e.tx = t.id
GROUP BY t.id HAVING count(e.tx) <> 2 OR sum(e.amount_msat) <> 0;

SELECT printf('account %s: balance of %d msat, but the entries sum up to %d', lower(hex(a.name)), a.balance_msat,
    coalesce(s.amount, 0))
FROM accounts AS a
LEFT JOIN (SELECT e.book AS book, sum(e.amount_msat) AS amount FROM entries AS e GROUP BY e.book) AS s ON s.book = a.id
WHERE a.balance_msat <> coalesce(s.amount, 0);

SELECT printf('the accounts'' balances are noted as %d msat, but sum up to %d', l.balances_msat, s.amount)
FROM ledger AS l, (SELECT coalesce(sum(a.balance_msat), 0) AS amount FROM accounts AS a) AS s
WHERE l.balances_msat <> s.amount;

SELECT printf('account %s: %d msat are reserved of a balance of %d', lower(hex(name)), reserved_msat, balance_msat)
FROM accounts WHERE balance_msat < 0 OR reserved_msat > balance_msat;

SELECT printf('account %s: %d payments reserve %d msat, but %d are open over %d msat', lower(hex(a.name)),
    a.payments_open, a.reserved_msat, coalesce(s.payments, 0), coalesce(s.amount, 0))
FROM accounts AS a
LEFT JOIN (SELECT p.account AS account, count(*) AS payments, sum(p.reserved_msat) AS amount
    FROM payments AS p WHERE p.state = 'open' GROUP BY p.account) AS s ON s.account = a.id
WHERE a.payments_open <> coalesce(s.payments, 0) OR a.reserved_msat <> coalesce(s.amount, 0);

SELECT printf('account %s: %d payments, %d of them void, %d succeeded for %d msat; noted are %d, %d, %d and %d',
    lower(hex(a.name)), coalesce(s.payments, 0), coalesce(s.void, 0), coalesce(s.paid, 0), coalesce(s.amount, 0),
    a.payments, a.payments_void, a.spent_count, a.spent_msat)
FROM accounts AS a
LEFT JOIN (SELECT p.account AS account, count(*) AS payments, max(p.n) AS last, sum(p.state = 'void') AS void,
        sum(p.state = 'succeeded') AS paid, sum(p.paid_msat) AS amount
    FROM payments AS p GROUP BY p.account) AS s ON s.account = a.id
WHERE a.payments <> coalesce(s.payments, 0) OR a.payments <> coalesce(s.last, 0)
    OR a.payments_void <> coalesce(s.void, 0) OR a.spent_count <> coalesce(s.paid, 0)
    OR a.spent_msat <> coalesce(s.amount, 0);

SELECT printf('payment %s: stands for %d payments of %d msat so far, but is number %d of %d msat', lower(hex(w.hash)),
    w.cum_count, w.cum_msat, w.count_before + 1, w.msat_before + w.paid_msat)
FROM (SELECT p.hash AS hash, p.paid_msat AS paid_msat, p.cum_msat AS cum_msat, p.cum_count AS cum_count,
        lag(p.cum_msat, 1, 0) OVER (PARTITION BY p.account ORDER BY p.resolved_ms, p.cum_count) AS msat_before,
        lag(p.cum_count, 1, 0) OVER (PARTITION BY p.account ORDER BY p.resolved_ms, p.cum_count) AS count_before
    FROM payments AS p WHERE p.state = 'succeeded') AS w
WHERE w.cum_count <> w.count_before + 1 OR w.cum_msat <> w.msat_before + w.paid_msat;

SELECT printf('payment %s: %d msat were paid, but the entry is of %d', lower(hex(p.hash)), p.paid_msat,
    coalesce(e.amount_msat, 0))
FROM payments AS p
LEFT JOIN transactions AS t ON t.payment = p.id
LEFT JOIN entries AS e ON e.tx = t.id AND e.book = p.account
WHERE coalesce(e.amount_msat, 0) <> -p.paid_msat;

SELECT printf('invoice %s: %d msat were received, but the entry is of %d', lower(hex(i.hash)), i.received_msat,
    coalesce(e.amount_msat, 0))
FROM invoices AS i
LEFT JOIN transactions AS t ON t.invoice = i.id
LEFT JOIN entries AS e ON e.tx = t.id AND e.book = i.account
WHERE coalesce(e.amount_msat, 0) <> i.received_msat;

SELECT printf('transfer %s of %d msat, %s: invoice of %s is %s and received %d msat', lower(hex(p.hash)), p.amount_msat,
    p.state, CASE WHEN i.account = p.account THEN 'the payer''s own' WHEN i.hash <> p.hash THEN 'another hash'
    ELSE 'another account' END, i.state, i.received_msat)
FROM payments AS p JOIN invoices AS i ON i.id = p.invoice
WHERE i.account = p.account OR i.hash <> p.hash OR p.fee_limit_msat <> 0 OR p.lnd_index <> 0
    OR (p.state = 'open' AND i.state NOT IN ('open', 'settled'))
    OR (p.state = 'succeeded' AND (i.state <> 'settled' OR i.received_msat <> p.paid_msat OR p.paid_msat <> p.amount_msat));

SELECT printf('transaction %d (%s): not against the book of %s', t.id, t.kind, CASE w.book WHEN 0 THEN 'transfers'
    WHEN 1 THEN 'the node' ELSE 'the operator' END)
FROM transactions AS t
JOIN (SELECT x.id AS id, CASE WHEN p.invoice IS NOT NULL OR q.id IS NOT NULL THEN 0
        WHEN x.kind IN ('payment', 'invoice') THEN 1 ELSE 2 END AS book
    FROM transactions AS x LEFT JOIN payments AS p ON p.id = x.payment
    LEFT JOIN payments AS q ON q.invoice = x.invoice AND q.invoice IS NOT NULL AND q.state = 'succeeded') AS w ON w.id = t.id
LEFT JOIN entries AS e ON e.tx = t.id AND e.book = w.book
WHERE e.tx IS NULL AND (SELECT count(*) FROM entries AS y WHERE y.tx = t.id) = 2;

SELECT printf('the book of transfers holds %d msat', s.amount)
FROM (SELECT coalesce(sum(e.amount_msat), 0) AS amount FROM entries AS e WHERE e.book = 0) AS s
WHERE s.amount <> 0;

SELECT printf('account %s: %d invoices, %d open, %d settled; noted are %d, %d and %d', lower(hex(a.name)),
    coalesce(s.made, 0), coalesce(s.open, 0), coalesce(s.settled, 0), a.invoices, a.invoices_open, a.settled)
FROM accounts AS a
LEFT JOIN (SELECT i.account AS account, sum(i.n > 0) AS made, max(i.n) AS last, max(i.settle_n) AS settled_last,
        sum(i.state IN ('pending', 'open')) AS open, sum(i.state = 'settled') AS settled
    FROM invoices AS i GROUP BY i.account) AS s ON s.account = a.id
WHERE a.invoices <> coalesce(s.made, 0) OR a.invoices <> coalesce(s.last, 0) OR a.invoices_open <> coalesce(s.open, 0)
    OR a.settled <> coalesce(s.settled, 0) OR a.settled <> coalesce(s.settled_last, 0);

SELECT printf('account %s: made with %d msat, but the entry is of %d', lower(hex(a.name)), a.initial_msat,
    coalesce(e.amount_msat, 0))
FROM accounts AS a
LEFT JOIN transactions AS t ON t.key = 'create/' || lower(hex(a.name))
LEFT JOIN entries AS e ON e.tx = t.id AND e.book = a.id
WHERE coalesce(e.amount_msat, 0) <> a.initial_msat;

SELECT printf('transaction %d (%s): the journal''s entry %d is of kind %s', t.id, t.kind, t.seq, coalesce(j.kind, 'none'))
FROM transactions AS t LEFT JOIN journal AS j ON j.seq = t.seq
WHERE coalesce(j.kind, '') <> CASE t.kind WHEN 'payment' THEN 'payment.settle' WHEN 'invoice' THEN 'invoice.settle'
    ELSE 'account.' || t.kind END;

SELECT printf('payment %s of account %s, %s: the journal''s entries %d and %d are of kinds %s and %s', lower(hex(p.hash)),
    lower(hex(a.name)), p.state, p.reserve_seq, coalesce(p.resolve_seq, 0), coalesce(j.kind, 'none'), coalesce(k.kind, 'none'))
FROM payments AS p JOIN accounts AS a ON a.id = p.account
LEFT JOIN journal AS j ON j.seq = p.reserve_seq AND j.account = lower(hex(a.name)) AND j.subject = lower(hex(p.hash))
LEFT JOIN journal AS k ON k.seq = p.resolve_seq AND k.account = lower(hex(a.name)) AND k.subject = lower(hex(p.hash))
WHERE coalesce(j.kind, '') <> 'payment.reserve' OR coalesce(k.kind, '') <> CASE p.state WHEN 'open' THEN ''
    WHEN 'succeeded' THEN 'payment.settle' ELSE 'payment.release' END;

SELECT printf('invoice %s of account %s, %s: the journal''s entries %d and %d are of kinds %s and %s', lower(hex(i.hash)),
    lower(hex(a.name)), i.state, i.own_seq, coalesce(i.resolve_seq, 0), coalesce(j.kind, 'none'), coalesce(k.kind, 'none'))
FROM invoices AS i JOIN accounts AS a ON a.id = i.account
LEFT JOIN journal AS j ON j.seq = i.own_seq AND j.account = lower(hex(a.name)) AND j.subject = lower(hex(i.hash))
LEFT JOIN journal AS k ON k.seq = i.resolve_seq AND k.account = lower(hex(a.name)) AND k.subject = lower(hex(i.hash))
WHERE coalesce(j.kind, '') <> 'invoice.own' OR coalesce(k.kind, '') <> CASE i.state WHEN 'pending' THEN ''
    WHEN 'open' THEN '' WHEN 'settled' THEN 'invoice.settle' WHEN 'canceled' THEN 'invoice.cancel'
    ELSE 'invoice.void' END;

SELECT printf('account %s: the journal''s entry %d is of kind %s', lower(hex(a.name)), a.created_seq, coalesce(j.kind, 'none'))
FROM accounts AS a LEFT JOIN journal AS j ON j.seq = a.created_seq AND j.account = lower(hex(a.name))
WHERE coalesce(j.kind, '') <> 'account.create';

SELECT printf('%d payments, %d invoices and %d accounts, but the journal has %d, %d and %d', c.payments, c.invoices,
    c.accounts, j.payments, j.invoices, j.accounts)
FROM (SELECT (SELECT count(*) FROM payments) AS payments, (SELECT count(*) FROM invoices) AS invoices,
        (SELECT count(*) FROM accounts) AS accounts) AS c,
    (SELECT coalesce(sum(kind = 'payment.reserve'), 0) AS payments, coalesce(sum(kind = 'invoice.own'), 0) AS invoices,
        coalesce(sum(kind = 'account.create'), 0) AS accounts FROM journal) AS j
WHERE c.payments <> j.payments OR c.invoices <> j.invoices OR c.accounts <> j.accounts;

SELECT printf('the ledger''s time is %d, but a payment is of %d', l.last_ms, p.at)
FROM ledger AS l, (SELECT coalesce(max(max(created_ms, resolved_ms)), 0) AS at FROM payments) AS p
WHERE p.at > l.last_ms;
