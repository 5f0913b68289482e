// Package zzdeps keeps modules in go.mod while packages are being written.
package zzdeps

import (
	_ "github.com/btcsuite/btcd/rpcclient"
	_ "github.com/gorilla/websocket"
	_ "github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	_ "github.com/lightningnetwork/lnd"
	_ "github.com/lightningnetwork/lnd/cert"
	_ "github.com/lightningnetwork/lnd/cmd/commands"
	_ "github.com/rogpeppe/go-internal/testscript"
	_ "github.com/spf13/cobra"
	_ "github.com/spf13/cobra/doc"
	_ "golang.org/x/crypto/hkdf"
	_ "golang.org/x/sync/errgroup"
	_ "golang.org/x/sys/unix"
	_ "golang.org/x/term"
	_ "google.golang.org/genproto/googleapis/rpc/errdetails"
	_ "gopkg.in/macaroon.v2"
	_ "gopkg.in/yaml.v3"
	_ "modernc.org/sqlite"
	_ "pgregory.net/rapid"
	_ "github.com/jessevdk/go-flags"
	_ "go.uber.org/goleak"
	_ "github.com/pires/go-proxyproto"
	_ "github.com/google/renameio/v2"
)
