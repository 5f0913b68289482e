// Package doctor looks at what is really there: files and who can read them,
// macaroons and what they allow, ports, sockets, certificates, limits, the books,
// the node and its signer. Each finding says what it means and the command that
// mends it.
//
// It promises that it changes nothing, that it works with any part missing or not
// running and as any user of the machine, that it ends within half a minute whatever
// hangs, and that it says what it could not look at rather than count it as well. It
// needs no network but the node's and the signer's own ports. It mends nothing, watches nothing, and cannot know what no
// machine can see: docs/doctor.md lists it.
package doctor

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Severity is how bad a finding is.
type Severity string

// The severities, from good to bad.
const (
	// OK is as it should be.
	OK Severity = "ok"

	// Info is good to know.
	Info Severity = "info"

	// Warn is what a careful operator would change.
	Warn Severity = "warn"

	// Fail is a hole, or something that does not work.
	Fail Severity = "fail"
)

// severities are in the order in which findings are told.
var severities = []Severity{Fail, Warn, Info, OK}

// Finding is one thing that a check found.
type Finding struct {
	// ID is the check's, stable: "file-modes".
	ID string `json:"id"`

	Severity Severity `json:"severity"`

	// What is a sentence without a full stop. It names files, never secrets.
	What string `json:"what"`

	// Fix is the next command to type, or in words what to do; empty if nothing.
	Fix string `json:"fix,omitempty"`

	// Unseen means that the check could not look, so that nothing is known.
	Unseen bool `json:"unseen,omitempty"`
}

// Check is a function that looks at one thing. It does nothing for what is not
// there: a check of the gate finds nothing where there is no gate.
type Check struct {
	// ID is lower case with dashes; About says in a few words what is looked at.
	ID    string `json:"id"`
	About string `json:"about"`

	run func(context.Context, *Env) []Finding

	// outside means that it also looks at what is not in Leyden's folder.
	outside bool
}

// patience bounds all checks, and grace is what one has beyond it that only needs
// to say so.
const (
	patience = 20 * time.Second
	grace    = time.Second
)

// Checks returns all checks, in the order in which they run.
func Checks() []Check { return slices.Clone(checks) }

// Report is what all checks found.
type Report struct {
	// OK is false when a finding is Fail.
	OK bool `json:"ok"`

	// Counts are by severity; Unseen counts those that could not look.
	Counts map[Severity]int `json:"counts"`
	Unseen int              `json:"unseen"`

	// Findings are the worst first.
	Findings []Finding `json:"findings"`
}

// Run runs the checks whose ID is not in skip, all at once. Where Leyden's folder
// is closed to us, those that look into it are left out, and the check home says so.
func Run(ctx context.Context, env *Env, skip []string) Report {
	return run(ctx, env, slices.DeleteFunc(Checks(), func(c Check) bool { return slices.Contains(skip, c.ID) }), patience)
}

func run(ctx context.Context, env *Env, checks []Check, patience time.Duration) Report {
	late, cancel := context.WithTimeout(ctx, patience+grace)
	defer cancel()
	ctx, cancelChecks := context.WithTimeout(ctx, patience)
	defer cancelChecks()
	answers := make([]chan []Finding, len(checks))
	for i, c := range checks {
		answers[i] = make(chan []Finding, 1)
		go func() { answers[i] <- c.look(ctx, env) }()
	}
	var found []Finding
	for i, c := range checks {
		for _, f := range await(late, answers[i]) {
			f.ID = c.ID
			found = append(found, f)
		}
	}
	return report(found)
}

// look runs the check, unless it looks into a folder that is closed to us.
func (c Check) look(ctx context.Context, env *Env) []Finding {
	if !c.outside && env.closed() {
		return nil
	}
	return c.run(ctx, env)
}

// await returns what a check found, and does not wait for one that hangs, as reading
// from the disk of another machine that is away.
func await(late context.Context, answer <-chan []Finding) []Finding {
	select {
	case found := <-answer:
		return found
	case <-late.Done():
	}
	select {
	case found := <-answer:
		return found
	default:
		return []Finding{unseen("df, to see which disk does not answer", "this check did not end: a disk, a pipe or a port hangs")}
	}
}

func report(found []Finding) Report {
	r := Report{OK: true, Counts: map[Severity]int{}, Findings: append([]Finding{}, found...)}
	for _, s := range severities {
		r.Counts[s] = 0
	}
	for _, f := range found {
		r.Counts[f.Severity]++
		if f.Unseen {
			r.Unseen++
		}
	}
	r.OK = r.Counts[Fail] == 0
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return slices.Index(severities, a.Severity) - slices.Index(severities, b.Severity)
	})
	return r
}

// Passes says whether a script may go on. Strict counts Warn, and what was not
// seen, as Fail.
func (r Report) Passes(strict bool) bool {
	return r.OK && (!strict || r.Counts[Warn] == 0 && r.Unseen == 0)
}

func ok(format string, args ...any) Finding {
	return Finding{Severity: OK, What: fmt.Sprintf(format, args...)}
}

func info(fix, format string, args ...any) Finding {
	return Finding{Severity: Info, Fix: fix, What: fmt.Sprintf(format, args...)}
}

func warn(fix, format string, args ...any) Finding {
	return Finding{Severity: Warn, Fix: fix, What: fmt.Sprintf(format, args...)}
}

func fail(fix, format string, args ...any) Finding {
	return Finding{Severity: Fail, Fix: fix, What: fmt.Sprintf(format, args...)}
}

// unseen is said in place of a finding where the check could not look.
func unseen(fix, format string, args ...any) Finding {
	return Finding{Severity: Info, Unseen: true, Fix: fix, What: fmt.Sprintf(format, args...)}
}

// checks are all checks.
var checks = []Check{
	{"home", "whether Leyden's folder can be looked into", checkHome, true},
	{"daemons", "what runs, and how it is", checkDaemons, false},
	{"file-modes", "files that others can read or change", checkModes, false},
	{"file-owners", "files that belong to somebody else", checkOwners, false},
	{"agent", "what the agent's user can read and reach", checkAgent, true},
	{"sockets", "the folders of private sockets", checkSockets, false},
	{"root", "what runs as root", checkRoot, false},
	{"keys", "where the keys are", checkKeys, false},
	{"seed", "seed words on disk", checkSeed, false},
	{"signer", "whether the signer can be reached from here", checkSigner, false},
	{"signer-macaroon", "what a signer's bundle allows, and from where", checkSignerMacaroon, false},
	{"lnget-macaroon", "what the agent pays with", checkLngetMacaroon, true},
	{"gate-macaroon", "what the gate makes invoices with", checkGateMacaroon, false},
	{"baked-macaroons", "macaroons that leyden bake has made: old, expired, or for ever", checkBaked, false},
	{"stray-macaroons", "macaroons that were left lying about", checkStray, true},
	{"ports", "what other machines can reach", checkPorts, false},
	{"backends", "services that buyers can reach past the gate", checkBackends, false},
	{"certificates", "certificates about to expire, and copies that differ", checkCertificates, false},
	{"lnget-limits", "what bounds lnget's purchases", checkLngetLimits, true},
	{"accounts", "what bounds the accounts, and whether there is money behind them", checkAccounts, false},
	{"books", "whether the accounts' books and the journal are whole", checkBooks, false},
	{"gate", "whether the gate charges, and bounds requests", checkGate, false},
	{"gate-key", "how old the key of the gate's tokens is", checkGateKey, false},
	{"balance", "how much money the node holds, and whether it can pay and be paid", checkHot, false},
	{"sync", "whether the node knows the chain", checkSync, false},
	{"watchtower", "who watches the channels while the node is away", checkWatchtower, false},
	{"privacy", "what the node's peers learn of it", checkPrivacy, false},
	{"backup", "whether the channel backup is kept somewhere else, and is present", checkBackup, false},
	{"clock", "whether the clock is right", checkClock, true},
	{"disk", "whether there is room", checkDisk, true},
	{"versions", "whether what runs is what is installed", checkVersions, false},
}
