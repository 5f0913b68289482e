package account

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// Codes of errors about sessions (fault.Error).
const (
	CodeSessionUnknown = "session_unknown"
	CodeSessionEnded   = "session_ended"
	CodeBadSession     = "bad_session"
)

// SessionID names a session: 8 lower-case hex digits in text. As lightning-terminal
// has it, it is bytes 1 to 4 of the compressed local key.
type SessionID [4]byte

// String returns the 8 lower-case hex digits.
func (id SessionID) String() string { return hex.EncodeToString(id[:]) }

// sessionRootKeys are the upper 4 bytes of the root key ids of sessions:
// lightning-terminal's "super macaroons".
const sessionRootKeys = 0xffeeddcc

// RootKeyID returns the id of the root key of the session's macaroon.
func (id SessionID) RootKeyID() uint64 {
	return sessionRootKeys<<32 | uint64(binary.BigEndian.Uint32(id[:]))
}

// SessionOfRootKey is the way back; ok is false for a root key of no session.
func SessionOfRootKey(rootKeyID uint64) (id SessionID, ok bool) {
	binary.BigEndian.PutUint32(id[:], uint32(rootKeyID))
	return id, rootKeyID>>32 == sessionRootKeys
}

// SessionKind says what a session's macaroon permits.
type SessionKind string

// The kinds of sessions.
const (
	SessionReadonly SessionKind = "readonly"
	SessionAdmin    SessionKind = "admin"
	SessionCustom   SessionKind = "custom"
	SessionAccount  SessionKind = "account"
)

// SessionState is where a session is in its life: reserved, created, and at last
// revoked or expired.
type SessionState string

// The states. A reserved session has no macaroon yet, and none of what has ended
// has secrets any more.
const (
	SessionReserved SessionState = "reserved"
	SessionCreated  SessionState = "created"
	SessionRevoked  SessionState = "revoked"
	SessionExpired  SessionState = "expired"
)

// Permission is one of lnd's: {"offchain", "write"}, or {"uri", a full method}.
type Permission struct {
	Entity string `json:"entity"`
	Action string `json:"action"`
}

// Secret is bytes that must not be shown. It does not print.
type Secret []byte

// Format hides the secret from every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "<secret>") }

// LogValue hides the secret.
func (Secret) LogValue() slog.Value { return slog.StringValue("<secret>") }

// MarshalText hides the secret, from JSON too.
func (Secret) MarshalText() ([]byte, error) { return []byte("<secret>"), nil }

// Session is a session of Lightning Node Connect as it is now.
type Session struct {
	ID          SessionID
	Label       string
	Kind        SessionKind
	Account     ID // of SessionAccount alone
	Permissions []Permission

	// Mailbox is the relay, host:port; DevServer means that its certificate is
	// not verified.
	Mailbox   string
	DevServer bool

	State  SessionState
	Reason string // why it ended, for people

	// LocalKey and RemoteKey are compressed public keys; RemoteKey is empty until
	// the client has paired.
	LocalKey  [33]byte
	RemoteKey []byte

	// PrivateKey is LocalKey's, Phrase the pairing phrase, empty once the client
	// has paired, and Macaroon what the client gets, binary.
	PrivateKey, Phrase, Macaroon Secret

	Created, Expires time.Time
	Ended            time.Time // zero: it has not
}

// Caveats are those of the session's macaroon.
func (s Session) Caveats() (caveats []string) {
	if s.Kind == SessionAccount {
		caveats = append(caveats, s.Account.Caveat())
	}
	return append(caveats, "time-before "+s.Expires.UTC().Format(time.RFC3339Nano))
}

// Open says that the session has not ended.
func (s Session) Open() bool { return s.State == SessionReserved || s.State == SessionCreated }
