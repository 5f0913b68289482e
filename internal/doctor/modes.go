package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// maxNamed is how many files of one kind are named one by one.
const maxNamed = 10

// public files may be read by everybody.
func public(name string) bool {
	switch filepath.Ext(name) {
	case ".cert", ".crt", ".log":
		return true
	}
	return oldLog.MatchString(name) // not a bundle's .tar.gz
}

// oldLog ends the names of lnd's older logs: lnd.log.3.gz.
var oldLog = regexp.MustCompile(`\.log\.[0-9]+(\.(gz|zst))?$`)

// places are the folders that hold what must be private: Leyden's, without its
// private test network, and lnget's.
func (e *Env) places() []string {
	var found []string
	for _, dir := range []string{e.Home.Node(), e.Home.Signer(), e.Home.Guard(), e.Home.Gate(), e.Home.Bakery(), e.Home.Run(), e.Lnget} {
		if has(dir) {
			found = append(found, dir)
		}
	}
	return found
}

// file is a file or folder of a place.
type file struct {
	path string
	info fs.FileInfo

	linked bool // it was come to by a link to this very file
}

func (f file) mode() fs.FileMode { return f.info.Mode().Perm() }

// walk returns all that is in a folder, and what it could not look at. It also goes
// behind links to folders of the same owner, where people put what is large.
func walk(dir string) (found []file, blind []Finding) {
	w := walker{seen: map[string]bool{}}
	w.into(dir)
	return w.found, w.blind
}

type walker struct {
	found []file
	blind []Finding
	seen  map[string]bool // by resolved paths
}

func (w *walker) into(dir string) {
	root, err := filepath.EvalSymlinks(dir)
	if err != nil {
		w.cannot(dir, err)
		return
	}
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			w.cannot(path, err)
			return nil // the rest may be readable
		}
		if w.seen[path] {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		w.seen[path] = true
		info, err := d.Info()
		switch {
		case errors.Is(err, fs.ErrNotExist): // it has gone meanwhile
		case err != nil:
			w.cannot(path, err)
		default:
			w.found = append(w.found, file{path: path, info: info})
			w.behind(path, info)
		}
		return nil
	})
}

// behind goes behind a link.
func (w *walker) behind(path string, link fs.FileInfo) {
	if link.Mode()&fs.ModeSymlink == 0 {
		return
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		w.cannot(path, err)
	case info.IsDir() && owner(info) != owner(link):
		w.blind = append(w.blind, unseen("ls -lL "+path, "%s leads to what belongs to %s, and was not looked at", path, nameOf(owner(info))))
	case info.IsDir():
		w.into(path)
	case info.Mode().IsRegular():
		if target, err := filepath.EvalSymlinks(path); err == nil && !w.seen[target] {
			w.seen[target] = true
			w.found = append(w.found, file{target, info, true})
		}
	}
}

func (w *walker) cannot(path string, err error) {
	w.blind = append(w.blind, unseen("", "cannot look at %s: %v", path, reason(err)))
}

// reason is an error without the path that it repeats.
func reason(err error) error {
	if p, ok := err.(*fs.PathError); ok {
		return p.Err
	}
	return err
}

// checkHome says when there is nothing to look at, or no looking.
func checkHome(_ context.Context, e *Env) []Finding {
	switch {
	case e.closed():
		return []Finding{unseen(e.asOperator(), "user %s cannot look into %s, as it should be if that is an agent", e.Self.Name, e.Home)}
	case !has(string(e.Home)):
		return []Finding{info("leyden node import --bundle FILE, or leyden signer init", "there is nothing in %s", e.Home)}
	}
	return nil
}

// checkModes finds files that others than their owner can read or change.
func checkModes(_ context.Context, e *Env) (found []Finding) {
	private := 0
	for _, place := range e.places() {
		files, blind := walk(place)
		for _, b := range blind {
			if b.Fix == "" {
				b.Fix = e.asOperator()
			}
			found = append(found, b)
		}
		bad := 0
		for _, f := range files {
			problem, is := f.judge()
			if !is {
				private++
				continue
			}
			if bad++; bad <= maxNamed {
				found = append(found, problem)
			}
		}
		if bad > maxNamed {
			found = append(found, fail("chmod -R go= "+place, "%d more files of %s have such modes", bad-maxNamed, place))
		}
	}
	found = append(found, e.judgeParents()...)
	if len(found) == 0 && private > 0 {
		found = append(found, ok("%d files and folders can be read by their owner alone", private))
	}
	return found
}

// judge says what is wrong with a file's mode. One that a closed folder protects
// is not as bad as one that can be read.
func (f file) judge() (Finding, bool) {
	mode := f.mode()
	if f.info.Mode()&fs.ModeSymlink != 0 {
		return Finding{}, false
	}
	exposed := othersReach(filepath.Dir(f.path))
	switch {
	case f.info.IsDir():
		if mode&0o022 != 0 && exposed {
			return fail("chmod 700 "+f.path, "%s has mode %#o: others can put files into it", f.path, mode), true
		}
	case public(f.path):
		if mode&0o022 != 0 && exposed {
			return fail("chmod go-w "+f.path, "%s has mode %#o: others can change it", f.path, mode), true
		}
	case mode&0o077 != 0 && exposed:
		return fail("chmod 600 "+f.path, "%s has mode %#o: others can %s it", f.path, mode, deed(mode)), true
	case mode&0o077 != 0 && secret(f.path):
		return warn("chmod 600 "+f.path, "%s has mode %#o: only its folder keeps others out", f.path, mode), true
	}
	return Finding{}, false
}

func deed(mode fs.FileMode) string {
	if mode&0o022 != 0 {
		return "change"
	}
	return "read"
}

// othersReach says whether anybody but the owners can go into the folder, all the
// way. A folder above that we may not look at keeps others out as well.
func othersReach(dir string) bool {
	for {
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm()&0o011 == 0 {
			return false
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return true
		}
		dir = parent
	}
}

// secret says whether a file by that name holds a key, a credential or a password.
func secret(path string) bool {
	name := filepath.Base(path)
	switch filepath.Ext(name) {
	case ".macaroon", ".key", ".b64":
		return true
	case ".db":
		return name == "wallet.db" || name == "macaroons.db" || name == "guard.db" || name == "gate.db"
	case ".json":
		return strings.Contains(path, string(filepath.Separator)+"tokens"+string(filepath.Separator))
	}
	return name == "seed.txt" || name == "wallet-password.txt" || name == "lnd.conf"
}

// judgeParents finds folders above ours in which others can put something else in
// our folder's place.
func (e *Env) judgeParents() (found []Finding) {
	dir, err := filepath.EvalSymlinks(string(e.Home))
	if err != nil {
		return nil
	}
	if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&0o022 != 0 {
		found = append(found, fail("chmod 700 "+dir, "%s has mode %#o: others can replace what is in it", dir, info.Mode().Perm()))
	}
	for parent := filepath.Dir(dir); ; parent = filepath.Dir(parent) {
		info, err := os.Stat(parent)
		if err == nil && info.Mode().Perm()&0o022 != 0 && info.Mode()&fs.ModeSticky == 0 {
			found = append(found, fail("chmod go-w "+parent, "%s has mode %#o: others can replace %s", parent, info.Mode().Perm(), dir))
		}
		if parent == filepath.Dir(parent) {
			return found
		}
	}
}

// checkOwners finds files that belong to somebody else than the folder they are
// in, as a command that was run as root leaves them.
func checkOwners(_ context.Context, e *Env) (found []Finding) {
	for _, place := range e.places() {
		files, _ := walk(place) // checkModes says what could not be seen
		if len(files) == 0 {
			continue
		}
		whose, foreign := owner(files[0].info), 0
		var first file
		for _, f := range files {
			if f.linked || owner(f.info) == whose {
				continue
			}
			if foreign++; foreign == 1 {
				first = f
			}
		}
		if foreign > 0 {
			found = append(found, fail(fmt.Sprintf("sudo chown -R %s %s", nameOf(whose), place),
				"%d files in %s belong to others than %s, the first is %s, of %s: commands of %[3]s will fail at them",
				foreign, place, nameOf(whose), first.path, nameOf(owner(first.info))))
		}
	}
	return found
}
