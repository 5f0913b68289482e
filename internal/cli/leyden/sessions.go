package leyden

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/api"
	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/rpc/litrpc"
)

func newSessionsCmd(app *App) *cobra.Command {
	t := new(target)
	cmd := &cobra.Command{
		Use:     "sessions",
		Aliases: []string{"s"},
		Short:   "Lightning Node Connect: reach the node with ten words and no open port",
		Long: `A session is ten words that connect one wallet or program to the node, end-to-end
encrypted, through a relay: the node needs no open port, and its client neither
certificate nor macaroon. What the words may do is chosen when the session is made,
and can be taken back at any time.

A session is named by its id (8 hex digits), its label, or its local public key.`,
		Example: `  leyden sessions add --label phone --type account --account_id agent
  leyden sessions add --label dashboard --type readonly --expiry 30d
  leyden sessions list
  leyden sessions revoke phone`,
	}
	cmd.AddCommand(sessionsAddCmd(app, t), sessionsListCmd(app, t), sessionsRevokeCmd(app, t))
	t.flags(cmd)
	return cmd
}

func sessionsListCmd(app *App, t *target) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:       "list [all|created|revoked|expired]",
		Aliases:   []string{"l"},
		Short:     "List the sessions",
		ValidArgs: []string{"all", "created", "revoked", "expired"},
		Args:      voice.Args(cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs)),
		RunE: func(cmd *cobra.Command, args []string) error {
			listed := func(s *litrpc.Session) bool { return all || open(s) }
			if len(args) > 0 && args[0] == "all" {
				all = true
			} else if len(args) > 0 {
				listed = func(s *litrpc.Session) bool { return viewSession(s).State == args[0] }
			}
			return app.call(cmd, t, func(ctx context.Context, c *api.Client) error {
				got, err := c.Sessions.ListSessions(ctx, &litrpc.ListSessionsRequest{})
				if err != nil {
					return err
				}
				var list []*litrpc.Session
				for _, s := range got.Sessions {
					if listed(s) {
						list = append(list, s)
					}
				}
				app.printSessions(list, len(got.Sessions)-len(list), len(args) == 0)
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "also those that have ended: the same as list all")
	return cmd
}

func sessionsRevokeCmd(app *App, t *target) *cobra.Command {
	var key string
	cmd := &cobra.Command{
		Use:     "revoke ID|LABEL",
		Aliases: []string{"r"},
		Short:   "End a session, its connection and its macaroon",
		Long: `Ends a session at once: its connection is closed, its calls are cut off, its
macaroon is void. A payment that is under way goes on, and is booked.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			name := strings.Join(append(args, key), "")
			if len(args) > 1 || (len(args) == 1) == (key != "") || name == "" {
				return voice.UsageError(cmd, fmt.Errorf("name one session, by its id, its label or --localpubkey"))
			}
			return app.call(cmd, t, func(ctx context.Context, c *api.Client) error {
				s, err := findSession(ctx, c, name)
				if err != nil {
					return err
				}
				if _, err := c.Sessions.RevokeSession(ctx, &litrpc.RevokeSessionRequest{LocalPublicKey: s.LocalPublicKey}); err != nil {
					return err
				}
				if app.JSON {
					voice.PrintJSON(app.Out, map[string]any{"revoked": true, "id": hex.EncodeToString(s.Id)})
					return nil
				}
				fmt.Fprintf(app.Out, "session %s is revoked\n", calledSession(s))
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&key, "localpubkey", "", "the session's local public key, hex, instead of the argument")
	return cmd
}

// findSession returns the session of that id or local key, or the one open
// session of that label.
func findSession(ctx context.Context, c *api.Client, name string) (*litrpc.Session, error) {
	got, err := c.Sessions.ListSessions(ctx, &litrpc.ListSessionsRequest{})
	if err != nil {
		return nil, err
	}
	var labelled []*litrpc.Session
	for _, s := range got.Sessions {
		if digits := strings.ToLower(name); digits == hex.EncodeToString(s.Id) || digits == hex.EncodeToString(s.LocalPublicKey) {
			return s, nil
		}
		if s.Label == name && open(s) {
			labelled = append(labelled, s)
		}
	}
	switch len(labelled) {
	case 0:
		return nil, fault.New("session_unknown", "leyden sessions list", "no open session %q", name)
	case 1:
		return labelled[0], nil
	}
	return nil, fault.New("bad_session", "leyden sessions list", "%d sessions are labelled %q: name one by its id", len(labelled), name)
}

func open(s *litrpc.Session) bool {
	return s.SessionState == litrpc.SessionState_STATE_CREATED || s.SessionState == litrpc.SessionState_STATE_RESERVED
}
