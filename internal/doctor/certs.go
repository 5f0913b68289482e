package doctor

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/leydenln/leyden/internal/bundle"
)

// How long before its end a certificate is spoken of.
const (
	certSoon   = 30 * 24 * time.Hour
	certUrgent = 7 * 24 * time.Hour
)

// checkCertificates looks at the ends of all certificates, and whether those that
// clients hold are the ones that are shown.
func checkCertificates(_ context.Context, e *Env) (found []Finding) {
	for _, c := range e.certificates() {
		f, is := e.judgeCert(c)
		if is {
			found = append(found, f)
		}
	}
	given, shown := filepath.Join(e.Home.Signer(), "credentials-bundle", bundle.CertFile), filepath.Join(e.Home.Signer(), "tls.cert")
	if differ(given, shown) {
		found = append(found, fail("leyden signer export, then on the node's machine: leyden node import --bundle FILE",
			"the signer shows another certificate than the one in its bundle: its node will not trust it"))
	}
	if conf, path, is := e.lngetConfig(); is && path != "" && differ(conf.LN.LND.TLSCert, filepath.Join(e.Home.Node(), "tls.cert")) {
		found = append(found, info("lnget config init --force", "lnget trusts %s, which is not our node's certificate", conf.LN.LND.TLSCert))
	}
	return found
}

// certificate is a file with one, and how to get another.
type certificate struct{ whose, path, renew string }

func (e *Env) certificates() []certificate {
	all := []certificate{
		{"the node's", filepath.Join(e.Home.Node(), "tls.cert"), "leyden node stop; rm " + filepath.Join(e.Home.Node(), "tls.cert") + "; leyden node start --detach; then give it to the node's clients"},
		{"the guard's", filepath.Join(e.Home.Guard(), "tls.cert"), "leyden guard stop; rm " + filepath.Join(e.Home.Guard(), "tls.cert") + "; start it again; then give it to its clients"},
		{"the signer's", filepath.Join(e.Home.Signer(), "tls.cert"), "leyden signer stop; rm " + filepath.Join(e.Home.Signer(), "tls.cert") + "; leyden signer start --detach; leyden signer export"},
		{"the imported signer's", filepath.Join(e.Home.Node(), "signer", bundle.CertFile), "on the signer's machine: leyden signer export; here: leyden node import --bundle FILE"},
	}
	if conf, path, is := e.lngetConfig(); is && path != "" && conf.LN.Mode == "lnd" && !sameFile(conf.LN.LND.TLSCert, all[0].path) {
		all = append(all, certificate{"the node's, as lnget has it,", conf.LN.LND.TLSCert, "copy the node's tls.cert to " + conf.LN.LND.TLSCert})
	}
	if conf, err := e.gateConfig(); err == nil && conf != nil && !conf.Insecure && !conf.AutoCert {
		path := conf.TLSCertPath
		if path == "" {
			path = filepath.Join(conf.BaseDir, "tls.cert")
		}
		all = append(all, certificate{"the gate's", path, "put a new one there, then leyden gate reload"})
	}
	return all
}

func (e *Env) judgeCert(c certificate) (Finding, bool) {
	leaf, err := readCert(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return Finding{}, false
	}
	if errors.Is(err, fs.ErrPermission) {
		return unseen(e.asOperator(), "cannot read %s certificate: %v", c.whose, err), true
	}
	if err != nil {
		return fail(c.renew, "%s certificate %s is malformed: %v", c.whose, c.path, err), true
	}
	left, day := leaf.NotAfter.Sub(e.Now), leaf.NotAfter.UTC().Format(time.DateOnly)
	switch {
	case e.Now.Before(leaf.NotBefore):
		return fail("set the clock", "%s certificate is good from %s only: is the clock right?", c.whose, leaf.NotBefore.UTC().Format(time.DateTime)), true
	case left <= 0:
		return fail(c.renew, "%s certificate has expired on %s", c.whose, day), true
	case left < certUrgent:
		return fail(c.renew, "%s certificate expires on %s, in %d days", c.whose, day, int(left.Hours()/24)), true
	case left < certSoon:
		return warn(c.renew, "%s certificate expires on %s, in %d days", c.whose, day, int(left.Hours()/24)), true
	}
	return ok("%s certificate is good until %s", c.whose, day), true
}

func readCert(path string) (*x509.Certificate, error) {
	data, err := readSmall(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("no PEM in it")
	}
	return x509.ParseCertificate(block.Bytes)
}

// differ says whether both files are there, can be read, and are not the same.
func differ(a, b string) bool {
	one, errOne := readSmall(a)
	other, errOther := readSmall(b)
	return errOne == nil && errOther == nil && !bytes.Equal(one, other)
}

// readSmall reads a file that another user may have named: no pipe, and nothing
// that has no end.
func readSmall(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxConfig {
		return nil, errors.New("no small file")
	}
	return os.ReadFile(path)
}

func sameFile(a, b string) bool {
	one, errOne := os.Stat(a)
	other, errOther := os.Stat(b)
	return errOne == nil && errOther == nil && os.SameFile(one, other)
}
