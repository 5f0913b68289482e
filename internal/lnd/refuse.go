package lnd

import (
	"strings"
	"time"

	"github.com/leydenln/leyden/internal/fault"
)

// FrontOptions are the options of an lnd.conf that concern ports and
// certificates clients see. Those are the front's.
type FrontOptions struct {
	// RPCListen and RESTListen are host:port. No RESTListen means no REST.
	RPCListen, RESTListen []string

	// APIListen is the operator API's host:port. The option is ours: lnd has
	// none of that name.
	APIListen []string

	// TLSExtraIPs and TLSExtraDomains go into the front's certificate.
	TLSExtraIPs, TLSExtraDomains []string

	// TLSDisableAutofill leaves out the machine's own addresses and name.
	TLSDisableAutofill bool

	// TLSAutoRefresh makes a new certificate when addresses or names change.
	TLSAutoRefresh bool

	// TLSCertDuration is how long a new certificate is good for; 0 means the
	// front's default.
	TLSCertDuration time.Duration

	// RESTCORS are the origins that browsers may call REST from.
	RESTCORS []string

	// NoRESTTLS serves REST in plain text.
	NoRESTTLS bool

	// WSPingInterval and WSPongWait keep REST's WebSockets alive; 0 means the
	// front's defaults.
	WSPingInterval, WSPongWait time.Duration
}

const useBundle = importHint + ", then leyden node start --signer-host HOST:" + DefaultSignerPort

// refused are options that would undo the front or what we rely on, each with
// what to do instead.
var refused = map[string]string{
	"no-macaroons":                              "macaroons are always on: remove it",
	"noseedbackup":                              "make the wallet with: leyden node create",
	"lnddir":                                    "choose the folder with --home",
	"configfile":                                "put the options in lnd.conf in the node's folder",
	"datadir":                                   "choose the folder with --home",
	"tlscertpath":                               "the certificate is tls.cert in the node's folder: remove it",
	"tlskeypath":                                "the key is tls.key in the node's folder: remove it",
	"tlsencryptkey":                             "the key lies in a private folder, mode 0600: remove it",
	"adminmacaroonpath":                         "macaroons are where lncli looks for them: remove it",
	"readonlymacaroonpath":                      "macaroons are where lncli looks for them: remove it",
	"invoicemacaroonpath":                       "macaroons are where lncli looks for them: remove it",
	"letsencryptdir":                            "put a TLS proxy before the REST port instead",
	"letsencryptlisten":                         "put a TLS proxy before the REST port instead",
	"letsencryptdomain":                         "put a TLS proxy before the REST port instead",
	"wallet-unlock-password-file":               "pass --password-file, or use wallet-password.txt in the node's folder",
	"wallet-unlock-allow-create":                "make the wallet with: leyden node create",
	"rpcmiddleware.enable":                      "it is always on: remove it",
	"rpcmiddleware.addmandatory":                "no middleware can register past the front: remove it",
	"remotesigner.enable":                       useBundle,
	"remotesigner.rpchost":                      useBundle,
	"remotesigner.tlscertpath":                  useBundle,
	"remotesigner.macaroonpath":                 useBundle,
	"remotesigner.migrate-wallet-to-watch-only": "leyden node migrate --signer-host HOST:10012",
	"healthcheck.remotesigner.attempts":         "leyden itself watches the signer: remove it",
	"version":                                   "leyden --version",
	"bitcoin.chaindir":                          "choose the folder with --home",
}

// refusedBySigner are further options that a signer's lnd must not have, or for
// which it has another hint.
var refusedBySigner = map[string]string{
	"remotesigner.enable":                       ownKeys,
	"remotesigner.rpchost":                      ownKeys,
	"remotesigner.tlscertpath":                  ownKeys,
	"remotesigner.macaroonpath":                 ownKeys,
	"remotesigner.migrate-wallet-to-watch-only": ownKeys,
	"healthcheck.remotesigner.attempts":         ownKeys,
	"profile":                                   onePort,
	"pprof.profile":                             onePort,
}

const (
	ownKeys = "a signer holds its own keys: remove it"
	onePort = "a signer opens no other port than the front's: remove it"
)

// refuse checks the options that are left for lnd itself; signer says that it is a
// signer's.
func refuse(options []Option, signer bool) error {
	for _, o := range options {
		hint, ok := refused[o.Name]
		if other, has := refusedBySigner[o.Name]; signer && has {
			hint, ok = other, true
		}
		if ok {
			return fault.New("refused_option", hint,
				"%s: option %q would undo what leyden relies on", o.Origin, o.Name)
		}
		if o.Name == "debuglevel" && o.Value == "show" {
			return fault.New("refused_option", "see lnd's documentation of debuglevel",
				"%s: debuglevel=show only prints a list", o.Origin)
		}
	}
	return nil
}

// splitFront takes the front's options out.
func splitFront(options []Option) (front FrontOptions, rest []Option, err error) {
	noREST := false
	lists := map[string]*[]string{
		"rpclisten": &front.RPCListen, "restlisten": &front.RESTListen,
		"apilisten":  &front.APIListen,
		"tlsextraip": &front.TLSExtraIPs, "tlsextradomain": &front.TLSExtraDomains,
		"restcors": &front.RESTCORS,
	}
	switches := map[string]*bool{
		"norest": &noREST, "no-rest-tls": &front.NoRESTTLS,
		"tlsdisableautofill": &front.TLSDisableAutofill, "tlsautorefresh": &front.TLSAutoRefresh,
	}
	durations := map[string]*time.Duration{
		"tlscertduration":  &front.TLSCertDuration,
		"ws-ping-interval": &front.WSPingInterval, "ws-pong-wait": &front.WSPongWait,
	}
	for _, o := range options {
		ok := true
		if list := lists[o.Name]; list != nil {
			*list = append(*list, o.Value)
		} else if target := switches[o.Name]; target != nil {
			*target, ok = parseSwitch(o.Value)
		} else if target := durations[o.Name]; target != nil {
			*target, err = time.ParseDuration(o.Value)
			ok = err == nil
		} else {
			rest = append(rest, o)
		}
		if !ok {
			return front, nil, fault.New("bad_option", "see lnd's documentation of "+o.Name,
				"%s: malformed value %q of %q", o.Origin, o.Value, o.Name)
		}
	}
	if noREST {
		front.RESTListen = nil
	}
	return front, rest, nil
}

// parseSwitch reads a boolean as go-flags does; empty means on.
func parseSwitch(value string) (on, ok bool) {
	switch strings.ToLower(value) {
	case "", "1", "t", "true":
		return true, true
	case "0", "f", "false":
		return false, true
	}
	return false, false
}
