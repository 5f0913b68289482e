package backup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"gopkg.in/yaml.v3"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
)

// CodeNoFolder is the code of a node that keeps no second copy.
const CodeNoFolder = "no_backup_folder"

// settings is leyden-backup.yaml in the node's folder.
type settings struct {
	// To is the folder of backups, absolute.
	To Folder `yaml:"to"`
}

func settingsFile(h config.Home) string { return filepath.Join(h.Node(), "leyden-backup.yaml") }

// To is the folder that the home's node keeps its backup in. Code:
// no_backup_folder.
func To(h config.Home) (Folder, error) {
	var s settings
	err := config.LoadStrictYAML(settingsFile(h), &s)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fault.New(CodeNoFolder, "leyden node backup follow --to DIR", "the node keeps no second copy of its channel backup")
	}
	return s.To, err
}

// Apart refuses a folder in the home: what is copied lies there, under the same names,
// and the copy of the ledger would take the place of the one that is written to. Code:
// write_failed.
func (f Folder) Apart(h config.Home) error {
	folder, err := filepath.EvalSymlinks(string(f))
	if err != nil {
		return fault.New("write_failed", "mkdir "+string(f), "folder for backups: %w", err)
	}
	home, err := filepath.EvalSymlinks(string(h))
	if err != nil {
		return err
	}
	if rel, err := filepath.Rel(home, folder); err == nil && filepath.IsLocal(rel) {
		return fault.New("write_failed", "name a folder outside of it, best on another disk",
			"%q is in the folder of the node itself", string(f))
	}
	return nil
}

// Remember makes the folder the one that the home's node keeps its backup in.
func Remember(h config.Home, f Folder) error {
	data, err := yaml.Marshal(settings{To: f})
	if err != nil {
		return err
	}
	return files.Write(settingsFile(h), data, 0o600)
}

// Forget makes the home's node keep no second copy any more. What is in the folder
// stays. Code: no_backup_folder.
func Forget(h config.Home) error {
	if _, err := To(h); err != nil {
		return err
	}
	if err := os.Remove(settingsFile(h)); err != nil {
		return fault.New("write_failed", "check the folder's owner and mode", "forget the folder of backups: %w", err)
	}
	return files.SyncDir(h.Node())
}
