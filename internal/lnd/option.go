package lnd

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
)

// Option is one setting of lnd under its long name, without leading dashes.
type Option struct {
	Name, Value string

	// Origin says where it came from, for errors: "lnd.conf line 3".
	Origin string
}

// optionName is how lnd spells its long option names. go-flags would also take
// field names and single letters, which would be ways around our rules.
var optionName = regexp.MustCompile(`^[a-z][a-z0-9_]*(?:[.-][a-z0-9_]+)+$|^[a-z][a-z0-9_]+$`)

// secretOption ends the names of options that hold a password.
var secretOption = regexp.MustCompile(`(?:^|[.-])(?:rpcpass|password|pass|dsn)$`)

// ParseConf reads an lnd.conf: sections are only decoration, values may be in
// Go's double quotes, `;` and `#` begin comment lines. Errors have the code
// bad_lnd_conf and name file and line, never a value.
func ParseConf(path string, data []byte) ([]Option, error) {
	var options []Option
	scanner := bufio.NewScanner(bytes.NewReader(data))
	scanner.Buffer(nil, 1<<20)
	for n := 1; scanner.Scan(); n++ {
		origin := fmt.Sprintf("%s line %d", path, n)
		line := strings.TrimSpace(scanner.Text())
		if line == "" || line[0] == ';' || line[0] == '#' || line[0] == '[' && line[len(line)-1] == ']' {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			return nil, badConf(origin, "not of the form option=value")
		}
		option := Option{Name: strings.TrimSpace(name), Value: strings.TrimSpace(value), Origin: origin}
		option.Name = strings.TrimPrefix(option.Name, "lnd.")
		if !optionName.MatchString(option.Name) {
			return nil, badConf(origin, "%q is not the long name of an lnd option", option.Name)
		}
		if strings.HasPrefix(option.Value, `"`) {
			unquoted, err := strconv.Unquote(option.Value)
			if err != nil {
				return nil, badConf(origin, "malformed quotes in the value of %q", option.Name)
			}
			option.Value = unquoted
		}
		options = append(options, option)
	}
	if err := scanner.Err(); err != nil {
		return nil, badConf(path, "%v", err)
	}
	return options, nil
}

// ParseArgs reads options as a command line gives them: --option=value,
// --lnd.option=value, or --option for a switch. Passwords are refused, since
// every user of the machine can read a command line.
func ParseArgs(args []string) ([]Option, error) {
	var options []Option
	for _, arg := range args {
		name, value, assigned := strings.Cut(arg, "=")
		long, ok := strings.CutPrefix(name, "--")
		long = strings.TrimPrefix(long, "lnd.")
		switch {
		case !ok || !optionName.MatchString(long):
			return nil, fault.New("bad_option", "write lnd's options as --option=value",
				"%q is not the long name of an lnd option", name)
		case secretOption.MatchString(long):
			return nil, fault.New("secret_in_argv", "put it in lnd.conf in the node's folder, mode 0600",
				"%q holds a secret, and a command line is no secret", "--"+long)
		case !assigned:
			value = "true"
		}
		options = append(options, Option{Name: long, Value: value, Origin: "--" + long})
	}
	return options, nil
}

func badConf(origin, format string, args ...any) error {
	return fault.New("bad_lnd_conf", "correct or remove that line",
		"%s: %s", origin, fmt.Sprintf(format, args...))
}

// merge lets later layers replace the options of earlier ones, all values of a
// name at once, as lnd's command line does with its configuration file.
func merge(layers ...[]Option) []Option {
	last := make(map[string]int)
	for i, layer := range layers {
		for _, o := range layer {
			last[o.Name] = i
		}
	}
	var merged []Option
	for i, layer := range layers {
		for _, o := range layer {
			if last[o.Name] == i {
				merged = append(merged, o)
			}
		}
	}
	return merged
}

// find returns the last value of the option.
func find(options []Option, name string) (Option, bool) {
	for i := len(options) - 1; i >= 0; i-- {
		if options[i].Name == name {
			return options[i], true
		}
	}
	return Option{}, false
}

// render writes the options as the configuration file of the child, one a
// line, so that line n of the file is options[n-1].
func render(options []Option) []byte {
	var b bytes.Buffer
	for _, o := range options {
		fmt.Fprintf(&b, "%s=%s\n", o.Name, strconv.Quote(o.Value))
	}
	return b.Bytes()
}

// LoadConf reads an lnd.conf; a missing one has no options. One that holds a
// password and that others can read has the code insecure_file.
func LoadConf(path string) ([]Option, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, fault.New("bad_lnd_conf", "check the file's owner and mode", "read %q: %w", path, err)
	}
	options, err := ParseConf(path, data)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(options, func(o Option) bool { return secretOption.MatchString(o.Name) }) {
		_, err = files.ReadSecret(path)
	}
	return options, err
}
