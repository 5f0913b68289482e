package lnget

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/fetch"
)

func newConfigCmd(app *App) *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Make or show the configuration",
		Args: voice.Args(cobra.NoArgs), RunE: help}
	cmd.AddCommand(newConfigInitCmd(app),
		&cobra.Command{Use: "show", Short: "Print the configuration in force", Args: voice.Args(cobra.NoArgs),
			RunE: func(*cobra.Command, []string) error { return app.configShow() }},
		&cobra.Command{Use: "path", Short: "Print the path of the configuration file", Args: voice.Args(cobra.NoArgs),
			RunE: func(*cobra.Command, []string) error {
				path, err := app.configPath()
				if err == nil {
					fmt.Fprintln(app.Out, path)
				}
				return err
			}})
	return cmd
}

func help(cmd *cobra.Command, _ []string) error { return cmd.Help() }

func newConfigInitCmd(app *App) *cobra.Command {
	var where fetch.Search
	var force bool
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Find the node on this machine and write the configuration",
		Long: `init looks for a Leyden node (LEYDEN_HOME, ~/.leyden), then for an lnd (~/.lnd),
and takes the macaroon there that can pay and do least besides: one of an account
before a pay-only one, and admin.macaroon last. --macaroon FILE takes that one.`,
		Example: `  lnget config init
  lnget config init --macaroon agent.macaroon`,
		Args: voice.Args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error { return app.configInit(where, force) },
	}
	cmd.Flags().StringVar(&where.Dir, "lnddir", "", "the node's folder")
	cmd.Flags().StringVar(&where.Network, "network", "", "the node's network, if it has several")
	cmd.Flags().StringVar(&where.Macaroon, "macaroon", "", "the macaroon to pay with, such as an account's")
	cmd.Flags().BoolVar(&force, "force", false, "replace a configuration that is there")
	complete(cmd, "network", "mainnet", "testnet", "signet", "regtest", "simnet")
	_ = cmd.MarkFlagDirname("lnddir")
	_ = cmd.MarkFlagFilename("macaroon", "macaroon")
	return cmd
}

func (app *App) configPath() (string, error) {
	if app.config != "" {
		return filepath.Abs(app.config)
	}
	dir, err := fetch.Dir()
	return filepath.Join(dir, "config.yaml"), err
}

func (app *App) configInit(where fetch.Search, force bool) error {
	path, err := app.configPath()
	if err != nil {
		return err
	}
	found, err := fetch.Detect(where)
	if err != nil {
		return err
	}
	cfg := fetch.Default()
	cfg.LN.LND = found.LND
	if err := fetch.WriteConfig(path, cfg, force); err != nil {
		return err
	}
	if app.asJSON(cfg) {
		voice.PrintJSON(app.Out, map[string]any{"config": path, "host": found.LND.Host, "network": found.LND.Network,
			"tls_cert": found.LND.TLSCert, "macaroon": found.LND.Macaroon, "account": found.Account, "admin": found.Admin})
	} else {
		fmt.Fprintf(app.Out, "wrote %s\n  node      %s (%s)\n  macaroon  %s\n", path, found.LND.Host,
			found.LND.Network, found.LND.Macaroon)
	}
	if found.Admin {
		fmt.Fprintln(app.Err, "lnget: warning: this macaroon can do more than pay; give an agent one that cannot")
	}
	return nil
}

func (app *App) configShow() error {
	cfg, err := app.load()
	if err != nil {
		return err
	}
	if app.json {
		voice.PrintJSON(app.Out, cfg.Map())
		return nil
	}
	fmt.Fprint(app.Out, cfg.YAML())
	return nil
}
