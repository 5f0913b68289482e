package backup

import (
	"encoding/json"
	"os"
	"time"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/fault"
)

// answerTime is how long a folder may take to be read.
const answerTime = 20 * time.Second

// Status is how a home's backup is.
type Status struct {
	// OK says that the copies are intact and, as far as anybody knows, up to date.
	OK bool   `json:"ok"`
	To string `json:"to,omitempty"`

	Network  string     `json:"network,omitempty"`
	Node     string     `json:"node,omitempty"`
	Time     *time.Time `json:"time,omitempty"`
	Channels int        `json:"channels"`
	Ledger   *time.Time `json:"ledger_time,omitempty"`

	// Following says that the node runs and keeps the copies up to date; Checked is
	// when they last were.
	Following bool       `json:"following"`
	Checked   *time.Time `json:"checked,omitempty"`

	// Restoring says that lnd has yet to take over a backup; Restored is how many
	// channels it has taken over since the node was started.
	Restoring bool `json:"restoring"`
	Restored  int  `json:"restored,omitempty"`

	// Code and Error say what is wrong.
	Code  string `json:"code,omitempty"`
	Error string `json:"error,omitempty"`
}

// StatusOf tells how the home's backup is. pid is that of the running node, or 0.
// Code: no_backup_folder, unless a backup is being, or was, restored.
func StatusOf(h config.Home, pid int) (Status, error) {
	var s Status
	if _, err := os.Stat(pendingFile(h)); err == nil {
		s.Restoring = true
	}
	following := followingOf(h, pid)
	s.Restored, s.Code, s.Error = following.Restored, following.Code, following.Error
	to, err := To(h)
	if err != nil {
		if s.Restoring || s.Restored > 0 {
			err = nil
		}
		return s, err
	}
	s.To, s.Following = string(to), following.PID != 0
	if !following.Checked.IsZero() {
		s.Checked = &following.Checked
	}
	if err := s.read(to); err != nil && s.Error == "" {
		s.Code, s.Error = fault.Code(err), err.Error()
	}
	s.OK = s.Error == ""
	return s, nil
}

// read looks at the copies, unless the folder does not answer.
func (s *Status) read(to Folder) error {
	type found struct {
		b   *Backup
		err error
	}
	answer := make(chan found, 1)
	go func() {
		b, err := to.Read()
		answer <- found{b, err}
	}()
	select {
	case got := <-answer:
		if got.err != nil {
			return got.err
		}
		return s.describe(to, got.b)
	case <-time.After(answerTime):
		return errStuck(to)
	}
}

// describe says what the copies are, and as error what is wrong with them.
func (s *Status) describe(to Folder, b *Backup) error {
	s.Network, s.Node, s.Time, s.Channels = b.Network, b.Node, &b.Channels.Time, len(b.Channels.Channels)
	if b.Ledger != nil {
		s.Ledger = &b.Ledger.Time
	}
	if b.Cut != "" && b.LedgerFault == nil {
		return fault.New(CodeDamaged, hintDamaged, "a newer copy than %q was begun and not written to its end", to.path(b.Cut))
	}
	return b.LedgerFault
}

// followingOf returns what the follower of the running node has written down, if
// anything; without one (0), what went wrong in the last run.
func followingOf(h config.Home, pid int) (f Following) {
	data, err := os.ReadFile(recordFile(h))
	switch {
	case err != nil || json.Unmarshal(data, &f) != nil:
		return Following{}
	case pid == 0:
		return Following{Code: f.Code, Error: f.Error}
	case f.PID != pid:
		return Following{}
	}
	return f
}
