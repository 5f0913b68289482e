package lnget

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/fault"
)

// maxParams bounds what --params reads, in bytes. It may hold a body.
const maxParams = 16 << 20

// paramNames are keys of --params that are not named as their flag is. Those
// of the value "" are not to be set from there.
var paramNames = map[string]string{"method": "request", "headers": "header", "params": "", "help": "", "version": "", "config": ""}

// readParams sets the flags that --params names, and returns its URL.
func (app *App) readParams(cmd *cobra.Command, f *fetchFlags) (url string, err error) {
	text, err := app.paramsText(f.params)
	if err != nil {
		return "", err
	}
	err = eachMember(text, func(key string, value json.RawMessage) error {
		switch key {
		case "url":
			if err := json.Unmarshal(value, &url); err != nil {
				return errors.New("want a text")
			}
			return nil
		case "content_type":
			var t string
			if err := json.Unmarshal(value, &t); err != nil {
				return errors.New("want a text")
			}
			return setFlag(cmd, "header", "Content-Type: "+t)
		case "data":
			return f.setBody(cmd, value)
		}
		name, special := paramNames[key]
		if !special {
			name = strings.ReplaceAll(key, "_", "-")
		}
		if name == "" || cmd.Flags().Lookup(name) == nil {
			return errors.New("unknown key")
		}
		values, err := paramValues(name, value)
		if err != nil {
			return err
		}
		if cmd.Flags().Changed(name) && name != "header" {
			return errors.New("it is given as a flag too")
		}
		return setFlag(cmd, name, values...)
	})
	if err != nil {
		return "", voice.UsageError(cmd, fmt.Errorf("--params: %w", err))
	}
	return url, nil
}

func (app *App) paramsText(from string) ([]byte, error) {
	if strings.HasPrefix(strings.TrimSpace(from), "{") {
		return []byte(from), nil
	}
	in := app.In
	if from != "-" {
		file, err := os.Open(from)
		if err != nil {
			return nil, fault.New(voice.CodeUsage, "give a JSON object, a file, or - for standard input", "read --params: %w", err)
		}
		defer file.Close()
		in = file
	}
	text, err := io.ReadAll(io.LimitReader(in, maxParams+1))
	if err == nil && len(text) > maxParams {
		err = fmt.Errorf("over %d bytes", maxParams)
	}
	if err != nil {
		return nil, fault.New(voice.CodeUsage, "give a JSON object, a file, or - for standard input", "read --params: %w", err)
	}
	return text, nil
}

// eachMember calls f for each member of the JSON object that text is, and for
// none twice.
func eachMember(text []byte, f func(key string, value json.RawMessage) error) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return errors.New("it is no JSON object")
	}
	var seen []string
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return errors.New("malformed JSON")
		}
		key, _ := token.(string)
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return fmt.Errorf("%q: malformed JSON", key)
		}
		if slices.Contains(seen, key) {
			return fmt.Errorf("%q is there twice", key)
		}
		seen = append(seen, key)
		if err := f(key, value); err != nil {
			return fmt.Errorf("%q: %w", key, err)
		}
	}
	if _, err := dec.Token(); err != nil {
		return errors.New("malformed JSON")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON object")
	}
	return nil
}

// setBody takes the request's body: a text as it is, an object or array as JSON.
// Nothing in it is the name of a file.
func (f *fetchFlags) setBody(cmd *cobra.Command, value json.RawMessage) error {
	if cmd.Flags().Changed("data") {
		return errors.New("it is given as a flag too")
	}
	switch value[0] {
	case '"':
		var text string
		if err := json.Unmarshal(value, &text); err != nil {
			return err
		}
		f.body = []byte(text)
	case '{', '[':
		f.body = value
	default:
		return errors.New("want a text, an object or an array")
	}
	return nil
}

// paramValues are the texts that a flag of that name takes for a JSON value.
func paramValues(flag string, value json.RawMessage) ([]string, error) {
	if flag == "header" {
		return headerValues(value)
	}
	var v any
	dec := json.NewDecoder(bytes.NewReader(value))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case string:
		return []string{v}, nil
	case bool, json.Number:
		return []string{fmt.Sprint(v)}, nil
	}
	return nil, errors.New("want a text, a number, true or false")
}

// headerValues reads {"Name": "value"} and ["Name: value"].
func headerValues(value json.RawMessage) ([]string, error) {
	var list []string
	if value[0] == '[' {
		if err := json.Unmarshal(value, &list); err != nil {
			return nil, errors.New("want texts")
		}
		return list, nil
	}
	if value[0] != '{' {
		return nil, errors.New(`want {"Name": "value"}`)
	}
	err := eachMember(value, func(name string, value json.RawMessage) error {
		var text string
		if err := json.Unmarshal(value, &text); err != nil {
			return errors.New("want a text")
		}
		list = append(list, name+": "+text)
		return nil
	})
	return list, err
}

func setFlag(cmd *cobra.Command, name string, values ...string) error {
	for _, v := range values {
		if err := cmd.Flags().Set(name, v); err != nil {
			return err
		}
	}
	return nil
}
