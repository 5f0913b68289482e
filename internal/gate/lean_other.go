//go:build !unix

package gate

import "net"

// quietConn reports whether a connection without a request may be used again.
// Where nobody can tell, none may.
func quietConn(net.Conn) bool { return false }
