package leyden

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/bakery"
	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/fault"
)

// bakedView is a macaroon that was made, in JSON.
type bakedView struct {
	File string `json:"macaroon_file"`
	bakery.Report

	// Overwrote is the root key of the macaroon that the file held before.
	Overwrote uint64 `json:"overwrote_root_key_id,string,omitempty"`
}

func (app *App) printBaked(made bakery.Record, overwrote uint64) error {
	view, err := inspectFile(made.File)
	if err != nil {
		return err
	}
	view.Overwrote = overwrote
	if app.JSON {
		voice.PrintJSON(app.Out, view)
		return nil
	}
	app.describeMacaroon(view)
	fmt.Fprintf(app.Out, "revoke:    %s\n", bakery.RevokeCommand(made.Where, made.File))
	if overwrote != 0 {
		fmt.Fprintf(app.Out, "still good: the macaroon that was there; to end it: %s\n",
			bakery.RevokeCommand(made.Where, fmt.Sprintf("--force --root-key-id %d", overwrote)))
	}
	return nil
}

func inspectFile(path string) (bakedView, error) {
	raw, err := bakery.ReadFile(path)
	if err != nil {
		return bakedView{}, err
	}
	report, err := bakery.Inspect(raw, time.Now())
	return bakedView{File: path, Report: report}, err
}

func (app *App) describeMacaroon(v bakedView) {
	say := func(name string, lines ...string) {
		for _, line := range lines {
			fmt.Fprintf(app.Out, "%-10s %s\n", name, voice.Plain(line))
			name = ""
		}
	}
	say("macaroon:", v.File)
	switch {
	case v.Account != "":
		say("account:", v.Account)
	case v.Role != "":
		say("role:", v.Role)
	default:
		say("role:", "none")
	}
	say("can:", v.Can...)
	say("beware:", v.Warnings...)
	for _, c := range v.Caveats {
		words := c.Words
		if c.Void {
			words += " (so it is void)"
		}
		say("but:", words)
	}
	if v.RootKeyID == 0 {
		say("root key:", "0, the node's own: it cannot be revoked")
	} else {
		say("root key:", fmt.Sprint(v.RootKeyID))
	}
}

func bakeInspectCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "inspect FILE",
		Short: "Say in words what a macaroon allows",
		Long: `Says in words what a macaroon allows, where and how long, and what to beware of. It
asks no node: nothing that the macaroon says of itself is verified.`,
		Args: voice.Args(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			view, err := inspectFile(args[0])
			if err != nil {
				return err
			}
			if app.JSON {
				voice.PrintJSON(app.Out, view)
				return nil
			}
			app.describeMacaroon(view)
			return nil
		},
	}
}

func bakeListCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the macaroons that were made and not revoked",
		Args:  voice.Args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			records, err := bakery.List(app.Home.Bakery())
			if err != nil {
				return err
			}
			if app.JSON {
				voice.PrintJSON(app.Out, map[string]any{"macaroons": append([]bakery.Record{}, records...)})
				return nil
			}
			for _, r := range records {
				printRecord(app.Out, r)
			}
			return nil
		},
	}
}

func printRecord(out io.Writer, r bakery.Record) {
	until := ""
	if r.Expires != nil {
		until = "  until " + r.Expires.Format(time.DateTime)
	}
	gone := ""
	if _, err := os.Stat(r.File); err != nil {
		gone = "  (not there)"
	}
	fmt.Fprintf(out, "%-17d %-13s %s  at %s  %s%s%s\n", r.RootKeyID, r.Role, r.Made.Format(time.DateTime), r.Where, r.File, gone, until)
}

func bakePermissionsCmd(app *App, t *bakeTarget) *cobra.Command {
	return &cobra.Command{
		Use:   "permissions [FILTER]",
		Short: "List the node's methods, with the permission that each needs",
		Example: `  leyden bake permissions
  leyden bake permissions invoice
  leyden bake permissions offchain:read`,
		Args: voice.Args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.atOven(cmd, t, func(ctx context.Context, o *oven) error {
				offer, err := o.offer(ctx)
				if err != nil {
					return err
				}
				found := offer.Matching(strings.Join(args, ""))
				if len(found) == 0 {
					return fault.New("no_method", "leyden bake permissions", "no method of the node matches")
				}
				app.printMethods(found)
				return nil
			})
		},
	}
}

func (app *App) printMethods(methods []bakery.Method) {
	type view struct {
		Method      string   `json:"method"`
		Permissions []string `json:"permissions"`
	}
	views := []view{}
	for _, m := range methods {
		v := view{Method: m.Name}
		for _, p := range m.Permissions {
			v.Permissions = append(v.Permissions, p.Entity+":"+p.Action)
		}
		views = append(views, v)
	}
	if app.JSON {
		voice.PrintJSON(app.Out, map[string]any{"methods": views})
		return
	}
	for _, v := range views {
		fmt.Fprintf(app.Out, "%-55s %s\n", v.Method, strings.Join(v.Permissions, " "))
	}
}
