package lnd

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"

	"github.com/leydenln/leyden/internal/fault"
)

func TestRecordReached(t *testing.T) {
	for name, want := range map[string]bool{"down": false, "locked": false, "unlocked": false, "rpc_active": true, "active": true, "": false, "of a later version": false} {
		if got := (Record{State: name}).Reached(RPCActive); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
	at := time.Now()
	r := Status{State: Locked, AwaitsPassword: true, PID: 7, Restarts: 2, Err: errors.New("why"), NextStart: at}.Record()
	if r.State != "locked" || !r.AwaitsPassword || r.LndPID != 7 || r.Restarts != 2 || r.Error != "why" || !r.NextStart.Equal(at) {
		t.Errorf("%+v", r)
	}
	if r := (Status{}).Record(); r.State != "down" || r.NextStart != nil || r.Error != "" {
		t.Errorf("%+v", r)
	}
}

// TestUnlockForTellsOfAnEnd: an lnd that opens its wallet and then ends is not waited
// for.
func TestUnlockForTellsOfAnEnd(t *testing.T) {
	runtime, err := RuntimeDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(runtime) })
	spec := ChildSpec{Private: t.TempDir(), Socket: filepath.Join(runtime, socketName)}
	f := &fakeLnd{changed: make(chan struct{}), state: lnrpc.WalletState_LOCKED}
	if err := f.serve(spec); err != nil {
		t.Fatal(err)
	}
	e := Endpoint{Socket: spec.Socket, CertPath: spec.CertPath()}
	locked, active := Record{State: "locked", LndPID: 7}, Record{State: "active", LndPID: 7}
	for name, c := range map[string]struct {
		password string
		then     Record
		code     string
	}{
		"ok/serves":        {fakePassword, active, ""},
		"fail/ended":       {fakePassword, Record{State: "down", Error: "lnd ended: invalid password"}, "start_failed"},
		"fail/started new": {fakePassword, Record{State: "locked", LndPID: 8}, "start_failed"},
		"fail/password":    {"not the password", active, "wrong_password"},
	} {
		t.Run(name, func(t *testing.T) {
			told := []Record{locked, locked, c.then}
			err := UnlockFor(t.Context(), e, []byte(c.password), 0, func() (Record, error) {
				r := told[0]
				if len(told) > 1 {
					told = told[1:]
				}
				return r, nil
			}, Active, "leyden node status")
			if fault.Code(err) != c.code || c.code == "start_failed" && !strings.Contains(err.Error(), c.then.Error) {
				t.Errorf("%v", err)
			}
		})
	}
}
