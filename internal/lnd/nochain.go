package lnd

import (
	"slices"
	"strings"
)

// noChain is lnd's name for having no chain backend.
const noChain = "nochainbackend"

// chainOptions begin the names of options that mean nothing to an lnd without
// chain and peers. Templates for signers are full of them.
var chainOptions = []string{"listen", "externalip", "externalhosts", "nat", "fee.", "neutrino.", "btcd.", "bitcoind.", "autopilot.",
	"tor.", "wtclient.", "watchtower.", "bitcoin.node", "nolisten", "nobootstrap"}

// nowhere is a SOCKS proxy that cannot be there: no port is 0. Whatever else lnd might
// want to connect to, such as the peers of channels it restores, it reaches nobody.
// It connects to its own signer without the proxy.
const nowhere = "127.0.0.1:0"

// withoutChain leaves an lnd that only holds keys: it follows no chain, neither
// listens for peers nor looks for any, and reaches none that it is told of.
func withoutChain(options []Option) []Option {
	kept := slices.DeleteFunc(slices.Clone(options), func(o Option) bool {
		return slices.ContainsFunc(chainOptions, func(name string) bool {
			return o.Name == name || strings.HasSuffix(name, ".") && strings.HasPrefix(o.Name, name)
		})
	})
	return append(kept, from("signer", []Option{
		{Name: "bitcoin.node", Value: noChain},
		{Name: "nolisten", Value: "true"},
		{Name: "nobootstrap", Value: "true"},
		{Name: "tor.active", Value: "true"},
		{Name: "tor.socks", Value: nowhere},
	})...)
}
