package leyden

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/doctor"
)

// doctorFlags are those of leyden doctor.
type doctorFlags struct {
	agent, lnget      string
	hot               int64
	strict, all, list bool
	skip              []string
}

func newDoctorCmd(app *App) *cobra.Command {
	var f doctorFlags
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what is unsafe or broken on this machine, and say what mends it",
		Long: `Looks at files and who can read them, macaroons and what they allow, ports,
sockets, certificates, limits, accounts, the node, its signer and the gate. It
changes nothing, and works with any of them missing. Exit status 1 when a finding
is a failure; with --strict also for warnings, and for what could not be looked at.`,
		Example: `  leyden doctor
  leyden doctor --agent-user agent
  leyden doctor --strict --skip watchtower --json
  leyden doctor --list`,
		Args: voice.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.list {
				app.printChecks(doctor.Checks())
				return nil
			}
			env, err := f.env(app, cmd)
			if err != nil {
				return err
			}
			report := doctor.Run(cmd.Context(), env, f.skip)
			app.printReport(report, f.all)
			if !report.Passes(f.strict) {
				return voice.ErrSilent
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.agent, "agent-user", "", "the user that the agent runs as: what it can read and reach is looked at")
	flags.StringVar(&f.lnget, "lnget", "", "lnget's folder (default: ~/.lnget, of the agent's user if that is given)")
	flags.Int64Var(&f.hot, "max-balance", doctor.DefaultHotBalance, "the most that the node should hold, in sat")
	flags.BoolVar(&f.strict, "strict", false, "exit status 1 also for warnings, and for what could not be looked at")
	flags.BoolVar(&f.all, "all", false, "print what is well, too")
	flags.StringSliceVar(&f.skip, "skip", nil, "leave this check out; may be repeated")
	flags.BoolVar(&f.list, "list", false, "list the checks, and run none")
	return cmd
}

// env says where to look.
func (f *doctorFlags) env(app *App, cmd *cobra.Command) (*doctor.Env, error) {
	for _, id := range f.skip {
		if !slices.ContainsFunc(doctor.Checks(), func(c doctor.Check) bool { return c.ID == id }) {
			return nil, voice.UsageError(cmd, fmt.Errorf("--skip %q: no check is named so: leyden doctor --list", id))
		}
	}
	var agent *doctor.User
	if f.agent != "" {
		var err error
		if agent, err = doctor.LookupUser(f.agent); err != nil {
			return nil, err
		}
	}
	env, err := doctor.New(app.Home, agent)
	if err != nil {
		return nil, err
	}
	env.HotBalance = f.hot
	if f.lnget != "" {
		env.Lnget = f.lnget
	}
	return env, nil
}

func (app *App) printChecks(checks []doctor.Check) {
	if app.JSON {
		voice.PrintJSON(app.Out, checks)
		return
	}
	for _, c := range checks {
		fmt.Fprintf(app.Out, "%-16s %s\n", c.ID, c.About)
	}
}

func (app *App) printReport(r doctor.Report, all bool) {
	if app.JSON {
		voice.PrintJSON(app.Out, r)
		return
	}
	for _, f := range r.Findings {
		if f.Severity == doctor.OK && !all {
			continue
		}
		fmt.Fprintf(app.Out, "%-4s  %-16s %s\n", f.Severity, f.ID, voice.Plain(f.What))
		if f.Fix != "" {
			fmt.Fprintf(app.Out, "      %-16s %s\n", "", voice.Plain("to do: "+f.Fix))
		}
	}
	var counts []string
	for _, s := range []doctor.Severity{doctor.Fail, doctor.Warn, doctor.Info, doctor.OK} {
		counts = append(counts, fmt.Sprintf("%d %s", r.Counts[s], s))
	}
	fmt.Fprintf(app.Out, "%s; %d could not be looked at\n", strings.Join(counts, ", "), r.Unseen)
}
