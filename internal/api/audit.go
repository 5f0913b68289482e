package api

import "github.com/leydenln/leyden/internal/rpc/leydenv1"

// auditServer is leyden.v1.Audit.
type auditServer struct {
	leydenv1.UnimplementedAuditServer
	s *Server
}
