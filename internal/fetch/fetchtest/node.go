package fetchtest

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/btcsuite/btcd/chaincfg"
	"github.com/lightningnetwork/lnd/cert"
	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/zpay32"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/leydenln/leyden/internal/rpc/lndwire"
)

// Node speaks as much of lnd's gRPC as lnget calls, and pays from a ledger on
// regtest. Its folder is laid out as an lnd's is.
type Node struct {
	// Dir holds tls.cert, lnd.conf and data/chain/bitcoin/regtest.
	Dir string
	// Addr is where it listens.
	Addr string
	// Calls counts all calls.
	Calls atomic.Int64
	// Refuse, if set, answers SendPaymentV2 with an error.
	Refuse error
	// Hold, if set, runs between a payment and its answer.
	Hold func(context.Context)
	// Nameless makes GetInfo refuse, as for a macaroon that does not allow it.
	Nameless bool

	// Stateless makes GetState refuse, as litd does with an account.
	Stateless bool

	ledger Ledger
	server *grpc.Server
}

// StartNode starts a node in the folder; Stop ends it.
func StartNode(dir string, l Ledger) (*Node, error) {
	n := &Node{Dir: dir, ledger: l}
	certPEM, keyPEM, err := cert.GenCertPair("test", nil, nil, true, 24*time.Hour)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, err
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	n.Addr = lis.Addr().String()
	if err := n.layOut(certPEM); err != nil {
		return nil, err
	}
	n.server = grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(&pair)), grpc.UnknownServiceHandler(n.Handle))
	go func() { _ = n.server.Serve(lis) }()
	return n, nil
}

// Stop ends the node.
func (n *Node) Stop() { n.server.Stop() }

func (n *Node) layOut(certPEM []byte) error {
	chain := filepath.Join(n.Dir, "data", "chain", "bitcoin", "regtest")
	if err := os.MkdirAll(chain, 0o700); err != nil {
		return err
	}
	admin := Macaroon(nil, [2]string{"offchain", "read"}, [2]string{"offchain", "write"}, [2]string{"onchain", "write"},
		[2]string{"macaroon", "generate"})
	payOnly := Macaroon(nil, [2]string{"uri", "/routerrpc.Router/SendPaymentV2"},
		[2]string{"uri", "/routerrpc.Router/TrackPaymentV2"})
	readOnly := Macaroon(nil, [2]string{"offchain", "read"}, [2]string{"info", "read"})
	for path, data := range map[string][]byte{
		filepath.Join(n.Dir, "tls.cert"):            certPEM,
		filepath.Join(n.Dir, "lnd.conf"):            []byte("[Application Options]\nrpclisten=" + n.Addr + "\n"),
		filepath.Join(chain, "admin.macaroon"):      admin,
		filepath.Join(chain, "zz-pay.macaroon"):     payOnly,
		filepath.Join(chain, "readonly.macaroon"):   readOnly,
		filepath.Join(chain, "not-really.macaroon"): []byte("nonsense"),
	} {
		if err := write(path, data); err != nil {
			return err
		}
	}
	return nil
}

func write(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

// Handle answers a call, also one that came another way than to Addr.
func (n *Node) Handle(_ any, s grpc.ServerStream) error {
	n.Calls.Add(1)
	method, _ := grpc.MethodFromServerStream(s)
	switch method {
	case "/lnrpc.State/GetState":
		if n.Stateless {
			return status.Error(codes.Unknown, "this RPC call is not supported with restricted account macaroons")
		}
		return s.SendMsg(&lndwire.GetStateResponse{State: lndwire.WalletState_SERVER_ACTIVE})
	case "/lnrpc.Lightning/GetInfo":
		if n.Nameless {
			return status.Error(codes.Unknown, "permission denied")
		}
		return s.SendMsg(&lndwire.GetInfoResponse{IdentityPubkey: "02ab", Alias: "fake", Version: "0.21.2",
			SyncedToChain: true, NumActiveChannels: 1, Chains: []*lndwire.Chain{{Network: "regtest"}}})
	case "/routerrpc.Router/SendPaymentV2":
		return n.send(s)
	case "/routerrpc.Router/TrackPaymentV2":
		return n.track(s)
	}
	return status.Errorf(codes.Unimplemented, "unknown method %s", method)
}

func (n *Node) send(s grpc.ServerStream) error {
	var req lndwire.SendPaymentRequest
	if err := s.RecvMsg(&req); err != nil {
		return err
	}
	if n.Refuse != nil {
		return n.Refuse
	}
	invoice, err := zpay32.Decode(req.PaymentRequest, &chaincfg.RegressionNetParams)
	if err != nil {
		return err
	}
	preimage, err := n.ledger.Pay(lntypes.Hash(*invoice.PaymentHash))
	switch {
	case errors.Is(err, fs.ErrExist):
		return status.Error(codes.AlreadyExists, "invoice is already paid")
	case err != nil:
		return s.SendMsg(&lndwire.Payment{Status: lndwire.PaymentStatus_FAILED,
			FailureReason: lndwire.PaymentFailureReason_NO_ROUTE})
	}
	if n.Hold != nil {
		n.Hold(s.Context())
	}
	return s.SendMsg(succeeded(preimage))
}

func (n *Node) track(s grpc.ServerStream) error {
	var req lndwire.TrackPaymentRequest
	if err := s.RecvMsg(&req); err != nil {
		return err
	}
	hash, err := lntypes.MakeHash(req.PaymentHash)
	if err != nil {
		return err
	}
	preimage, err := n.ledger.Track(hash)
	if err != nil {
		return status.Error(codes.NotFound, "payment isn't initiated")
	}
	return s.SendMsg(succeeded(preimage))
}

// succeeded is a payment with a fee of 1 sat.
func succeeded(p lntypes.Preimage) proto.Message {
	return &lndwire.Payment{Status: lndwire.PaymentStatus_SUCCEEDED, PaymentPreimage: p.String(),
		Htlcs: []*lndwire.HTLCAttempt{{Status: lndwire.HTLCStatus_HTLC_SUCCEEDED,
			Route: &lndwire.Route{TotalFeesMsat: 1000, TotalAmtMsat: 101_000}}}}
}
