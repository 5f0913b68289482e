package lnc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/leydenln/leyden/lnc/internal/noise"
)

// actTimeout is how long one act of the other side is awaited: its stretching
// of the phrase may be in it.
const actTimeout = 10 * time.Second

// errInterrupted says that what is below the handshake failed, as it may at any
// time.
var errInterrupted = errors.New("interrupted")

// secure runs the handshake over a link, one act in each message. learned is
// told the other side's key when it has proved itself for the first time: for
// a client that is before the node can have it from the last act.
func secure(ctx context.Context, l link, h *noise.Handshake, learned func(remote *btcec.PublicKey) error) error {
	for !h.Done() {
		if h.MyTurn() {
			act, err := h.WriteAct()
			if err != nil {
				return err
			}
			if err := l.Send(ctx, encodeAct(act)); err != nil {
				return fmt.Errorf("%w: send an act: %w", errInterrupted, linkError(err))
			}
			continue
		}
		met := h.Remote() != nil
		if err := readAct(ctx, l, h); err != nil {
			return err
		}
		if remote := h.Remote(); !met && remote != nil {
			if err := learned(remote); err != nil {
				return err
			}
		}
	}
	return nil
}

func readAct(ctx context.Context, l link, h *noise.Handshake) error {
	ctx, cancel := context.WithTimeout(ctx, actTimeout)
	defer cancel()
	msg, err := l.Recv(ctx)
	if err != nil {
		return fmt.Errorf("%w: await an act: %w", errInterrupted, linkError(err))
	}
	act, err := decodeMsgData(msg)
	if err != nil {
		return fmt.Errorf("%w: %w", errInterrupted, err)
	}
	if err := h.ReadAct(act); err != nil {
		// Anybody on the way can have done that, and the next act 2 be right.
		return fmt.Errorf("%w: %w", errInterrupted, err)
	}
	return nil
}

// encodeAct returns the MsgData of an act, which must stay whole: where that
// would be held back a byte follows it, which readers ignore.
func encodeAct(act []byte) []byte {
	msg := encodeMsgData(act)
	if heldBack(len(msg)) {
		msg = append(msg, 0)
	}
	return msg
}
