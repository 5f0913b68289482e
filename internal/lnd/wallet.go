package lnd

import (
	"context"
	"strings"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/fault"
)

// MinPassword is the shortest wallet password lnd takes, in bytes.
const MinPassword = 8

// RecoveryWindow is the number of unused addresses in a row that are searched
// for a wallet restored from its seed: lncli's default.
const RecoveryWindow = 2500

// Unlock opens the wallet of the running child at the endpoint. window is the
// number of unused addresses in a row to search while a restored wallet is
// being recovered, else 0. Codes: wrong_password, already_unlocked, no_wallet,
// node_unreachable, wallet_failed.
func Unlock(ctx context.Context, e Endpoint, password []byte, window int32) error {
	conn, err := e.Dial()
	if err != nil {
		return fault.New("node_unreachable", "leyden node start", "reach lnd: %w", err)
	}
	defer conn.Close()
	return unlock(ctx, conn, password, window)
}

// UnlockFor opens the wallet as Unlock does, for a child whose parent keeps the record,
// and waits until the child has come at least so far. status is the command that says
// how it is, for hints. Codes: start_failed when the child ends instead,
// start_timeout, and those of Unlock.
func UnlockFor(ctx context.Context, e Endpoint, password []byte, window int32, record func() (Record, error), least State, status string) error {
	before, err := record()
	if err != nil {
		return err
	}
	if err := Unlock(ctx, e, password, window); err != nil {
		return err
	}
	for {
		now, err := record()
		switch {
		case err != nil || now.Reached(least):
			return err
		case now.LndPID != before.LndPID:
			return fault.New("start_failed", status, "the wallet was opened, and then lnd ended: %s", now.Error)
		}
		select {
		case <-ctx.Done():
			return fault.New("start_timeout", status, "the wallet is open but lnd is not ready: %w", ctx.Err())
		case <-time.After(recordPoll):
		}
	}
}

// recordPoll is the pause between two looks at a record.
const recordPoll = 100 * time.Millisecond

func unlock(ctx context.Context, conn grpc.ClientConnInterface, password []byte, window int32) error {
	_, err := lnrpc.NewWalletUnlockerClient(conn).UnlockWallet(ctx,
		&lnrpc.UnlockWalletRequest{WalletPassword: password, RecoveryWindow: window},
		grpc.WaitForReady(true))
	return walletError(err)
}

// walletErrors gives lnd's texts a code and a safe sentence: its unlocker
// answers everything with code Unknown, and may quote a word of the seed.
var walletErrors = []struct{ part, code, hint, sentence string }{
	{"invalid passphrase", "wrong_password", "check the password file",
		"the wallet does not open with this password"},
	{"invalid password", "macaroon_password", "check the password file", // snacl's, of the macaroons' root keys
		"the wallet opens with this password, the store of macaroons does not"},
	{"wallet already exists", "wallet_exists", "leyden node start", "there is a wallet already"},
	{"wallet not found", "no_wallet", "leyden node create --mode standalone", "there is no wallet yet"},
	{"wallet not created", "no_wallet", "leyden node create --mode standalone", "there is no wallet yet"},
	{"wallet already unlocked", "already_unlocked", "leyden node status", "the wallet is open already"},
	{"at least 8 characters", "short_password", "choose a longer one",
		"the wallet password is shorter than 8 characters"},
	{"mnemonic phrase checksum", "bad_seed", "check the order and spelling of the 24 words",
		"the seed's checksum does not match"},
	{"default word list", "bad_seed", "check the spelling of the 24 words", "the seed has an unknown word"},
	{"wrong seed version", "bad_seed", "use the 24 words that lnd gave", "the seed is of another version"},
}

func walletError(err error) error {
	if err == nil {
		return nil
	}
	s := status.Convert(err)
	for _, known := range walletErrors {
		if strings.Contains(s.Message(), known.part) {
			return fault.New(known.code, known.hint, "%s", known.sentence)
		}
	}
	if s.Code() == codes.Unavailable || s.Code() == codes.DeadlineExceeded {
		return fault.New("node_unreachable", "leyden node status", "reach lnd: %s", s.Message())
	}
	return fault.New("wallet_failed", "see logs in the node's folder", "lnd's wallet: %s", s.Message())
}
