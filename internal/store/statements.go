package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	"modernc.org/sqlite"
)

// driverName is SQLite's driver with connections that keep their statements:
// parsing one takes longer than running it.
const driverName = "sqlite-kept"

// maxKept bounds the statements that a connection keeps.
const maxKept = 256

func init() { sql.Register(driverName, keeper{}) }

type keeper struct{ plain sqlite.Driver }

// Open returns a connection that keeps its statements.
func (k keeper) Open(name string) (driver.Conn, error) {
	opened, err := k.plain.Open(name)
	if err != nil {
		return nil, err
	}
	plain, ok := opened.(plainConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("SQLite's driver has changed: %T", opened), opened.Close())
	}
	return &conn{plainConn: plain, kept: make(map[string]*statement)}, nil
}

// plainConn is what SQLite's connections can do.
type plainConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// conn is a connection. Like every driver.Conn it serves one goroutine at a time.
type conn struct {
	plainConn
	kept map[string]*statement
}

// statement is a kept one. It is busy while its rows are open.
type statement struct {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
	busy bool
}

// keep returns the statement of a query, or nil if the query is to be run plainly:
// a script, or one whose statement is busy.
func (c *conn) keep(ctx context.Context, query string) (*statement, error) {
	if s := c.kept[query]; s != nil {
		if s.busy {
			return nil, nil
		}
		return s, nil
	}
	if len(c.kept) >= maxKept || strings.Contains(query, ";") {
		return nil, nil
	}
	prepared, err := c.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	exec, canExec := prepared.(driver.StmtExecContext)
	rows, canQuery := prepared.(driver.StmtQueryContext)
	if !canExec || !canQuery {
		return nil, prepared.Close()
	}
	s := &statement{Stmt: prepared, StmtExecContext: exec, StmtQueryContext: rows}
	c.kept[query] = s
	return s, nil
}

// ExecContext runs a query that returns no rows.
func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	s, err := c.keep(ctx, query)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.plainConn.ExecContext(ctx, query, args)
	}
	return s.ExecContext(ctx, args)
}

// QueryContext runs a query that returns rows.
func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.keep(ctx, query)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.plainConn.QueryContext(ctx, query, args)
	}
	opened, err := s.QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	s.busy = true
	return &rows{Rows: opened, of: s}, nil
}

// Close closes the statements as well.
func (c *conn) Close() error {
	var all error
	for _, s := range c.kept {
		all = errors.Join(all, s.Close())
	}
	return errors.Join(all, c.plainConn.Close())
}

// rows are the rows of a kept statement.
type rows struct {
	driver.Rows
	of *statement
}

// Close makes the statement free for its next use.
func (r *rows) Close() error {
	r.of.busy = false
	return r.Rows.Close()
}
