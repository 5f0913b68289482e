package gate

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/leydenln/leyden/internal/fault"
)

// places are where the keys of a file stand, so that every mistake can name
// its key and its line.
type places struct {
	lines   map[string]int // by path, such as "services.0.price"
	values  map[[2]int]string
	scalars map[int][]scalarPlace // by line
}

// scalarPlace is a key with its plain value.
type scalarPlace struct{ key, value string }

// findPlaces reads a file's keys. A file that is no YAML has none.
func findPlaces(data []byte) places {
	p := places{map[string]int{}, map[[2]int]string{}, map[int][]scalarPlace{}}
	var document yaml.Node
	if yaml.Unmarshal(data, &document) == nil && len(document.Content) == 1 {
		p.add(document.Content[0], "", "")
	}
	return p
}

// add walks a value. path leads to it; key is what its mistakes are called.
func (p places) add(n *yaml.Node, path, key string) {
	p.values[[2]int{n.Line, n.Column}] = key
	switch n.Kind {
	case yaml.ScalarNode:
		p.scalars[n.Line] = append(p.scalars[n.Line], scalarPlace{key, n.Value})
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			name := n.Content[i].Value
			p.lines[path+name] = n.Content[i].Line
			inner := name
			if key != "" && key != "services" {
				inner = key + "." + name
			}
			p.add(n.Content[i+1], path+name+".", inner)
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			p.lines[path+strconv.Itoa(i)] = item.Line
			p.add(item, path+strconv.Itoa(i)+".", key)
		}
	}
}

var (
	badAt   = regexp.MustCompile(`line (\d+), column (\d+): `)
	badType = regexp.MustCompile("line (\\d+): cannot unmarshal !!\\w+ `([^`]*)`")
)

// name puts the keys into the decoder's errors, which know only lines.
func (p places) name(err error) error {
	text := badAt.ReplaceAllStringFunc(err.Error(), func(s string) string {
		m := badAt.FindStringSubmatch(s)
		line, _ := strconv.Atoi(m[1])
		column, _ := strconv.Atoi(m[2])
		return "line " + m[1] + ": " + p.values[[2]int{line, column}] + " "
	})
	text = badType.ReplaceAllStringFunc(text, func(s string) string {
		m := badType.FindStringSubmatch(s)
		line, _ := strconv.Atoi(m[1])
		start := strings.TrimSuffix(m[2], "...")
		for _, place := range p.scalars[line] {
			if strings.HasPrefix(place.value, start) {
				return strings.Replace(s, ": cannot", ": "+place.key+": cannot", 1)
			}
		}
		return s
	})
	return fault.New(CodeBadConfig, fault.Hint(err), "%s", text)
}

// keyError is a mistake that a key's value alone did not show.
type keyError struct {
	path string // of the key, as places has it
	text string
}

func (e *keyError) Error() string { return e.text }

// at returns a mistake of a key, which its text begins with.
func at(key, format string, args ...any) error {
	return &keyError{key, key + " " + fmt.Sprintf(format, args...)}
}

// mistakeIn puts a mistake into the part of the file that it was found in.
func mistakeIn(path, what string, err error) error {
	if e := (*keyError)(nil); errors.As(err, &e) {
		return &keyError{path + "." + e.path, what + e.text}
	}
	return err
}

// locate adds the line: the key's, or of what it is missing from.
func (p places) locate(err error) error {
	if e := (*keyError)(nil); errors.As(err, &e) {
		return fmt.Errorf("line %d: %w", p.line(e.path), err)
	}
	return err
}

// line returns where a key stands, or what it is missing from.
func (p places) line(path string) int {
	for ; path != ""; path = path[:max(0, strings.LastIndexByte(path, '.'))] {
		if line, ok := p.lines[path]; ok {
			return line
		}
	}
	return 1
}
