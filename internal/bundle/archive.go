package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/leydenln/leyden/internal/files"
)

// folder is the only folder that entries of an archive may be in.
const folder = "credentials-bundle"

// unpack reads a .tar.gz into memory. Every entry must be a regular file of a
// bundle, once, in no folder or in folder.
func unpack(data []byte) (map[string][]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, bad("malformed archive: %w", err)
	}
	all := &io.LimitedReader{R: z, N: maxAll + 1}
	archive := tar.NewReader(all)
	found := map[string][]byte{}
	for {
		header, err := archive.Next()
		if all.N <= 0 {
			return nil, bad("the archive has more than %d bytes", maxAll)
		}
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, bad("malformed archive: %w", err)
		}
		name, err := entryName(header)
		if err != nil {
			return nil, err
		}
		if name == "" {
			continue
		}
		if _, twice := found[name]; twice {
			return nil, bad("%q is in the archive twice", name)
		}
		if found[name], err = readAll(archive, name); err != nil {
			return nil, err
		}
	}
}

// entryName returns the file's name; "" for a folder, of which nothing is kept.
func entryName(header *tar.Header) (string, error) {
	name := strings.TrimPrefix(path.Clean(header.Name), folder+"/")
	if path.IsAbs(header.Name) || strings.Contains(header.Name, `\`) || strings.Contains("/"+header.Name+"/", "/../") {
		return "", bad("path %.60q in the archive", header.Name)
	}
	switch header.Typeflag {
	case tar.TypeReg:
		return name, allowed(name)
	case tar.TypeDir:
		if name == "." || name == folder {
			return "", nil
		}
		return "", bad("folder %.60q in the archive", header.Name)
	default:
		return "", bad("%.60q in the archive is no regular file", header.Name)
	}
}

// Owns says whether a file of that name belongs to a bundle's folder: one of its
// four, or what Write left of one when it was cut short.
func Owns(name string) bool {
	return slices.ContainsFunc(fileNames, func(of string) bool { return name == of || files.Leftover(name, of) })
}

// Write writes the bundle into the folder, made private, every file with mode
// 0600, what is packed last. What a Write that was cut short left there goes away.
// Codes: disk_full, write_failed.
func (b *Bundle) Write(dir string) error {
	packed, err := b.Base64()
	if err != nil {
		return err
	}
	parts, err := b.parts()
	if err != nil {
		return err
	}
	if err := files.MkdirPrivate(dir); err != nil {
		return err
	}
	for _, p := range append(parts, part{Base64File, Lines(packed)}) {
		path := filepath.Join(dir, p.name)
		if err := errors.Join(files.Sweep(path), files.Write(path, p.data, 0o600)); err != nil {
			return err
		}
	}
	return nil
}

// Base64 returns the bundle as the base64 text of a .tar.gz, in one line.
func (b *Bundle) Base64() (string, error) {
	parts, err := b.parts()
	if err != nil {
		return "", err
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	archive := tar.NewWriter(z)
	for _, p := range parts {
		header := &tar.Header{Name: p.name, Mode: 0o600, Size: int64(len(p.data)), Typeflag: tar.TypeReg}
		if err := archive.WriteHeader(header); err != nil {
			return "", err
		}
		if _, err := archive.Write(p.data); err != nil {
			return "", err
		}
	}
	if err := errors.Join(archive.Close(), z.Close()); err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(packed.Bytes()), nil
}

// lineLength is short enough for a terminal's input, which cuts lines off at 4 kB.
const lineLength = 76

// Lines breaks base64 text into lines that can be pasted into a terminal.
func Lines(text string) []byte {
	var lines bytes.Buffer
	for part := range slices.Chunk([]byte(text), lineLength) {
		lines.Write(append(bytes.Clone(part), '\n'))
	}
	return lines.Bytes()
}

type part struct {
	name string
	data []byte
}

func (b *Bundle) parts() ([]part, error) {
	accounts, err := json.MarshalIndent(accountList{b.Accounts}, "", "    ")
	if err != nil {
		return nil, err
	}
	return []part{{AccountsFile, append(accounts, '\n')}, {CertFile, b.TLSCert}, {MacaroonFile, b.Macaroon}}, nil
}
