package leyden

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/api"
	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/rpc/leydenv1"
)

func newAuditCmd(app *App) *cobra.Command {
	t := new(target)
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Read, verify and export the journal",
		Long: `The journal holds what accounts and operators asked for, what was decided and
what came of it. Its entries are chained by hashes: one that is altered, removed
or added is found by verify.`,
		Example: `  leyden audit list --account agent
  leyden audit verify
  leyden audit export --format csv > journal.csv`,
	}
	cmd.AddCommand(auditListCmd(app, t), auditVerifyCmd(app, t), auditExportCmd(app, t))
	t.flags(cmd)
	return cmd
}

// entryView is an entry of the journal in JSON, as an export has it.
type entryView struct {
	Seq      int64           `json:"seq"`
	At       time.Time       `json:"at"`
	Kind     string          `json:"kind"`
	Actor    string          `json:"actor"`
	Via      string          `json:"via"`
	Peer     string          `json:"peer"`
	Macaroon string          `json:"macaroon"`
	Account  string          `json:"account"`
	Subject  string          `json:"subject"`
	Detail   json.RawMessage `json:"detail"`
	Hash     string          `json:"hash"`
}

func viewEntry(e *leydenv1.AuditEntry) entryView {
	view := entryView{
		Seq: e.Seq, At: time.UnixMilli(e.AtMs).UTC(), Kind: e.Kind, Actor: e.Actor, Via: e.Via, Peer: e.Peer,
		Macaroon: e.Macaroon, Account: e.Account, Subject: e.Subject, Hash: fmt.Sprintf("%x", e.Hash),
	}
	if view.Detail = json.RawMessage(e.Detail); !json.Valid(view.Detail) {
		view.Detail, _ = json.Marshal(e.Detail) // a string always can be
	}
	return view
}

func auditListCmd(app *App, t *target) *cobra.Command {
	var since string
	req := &leydenv1.AuditRequest{}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the newest entries of the journal, oldest first",
		Args:  voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if since != "" {
				if req.Since, err = past(cmd, since); err != nil {
					return err
				}
			}
			req.Newest = !cmd.Flags().Changed("after")
			var entries []*leydenv1.AuditEntry
			from := fromNode
			err = app.live(cmd, t, func(ctx context.Context, c *api.Client) error {
				entries, err = receiveEntries(ctx, c, req)
				return err
			}, func(ctx context.Context, l *account.Ledger) error {
				from = fromFile
				return api.EachEntry(ctx, l, req, func(e *leydenv1.AuditEntry) error {
					entries = append(entries, e)
					return nil
				})
			})
			if err != nil {
				return err
			}
			app.printEntries(entries, from)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&req.Account, "account", "", "only those of this account (id or label)")
	f.StringVar(&req.Kind, "kind", "", "only those of this kind, such as payment.reserve")
	f.StringVar(&since, "since", "", "only those since a date, or for a span of time (24h, 7d)")
	f.Int64Var(&req.After, "after", 0, "those that follow the entry of this number, instead of the newest")
	f.Uint32Var(&req.Max, "limit", 100, "how many; 0 for all")
	return cmd
}

func receiveEntries(ctx context.Context, c *api.Client, req *leydenv1.AuditRequest) ([]*leydenv1.AuditEntry, error) {
	stream, err := c.Audit.List(ctx, req)
	if err != nil {
		return nil, err
	}
	var entries []*leydenv1.AuditEntry
	for {
		e, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return entries, nil
		}
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
}

// past reads a date, or a span of time before now.
func past(cmd *cobra.Command, text string) (unix int64, err error) {
	if d, err := span(text); err == nil && d > 0 {
		return time.Now().Add(-d).Unix(), nil
	}
	unix, err = expiration(cmd, text)
	if err != nil {
		return 0, voice.UsageError(cmd, fmt.Errorf("--since %q: want a date (2026-01-31), or a span of time (24h, 7d)", text))
	}
	return unix, nil
}

func (app *App) printEntries(entries []*leydenv1.AuditEntry, from source) {
	if app.JSON {
		views := make([]entryView, len(entries))
		for i, e := range entries {
			views[i] = viewEntry(e)
		}
		voice.PrintJSON(app.Out, map[string]any{"entries": views, "from": from})
		return
	}
	table(app.Out, "SEQ\tTIME\tKIND\tBY\tACCOUNT\tSUBJECT\tDETAIL", func(w io.Writer) {
		for _, e := range entries {
			fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", e.Seq, time.UnixMilli(e.AtMs).Format(time.DateTime),
				e.Kind, e.Actor, e.Account, bare(e.Subject), e.Detail)
		}
	})
}

// bare is a text in which nothing acts on a terminal, without quotation marks.
func bare(text string) string {
	quoted := strconv.Quote(text)
	return quoted[1 : len(quoted)-1]
}

func auditVerifyCmd(app *App, t *target) *cobra.Command {
	req := &leydenv1.VerifyRequest{}
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Read the whole journal and check its chain of hashes",
		Long: `Reads the whole journal. Exit status 1 when an entry was altered, removed or
added. Note the head it prints at some other place: with --head a later verify
also finds a journal that was cut off or written anew.`,
		Args: voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var found *leydenv1.VerifyResponse
			from := fromNode
			err := app.live(cmd, t, func(ctx context.Context, c *api.Client) (err error) {
				found, err = c.Audit.Verify(ctx, req)
				return err
			}, func(ctx context.Context, l *account.Ledger) (err error) {
				from = fromFile
				found, err = api.Verify(ctx, l, req)
				return err
			})
			if err != nil {
				return err
			}
			if app.JSON {
				voice.PrintJSON(app.Out, map[string]any{
					"ok": len(found.Faults) == 0, "entries": found.Entries, "head": found.Head,
					"faults": notNil(found.Faults), "from": from,
				})
			} else {
				fmt.Fprintf(app.Out, "journal:   %d entries\nhead:      %s\n", found.Entries, found.Head)
				app.printFaults(found.Faults, "the chain is whole")
			}
			if len(found.Faults) > 0 {
				return voice.ErrSilent
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&req.Head, "head", "", "a head noted earlier, SEQ:HASH, that must still be in the chain")
	return cmd
}

func auditExportCmd(app *App, t *target) *cobra.Command {
	req := &leydenv1.ExportRequest{}
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the whole journal to stdout, as JSON Lines or CSV",
		Args:  voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return app.live(cmd, t, func(ctx context.Context, c *api.Client) error {
				return app.receiveExport(ctx, c, req)
			}, func(ctx context.Context, l *account.Ledger) error {
				return l.Journal().Export(ctx, app.Out, req.Format)
			})
		},
	}
	cmd.Flags().StringVar(&req.Format, "format", audit.JSONL, "jsonl or csv")
	return cmd
}

func (app *App) receiveExport(ctx context.Context, c *api.Client, req *leydenv1.ExportRequest) error {
	stream, err := c.Audit.Export(ctx, req)
	if err != nil {
		return err
	}
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := app.Out.Write(part.Data); err != nil {
			return fault.New("write_failed", "", "write the journal: %w", err)
		}
	}
}
