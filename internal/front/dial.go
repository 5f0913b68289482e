package front

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/pires/go-proxyproto"
)

// dialer connects to lnd. On the socket it says, with a PROXY protocol preamble
// of version 2, whom the connection is for.
func (b Backend) dialer(client netip.Addr) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, _ string) (net.Conn, error) {
		var d net.Dialer
		if b.Address != "" {
			return d.DialContext(ctx, "tcp", b.Address)
		}
		c, err := d.DialContext(ctx, "unix", b.Socket)
		if err != nil {
			return nil, err
		}
		if _, err := preamble(client).WriteTo(c); err != nil {
			return nil, errors.Join(err, c.Close())
		}
		return c, nil
	}
}

// preamble names client as the source. The port is 0: a connection is shared by
// all connections of that address.
func preamble(client netip.Addr) *proxyproto.Header {
	src := net.TCPAddrFromAddrPort(netip.AddrPortFrom(client, 0))
	dst := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}
	if client.Is6() {
		dst.IP = net.IPv6loopback
	}
	return proxyproto.HeaderProxyFromAddrs(2, src, dst)
}

// Pinned accepts the certificate in the file and no other. The file is read
// during the handshake, since lnd may have made a new one when it was restarted.
func Pinned(certPath string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		// The pin below takes the place of the check against names and roots.
		InsecureSkipVerify: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			want, err := readCertificate(certPath)
			if err != nil {
				return err
			}
			if len(cs.PeerCertificates) == 0 || !bytes.Equal(cs.PeerCertificates[0].Raw, want.Raw) {
				return fmt.Errorf("lnd's certificate is not the one in %q", certPath)
			}
			return nil
		},
	}
}

func readCertificate(path string) (*x509.Certificate, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("%q holds no certificate", path)
	}
	return x509.ParseCertificate(block.Bytes)
}

// clientAddr is the address a client counts as: its IP without zone and port, or
// 127.0.0.1 when it has none.
func clientAddr(addr net.Addr) netip.Addr {
	if tcp, ok := addr.(*net.TCPAddr); ok {
		if ip := tcp.AddrPort().Addr(); ip.IsValid() {
			return ip.Unmap().WithZone("")
		}
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}
