package lnget

import (
	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/fetch"
	"github.com/leydenln/leyden/l402/l402http"
)

func newPaymentsCmd(app *App) *cobra.Command {
	cmd := &cobra.Command{Use: "payments", Short: "List payments, and resolve those that were interrupted",
		Args: voice.Args(cobra.NoArgs), RunE: help}
	cmd.AddCommand(
		&cobra.Command{Use: "list", Short: "List payments, also failed ones", Args: voice.Args(cobra.NoArgs),
			RunE: func(*cobra.Command, []string) error {
				all, cfg, err := app.selected("", func(l402http.Purchase) bool { return true })
				if err != nil {
					return err
				}
				app.printPurchases(all, cfg)
				return nil
			}},
		&cobra.Command{Use: "recover", Short: "Ask the node what became of interrupted payments; pays nothing",
			Args: voice.Args(cobra.NoArgs), RunE: app.paymentsRecover})
	return cmd
}

func (app *App) paymentsRecover(cmd *cobra.Command, _ []string) error {
	cfg, err := app.load()
	if err != nil {
		return err
	}
	client, err := fetch.New(cfg)
	if err != nil {
		return err
	}
	defer client.Close()
	recovered, err := client.Recover(cmd.Context())
	app.printPurchases(recovered, cfg)
	return err
}
