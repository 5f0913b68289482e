package lnd

import "net"

// Listen opens a port of a front. The address may lack host or port: see WithPort.
// flag is how to choose another, for the error. Codes: port_in_use, bad_address.
func Listen(addr, port, flag string) (net.Listener, error) {
	addr = WithPort(addr, port)
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, PortError("port", addr, flag, err)
	}
	return l, nil
}

// ListenAll opens all ports, or up to the first that cannot be opened.
func ListenAll(addrs []string, port, flag string) (open []net.Listener, err error) {
	for _, addr := range addrs {
		l, err := Listen(addr, port, flag)
		if err != nil {
			return open, err
		}
		open = append(open, l)
	}
	return open, nil
}

// Addrs are the addresses listened on, host:port.
func Addrs(listeners []net.Listener) (list []string) {
	for _, l := range listeners {
		list = append(list, l.Addr().String())
	}
	return list
}

// CloseAll closes listeners on which nothing was served.
func CloseAll(listeners ...net.Listener) {
	for _, l := range listeners {
		_ = l.Close()
	}
}
