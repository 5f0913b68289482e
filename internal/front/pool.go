package front

import (
	"container/list"
	"errors"
	"math"
	"net/netip"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
)

const (
	defaultMaxConns    = 256
	defaultIdleTimeout = 5 * time.Minute
)

// Backend is where calls are forwarded to.
type Backend struct {
	// Socket is the path of lnd's unix socket, which takes a PROXY preamble.
	Socket string

	// Address, in place of Socket, is the host:port of an lnd that somebody else
	// runs. It does not learn the clients' addresses: all share one connection,
	// and the hook must judge caveats on addresses.
	Address string

	// TLSCert is the path of the one certificate that is accepted there. It is
	// read anew for each connection.
	TLSCert string

	// MaxConns bounds the connections to Socket, one for each client address. Default
	// 256. With all of them in use a further address is refused, but never
	// loopback.
	MaxConns int

	// IdleTimeout closes a connection that had no call for so long. Default 5
	// minutes.
	IdleTimeout time.Duration
}

// pool keeps one connection to lnd's socket for each client address, so that lnd
// sees that address, or a single one to an address. The least recently used gives way to a new one.
type pool struct {
	backend Backend

	mu     sync.Mutex
	conns  map[netip.Addr]*conn
	recent *list.List // of *conn, most recently used first
	closed bool
}

// conn is a connection to lnd on behalf of one client address, or of all (the
// zero address).
type conn struct {
	grpc.ClientConnInterface
	cc      *grpc.ClientConn
	addr    netip.Addr
	users   int
	dropped bool
	elem    *list.Element
}

func newPool(b Backend) (*pool, error) {
	if (b.Socket == "") == (b.Address == "") || b.TLSCert == "" {
		return nil, errors.New("front: either Backend.Socket or Backend.Address, and Backend.TLSCert, are required")
	}
	if b.MaxConns == 0 {
		b.MaxConns = defaultMaxConns
	}
	if b.IdleTimeout == 0 {
		b.IdleTimeout = defaultIdleTimeout
	}
	return &pool{backend: b, conns: make(map[netip.Addr]*conn), recent: list.New()}, nil
}

// acquire returns addr's connection, made now if need be; it is dialled on first
// use. A connection that lost lnd is replaced, so that each call makes one true
// attempt instead of failing from an earlier one's back-off.
func (p *pool) acquire(addr netip.Addr) (*conn, error) {
	if p.backend.Address != "" {
		addr = netip.Addr{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, refuse(codes.Unavailable, "stopping", "", "the node is shutting down")
	}
	c := p.conns[addr]
	if c != nil && c.cc.GetState() == connectivity.TransientFailure {
		p.drop(c)
		c = nil
	}
	if c == nil {
		var err error
		if c, err = p.add(addr); err != nil {
			return nil, err
		}
	}
	c.users++
	p.recent.MoveToFront(c.elem)
	return c, nil
}

func (p *pool) release(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.users--
	if c.dropped && c.users == 0 {
		go c.cc.Close()
	}
}

// lost takes a connection that failed a call out of the pool: its state may not
// tell yet.
func (p *pool) lost(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !c.dropped && !p.closed {
		p.drop(c)
	}
}

func (p *pool) add(addr netip.Addr) (*conn, error) {
	if len(p.conns) >= p.backend.MaxConns && !p.evict() && !addr.IsLoopback() {
		return nil, refuse(codes.ResourceExhausted, "too_many_clients", "",
			"calls from %d other addresses are open, as many as this node serves at once", len(p.conns))
	}
	cc, err := p.backend.dial(addr)
	if err != nil {
		return nil, err
	}
	c := &conn{ClientConnInterface: cc, cc: cc, addr: addr}
	c.elem = p.recent.PushFront(c)
	p.conns[addr] = c
	return c, nil
}

// evict drops the connection that was unused for longest.
func (p *pool) evict() bool {
	for e := p.recent.Back(); e != nil; e = e.Prev() {
		if c := e.Value.(*conn); c.users == 0 {
			p.drop(c)
			return true
		}
	}
	return false
}

// drop takes c out of the pool; it closes when its last user is gone.
func (p *pool) drop(c *conn) {
	delete(p.conns, c.addr)
	p.recent.Remove(c.elem)
	c.dropped = true
	if c.users == 0 {
		go c.cc.Close()
	}
}

// close closes all connections, used or not.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, c := range p.conns {
		delete(p.conns, c.addr)
		p.recent.Remove(c.elem)
		c.cc.Close()
	}
}

func (b Backend) dial(client netip.Addr) (*grpc.ClientConn, error) {
	retry := backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.5, MaxDelay: time.Second}
	return grpc.NewClient("passthrough:///lnd",
		grpc.WithContextDialer(b.dialer(client)),
		grpc.WithTransportCredentials(credentials.NewTLS(Pinned(b.TLSCert))),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{}), grpc.MaxCallRecvMsgSize(math.MaxInt32)),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: retry, MinConnectTimeout: 5 * time.Second}),
		grpc.WithIdleTimeout(b.IdleTimeout),
		grpc.WithStatsHandler(trailerWatch{}),
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableRetry(),
		grpc.WithSharedWriteBuffer(true),
		grpc.WithInitialWindowSize(window),
	)
}
