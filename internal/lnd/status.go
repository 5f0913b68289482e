package lnd

import (
	"errors"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
)

// State is how far the child has come.
type State int

// The states, in the order of a start.
const (
	// Down means there is no child, or it does not answer yet.
	Down State = iota
	// NoWallet means it waits for a wallet to be created.
	NoWallet
	// Locked means it waits for the wallet's password.
	Locked
	// Unlocked means the wallet is open and lnd is starting.
	Unlocked
	// RPCActive means calls are answered while the chain is still syncing.
	RPCActive
	// Active means lnd is synced to its chain backend and fully up.
	Active
)

var stateNames = [...]string{"down", "no_wallet", "locked", "unlocked", "rpc_active", "active"}

// String returns the name used in JSON output and on the wire of nothing else.
func (s State) String() string { return stateNames[s] }

// Serving says whether lnd answers calls that need the wallet.
func (s State) Serving() bool { return s >= RPCActive }

// Status is the child at one moment.
type Status struct {
	State State

	// AwaitsPassword means that the wallet is Locked and stays so until somebody
	// gives its password: we have none, or one that is wrong.
	AwaitsPassword bool

	// PID of the child; 0 when there is none.
	PID int

	// Restarts counts the starts after the first.
	Restarts int

	// Err is why the child last ended by itself, or why its wallet could not
	// be opened; nil once it serves again.
	Err error

	// SignerErr is why the remote signer counts as away, or that it has not been
	// asked yet; nil while it answers, or when there is none.
	SignerErr error

	// credentials names those with which the signer last answered.
	credentials string

	// NextStart is when the child will be started again; zero while it runs.
	NextStart time.Time
}

// down is the status once the child has ended.
func (s Status) down(restarts int, err error) Status {
	return Status{Restarts: restarts, Err: err, SignerErr: s.SignerErr, credentials: s.credentials}
}

// SignerAway says that the signer was asked and could not sign.
func (s Status) SignerAway() bool {
	return s.SignerErr != nil && !errors.Is(s.SignerErr, errSignerUnknown)
}

// stateOf maps lnd's own wallet states.
func stateOf(s lnrpc.WalletState) State {
	switch s {
	case lnrpc.WalletState_NON_EXISTING:
		return NoWallet
	case lnrpc.WalletState_LOCKED:
		return Locked
	case lnrpc.WalletState_UNLOCKED:
		return Unlocked
	case lnrpc.WalletState_RPC_ACTIVE:
		return RPCActive
	case lnrpc.WalletState_SERVER_ACTIVE:
		return Active
	default: // WAITING_TO_START, and what a later lnd may add
		return Down
	}
}
