package shop

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"strconv"
	"strings"

	"github.com/btcsuite/btcd/btcutil"

	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/internal/fault"
)

// Account is a spending account of a node.
type Account struct {
	// ID is 16 hex digits.
	ID string

	// Macaroon is the file with the account's macaroon.
	Macaroon string
}

// NewAccount makes an account on the node, as its operator would: leyden is
// the program, file gets the macaroon, flags are more of `accounts create`.
// Code: account_failed.
func NewAccount(ctx context.Context, leyden string, node *devnet.Node, balance btcutil.Amount, file string, flags ...string) (Account, error) {
	var made struct {
		Account struct {
			ID string `json:"id"`
		} `json:"account"`
	}
	args := append([]string{"accounts", "create", strconv.FormatInt(int64(balance), 10), "--save_to", file}, flags...)
	if err := Operate(ctx, leyden, node, &made, args...); err != nil {
		return Account{}, err
	}
	return Account{ID: made.Account.ID, Macaroon: file}, nil
}

// Operate runs leyden on the node's home and decodes its JSON, if into is not
// nil. Code: account_failed.
func Operate(ctx context.Context, leyden string, node *devnet.Node, into any, args ...string) error {
	cmd := exec.CommandContext(ctx, leyden, append([]string{"--home", string(node.Home()), "--json"}, args...)...)
	cmd.Env = devnet.Environ()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if err == nil && into != nil {
		err = json.Unmarshal(out.Bytes(), into)
	}
	if err != nil {
		said := strings.Join(strings.Fields(out.String()+" "+errs.String()), " ")
		return fault.New("account_failed", "", "leyden %s: %w: %s", strings.Join(args, " "), err, said)
	}
	return nil
}
