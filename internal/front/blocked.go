package front

import (
	"strings"

	"google.golang.org/grpc/codes"
)

const (
	middlewareMethod = "/lnrpc.Lightning/RegisterRPCMiddleware"
	unlockerService  = "/lnrpc.WalletUnlocker/"
)

// wellFormed says whether method is "/service/method" and nothing else, so that
// no two readings of it can name different methods.
func wellFormed(method string) bool {
	return strings.HasPrefix(method, "/") && strings.Count(method, "/") == 2
}

// blocked refuses the methods that could undo the front. Wallets are created and
// unlocked by our own commands over the private socket.
func (s *Server) blocked(method string) *Refusal {
	if method == middlewareMethod {
		return refuse(codes.PermissionDenied, "method_blocked", "",
			"RPC middleware cannot be registered through this port")
	}
	call, ok := strings.CutPrefix(method, unlockerService)
	if !ok {
		return nil
	}
	hint := s.opts.Program + " unlock"
	switch {
	case s.opts.Backend.Address != "":
		hint = "lncli at lnd's own port"
	case call == "GenSeed" || call == "InitWallet":
		hint = s.opts.CreateCommand
	}
	return refuse(codes.PermissionDenied, "method_blocked", hint,
		"the wallet is not created, unlocked or given a password through this port")
}
