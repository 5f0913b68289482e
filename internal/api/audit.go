package api

import (
	"context"
	"encoding/hex"
	"time"

	"google.golang.org/grpc"

	"github.com/leydenln/leyden/internal/account"
	"github.com/leydenln/leyden/internal/audit"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/rpc/leydenv1"
)

// chunk is how much of an export goes into one message, in bytes.
const chunk = 32 << 10

// auditServer is leyden.v1.Audit.
type auditServer struct {
	leydenv1.UnimplementedAuditServer
	s *Server
}

func (a *auditServer) List(req *leydenv1.AuditRequest, stream grpc.ServerStreamingServer[leydenv1.AuditEntry]) error {
	return EachEntry(stream.Context(), a.s.opts.Ledger, req, stream.Send)
}

// EachEntry calls fn with the entries that are asked for, oldest first. An
// account that was removed is known by its id only.
func EachEntry(ctx context.Context, l *account.Ledger, req *leydenv1.AuditRequest, fn func(*leydenv1.AuditEntry) error) error {
	q := audit.Query{Account: req.Account, Kind: req.Kind, After: req.After, Limit: int(req.Max), Newest: req.Newest}
	if req.Since > 0 {
		q.Since = time.Unix(req.Since, 0)
	}
	if raw, err := hex.DecodeString(req.Account); err != nil || len(raw) != len(account.ID{}) && req.Account != "" {
		of, err := l.Find(ctx, req.Account)
		if err != nil {
			return err
		}
		q.Account = of.ID.String()
	}
	return l.Journal().Each(ctx, q, func(r audit.Record) error { return fn(entryOut(r)) })
}

func entryOut(r audit.Record) *leydenv1.AuditEntry {
	return &leydenv1.AuditEntry{
		Seq: r.Seq, AtMs: r.At.UnixMilli(), Kind: r.Kind,
		Actor: r.Actor.Kind, Via: r.Actor.Via, Peer: r.Actor.Peer, Macaroon: r.Actor.Macaroon,
		Account: r.Account, Subject: r.Subject, Detail: r.Detail, Hash: r.Hash[:],
	}
}

func (a *auditServer) Verify(ctx context.Context, req *leydenv1.VerifyRequest) (*leydenv1.VerifyResponse, error) {
	return Verify(ctx, a.s.opts.Ledger, req)
}

// Verify reads the whole journal. Code: bad_argument for a malformed head.
func Verify(ctx context.Context, l *account.Ledger, req *leydenv1.VerifyRequest) (*leydenv1.VerifyResponse, error) {
	var noted []audit.Head
	if req.Head != "" {
		head, err := audit.ParseHead(req.Head)
		if err != nil {
			return nil, fault.New(codeBadArgument, "leyden audit verify --help", "%w", err)
		}
		noted = append(noted, head)
	}
	head, faults, err := l.Journal().Verify(ctx, noted...)
	if err != nil {
		return nil, err
	}
	return &leydenv1.VerifyResponse{Entries: head.Seq, Head: head.String(), Faults: faults}, nil
}

func (a *auditServer) Export(req *leydenv1.ExportRequest, stream grpc.ServerStreamingServer[leydenv1.ExportChunk]) error {
	w := &chunks{stream: stream}
	if err := a.s.opts.Ledger.Journal().Export(stream.Context(), w, req.Format); err != nil {
		return err
	}
	return w.flush()
}

// chunks collects what is written and sends it in larger pieces.
type chunks struct {
	stream grpc.ServerStreamingServer[leydenv1.ExportChunk]
	buf    []byte
}

func (c *chunks) Write(p []byte) (int, error) {
	c.buf = append(c.buf, p...)
	if len(c.buf) < chunk {
		return len(p), nil
	}
	return len(p), c.flush()
}

func (c *chunks) flush() error {
	if len(c.buf) == 0 {
		return nil
	}
	err := c.stream.Send(&leydenv1.ExportChunk{Data: c.buf})
	c.buf = nil
	return err
}
