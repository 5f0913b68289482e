package lnget

import (
	"net/http"
	"slices"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/fetch"
)

// complete offers the values of a flag.
func complete(cmd *cobra.Command, flag string, values ...string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

// completions offers the values of the flags of a fetch, and the origins that
// something was bought from as URLs.
func (app *App) completions(root *cobra.Command) {
	complete(root, "request", http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete)
	complete(root, "prefer-scheme", fetch.PreferL402, fetch.PreferPayment)
	for _, flag := range []string{"header", "data", "max-redirects", "max-cost", "max-fee", "payment-timeout", "timeout", "idempotency-key"} {
		complete(root, flag)
	}
	_ = root.RegisterFlagCompletionFunc("config", cobra.FixedCompletions([]string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt))
	root.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return app.bought(func(o string) string { return o + "/" }), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
}

// domains offers the origins that something was bought from.
func (app *App) domains(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return app.bought(func(o string) string { return o }), cobra.ShellCompDirectiveNoFileComp
}

func (app *App) bought(spell func(origin string) string) []string {
	cfg, err := app.load()
	if err != nil {
		return nil
	}
	all, err := fetch.NewFileStore(cfg.Tokens.Dir).All()
	if err != nil {
		return nil
	}
	var origins []string
	for _, p := range all {
		origins = append(origins, spell(string(p.Origin)))
	}
	slices.Sort(origins)
	return slices.Compact(origins)
}
