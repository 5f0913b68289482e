package leyden

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/gate"
	"github.com/leydenln/leyden/internal/store/gatedb"
)

func gateServicesCmd(app *App) *cobra.Command {
	var config string
	cmd := &cobra.Command{
		Use:   "services",
		Short: "List what is sold",
		Args:  voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			services, err := gate.Services(cmd.Context(), app.Home, config)
			if err != nil {
				return err
			}
			if app.JSON {
				voice.PrintJSON(app.Out, services)
				return nil
			}
			table(app.Out, "NAME\tPRICE SAT\tSCHEMES\tHOST\tPATH\tBACKEND", func(w io.Writer) {
				for _, s := range services {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", s.Name, priceOf(s), strings.Join(s.Schemes, " "), s.Host, s.Path, s.Backend)
				}
			})
			return nil
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "configuration file")
	return cmd
}

// priceOf shows what a request costs.
func priceOf(s gate.ServiceView) string {
	switch {
	case s.PriceSat == 0:
		return "free"
	case s.Shadow:
		return fmt.Sprintf("%d (shadow)", s.PriceSat)
	case s.FreeRequests > 0:
		return fmt.Sprintf("%d (%d free)", s.PriceSat, s.FreeRequests)
	}
	return fmt.Sprint(s.PriceSat)
}

func gateStatsCmd(app *App) *cobra.Command {
	var config string
	cmd := &cobra.Command{
		Use:   "stats",
		Short: "Sum up what was sold, and what the running gate counts",
		Args:  voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := gate.ReadStats(cmd.Context(), app.Home, config)
			if err != nil {
				return err
			}
			if app.JSON {
				voice.PrintJSON(app.Out, s)
				return nil
			}
			app.printStats(s)
			return nil
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "configuration file")
	return cmd
}

func (app *App) printStats(s gate.Stats) {
	lastDay := map[string]gatedb.ServiceTotals{}
	for _, t := range s.LastDay {
		lastDay[t.Service] = t
	}
	table(app.Out, "SERVICE\tOPEN\tPAID\tRECEIVED SAT\tPAID 24H\tRECEIVED SAT 24H", func(w io.Writer) {
		for _, t := range s.Services {
			day := lastDay[t.Service]
			fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%d\t%s\n", t.Service, t.Open, t.Settled, sat(uint64(t.Received)),
				day.Settled, sat(uint64(day.Received)))
		}
	})
	if s.Live == nil {
		fmt.Fprintln(app.Out, "no gate is running")
		return
	}
	fmt.Fprintf(app.Out, "\nnow: %s, %d requests, %d open invoices\n", s.Live.Health.Status, s.Live.RequestsNow, s.Live.OpenInvoices)
	if s.Live.Health.Reason != "" {
		fmt.Fprintln(app.Out, s.Live.Health.Reason)
	}
	for _, service := range slices.Sorted(maps.Keys(s.Live.Requests)) {
		outcomes := s.Live.Requests[service]
		var parts []string
		for _, o := range slices.Sorted(maps.Keys(outcomes)) {
			parts = append(parts, fmt.Sprintf("%d %s", outcomes[o], o))
		}
		fmt.Fprintf(app.Out, "since the start, %s: %s\n", cmp.Or(service, "for no service"), strings.Join(parts, ", "))
	}
	for _, t := range s.Live.Shadow {
		fmt.Fprintf(app.Out, "shadow mode, %s: %d requests of %d clients, worth %s sat\n", t.Service, t.Requests, t.Clients, sat(t.RequestsMsat))
	}
}
