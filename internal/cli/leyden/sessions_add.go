package leyden

import (
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"rsc.io/qr"

	"github.com/leydenln/leyden/internal/api"
	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/rpc/litrpc"
	"github.com/leydenln/leyden/internal/session"
)

// sessionTypes are litcli's names of them.
var sessionTypes = map[string]litrpc.SessionType{
	"readonly": litrpc.SessionType_TYPE_MACAROON_READONLY,
	"admin":    litrpc.SessionType_TYPE_MACAROON_ADMIN,
	"custom":   litrpc.SessionType_TYPE_MACAROON_CUSTOM,
	"account":  litrpc.SessionType_TYPE_MACAROON_ACCOUNT,
}

// longestSession bounds a number of seconds, which might have been meant as a date.
const longestSession = 10 * 365 * 24 * time.Hour

// pairingLink is where wallets look for the phrase in a QR code
// (lightning-terminal, connect/pair).
const pairingLink = "https://terminal.lightning.engineering#/connect/pair/"

func sessionsAddCmd(app *App, t *target) *cobra.Command {
	var kind, expiry string
	var perms, more, uris []string
	req := &litrpc.AddSessionRequest{}
	cmd := &cobra.Command{
		Use:     "add",
		Aliases: []string{"a"},
		Short:   "Make a session and show its ten words",
		Long: `Makes a session and shows its ten words, and a QR code of them for wallets. The
first client that uses the words owns the session; they are no use to anybody else
then. Nobody may have used them within ten minutes: then the session ends.

An account session can do what a macaroon of the account can, and no more. A
readonly one sees everything. An admin one can do everything, as admin.macaroon
can, and is journalled. A custom one has the permissions given with --perm.`,
		Example: `  leyden sessions add --label pointofsale --type account --account_id d64dbc31b28edf66
  leyden sessions add --label watcher --type custom --perm info:read --perm uri:/lnrpc.Lightning/ListChannels
  leyden sessions add --label home --type admin --mailboxserveraddr relay.example:11110 --devserver`,
		Args: voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if err := readSession(cmd, req, kind, expiry, append(perms, more...), uris); err != nil {
				return err
			}
			return app.call(cmd, t, func(ctx context.Context, c *api.Client) error {
				made, err := c.Sessions.AddSession(ctx, req)
				if err != nil {
					return err
				}
				return app.showSession(made.Session)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&req.Label, "label", "", "a name for the session")
	f.StringVar(&kind, "type", "readonly", "readonly, admin, custom or account")
	f.StringVar(&req.AccountId, "account_id", "", "the account of an account session, by id or label")
	f.StringVar(&expiry, "expiry", "90d", "when the session ends: a span of time (30d), seconds from now, or a date")
	f.StringSliceVar(&perms, "perm", nil, "a permission of a custom session, entity:action or uri:METHOD; may be repeated")
	f.StringSliceVar(&more, "permission", nil, "the same as --perm")
	f.StringArrayVar(&uris, "uri", nil, "a method, or a regular expression of methods, of a custom session; may be repeated")
	f.StringVar(&req.MailboxServerAddr, "mailboxserveraddr", session.DefaultMailbox, "the relay, host:port")
	f.BoolVar(&req.DevServer, "devserver", false, "do not verify the relay's certificate")
	return cmd
}

func readSession(cmd *cobra.Command, req *litrpc.AddSessionRequest, kind, expiry string, perms, uris []string) (err error) {
	var ok bool
	if req.SessionType, ok = sessionTypes[kind]; !ok {
		return voice.UsageError(cmd, fmt.Errorf("type %q: want readonly, admin, custom or account", kind))
	}
	if (kind == "account") != (req.AccountId != "") {
		return voice.UsageError(cmd, fmt.Errorf("--type account and --account_id go together"))
	}
	if (kind == "custom") != (len(perms)+len(uris) > 0) {
		return voice.UsageError(cmd, fmt.Errorf("--type custom goes with --perm or --uri"))
	}
	for _, text := range perms {
		entity, action, ok := strings.Cut(text, ":")
		if !ok || entity == "" || action == "" {
			return voice.UsageError(cmd, fmt.Errorf("permission %q: want entity:action, or uri:METHOD", text))
		}
		req.MacaroonCustomPermissions = append(req.MacaroonCustomPermissions, &litrpc.MacaroonPermission{Entity: entity, Action: action})
	}
	for _, uri := range uris {
		req.MacaroonCustomPermissions = append(req.MacaroonCustomPermissions, &litrpc.MacaroonPermission{Entity: "uri", Action: uri})
	}
	req.ExpiryTimestampSeconds, err = sessionEnd(cmd, expiry, time.Now())
	return err
}

// sessionEnd reads when a session ends, in Unix seconds. A number is seconds from
// now, as litcli has it.
func sessionEnd(cmd *cobra.Command, text string, now time.Time) (uint64, error) {
	var end int64
	if seconds, err := strconv.ParseUint(text, 10, 63); err == nil {
		if seconds > uint64(longestSession/time.Second) {
			return 0, voice.UsageError(cmd, fmt.Errorf("expiry %q: a number is seconds from now, and at most ten years", text))
		}
		end = now.Unix() + int64(seconds)
	} else if end, err = expiration(cmd, text); err != nil {
		return 0, err
	}
	if end <= now.Unix() {
		return 0, voice.UsageError(cmd, fmt.Errorf("expiry %q: a session ends some day, and not before it begins", text))
	}
	return uint64(end), nil
}

// showSession shows a session with its words, this once.
func (app *App) showSession(s *litrpc.Session) error {
	link := pairingLink + base64.StdEncoding.EncodeToString([]byte(strings.Join(
		[]string{s.PairingSecretMnemonic, s.MailboxServerAddr, sessionType(s)}, "||")))
	if app.JSON {
		voice.PrintJSON(app.Out, struct {
			sessionView
			Phrase string `json:"pairing_phrase"`
			Link   string `json:"pairing_link"`
		}{viewSession(s), s.PairingSecretMnemonic, link})
		return nil
	}
	code, err := qr.Encode(link, qr.L)
	if err != nil {
		return err
	}
	drawQR(app.Out, code)
	app.describeSession(s)
	fmt.Fprintf(app.Out, "words:   %s\n", s.PairingSecretMnemonic)
	fmt.Fprintln(app.Out, "The words are shown this once, and are good for ten minutes and one client.")
	return nil
}
