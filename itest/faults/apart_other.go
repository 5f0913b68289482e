//go:build !linux

package main

import "errors"

// apart is a network namespace of the signer's own; there is none here.
type apart struct{ enter []string }

const signerHost = ""

func newApart() (*apart, error) {
	return nil, errors.New("network namespaces are Linux's")
}

func (a *apart) cable(bool) error { return errors.New("there is no cable") }
func (a *apart) close()           {}
