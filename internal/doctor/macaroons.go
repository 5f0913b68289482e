package doctor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/leydenln/leyden/internal/bakery"
	"github.com/leydenln/leyden/internal/bundle"
)

// baked reads a macaroon's file and says what it can do.
func (e *Env) baked(path string) (bakery.Report, error) {
	raw, err := bakery.ReadFile(path)
	if err != nil {
		return bakery.Report{}, err
	}
	return bakery.Inspect(raw, e.Now)
}

// Names of bakery's roles.
const (
	payOnly     = "pay-only"
	invoiceOnly = "invoice-only"
	readOnly    = "read-only"
	signerOnly  = "signer-only"
)

// powers puts into words what is dangerous about a macaroon.
func powers(r bakery.Report) string { return strings.Join(r.Warnings, "; ") }

// sells says whether a macaroon does nothing but what a gate needs: at most what the
// role does, or lnd's own invoice.macaroon.
func sells(r bakery.Report) bool {
	allowed := []string{"invoices:read", "invoices:write", "address:read", "address:write", "onchain:read"}
	if role, err := bakery.RoleNamed(invoiceOnly); err == nil {
		for _, method := range role.Needs {
			allowed = append(allowed, "uri:"+method)
		}
	}
	return !slices.ContainsFunc(r.Permissions, func(p string) bool { return !slices.Contains(allowed, p) })
}

// tame says whether a macaroon can neither pay nor sign nor change the node, though
// it may see what is nobody's business.
func tame(r bakery.Report) bool {
	looks := !slices.ContainsFunc(r.Permissions, func(p string) bool {
		return strings.HasPrefix(p, "uri:") || !strings.HasSuffix(p, ":read")
	})
	return len(r.Warnings) == 0 || looks || r.Role == readOnly || sells(r)
}

// scratchDepth is how many folders below a scratch folder are looked into.
const scratchDepth = 2

// checkStray finds macaroons with power outside the folders where they belong:
// those that were baked to be passed on, and then left behind. Of lnd's own only
// those count that others can read.
func checkStray(ctx context.Context, e *Env) (found []Finding) {
	harmless := 0
	paths, blind := e.strayMacaroons(ctx)
	for _, path := range append(paths, e.lndMacaroons()...) {
		r, err := e.baked(path)
		switch {
		case errors.Is(err, fs.ErrPermission):
			harmless++ // not to be read by us, so no finding of ours
		case err != nil || r.Void:
			// no macaroon of lnd's, or one that works no more
		case e.open(path), !tame(r) && !ofLnd(path):
			found = append(found, e.stray(path, r))
		default:
			harmless++
		}
	}
	found = append(found, blind...)
	if len(found) == 0 && harmless > 0 {
		found = append(found, ok("no macaroon with power lies about (%d looked at)", harmless))
	}
	return found
}

// lndFolder is the name of an lnd's own folder.
const lndFolder = ".lnd"

// lndMacaroons are those of an lnd that somebody else runs, as under a guard.
func (e *Env) lndMacaroons() (paths []string) {
	for _, top := range e.Scratch {
		found, err := filepath.Glob(filepath.Join(top, lndFolder, "data", "chain", "*", "*", "*.macaroon"))
		if err == nil {
			paths = append(paths, found...)
		}
	}
	return paths
}

func ofLnd(path string) bool {
	return strings.Contains(path, string(filepath.Separator)+lndFolder+string(filepath.Separator))
}

// stray judges a macaroon that lies about.
func (e *Env) stray(path string, r bakery.Report) Finding {
	switch {
	case e.open(path) && (!tame(r) || r.Account != ""):
		return fail("chmod 600 "+path, "others can read the macaroon %s, which %s", path, abilities(r))
	case e.open(path):
		return warn("chmod 600 "+path, "others can read the macaroon %s, which %s", path, abilities(r))
	case r.Role == payOnly:
		return info("leyden accounts create BALANCE --save_to FILE", "the macaroon %s %s", path, powers(r))
	default:
		return warn("leyden bake inspect "+path+", then rm "+path, "the macaroon %s lies about: it %s", path, powers(r))
	}
}

func abilities(r bakery.Report) string {
	switch {
	case r.Account != "":
		return "spends from account " + r.Account
	case len(r.Warnings) > 0:
		return powers(r)
	}
	return "can " + strings.Join(r.Can, ", ")
}

// open says whether others than the owner can read the file.
func (e *Env) open(path string) bool {
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	if info.Mode().Perm()&0o044 == 0 {
		return false
	}
	return othersReach(filepath.Dir(path))
}

// strayMacaroons are files that end as macaroons do, where people leave them.
// Leyden's folder and lnd's are where they belong.
func (e *Env) strayMacaroons(ctx context.Context) (paths []string, blind []Finding) {
	for _, top := range e.Scratch {
		err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case err != nil && path == top && !errors.Is(err, fs.ErrNotExist):
				return err
			case err != nil: // somebody's private folder
				return nil
			case d.IsDir():
				return e.skipped(top, path)
			case strings.HasSuffix(strings.ToLower(d.Name()), ".macaroon") && d.Type().IsRegular():
				paths = append(paths, path)
			}
			return nil
		})
		if err != nil {
			blind = append(blind, unseen(e.asAgent(), "could not look for macaroons in all of %s: %v", top, reason(err)))
		}
	}
	return paths, blind
}

// skipped leaves a folder out that is too deep, or that macaroons belong into.
func (e *Env) skipped(top, dir string) error {
	depth := strings.Count(strings.TrimPrefix(dir, strings.TrimSuffix(top, "/")), string(filepath.Separator))
	if depth > scratchDepth || dir == string(e.Home) || filepath.Base(dir) == lndFolder {
		return fs.SkipDir
	}
	return nil
}

// checkLngetMacaroon looks at what the agent pays with.
func checkLngetMacaroon(_ context.Context, e *Env) []Finding {
	conf, path, is := e.lngetConfig()
	if !is || path == "" {
		return nil
	}
	if conf.LN.Mode != "lnd" {
		return nil
	}
	mac := conf.LN.LND.Macaroon
	r, err := e.baked(mac)
	create := "leyden accounts create BALANCE --label agent --save_to agent.macaroon, then name that file as ln.lnd.macaroon in " + path
	switch {
	case errors.Is(err, fs.ErrPermission):
		return []Finding{unseen(e.asAgent(), "cannot read %s, which lnget pays with", mac)}
	case err != nil:
		return []Finding{fail(create, "lnget's macaroon: %v", err)}
	case r.Void:
		return []Finding{fail(create, "lnget's macaroon %s works no more: %s", mac, caveats(r))}
	case r.Account != "":
		return []Finding{ok("lnget pays from account %s, whose limits hold whatever the agent does", r.Account)}
	case r.Role == payOnly:
		return []Finding{warn(create, "lnget's macaroon can only pay, but without a limit: it is of no account")}
	case !tame(r):
		return []Finding{fail(create, "lnget's macaroon %s does more than pay: it %s", mac, powers(r))}
	}
	return []Finding{warn(create, "lnget's macaroon %s cannot pay", mac)}
}

func caveats(r bakery.Report) string {
	var words []string
	for _, c := range r.Caveats {
		if c.Void {
			words = append(words, c.Words)
		}
	}
	return strings.Join(words, "; ")
}

// checkGateMacaroon looks at what the gate makes invoices with.
func checkGateMacaroon(_ context.Context, e *Env) []Finding {
	conf, err := e.gateConfig()
	if conf == nil || err != nil || conf.Authenticator.Disable || conf.Authenticator.Passphrase != "" {
		return nil
	}
	path := filepath.Join(conf.Authenticator.MacDir, "invoice.macaroon")
	r, err := e.baked(path)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return []Finding{unseen(e.asOperator(), "cannot read the gate's macaroon %s", path)}
	case err != nil:
		return []Finding{fail("leyden gate init --force", "the gate's macaroon: %v", err)}
	case !sells(r):
		return []Finding{fail("leyden bake --role invoice-only --save-to "+path+" --force", "the gate's macaroon %s does more than make invoices: it %s", path, abilities(r))}
	case r.Void:
		return []Finding{fail("leyden bake --role invoice-only --save-to "+path+" --force", "the gate's macaroon %s works no more: %s", path, caveats(r))}
	}
	return []Finding{ok("the gate's macaroon can make and see invoices, and no payments")}
}

// checkSignerMacaroon looks at what a bundle lets the watch-only node's machine do
// on the signer: at the node, and at the signer that gave it.
func checkSignerMacaroon(_ context.Context, e *Env) (found []Finding) {
	for _, at := range []struct{ dir, whose, export, then string }{
		{filepath.Join(e.Home.Node(), "signer"), "the node's bundle", "on the signer's machine: leyden signer export", "; here: leyden node import --bundle FILE"},
		{filepath.Join(e.Home.Signer(), "credentials-bundle"), "the signer's bundle", "leyden signer export", "; on the node's machine: leyden node import --bundle FILE"},
	} {
		path := filepath.Join(at.dir, bundle.MacaroonFile)
		r, err := e.baked(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case errors.Is(err, fs.ErrPermission):
			found = append(found, unseen(e.asOperator(), "cannot read the macaroon in %s", at.dir))
			continue
		case err != nil:
			found = append(found, fail(at.export+at.then, "the macaroon in %s: %v", at.whose, err))
			continue
		case r.Role != signerOnly:
			found = append(found, fail(at.export+at.then, "the macaroon in %s does more than a watch-only node needs: it %s", at.whose, abilities(r)))
		default:
			found = append(found, ok("the macaroon in %s can sign for a watch-only node, and nothing else", at.whose))
		}
		found = append(found, e.bound(r, at.whose, at.export+" --rotate --allow-ip ADDRESS"+at.then))
	}
	return found
}

// bound says whether a stolen bundle is of use elsewhere.
func (e *Env) bound(r bakery.Report, whose, fix string) Finding {
	for _, c := range r.Caveats {
		if strings.HasPrefix(c.Text, "ipaddr ") || strings.HasPrefix(c.Text, "iprange ") {
			return ok("the macaroon in %s works %s", whose, c.Words)
		}
	}
	return e.graver(e.network(), fix, "the macaroon in %s works from everywhere: whoever copies it can have the signer sign from another machine", whose)
}
