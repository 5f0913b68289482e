// Package backup keeps a second copy of what a node cannot make again from its
// seed: the static channel backup, and the ledger of accounts. It promises that a
// copy is replaced in one step and only by one that this node's keys open; that no
// copy is replaced by one that lacks a channel which the node does not know to be
// closed; that a throw-away lnd which tries a backup reaches no peer; and that a
// restore which was cut short goes on at the next start. It leaves out what lnd
// alone keeps and no copy may bring back: the state of channels, since publishing an
// old one forfeits the coins in it. What is restored is therefore closed by the
// peers.
package backup

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
)

// Files in a folder of backups.
const (
	ChannelsFile = "channel.backup" // as lnd and lncli know it
	LedgerFile   = "guard.db"
	ManifestFile = "leyden-backup.json"
)

// Codes of this package's errors.
const (
	CodeNone      = "no_backup"
	CodeDamaged   = "backup_damaged"
	CodeOtherNode = "backup_of_other_node"
	CodeLoses     = "backup_would_lose"
	CodeRefused   = "backup_refused"
	CodeStuck     = "backup_stuck"
)

// Copy describes a file of a backup. It holds no secrets.
type Copy struct {
	Time   time.Time `json:"time"`
	SHA256 string    `json:"sha256"` // lower-case hex

	// Channels are the funding outpoints, txid:index, of a channel backup.
	Channels []string `json:"channels,omitempty"`

	// Head is the end of a ledger's journal, as audit.Head writes it.
	Head string `json:"head,omitempty"`
}

func copyOf(data []byte, now time.Time) Copy {
	sum := sha256.Sum256(data)
	return Copy{Time: now.UTC().Truncate(time.Second), SHA256: hex.EncodeToString(sum[:])}
}

// Manifest says what the files of a backup are. It is written before them and names
// the copies before as well, so that one of the two is there whenever a write is cut
// short.
type Manifest struct {
	Network string `json:"network"`

	// Node is the node's identity key, hex; empty until there is a copy.
	Node string `json:"node"`

	// Channels and Ledger are the last two copies of each file, the newest first.
	Channels []Copy `json:"channels"`
	Ledger   []Copy `json:"ledger,omitempty"`
}

// Backup is what is in a folder, read and compared with its manifest.
type Backup struct {
	Network, Node string

	// Channels describes Multi, lnd's encrypted backup of all channels.
	Channels Copy
	Multi    []byte

	// Ledger describes the copy of the ledger; nil: there is none, or LedgerFault
	// says what is wrong with it.
	Ledger      *Copy
	LedgerFault error

	// Cut names a file whose last replacement was cut short: it is the copy before.
	Cut string
}

// Folder is the path of a folder of backups, absolute.
type Folder string

func (f Folder) path(name string) string { return filepath.Join(string(f), name) }

// Read reads the backup. A path of lnd's own file, without manifest, gives a backup
// whose node and channels are unknown. A damaged ledger is no error, as the channels
// can be restored without it. Codes: no_backup, backup_damaged.
func (f Folder) Read() (*Backup, error) {
	if info, err := os.Stat(string(f)); err == nil && info.Mode().IsRegular() {
		return readPlain(string(f))
	}
	m, err := f.manifest()
	if err != nil {
		return nil, f.orPlain(err)
	}
	b, err := f.channels(m)
	if err != nil || len(m.Ledger) == 0 {
		return b, err
	}
	_, ledger, err := f.intact(LedgerFile, m.Ledger)
	if err != nil {
		b.LedgerFault = err
		return b, nil
	}
	b.Ledger = &ledger
	if ledger.SHA256 != m.Ledger[0].SHA256 {
		b.Cut = LedgerFile
	}
	return b, nil
}

// channels reads the backup but for the ledger.
func (f Folder) channels(m Manifest) (*Backup, error) {
	if len(m.Channels) == 0 {
		return nil, fault.New(CodeNone, "leyden node start", "there is no backup in %q yet", string(f))
	}
	b := &Backup{Network: m.Network, Node: m.Node}
	var err error
	if b.Multi, b.Channels, err = f.intact(ChannelsFile, m.Channels); err != nil {
		return nil, err
	}
	if b.Channels.SHA256 != m.Channels[0].SHA256 {
		b.Cut = ChannelsFile
	}
	return b, nil
}

// orPlain says what else can be restored where there is no manifest.
func (f Folder) orPlain(err error) error {
	plain := f.path(ChannelsFile)
	if _, gone := os.Stat(plain); gone != nil {
		return err
	}
	return fault.New(fault.Code(err), fault.Hint(err)+"; or --from "+plain+", for the channels alone", "%w", err)
}

func readPlain(path string) (*Backup, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fault.New(CodeNone, "check the file's owner and mode", "channel backup: %w", err)
	}
	return &Backup{Multi: data, Channels: copyOf(data, time.Now())}, nil
}

func (f Folder) manifest() (m Manifest, err error) {
	data, err := os.ReadFile(f.path(ManifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		return m, fault.New(CodeNone, "mount the disk; or leyden node backup follow --to DIR, to begin there", "there is no backup: %w", err)
	}
	if err != nil {
		return m, fault.New(CodeNone, "check the folder's owner and mode", "backup: %w", err)
	}
	if m, err = parseManifest(data); err != nil {
		return m, fault.New(CodeDamaged, hintDamaged, "%q: %w", f.path(ManifestFile), err)
	}
	return m, nil
}

const hintDamaged = "leyden node start, which makes it again; or use another copy"

// parseManifest reads the JSON of a manifest.
func parseManifest(data []byte) (m Manifest, err error) {
	if err := json.Unmarshal(data, &m); err != nil {
		return m, err
	}
	if m.Network == "" || m.Node == "" && len(m.Channels) > 0 {
		return m, errors.New("network or node is missing")
	}
	return m, nil
}

// intact reads a file that must be one of the copies.
func (f Folder) intact(name string, copies []Copy) ([]byte, Copy, error) {
	data, err := os.ReadFile(f.path(name))
	if err != nil {
		return nil, Copy{}, fault.New(CodeDamaged, hintDamaged, "backup: %w", err)
	}
	got := copyOf(data, time.Time{}).SHA256
	for _, c := range copies {
		if c.SHA256 == got {
			return data, c, nil
		}
	}
	return nil, Copy{}, fault.New(CodeDamaged, hintDamaged, "%q is not what was written there", f.path(name))
}

// write writes the manifest.
func (f Folder) write(m Manifest) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return files.Write(f.path(ManifestFile), append(text, '\n'), 0o600)
}

// replace writes a file after the manifest, whose newest copy of that file it is, and
// reads it again.
func (f Folder) replace(m Manifest, name string, data []byte) error {
	if err := f.write(m); err != nil {
		return err
	}
	if err := files.Write(f.path(name), data, 0o600); err != nil {
		return err
	}
	copies := m.Channels
	if name == LedgerFile {
		copies = m.Ledger
	}
	_, _, err := f.intact(name, copies[:1])
	return err
}

// prepend makes c the newest of the copies; of the older ones only that which is
// intact stays.
func (f Folder) prepend(name string, copies []Copy, c Copy) []Copy {
	if _, before, err := f.intact(name, copies); err == nil {
		return []Copy{c, before}
	}
	return []Copy{c}
}
