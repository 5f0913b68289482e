package bundle

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	gomacaroon "gopkg.in/macaroon.v2"

	"github.com/leydenln/leyden/internal/fault"
)

// Largest sizes in bytes of one file, packed or not; a real bundle has 100 kB.
const (
	maxFile = 1 << 20
	maxAll  = 4 * maxFile
)

// Read reads and checks a bundle: a folder, a .tar.gz, or its base64 text; "-" is
// stdin. Which it is shows in the content. Codes: CodeBad, CodeSecrets, no_bundle,
// secret_in_argv.
func Read(path string, stdin io.Reader) (*Bundle, error) {
	if strings.HasPrefix(path, "H4sI") && len(path) > 1000 { // gzip, in base64
		return nil, fault.New("secret_in_argv", "pipe the text into the command, with - in its place",
			"the bundle holds a macaroon, and a command line is no secret")
	}
	if path == "-" {
		data, err := readAll(stdin, "stdin")
		if err != nil {
			return nil, err
		}
		return Parse(data)
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New("no_bundle", "check the path; "+hint, "credentials bundle: %w", err)
	}
	if err != nil {
		return nil, bad("%w", err)
	}
	if info.IsDir() {
		return readDir(path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, bad("%w", err)
	}
	defer f.Close()
	data, err := readAll(f, filepath.Base(path))
	if err != nil {
		return nil, err
	}
	return Parse(data)
}

// Parse reads a .tar.gz or its base64 text. Codes: CodeBad, CodeSecrets.
func Parse(data []byte) (*Bundle, error) {
	if !looksLikeArchive(data) {
		if err := noSecrets("", data); err != nil {
			return nil, err
		}
		text := bytes.Join(bytes.Fields(data), nil)
		decoded, err := base64.StdEncoding.AppendDecode(nil, text)
		if err != nil || !looksLikeArchive(decoded) {
			return nil, bad("neither a folder, nor a .tar.gz, nor the base64 text of one")
		}
		data = decoded
	}
	found, err := unpack(data)
	if err != nil {
		return nil, err
	}
	return assemble(found)
}

// readDir reads the three files of a folder; beside them it may have only what
// was packed of them.
func readDir(path string) (*Bundle, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, bad("%w", err)
	}
	defer root.Close()
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, bad("%w", err)
	}
	found := map[string][]byte{}
	for _, entry := range entries {
		name := entry.Name()
		if name == Base64File || name == "credentials-bundle.tar.gz" {
			continue
		}
		if found[name], err = readFile(root, name); err != nil {
			return nil, err
		}
	}
	return assemble(found)
}

// readFile reads a file of the folder that is a file: no link, no device.
func readFile(root *os.Root, name string) ([]byte, error) {
	if err := allowed(name); err != nil {
		return nil, err
	}
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, bad("%q cannot be read, or is a link: %w", name, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, bad("%w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, bad("%q is no regular file", name)
	}
	return readAll(f, name)
}

func readAll(r io.Reader, name string) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, bad("read %q: %w", name, err)
	}
	if len(data) > maxFile {
		return nil, bad("%q has more than %d bytes", name, maxFile)
	}
	return data, nil
}

// allowed refuses files that are no part of a bundle.
func allowed(name string) error {
	switch name {
	case AccountsFile, CertFile, MacaroonFile:
		return nil
	}
	if err := noSecrets(name, nil); err != nil {
		return err
	}
	return bad("unknown file %.60q", name)
}

// assemble checks the three files and makes the bundle.
func assemble(found map[string][]byte) (*Bundle, error) {
	for _, name := range []string{AccountsFile, CertFile, MacaroonFile} {
		if len(found[name]) == 0 {
			return nil, bad("%s is missing or empty", name)
		}
		if err := noSecrets(name, found[name]); err != nil {
			return nil, err
		}
	}
	accounts, err := parseAccounts(found[AccountsFile])
	if err != nil {
		return nil, err
	}
	if err := checkCert(found[CertFile]); err != nil {
		return nil, err
	}
	if err := new(gomacaroon.Macaroon).UnmarshalBinary(found[MacaroonFile]); err != nil {
		return nil, bad("%s: malformed macaroon of %d bytes", MacaroonFile, len(found[MacaroonFile]))
	}
	return &Bundle{Accounts: accounts, TLSCert: found[CertFile], Macaroon: found[MacaroonFile]}, nil
}

// checkCert accepts one or more certificates in PEM and nothing else.
func checkCert(data []byte) error {
	rest := bytes.TrimSpace(data)
	for len(rest) > 0 {
		// pem.Decode would look for a block behind any other text.
		begins := bytes.HasPrefix(rest, []byte("-----BEGIN "))
		var block *pem.Block
		if block, rest = pem.Decode(rest); !begins || block == nil || block.Type != "CERTIFICATE" {
			return bad("%s: not a certificate in PEM", CertFile)
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return bad("%s: malformed certificate: %w", CertFile, err)
		}
		rest = bytes.TrimSpace(rest)
	}
	return nil
}
