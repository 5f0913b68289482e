package devnet

import (
	"context"
	"encoding/hex"
	"os"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/lnd"
)

// askTimeout bounds one question to a node.
const askTimeout = 5 * time.Second

// maxMessage bounds an answer, in bytes.
const maxMessage = 200 << 20

// Dial connects to the node's front with its admin macaroon. The caller
// closes the connection.
func (i NodeInfo) Dial() (*grpc.ClientConn, error) { return i.DialAs(i.AdminMacaroon) }

// DialAs connects to the node's front with the macaroon in the file. The
// caller closes the connection.
func (i NodeInfo) DialAs(macaroonFile string) (*grpc.ClientConn, error) {
	return i.dial(i.RPC, macaroonFile)
}

// DialLnd connects to the node's lnd itself, past the front, with the macaroon
// in the file. The caller closes the connection.
func (i NodeInfo) DialLnd(macaroonFile string) (*grpc.ClientConn, error) {
	runtime, err := lnd.RuntimeDir(i.LndDir)
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(macaroonFile)
	if err != nil {
		return nil, fault.New("bad_macaroon", "leyden devnet up", "node %s: %w", i.Name, err)
	}
	return lnd.Runner{Dir: i.LndDir, Runtime: runtime}.Endpoint().Dial(
		grpc.WithPerRPCCredentials(macaroon(hex.EncodeToString(raw))))
}

// dial connects to one of the node's ports, which share a certificate.
func (i NodeInfo) dial(address, macaroonFile string) (*grpc.ClientConn, error) {
	tls, err := credentials.NewClientTLSFromFile(i.TLSCert, "")
	if err != nil {
		return nil, fault.New("bad_certificate", "leyden devnet up", "node %s: %w", i.Name, err)
	}
	raw, err := os.ReadFile(macaroonFile)
	if err != nil {
		return nil, fault.New("bad_macaroon", "leyden devnet up", "node %s: %w", i.Name, err)
	}
	retry := backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.5, MaxDelay: 200 * time.Millisecond}
	return grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(tls),
		grpc.WithPerRPCCredentials(macaroon(hex.EncodeToString(raw))),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: retry, MinConnectTimeout: time.Second}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
		grpc.WithDisableServiceConfig(),
	)
}

// channelBalance returns what the node owns in open channels, in sat.
func (i NodeInfo) channelBalance(ctx context.Context) (int64, error) {
	conn, err := i.Dial()
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	r, err := lnrpc.NewLightningClient(conn).ChannelBalance(ctx, &lnrpc.ChannelBalanceRequest{})
	if err != nil {
		return 0, err
	}
	return int64(r.GetLocalBalance().GetSat()), nil
}

// macaroon is a hex macaroon that goes with every call.
type macaroon string

// GetRequestMetadata is part of credentials.PerRPCCredentials.
func (m macaroon) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"macaroon": string(m)}, nil
}

// RequireTransportSecurity is part of credentials.PerRPCCredentials.
func (m macaroon) RequireTransportSecurity() bool { return true }
