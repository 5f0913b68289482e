package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	_ "modernc.org/sqlite" // the driver
)

// copies fills the database of a ledger with n accounts by copying the first
// have, with all that they own, over and over. What the copies' journal entries
// chain to is not right; nothing that is measured looks at it.
func copies(ctx context.Context, path string, have, n int) (err error) {
	if n <= have {
		return nil
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a commit: nothing
	for _, c := range []struct {
		table   string
		columns map[string]string // what a copy has instead
	}{
		{"journal", map[string]string{"seq": "seq + i * (SELECT max(seq) FROM templates)"}},
		{"books", map[string]string{"id": "id + i * :have", "name": "hex(randomblob(8))"}},
		{"accounts", map[string]string{"id": "id + i * :have", "name": "randomblob(8)"}},
		{"payments", map[string]string{"id": "id + i * (SELECT max(id) FROM templates)", "account": "account + i * :have",
			"hash": "randomblob(32)"}},
		{"transactions", map[string]string{"id": "id + i * (SELECT max(id) FROM templates)", "key": "key || '/' || i",
			"payment": "payment + i * (SELECT max(id) FROM payments_templates)"}},
		{"entries", map[string]string{"tx": "tx + i * (SELECT max(id) FROM transactions_templates)",
			"book": "iif(book > 2, book + i * :have, book)"}},
	} {
		if err := copyRows(ctx, tx, c.table, c.columns, have, n/have-1); err != nil {
			return fmt.Errorf("copy %s: %w", c.table, err)
		}
	}
	_, err = tx.ExecContext(ctx, "UPDATE ledger SET balances_msat = (SELECT sum(balance_msat) FROM accounts)")
	if err != nil {
		return err
	}
	return tx.Commit()
}

// copyRows copies all rows of a table but those of the books that are no
// account's. The rows as they were stay in a temporary table.
func copyRows(ctx context.Context, tx *sql.Tx, table string, instead map[string]string, have, times int) error {
	templates := table + "_templates"
	if _, err := tx.ExecContext(ctx, "CREATE TEMP TABLE "+templates+" AS SELECT * FROM "+table+
		map[bool]string{true: " WHERE id > 2"}[table == "books"]); err != nil {
		return err
	}
	rows, err := tx.QueryContext(ctx, "SELECT name FROM pragma_table_info(?)", table)
	if err != nil {
		return err
	}
	defer rows.Close()
	var names, values []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		names, values = append(names, name), append(values, name)
		if v, ok := instead[name]; ok {
			values[len(values)-1] = strings.ReplaceAll(v, "FROM templates", "FROM "+templates)
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, fmt.Sprintf(`WITH RECURSIVE k (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k WHERE i < :times)
		INSERT INTO %s (%s) SELECT %s FROM k CROSS JOIN %s ORDER BY i, %s.rowid`,
		table, strings.Join(names, ", "), strings.Join(values, ", "), templates, templates),
		sql.Named("have", have), sql.Named("times", times))
	return err
}
