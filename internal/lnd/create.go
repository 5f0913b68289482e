package lnd

import (
	"context"
	"slices"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"google.golang.org/grpc"

	"github.com/leydenln/leyden/internal/fault"
)

// SeedWords is the number of words of lnd's seeds (aezeed).
const SeedWords = 24

// walletTimeout bounds creating a wallet and changing its password, which take
// about five seconds each of deliberate key stretching.
const walletTimeout = 2 * time.Minute

// walletStop bounds the end of a child that only had a wallet open.
const walletStop = 20 * time.Second

// NewWallet says what wallet to create.
type NewWallet struct {
	// Password is the wallet's, at least MinPassword bytes.
	Password []byte

	// Seed restores a wallet from its 24 words; empty makes a new seed.
	Seed []string

	// SeedPassphrase protects the words of Seed, or of a new one: without it they
	// restore nothing. Empty: none.
	SeedPassphrase []byte

	// Keep is called with the 24 words before the wallet exists, so that no
	// wallet exists whose seed is not safe. Its error ends the creation. The words
	// of a watch-only wallet are nil.
	Keep func(seed []string) error

	// WatchOnly makes a wallet of a remote signer's public keys in place of a
	// seed's. The configuration must have a Signer, which is not asked.
	WatchOnly *lnrpc.WatchOnly

	// RecoveryWindow is the number of unused addresses in a row to search of a
	// watch-only wallet whose keys were used before; else 0.
	RecoveryWindow int32

	// Made, if not nil, is called once the wallet is whole.
	Made func() error

	// Then, if not nil, is called after that, once the wallet's lnd is active and
	// before it ends. Only an lnd without a chain (Settings.NoChain) gets so far.
	Then func(ctx context.Context) error
}

// CreateWallet makes the wallet for the given configuration in a child that
// touches neither chain nor network, and leaves lnd's macaroons behind. Codes:
// wallet_exists, bad_seed, short_password, those of a start, and those of Made and
// Then.
func CreateWallet(ctx context.Context, r Runner, w NewWallet) error {
	if len(w.Password) < MinPassword {
		return fault.New("short_password", "choose a longer one",
			"the wallet password is shorter than %d characters", MinPassword)
	}
	return r.withWallet(ctx, walletUse{made: w.Made, then: w.Then, do: func(ctx context.Context, conn *grpc.ClientConn, state State) error {
		if state != NoWallet {
			return fault.New("wallet_exists", "leyden node start", "there is a wallet already in %q", r.Dir)
		}
		client := lnrpc.NewWalletUnlockerClient(conn)
		if w.WatchOnly != nil {
			return w.initWatchOnly(ctx, client)
		}
		seed := slices.Clone(w.Seed)
		if len(seed) == 0 {
			resp, err := client.GenSeed(ctx, &lnrpc.GenSeedRequest{AezeedPassphrase: w.SeedPassphrase})
			if err != nil {
				return walletError(err)
			}
			seed = resp.CipherSeedMnemonic
		}
		if err := w.Keep(seed); err != nil {
			return err
		}
		_, err := client.InitWallet(ctx, &lnrpc.InitWalletRequest{
			WalletPassword: w.Password, CipherSeedMnemonic: seed, AezeedPassphrase: w.SeedPassphrase,
		})
		err = walletError(err)
		if len(w.Seed) > 0 && fault.Code(err) == "wrong_password" {
			return fault.New("bad_seed", "use the seed's own passphrase, or a seed that has none",
				"the seed is protected by a passphrase, or by another one")
		}
		return err
	}})
}

func (w NewWallet) initWatchOnly(ctx context.Context, client lnrpc.WalletUnlockerClient) error {
	if err := w.Keep(nil); err != nil {
		return err
	}
	_, err := client.InitWallet(ctx, &lnrpc.InitWalletRequest{
		WalletPassword: w.Password, WatchOnly: w.WatchOnly, RecoveryWindow: w.RecoveryWindow,
	})
	return walletError(err)
}

// ChangePassword gives the wallet another password. The node must not run.
// Codes: wrong_password, no_wallet, short_password.
func ChangePassword(ctx context.Context, r Runner, old, changed []byte) error {
	return r.withWallet(ctx, walletUse{do: func(ctx context.Context, conn *grpc.ClientConn, state State) error {
		if state == NoWallet {
			return fault.New("no_wallet", "leyden node create --mode standalone", "there is no wallet yet")
		}
		_, err := lnrpc.NewWalletUnlockerClient(conn).ChangePassword(ctx,
			&lnrpc.ChangePasswordRequest{CurrentPassword: old, NewPassword: changed})
		return walletError(err)
	}})
}

// walletUse is what is done with a wallet in a child that ends after it.
type walletUse struct {
	// do makes or changes the wallet, once lnd knows whether there is one.
	do func(context.Context, *grpc.ClientConn, State) error

	// made and then are those of NewWallet. Without then, lnd stops short of the
	// chain.
	made func() error
	then func(context.Context) error
}

// withWallet runs a child to use its wallet.
func (r Runner) withWallet(ctx context.Context, use walletUse) error {
	ctx, cancel := context.WithTimeout(ctx, walletTimeout)
	defer cancel()
	defer r.cleanUp()
	p, err := r.start(ctx, use.then == nil)
	if err != nil {
		return err
	}
	defer p.stop(walletStop)
	var own error // of the caller, who says himself what is wrong
	err = r.useWallet(ctx, p, use, &own)
	if err == nil || own != nil || fault.Code(err) != "node_unreachable" && fault.Code(err) != fault.Internal {
		return err
	}
	// The child went away under a call: how it ended says more.
	if ctx.Err() == nil && p.wait(walletStop) {
		return p.exitError(r.Config)
	}
	return fault.New("start_timeout", "see logs in the node's folder", "lnd does not answer: %w", err)
}

// useWallet is withWallet for a started child.
func (r Runner) useWallet(ctx context.Context, p *process, use walletUse, own *error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		<-p.done
		cancel()
	}()
	conn, err := r.Endpoint().awaitSocket(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	state, err := awaitState(ctx, conn, NoWallet)
	if err != nil {
		return err
	}
	if err := use.do(ctx, conn, state); err != nil {
		return err
	}
	// Past this state lnd has written its macaroons.
	if _, err := awaitState(ctx, conn, Unlocked); err != nil {
		return err
	}
	if err := r.tightenMacaroons(); err != nil {
		return err
	}
	if use.made != nil {
		if *own = use.made(); *own != nil {
			return *own
		}
	}
	if use.then == nil {
		return nil
	}
	if _, err := awaitState(ctx, conn, Active); err != nil {
		return err
	}
	*own = use.then(ctx)
	return *own
}

// awaitState waits until lnd has come at least so far.
func awaitState(ctx context.Context, conn grpc.ClientConnInterface, least State) (State, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := lnrpc.NewStateClient(conn).SubscribeState(ctx, &lnrpc.SubscribeStateRequest{}, grpc.WaitForReady(true))
	if err != nil {
		return Down, err
	}
	for {
		update, err := stream.Recv()
		if err != nil {
			return Down, err
		}
		if state := stateOf(update.State); state >= least {
			return state, nil
		}
	}
}
