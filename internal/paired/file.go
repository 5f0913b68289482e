package paired

import (
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"github.com/leydenln/leyden/lnc"
)

// file is a session as its file has it.
type file struct {
	Mailbox   string    `json:"mailbox"`
	DevServer bool      `json:"dev_server,omitempty"`
	WebSocket bool      `json:"websocket,omitempty"`
	Created   time.Time `json:"created"`
	Node      string    `json:"node_pubkey,omitempty"`
	Network   string    `json:"network,omitempty"`
	Meeting   string    `json:"meeting"`
	Keys      string    `json:"keys"`             // secret
	Phrase    string    `json:"phrase,omitempty"` // secret, and only until it is of no more use
}

// MarshalJSON implements [json.Marshaler]: a session's file, a secret.
func (s Session) MarshalJSON() ([]byte, error) {
	keys, err := lnc.EncodeIdentity(s.Identity)
	if err != nil {
		return nil, err
	}
	f := file{Mailbox: s.Mailbox, DevServer: s.DevServer, WebSocket: s.WebSocket, Created: s.Created, Node: s.Node,
		Network: s.Network, Meeting: s.meeting, Keys: hex.EncodeToString(keys)}
	if !s.Phrase.IsZero() {
		f.Phrase = hex.EncodeToString(s.Phrase[:])
	}
	return json.Marshal(f)
}

// UnmarshalJSON implements [json.Unmarshaler]. Errors quote no secrets.
func (s *Session) UnmarshalJSON(data []byte) error {
	var f file
	if err := json.Unmarshal(data, &f); err != nil {
		return err
	}
	keys, err := hex.DecodeString(f.Keys)
	if err != nil {
		return errors.New("its keys are no hex digits")
	}
	identity, err := lnc.ParseIdentity(keys)
	if err != nil {
		return err
	}
	*s = Session{Mailbox: f.Mailbox, DevServer: f.DevServer, WebSocket: f.WebSocket, Created: f.Created, Node: f.Node,
		Network: f.Network, Identity: identity, meeting: f.Meeting}
	if f.Phrase == "" {
		return nil
	}
	phrase, err := hex.DecodeString(f.Phrase)
	if err != nil || len(phrase) != len(s.Phrase) {
		return errors.New("its phrase is none")
	}
	copy(s.Phrase[:], phrase)
	return nil
}

func (s *Session) mailbox() lnc.Mailbox {
	m := lnc.Mailbox{Addr: s.Mailbox, WebSocket: s.WebSocket}
	if s.DevServer {
		// What passes is encrypted between the two ends all the same.
		m.TLS = &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true}
	}
	return m
}
