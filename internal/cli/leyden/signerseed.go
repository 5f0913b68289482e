package leyden

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"io"
	"math/big"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/lnd"
)

// confirmTries is how often a word may be mistyped.
const confirmTries = 3

// canConfirm refuses to show a seed that nobody would see.
func (app *App) canConfirm() error {
	in, ok := app.In.(*os.File)
	if ok && term.IsTerminal(int(in.Fd())) && voice.IsTerminal(app.Out) {
		return nil
	}
	return fault.New("seed_unsafe", "run it in a terminal, or let it write seed.txt",
		"there is no terminal to show the seed on")
}

// confirmSeed shows the words once and asks for two of them.
func (app *App) confirmSeed(words []string) error {
	if err := app.showSeed(words); err != nil {
		return err
	}
	first := pick(len(words))
	second := pick(len(words) - 1)
	if second >= first {
		second++
	}
	in := bufio.NewReader(app.In)
	for _, i := range []int{first, second} {
		if err := app.askWord(in, i, words[i]); err != nil {
			return err
		}
	}
	return nil
}

func pick(n int) int {
	i, err := rand.Int(rand.Reader, big.NewInt(int64(n)))
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return int(i.Int64())
}

func (app *App) askWord(in *bufio.Reader, i int, word string) error {
	for range confirmTries {
		fmt.Fprintf(app.Out, "Type word %d: ", i+1)
		line, err := in.ReadString('\n')
		if strings.TrimSpace(line) == word {
			return nil
		}
		if err != nil {
			break
		}
	}
	return fault.New("seed_unsafe", "leyden signer init, and write the words down",
		"word %d was not typed back: no wallet is made", i+1)
}

// askSeed reads 24 words, over as many lines as it takes.
func (app *App) askSeed() ([]string, error) {
	if in, ok := app.In.(*os.File); ok && term.IsTerminal(int(in.Fd())) {
		fmt.Fprintln(app.Err, "The 24 words of the seed:")
	}
	var words []string
	scanner := bufio.NewScanner(io.LimitReader(app.In, 4096))
	for len(words) < lnd.SeedWords && scanner.Scan() {
		words = append(words, strings.Fields(scanner.Text())...)
	}
	if len(words) != lnd.SeedWords {
		return nil, fault.New("bad_seed", "type the 24 words, separated by spaces", "%d words, not %d", len(words), lnd.SeedWords)
	}
	return words, nil
}
