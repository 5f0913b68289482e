package bundle

import (
	"bytes"
	"regexp"

	"github.com/leydenln/leyden/internal/fault"
)

// private are the forms in which private keys and seeds are written down.
var private = []struct {
	what string
	form *regexp.Regexp
}{
	{"a private key in PEM", regexp.MustCompile(`(?i)PRIVATE KEY-----`)},
	{"an extended private key", regexp.MustCompile(`\b[a-zA-Z]prv[1-9A-HJ-NP-Za-km-z]{40}`)},
	{"a seed", regexp.MustCompile(`\b(?:[a-z]{3,8}[\s,"']+){11}[a-z]{3,8}\b`)},
	{"a wallet", regexp.MustCompile(`waddrmgr|wtxmgr`)},
}

// privateNames are files that no bundle may have.
var privateNames = regexp.MustCompile(`(?i)(^|/)(wallet\.db|macaroons\.db|seed[^/]*|wallet-password[^/]*|[^/]*\.key)$`)

// noSecrets refuses private material, without quoting it.
func noSecrets(name string, data []byte) error {
	what := ""
	if privateNames.MatchString(name) {
		what = "a file that belongs to the signer alone"
	}
	for _, p := range private {
		if p.form.Match(data) {
			what = p.what
		}
	}
	if what == "" {
		return nil
	}
	return fault.New(CodeSecrets, "delete it here; "+hint,
		"credentials bundle: %.60q is or holds %s, which must never leave the signer", name, what)
}

// looksLikeArchive says whether data is gzip.
func looksLikeArchive(data []byte) bool { return bytes.HasPrefix(data, []byte{0x1f, 0x8b}) }
