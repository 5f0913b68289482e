package backup

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/fault"
)

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
// Code: no_backup_folder, unless a backup is being restored.
func StatusOf(h config.Home, pid int) (Status, error) {
	var s Status
	if _, err := os.Stat(pendingFile(h)); err == nil {
		s.Restoring = true
	}
	to, err := To(h)
	if err != nil && !s.Restoring {
		return s, err
	}
	var wrong error
	if s.To = string(to); s.To != "" {
		wrong = s.read(to)
	}
	if following, ok := followingOf(h, pid); ok {
		s.Following, s.Restored = true, following.Restored
		if !following.Checked.IsZero() {
			s.Checked = &following.Checked
		}
		s.Code, s.Error = following.Code, following.Error
	}
	if wrong != nil && s.Error == "" {
		s.Code, s.Error = fault.Code(wrong), wrong.Error()
	}
	s.OK = s.To != "" && s.Error == ""
	return s, nil
}

// read looks at the copies.
func (s *Status) read(to Folder) error {
	b, err := to.Read()
	if err != nil {
		return err
	}
	s.Network, s.Node, s.Time, s.Channels = b.Network, b.Node, &b.Channels.Time, len(b.Channels.Channels)
	if b.Ledger != nil {
		s.Ledger = &b.Ledger.Time
	}
	return nil
}

// followingOf returns what the follower of the running node has written down.
func followingOf(h config.Home, pid int) (f Following, ok bool) {
	data, err := os.ReadFile(recordFile(h))
	if errors.Is(err, fs.ErrNotExist) || pid == 0 {
		return f, false
	}
	if err == nil {
		err = json.Unmarshal(data, &f)
	}
	return f, err == nil && f.PID == pid
}
