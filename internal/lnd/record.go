package lnd

import (
	"slices"
	"time"
)

// Record is what a parent writes down of its child, for our other commands.
type Record struct {
	// State is the name of a State. AwaitsPassword means that it is locked until
	// somebody gives the wallet's password.
	State          string `json:"state"`
	AwaitsPassword bool   `json:"awaits_password,omitempty"`

	// LndPID is 0 while lnd is down; Restarts counts its starts after the first;
	// Error says why it last ended or stays locked; NextStart is when it will be
	// started again.
	LndPID    int        `json:"lnd_pid,omitempty"`
	Restarts  int        `json:"restarts"`
	Error     string     `json:"error,omitempty"`
	NextStart *time.Time `json:"next_start,omitempty"`
}

// Reached says whether the child has come at least so far.
func (r Record) Reached(s State) bool { return slices.Index(stateNames[:], r.State) >= int(s) }

// Record is the status as it is written down.
func (s Status) Record() Record {
	r := Record{State: s.State.String(), AwaitsPassword: s.AwaitsPassword, LndPID: s.PID, Restarts: s.Restarts}
	if s.Err != nil {
		r.Error = s.Err.Error()
	}
	if !s.NextStart.IsZero() {
		r.NextStart = &s.NextStart
	}
	return r
}
