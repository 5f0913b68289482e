package doctor

import (
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/leydenln/leyden/internal/fault"
)

// User is an account of the machine, as the kernel judges it.
type User struct {
	Name string
	UID  uint32
	GIDs []uint32

	// Groups are the groups' names, as far as they have one.
	Groups []string

	// HomeDir is the account's own folder.
	HomeDir string
}

// LookupUser finds an account by its name or number. Code: unknown_user.
func LookupUser(name string) (*User, error) {
	found, err := user.Lookup(name)
	if err != nil {
		if found, err = user.LookupId(name); err != nil {
			return nil, fault.New("unknown_user", "see getent passwd", "no user of this machine is named %q", name)
		}
	}
	u := &User{Name: found.Username, HomeDir: found.HomeDir}
	uid, err := strconv.ParseUint(found.Uid, 10, 32)
	if err != nil {
		return nil, fault.New("unknown_user", "", "user %q has no number", name)
	}
	u.UID = uint32(uid)
	groups, err := found.GroupIds()
	if err != nil {
		return nil, fault.New("unknown_user", "", "groups of user %q: %w", name, err)
	}
	for _, id := range groups {
		gid, err := strconv.ParseUint(id, 10, 32)
		if err != nil {
			continue
		}
		u.GIDs = append(u.GIDs, uint32(gid))
		if g, err := user.LookupGroupId(id); err == nil {
			u.Groups = append(u.Groups, g.Name)
		}
	}
	return u, nil
}

// nameOf names a user by number.
func nameOf(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return "uid " + id
}

// access is a set of the rights of a mode: read, write, and to use a folder.
type access fs.FileMode

const (
	reads  access = 4
	writes access = 2
	enters access = 1
)

// granted returns what the file's owner, group and mode give the user. Lists of
// access control (ACL) are not read.
func (u *User) granted(info fs.FileInfo) access {
	if u.UID == 0 {
		return reads | writes | enters
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	mode := access(info.Mode().Perm())
	switch {
	case !ok:
		return reads | writes | enters // not known, so the worst
	case stat.Uid == u.UID:
		return mode >> 6 & 7
	case slices.Contains(u.GIDs, stat.Gid):
		return mode >> 3 & 7
	}
	return mode & 7
}

// may says whether the user can reach the file and do that to it. A file that we
// cannot look at ourselves is an error.
func (u *User) may(path string, want access) (bool, error) {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return false, err
	}
	if path, err = filepath.Abs(path); err != nil {
		return false, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return false, err
	}
	if u.granted(info)&want != want {
		return false, nil
	}
	return u.reaches(filepath.Dir(path))
}

// reaches says whether the user can go into the folder.
func (u *User) reaches(dir string) (bool, error) {
	for {
		info, err := os.Stat(dir)
		if err != nil {
			return false, err
		}
		if u.granted(info)&enters == 0 {
			return false, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return true, nil
		}
		dir = parent
	}
}

// owner returns who the file belongs to.
func owner(info fs.FileInfo) uint32 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Uid
	}
	return 0
}

// sameDisk says whether both files are on one file system.
func sameDisk(a, b fs.FileInfo) bool {
	one, okOne := a.Sys().(*syscall.Stat_t)
	other, okOther := b.Sys().(*syscall.Stat_t)
	return okOne && okOther && one.Dev == other.Dev
}

// uidText is who we are, as LookupUser reads it.
func uidText() string { return strconv.Itoa(os.Getuid()) }
