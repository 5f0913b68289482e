package lnc

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/lnc/hashmailrpc"
	"github.com/leydenln/leyden/lnc/internal/relay"
)

// ledgerServer answers calls and streams that both sides can check: the first
// message says the seed and how many follow.
type ledgerServer struct {
	hashmailrpc.UnimplementedHashMailServer

	mu    sync.Mutex
	wrong error
}

func order(seed uint64, n int) *hashmailrpc.CipherBoxDesc {
	b := binary.BigEndian.AppendUint64(nil, seed)
	return &hashmailrpc.CipherBoxDesc{StreamId: binary.BigEndian.AppendUint64(b, uint64(n))}
}

func (s *ledgerServer) read(desc *hashmailrpc.CipherBoxDesc) (seed uint64, n int, err error) {
	b := desc.GetStreamId()
	if len(b) != 16 || binary.BigEndian.Uint64(b[8:]) > 1000 {
		return 0, 0, s.complain(fmt.Errorf("%w: an order of %x", errWrong, b))
	}
	return binary.BigEndian.Uint64(b), int(binary.BigEndian.Uint64(b[8:])), nil
}

func (s *ledgerServer) complain(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrong = err
	return err
}

// item is the i-th message of a stream.
func item(seed uint64, i int) []byte {
	return stream(seed+uint64(i), 1+int(seed+uint64(i)*7919)%9000)
}

func (s *ledgerServer) NewCipherBox(ctx context.Context, in *hashmailrpc.CipherBoxAuth) (*hashmailrpc.CipherInitResp, error) {
	if err := allowed(ctx); err != nil {
		return nil, s.complain(err)
	}
	seed, _, err := s.read(in.GetDesc())
	return &hashmailrpc.CipherInitResp{Resp: &hashmailrpc.CipherInitResp_Success{
		Success: &hashmailrpc.CipherSuccess{Desc: &hashmailrpc.CipherBoxDesc{StreamId: item(seed, 0)}},
	}}, err
}

func (s *ledgerServer) RecvStream(in *hashmailrpc.CipherBoxDesc, out grpc.ServerStreamingServer[hashmailrpc.CipherBox]) error {
	seed, n, err := s.read(in)
	for i := range n {
		if err != nil {
			break
		}
		err = out.Send(&hashmailrpc.CipherBox{Msg: item(seed, i)})
	}
	return err
}

func (s *ledgerServer) SendStream(in grpc.ClientStreamingServer[hashmailrpc.CipherBox, hashmailrpc.CipherBoxDesc]) error {
	first, err := in.Recv()
	if err != nil {
		return err
	}
	seed, n, err := s.read(first.GetDesc())
	if err != nil {
		return err
	}
	for i := range n {
		box, err := in.Recv()
		if err != nil {
			return err
		}
		if !bytes.Equal(box.GetMsg(), item(seed, i)) {
			return s.complain(fmt.Errorf("%w: message %d of the client", errWrong, i))
		}
	}
	if _, err := in.Recv(); err != io.EOF {
		return err
	}
	return in.SendAndClose(order(seed, n))
}

func unary(ctx context.Context, client hashmailrpc.HashMailClient, seed uint64, n int) error {
	for i := range uint64(n) {
		answer, err := client.NewCipherBox(ctx, &hashmailrpc.CipherBoxAuth{Desc: order(seed+i, 1)})
		if err != nil {
			return err
		}
		if !bytes.Equal(answer.GetSuccess().GetDesc().GetStreamId(), item(seed+i, 0)) {
			return fmt.Errorf("%w: another answer", errWrong)
		}
	}
	return nil
}

func download(ctx context.Context, client hashmailrpc.HashMailClient, seed uint64, n int) error {
	in, err := client.RecvStream(ctx, order(seed, n))
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		box, err := in.Recv()
		switch {
		case err == io.EOF && i == n:
			return nil
		case err == io.EOF:
			return fmt.Errorf("%w: %d messages of %d, and a good end", errWrong, i, n)
		case err != nil:
			return err
		case !bytes.Equal(box.GetMsg(), item(seed, i)):
			return fmt.Errorf("%w: message %d", errWrong, i)
		}
	}
}

func upload(ctx context.Context, client hashmailrpc.HashMailClient, seed uint64, n int) error {
	out, err := client.SendStream(ctx)
	if err != nil {
		return err
	}
	err = out.Send(&hashmailrpc.CipherBox{Desc: order(seed, n)})
	for i := range n {
		if err != nil {
			break
		}
		err = out.Send(&hashmailrpc.CipherBox{Msg: item(seed, i)})
	}
	answer, err := out.CloseAndRecv()
	if err == nil && !bytes.Equal(answer.GetStreamId(), order(seed, n).GetStreamId()) {
		return fmt.Errorf("%w: another answer", errWrong)
	}
	return err
}

// TestGRPCFaults: calls and streams, several at once, over what spoils, delays,
// loses and cuts, or is hostile, are right or end with an error; and when it is
// calm again calls work.
func TestGRPCFaults(t *testing.T) {
	n := roundsOf(*rounds / 5)
	good, bad := 0, 0
	for round := range n {
		synctest.Test(t, func(t *testing.T) {
			g, b := callsUnderFaults(t, uint64(round))
			good, bad = good+g, bad+b
		})
		if t.Failed() {
			return
		}
	}
	t.Logf("%d calls and streams were right, %d ended with an error", good, bad)
	if good < n || bad < n/4 {
		t.Errorf("%d right and %d ended calls prove little", good, bad)
	}
}

func callsUnderFaults(t *testing.T, round uint64) (good, bad int) {
	random := rand.New(rand.NewPCG(round, 21))
	s := newSession(t)
	if random.IntN(3) > 0 {
		s.pair(t)
	}
	var calm func()
	if random.IntN(4) == 0 {
		calm = newEnemy(s.relay, rand.New(rand.NewPCG(round, 22))).calmDown
	} else {
		f := randomFaults(rand.New(rand.NewPCG(round, 23)))
		s.relay.Spoil, calm = f.spoil, f.calmDown
		disturb(s.relay, random)
	}
	node := &ledgerServer{}
	server := grpc.NewServer(grpc.Creds(Credentials()))
	hashmailrpc.RegisterHashMailServer(server, node)
	l := s.listen(t)
	go server.Serve(l)
	defer func() {
		l.Close() // Stop would hold a lock meanwhile, by which the bubble stands still
		server.Stop()
	}()
	d := s.dialer()
	defer d.Close()
	conn, err := d.NewClient(grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := hashmailrpc.NewHashMailClient(conn)

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var mu sync.Mutex
	var calls sync.WaitGroup
	for _, do := range []func(context.Context, hashmailrpc.HashMailClient, uint64, int) error{
		unary, unary, download, upload, download, upload,
	} {
		seed, n := random.Uint64()>>1, 1+random.IntN(30)
		calls.Go(func() {
			err := do(ctx, client, seed, n)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				good++
			case errors.Is(err, errWrong):
				t.Errorf("round %d: %v", round, err)
			default:
				bad++
			}
		})
	}
	calls.Wait()
	calm()
	s.relay.Open()
	later, cancelLater := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancelLater()
	for unary(later, client, 1, 1) != nil {
		if later.Err() != nil {
			t.Errorf("round %d: no call works any more", round)
			break
		}
		time.Sleep(time.Second)
	}
	node.mu.Lock()
	defer node.mu.Unlock()
	if node.wrong != nil {
		t.Errorf("round %d: the node: %v", round, node.wrong)
	}
	return good, bad
}

// TestAnsweredForThePeer: a relay that answers in the other side's place, and
// passes nothing, cannot have a call wait for ever: gRPC asks the node itself.
func TestAnsweredForThePeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSession(t)
		s.pair(t)
		var hostile atomic.Bool
		s.relay.Spoil = func(id relay.ID, msg []byte, deliver func([]byte)) {
			switch {
			case !hostile.Load():
				deliver(msg)
			case len(msg) > 1 && msg[0] == 2: // DATA
				s.relay.Offer(other(id), []byte{3, msg[1]})
			}
		}
		server := grpc.NewServer(grpc.Creds(Credentials()))
		hashmailrpc.RegisterHashMailServer(server, answerer{})
		l := s.listen(t)
		go server.Serve(l)
		defer func() {
			l.Close()
			server.Stop()
		}()
		d := s.dialer()
		defer d.Close()
		conn, err := d.NewClient()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		client := hashmailrpc.NewHashMailClient(conn)
		if err := call(t, client, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		hostile.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, err = client.NewCipherBox(ctx, &hashmailrpc.CipherBoxAuth{})
		if status.Code(err) != codes.Unavailable {
			t.Errorf("the call ended with %v", err)
		}
		hostile.Store(false)
		if err := call(t, client, []byte("hello")); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}
