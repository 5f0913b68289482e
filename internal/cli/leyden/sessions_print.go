package leyden

import (
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/rpc/litrpc"
)

// sessionView is a session in JSON, without its phrase.
type sessionView struct {
	ID        string     `json:"id"`
	Label     string     `json:"label"`
	Type      string     `json:"type"`
	State     string     `json:"state"`
	AccountID string     `json:"account_id,omitempty"`
	Created   time.Time  `json:"created"`
	Expires   time.Time  `json:"expires"`
	Ended     *time.Time `json:"ended"`
	Mailbox   string     `json:"mailboxserveraddr"`
	DevServer bool       `json:"devserver"`
	Paired    bool       `json:"paired"`
	LocalKey  string     `json:"local_public_key"`
	RemoteKey string     `json:"remote_public_key"`

	Permissions []string `json:"permissions,omitempty"` // of a custom one
}

func viewSession(s *litrpc.Session) sessionView {
	return sessionView{
		ID: hex.EncodeToString(s.Id), Label: s.Label, Type: sessionType(s), State: strings.ToLower(strings.TrimPrefix(s.SessionState.String(), "STATE_")), AccountID: s.AccountId,
		Created: date(int64(s.CreatedAt)), Expires: date(int64(s.ExpiryTimestampSeconds)), Ended: dateOrNever(int64(s.RevokedAt)),
		Mailbox: s.MailboxServerAddr, DevServer: s.DevServer, Paired: len(s.RemotePublicKey) > 0,
		LocalKey: hex.EncodeToString(s.LocalPublicKey), RemoteKey: hex.EncodeToString(s.RemotePublicKey),
		Permissions: customPermissions(s),
	}
}

// customPermissions are those of a custom session, as --perm takes them.
func customPermissions(s *litrpc.Session) (list []string) {
	if s.SessionType != litrpc.SessionType_TYPE_MACAROON_CUSTOM {
		return nil
	}
	for _, p := range s.MacaroonRecipe.GetPermissions() {
		list = append(list, p.Entity+":"+p.Action)
	}
	return list
}

func sessionType(s *litrpc.Session) string {
	for name, kind := range sessionTypes {
		if kind == s.SessionType {
			return name
		}
	}
	return strings.ToLower(strings.TrimPrefix(s.SessionType.String(), "TYPE_"))
}

// condition names the state to a person.
func (v sessionView) condition() string {
	switch {
	case v.State != "created":
		return v.State
	case v.Paired:
		return "paired"
	}
	return "waits for its client"
}

// calledSession names a session to a person.
func calledSession(s *litrpc.Session) string {
	id := hex.EncodeToString(s.Id)
	if s.Label == "" {
		return id
	}
	return fmt.Sprintf("%s (%s)", s.Label, id)
}

func (app *App) describeSession(s *litrpc.Session) {
	what := sessionType(s)
	if s.AccountId != "" {
		what += " " + s.AccountId
	}
	fmt.Fprintf(app.Out, "session: %s, %s\n", calledSession(s), what)
	fmt.Fprintf(app.Out, "expires: %s\n", sessionDate(s.ExpiryTimestampSeconds))
	fmt.Fprintf(app.Out, "relay:   %s\n", s.MailboxServerAddr)
}

func sessionDate(unix uint64) string { return time.Unix(int64(unix), 0).Format(time.DateTime) }

// printSessions prints sessions; of those left out, if they have ended, it says
// how to see them.
func (app *App) printSessions(list []*litrpc.Session, left int, ended bool) {
	if app.JSON {
		views := make([]sessionView, len(list))
		for i, s := range list {
			views[i] = viewSession(s)
		}
		voice.PrintJSON(app.Out, map[string]any{"sessions": views})
		return
	}
	switch {
	case len(list) == 0 && !ended:
		fmt.Fprintln(app.Out, "no such sessions")
	case len(list) == 0:
		fmt.Fprintln(app.Out, "no open sessions: leyden sessions add --label NAME --type account --account_id ID")
	default:
		table(app.Out, "ID\tLABEL\tTYPE\tACCOUNT\tEXPIRES\tSTATE", func(w io.Writer) {
			for _, s := range list {
				v := viewSession(s)
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", v.ID, v.Label, v.Type, v.AccountID, sessionDate(s.ExpiryTimestampSeconds), v.condition())
			}
		})
	}
	if left > 0 && ended {
		fmt.Fprintf(app.Out, "%d have ended: leyden sessions list --all\n", left)
	}
}
