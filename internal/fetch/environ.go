package fetch

import (
	"reflect"
	"slices"
	"strings"

	"github.com/leydenln/leyden/internal/fault"
)

// CheckEnviron reports the first variable of environ ("NAME=value") that looks
// like a key of the configuration and is none (code bad_config): a limit that
// nobody reads is no limit. Others that begin with LNGET_ are somebody else's.
func CheckEnviron(environ []string) error {
	known := variables(reflect.TypeFor[Config](), "LNGET")
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		rest, ours := strings.CutPrefix(name, "LNGET_")
		if !ours || rest == "" || value == "" || slices.Contains(known, name) {
			continue
		}
		section, _, _ := strings.Cut(rest, "_")
		meant := slices.IndexFunc(known, func(k string) bool {
			return strings.HasPrefix(k, "LNGET_L402_"+strings.TrimPrefix(rest, "L402_"))
		})
		switch {
		case meant >= 0:
			return fault.New("bad_config", "it is spelt "+known[meant], "%s: there is no such key", name)
		case slices.ContainsFunc(known, func(k string) bool { return strings.HasPrefix(k, "LNGET_"+section+"_") }):
			return fault.New("bad_config", "lnget config show prints all keys", "%s: there is no such key", name)
		}
	}
	return nil
}

// variables are the names of all keys in the environment.
func variables(t reflect.Type, prefix string) []string {
	var names []string
	for i := range t.NumField() {
		field := t.Field(i)
		name := prefix + "_" + strings.ToUpper(field.Tag.Get("yaml"))
		if field.Type.Kind() == reflect.Struct {
			names = append(names, variables(field.Type, name)...)
		} else {
			names = append(names, name)
		}
	}
	return names
}
