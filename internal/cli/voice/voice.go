// Package voice is how our command lines speak, written down once: one line on
// stderr that says what failed and why, the hint under it, or one JSON object
// with --json; and exit status 0, 1 or 2. It leaves to the programs what their
// codes mean beyond that.
package voice

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/leydenln/leyden/internal/fault"
)

// CodeUsage is the code of a wrong command line.
const CodeUsage = "usage"

// ErrSilent ends a command with status 1 when it has already printed what is
// to be said.
var ErrSilent = errors.New("failed")

// Exit prints err, if any, as name's error and returns the exit status.
func Exit(w io.Writer, name string, asJSON bool, err error) int {
	if err == nil {
		return 0
	}
	if !errors.Is(err, ErrSilent) {
		Print(w, name, asJSON, asUsage(name, err))
	}
	if fault.Code(asUsage(name, err)) == CodeUsage {
		return 2
	}
	return 1
}

// Print writes err: `name: sentence` with the hint on a line of its own, or
// {"error":{"code","message","hint"}}.
func Print(w io.Writer, name string, asJSON bool, err error) {
	if asJSON {
		var out struct {
			Error struct {
				Code    string `json:"code"`
				Message string `json:"message"`
				Hint    string `json:"hint"`
			} `json:"error"`
		}
		out.Error.Code, out.Error.Message, out.Error.Hint = fault.Code(err), oneLine(err.Error()), fault.Hint(err)
		PrintJSON(w, out)
		return
	}
	fmt.Fprintf(w, "%s: %s\n", name, oneLine(err.Error()))
	if hint := fault.Hint(err); hint != "" {
		fmt.Fprintf(w, "  hint: %s\n", hint)
	}
}

// PrintJSON writes v as one JSON document, indented, with a newline. A terminal
// prints all of it as text: the control characters that JSON allows are escaped.
func PrintJSON(w io.Writer, v any) {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(v)
	if err == nil {
		_, err = w.Write(escapeControls(text.Bytes()))
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "write JSON: %v\n", err)
	}
}

// escapeControls escapes DEL and the controls of ISO 6429 from 80 to 9F, which
// JSON's encoder leaves as they are. They stand in strings only.
func escapeControls(text []byte) []byte {
	control := func(r rune) bool { return 0x7f <= r && r < 0xa0 }
	if !bytes.ContainsFunc(text, control) {
		return text
	}
	var out bytes.Buffer
	for _, r := range string(text) {
		if control(r) {
			fmt.Fprintf(&out, `\u%04x`, r)
		} else {
			out.WriteRune(r)
		}
	}
	return out.Bytes()
}

// UsageError marks err as a wrong command line and names the help to read.
// Fits cobra's SetFlagErrorFunc.
func UsageError(cmd *cobra.Command, err error) error {
	// A number below zero looks like a flag to pflag.
	if flag, number, ok := strings.Cut(err.Error(), "' in "); ok && strings.Contains("0123456789", strings.TrimPrefix(flag, "unknown shorthand flag: '")) {
		err = fmt.Errorf("%q is no flag, and nothing here is below 0", number)
	}
	return fault.New(CodeUsage, cmd.CommandPath()+" --help", "%w", err)
}

// Args turns a cobra argument check into one whose error is a usage error.
func Args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return UsageError(cmd, err)
		}
		return nil
	}
}

// Group makes cmd a command that only holds others: alone it prints its help,
// and an unknown word after it is a usage error.
func Group(cmd *cobra.Command) {
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		return UsageError(cmd, fmt.Errorf("unknown command %q for %q", args[0], cmd.CommandPath()))
	}
}

// IsTerminal says whether w is a terminal.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd()))
}

// asUsage gives cobra's own plain errors about commands the usage code.
func asUsage(name string, err error) error {
	if fault.Code(err) == fault.Internal && strings.HasPrefix(err.Error(), "unknown command ") {
		return fault.New(CodeUsage, name+" --help", "%w", err)
	}
	return err
}

func oneLine(s string) string {
	return Plain(strings.Join(strings.Fields(s), " "))
}

// Plain writes what a terminal would not print as text, such as the escape
// sequences a stranger may have put into it, the way Go does: \x1b.
func Plain(s string) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	if !strings.ContainsFunc(s, unprintable) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unprintable(r) {
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func unprintable(r rune) bool { return !strconv.IsPrint(r) }
