package config

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
)

// LoadStrictYAML reads the file into a struct. Unknown and repeated keys,
// wrong types and further documents are errors with the code bad_config that
// name file and line; a missing file keeps os.ErrNotExist in its chain.
func LoadStrictYAML(path string, into any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fault.New("bad_config", "check the path and its mode", "read configuration: %w", err)
	}
	return ParseStrictYAML(path, data, into)
}

// ParseStrictYAML is LoadStrictYAML for bytes already read; path is only for
// the error. An empty document leaves into as it is.
func ParseStrictYAML(path string, data []byte, into any) error {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return badYAML(path, err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return fault.New("bad_config", "keep one YAML document in the file",
			"%s: more than one document", path)
	}
	return nil
}

// SaveYAML replaces the file, mode 0600, by one that LoadStrictYAML reads.
func SaveYAML(path string, from any) error {
	data, err := yaml.Marshal(from)
	if err != nil {
		return err
	}
	return files.Write(path, data, 0o600)
}

// FirstGiven is the first of the lists that has anything.
func FirstGiven(lists ...[]string) []string {
	for _, list := range lists {
		if len(list) > 0 {
			return list
		}
	}
	return nil
}

// badYAML puts yaml's several lines into one and drops its Go type names.
func badYAML(path string, err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	text = strings.TrimPrefix(text, "unmarshal errors:\n")
	var lines []string
	for _, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if field, ok := strings.CutPrefix(afterLine(line), "field "); ok {
			name, _, _ := strings.Cut(field, " not found in type ")
			line = strings.TrimSuffix(line, afterLine(line)) + "unknown key \"" + name + "\""
		}
		if head, typ, ok := strings.Cut(line, " into "); ok && strings.Contains(typ, ".") && typ != "time.Duration" {
			line = head + " here"
		}
		lines = append(lines, line)
	}
	return fault.New("bad_config", "correct or remove it", "%s: %s", path, strings.Join(lines, "; "))
}

// afterLine returns what follows "line N: ", or all of it.
func afterLine(s string) string {
	if strings.HasPrefix(s, "line ") {
		if _, rest, ok := strings.Cut(s, ": "); ok {
			return rest
		}
	}
	return s
}
