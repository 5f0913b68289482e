package fetch

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
	"github.com/leydenln/leyden/l402/l402http"
)

// CodeCorruptStore is the code of a token or payment file that cannot be read.
const CodeCorruptStore = "corrupt_store"

// FileStore is an [l402http.Store] in a folder:
//
//	<domain>/<payment hash>.json       a purchase under way, or a token
//	<domain>/<payment hash>.used       the seller has accepted it
//	<domain>/old/<payment hash>.json   failed, refused or expired
//	<domain>/.<scheme>-<port>.lock     held by who buys from that origin
//
// Journal and token are one file, so that they cannot disagree. Files are
// 0600 in folders of 0700.
type FileStore struct {
	dir string

	// waiting, if set, hears when Lock has waited for patience.
	waiting  func(l402http.Origin)
	patience time.Duration
}

const (
	recordSuffix = ".json"
	usedSuffix   = ".used"
	oldFolder    = "old"
)

// NewFileStore makes a store in dir, which need not exist.
func NewFileStore(dir string) *FileStore { return &FileStore{dir: dir, patience: 5 * time.Second} }

// Lock implements [l402http.Store].
func (s *FileStore) Lock(ctx context.Context, o l402http.Origin) (func(), error) {
	folder, err := s.makeFolder(o)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(string(o))
	if err != nil {
		return nil, fmt.Errorf("origin %q: %w", o, err)
	}
	path := filepath.Join(folder, "."+u.Scheme+"-"+u.Port()+".lock")
	if s.waiting != nil {
		defer time.AfterFunc(s.patience, func() { s.waiting(o) }).Stop()
	}
	unlock, err := files.Lock(ctx, path)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, fmt.Errorf("wait for another purchase from %s: %w", o, err)
	case err != nil:
		return nil, fault.New(CodeOutput, hintStore, "lock %s: %w", o, err)
	}
	return unlock, nil
}

// Load implements [l402http.Store].
func (s *FileStore) Load(o l402http.Origin) ([]l402http.Purchase, error) {
	all, err := readFolder(s.folder(o.Host()))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(p l402http.Purchase) bool {
		return p.Origin != o || !p.State.Active()
	}), nil
}

// Save implements [l402http.Store].
func (s *FileStore) Save(p l402http.Purchase) error {
	folder, err := s.makeFolder(p.Origin)
	if err != nil {
		return err
	}
	data, err := encodeRecord(p)
	if err != nil {
		return err
	}
	name := hex.EncodeToString(p.Hash[:])
	active := filepath.Join(folder, name+recordSuffix)
	if p.State == l402http.StatePending {
		if err := s.unknown(name + recordSuffix); err != nil {
			return err
		}
	}
	if p.State.Active() {
		if err := files.Write(active, data, 0o600); err != nil || p.State == l402http.StatePaid {
			return err
		}
		// The folders may be new: the journal must be found in them.
		if err := errors.Join(files.SyncDir(s.dir), files.SyncDir(filepath.Dir(s.dir))); err != nil {
			return fault.New(CodeOutput, hintStore, "write tokens: %w", err)
		}
		return nil
	}
	old := filepath.Join(folder, oldFolder)
	if err := makeDir(old); err != nil {
		return err
	}
	if err := files.Write(filepath.Join(old, name+recordSuffix), data, 0o600); err != nil {
		return err
	}
	return remove(active, filepath.Join(folder, name+usedSuffix))
}

// unknown fails when any origin has a purchase in a file of that name that did
// not fail.
func (s *FileStore) unknown(name string) error {
	domains, err := os.ReadDir(s.dir)
	if err != nil {
		return unreadable(err)
	}
	for _, d := range domains {
		for _, path := range []string{filepath.Join(s.dir, d.Name(), name), filepath.Join(s.dir, d.Name(), oldFolder, name)} {
			p, err := readRecord(path)
			switch {
			case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
				continue
			case err != nil:
				return err
			case p.State != l402http.StateFailed:
				return fmt.Errorf("%w: %s of %s", l402http.ErrInvoiceReused, p.Hash, p.Origin)
			}
		}
	}
	return nil
}

// MarkUsed implements [l402http.Store].
func (s *FileStore) MarkUsed(p l402http.Purchase) error {
	path := filepath.Join(s.folder(p.Origin.Host()), hex.EncodeToString(p.Hash[:])+usedSuffix)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// All returns every purchase of every origin, also those set aside, in the
// order of the folders' and files' names.
func (s *FileStore) All() ([]l402http.Purchase, error) {
	domains, err := os.ReadDir(s.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, unreadable(err)
	}
	var all []l402http.Purchase
	for _, d := range domains {
		if !d.IsDir() {
			continue
		}
		for _, folder := range []string{d.Name(), filepath.Join(d.Name(), oldFolder)} {
			some, err := readFolder(filepath.Join(s.dir, folder))
			if err != nil {
				return nil, err
			}
			all = append(all, some...)
		}
	}
	return all, nil
}

// Remove deletes a purchase that is not pending, wherever it lies.
func (s *FileStore) Remove(p l402http.Purchase) error {
	if p.State == l402http.StatePending {
		return fault.New("payment_unresolved", "lnget payments recover",
			"the payment to %s is not resolved: its journal stays", p.Origin)
	}
	folder, name := s.folder(p.Origin.Host()), hex.EncodeToString(p.Hash[:])
	return remove(filepath.Join(folder, name+recordSuffix), filepath.Join(folder, name+usedSuffix),
		filepath.Join(folder, oldFolder, name+recordSuffix))
}

// readFolder reads the records of one folder; none if it does not exist.
func readFolder(folder string) ([]l402http.Purchase, error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, unreadable(err)
	}
	var all []l402http.Purchase
	used := map[lntypes.Hash]bool{}
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") || e.IsDir() {
			continue
		}
		if text, ok := strings.CutSuffix(name, usedSuffix); ok {
			if hash, err := lntypes.MakeHashFromStr(text); err == nil {
				used[hash] = true
			}
			continue
		}
		p, err := readRecord(filepath.Join(folder, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // set aside meanwhile
		} else if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	for i := range all {
		all[i].Used = used[all[i].Hash]
	}
	return all, nil
}

const hintStore = "check the owner and mode of the tokens folder"

// unreadable is the error of a store that cannot be looked into: there may be
// anything in it.
func unreadable(err error) error {
	if fault.Code(err) != fault.Internal {
		return err
	}
	return fault.New(CodeCorruptStore, hintStore, "read tokens: %w", err)
}

func readRecord(path string) (l402http.Purchase, error) {
	data, err := files.ReadSecret(path)
	if err != nil {
		return l402http.Purchase{}, unreadable(err)
	}
	p, err := decodeRecord(data)
	if err == nil && filepath.Base(path) != hex.EncodeToString(p.Hash[:])+recordSuffix {
		err = errors.New("the file's name is not its payment hash")
	}
	if err == nil && domainOf(path, p.State) != folderName(p.Origin.Host()) {
		err = fmt.Errorf("it is of %s", p.Origin)
	}
	if err != nil {
		return l402http.Purchase{}, fault.New(CodeCorruptStore,
			"restore it from a backup, or look up the payment by the hash in its name, then move it away",
			"token file %q is damaged: %w", path, err)
	}
	return p, nil
}

// domainOf is the domain's folder of a record's path. A host may be named as the
// folder of what is set aside.
func domainOf(path string, state l402http.State) string {
	folder := filepath.Dir(path)
	if !state.Active() {
		folder = filepath.Dir(folder)
	}
	return filepath.Base(folder)
}

func (s *FileStore) folder(host string) string { return filepath.Join(s.dir, folderName(host)) }

func (s *FileStore) makeFolder(o l402http.Origin) (string, error) {
	folder := s.folder(o.Host())
	return folder, makeDir(folder)
}

func makeDir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	return files.MkdirPrivate(dir)
}

// folderName is the host in letters, digits, dots and dashes, the rest as %xx;
// it never begins with a dot.
func folderName(host string) string {
	var b strings.Builder
	for i := range len(host) {
		c := host[i]
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_', c == '.' && i > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	return b.String()
}

func remove(paths ...string) error {
	for _, path := range paths {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fault.New(CodeOutput, hintStore, "remove token: %w", err)
		}
	}
	return nil
}
