// Package rest is lnd's REST interface, WebSockets included, for a front: the
// grpc-gateway handlers that lnd's own packages bring, with lnd's JSON options.
// Every request becomes an ordinary call on the connection it is given.
//
// It leaves out listening, TLS and judgement: package front does them. Services
// that the lnd behind the front was built without answer 501.
package rest

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/btcsuite/btclog/v2"
	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/chainrpc"
	"github.com/lightningnetwork/lnd/lnrpc/invoicesrpc"
	"github.com/lightningnetwork/lnd/lnrpc/neutrinorpc"
	"github.com/lightningnetwork/lnd/lnrpc/peersrpc"
	"github.com/lightningnetwork/lnd/lnrpc/routerrpc"
	"github.com/lightningnetwork/lnd/lnrpc/signrpc"
	"github.com/lightningnetwork/lnd/lnrpc/verrpc"
	"github.com/lightningnetwork/lnd/lnrpc/walletrpc"
	"github.com/lightningnetwork/lnd/lnrpc/watchtowerrpc"
	"github.com/lightningnetwork/lnd/lnrpc/wtclientrpc"
	"google.golang.org/grpc"
)

// maxBody is the largest body of a request, in bytes. It is read before anybody
// looks at the macaroon; lnd's own limit of 200 MB would let strangers fill the
// memory.
const maxBody = 16 << 20

// Options of the handler, with lnd's names for them in brackets.
type Options struct {
	// CORS are the origins that browsers may call from, "*" for any; none: only
	// the same origin [restcors].
	CORS []string

	// PingInterval and PongWait keep WebSockets alive [ws-ping-interval,
	// ws-pong-wait]. Default 30 and 5 seconds; negative turns pings off.
	PingInterval, PongWait time.Duration
}

// Handler returns a maker of the handler, as front.REST wants it.
func Handler(opts Options) func(grpc.ClientConnInterface) (http.Handler, error) {
	if opts.PingInterval == 0 {
		opts.PingInterval = lnrpc.DefaultPingInterval
	}
	if opts.PongWait == 0 {
		opts.PongWait = lnrpc.DefaultPongWait
	}
	return func(cc grpc.ClientConnInterface) (http.Handler, error) {
		mux := runtime.NewServeMux(
			runtime.WithMarshalerOption(runtime.MIMEWildcard, &runtime.JSONPb{
				MarshalOptions:   *lnrpc.RESTJsonMarshalOpts,
				UnmarshalOptions: *lnrpc.RESTJsonUnmarshalOpts,
			}),
			runtime.WithDisablePathLengthFallback(),
		)
		for _, register := range services(cc) {
			if err := register(context.Background(), mux); err != nil {
				return nil, err
			}
		}
		limited := http.MaxBytesHandler(mux, maxBody)
		sockets := lnrpc.NewWebSocketProxy(limited, btclog.Disabled,
			opts.PingInterval, opts.PongWait, lnrpc.LndClientStreamingURIs)
		return cors(sockets, opts.CORS), nil
	}
}

type register func(context.Context, *runtime.ServeMux) error

// with binds a generated registration to its client.
func with[Client any](f func(context.Context, *runtime.ServeMux, Client) error, client Client) register {
	return func(ctx context.Context, mux *runtime.ServeMux) error { return f(ctx, mux, client) }
}

func services(cc grpc.ClientConnInterface) []register {
	return []register{
		with(lnrpc.RegisterLightningHandlerClient, lnrpc.NewLightningClient(cc)),
		with(lnrpc.RegisterStateHandlerClient, lnrpc.NewStateClient(cc)),
		with(lnrpc.RegisterWalletUnlockerHandlerClient, lnrpc.NewWalletUnlockerClient(cc)),
		with(chainrpc.RegisterChainKitHandlerClient, chainrpc.NewChainKitClient(cc)),
		with(chainrpc.RegisterChainNotifierHandlerClient, chainrpc.NewChainNotifierClient(cc)),
		with(invoicesrpc.RegisterInvoicesHandlerClient, invoicesrpc.NewInvoicesClient(cc)),
		with(neutrinorpc.RegisterNeutrinoKitHandlerClient, neutrinorpc.NewNeutrinoKitClient(cc)),
		with(peersrpc.RegisterPeersHandlerClient, peersrpc.NewPeersClient(cc)),
		with(routerrpc.RegisterRouterHandlerClient, routerrpc.NewRouterClient(cc)),
		with(signrpc.RegisterSignerHandlerClient, signrpc.NewSignerClient(cc)),
		with(verrpc.RegisterVersionerHandlerClient, verrpc.NewVersionerClient(cc)),
		with(walletrpc.RegisterWalletKitHandlerClient, walletrpc.NewWalletKitClient(cc)),
		with(watchtowerrpc.RegisterWatchtowerHandlerClient, watchtowerrpc.NewWatchtowerClient(cc)),
		with(wtclientrpc.RegisterWatchtowerClientHandlerClient, wtclientrpc.NewWatchtowerClientClient(cc)),
	}
}

// cors answers pre-flight requests and marks answers to allowed origins, as
// lnd's restcors does.
func cors(next http.Handler, origins []string) http.Handler {
	if len(origins) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin := r.Header.Get("Origin")
		if origin == "" {
			next.ServeHTTP(w, r)
			return
		}
		header := w.Header()
		header.Add("Vary", "Origin")
		header.Set("Access-Control-Allow-Headers", "Content-Type, Accept, Grpc-Metadata-Macaroon")
		header.Set("Access-Control-Allow-Methods", "GET, POST, DELETE")
		if slices.Contains(origins, "*") || slices.Contains(origins, origin) {
			header.Set("Access-Control-Allow-Origin", origin)
		}
		if r.Method != http.MethodOptions {
			next.ServeHTTP(w, r)
		}
	})
}
